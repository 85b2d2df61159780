//! What runners ask and report, each call proven by a token that is bound to one stage attempt.
//!
//! A token of another or an older attempt is a conflict and changes nothing (fencing).

use domain::{
    EnvironmentName, StageEvent, StageId, StageKind, Status,
    plan::{LaunchPlan, Plan},
    protocol::{
        DeployWork, Finish, Heartbeat, HeartbeatAnswer, Job, JobVariable, Launch, LogAnswer, LogBatch,
        Outcome, Work,
    },
};
use entity::{deployment, run, service, stage};
use sea_orm::ConnectionTrait;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::{
    Control,
    error::{Error, Result},
    seal::token_hash,
    store::{deployments, logs, rows, run_state::RunState, runs, services},
    variables,
};

/// A token that was verified.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The stage.
    pub stage: StageId,
    /// The attempt.
    pub attempt: u32,
    run: String,
}

/// `<stage>.<attempt>.<secret>`: it carries what it is bound to, so that an older one can be told from a wrong one.
pub(crate) fn token_text(stage: StageId, attempt: u32, secret: &str) -> String {
    format!("{stage}.{attempt}.{secret}")
}

/// `SEAMLESS_URL_<NAME>`.
fn url_variable(name: &str, port: i32) -> JobVariable {
    let name = format!("SEAMLESS_URL_{}", name.to_ascii_uppercase().replace('-', "_"));
    JobVariable { name, value: format!("http://127.0.0.1:{port}"), secret: false }
}

impl Control {
    /// Checks a runner's token.
    ///
    /// # Errors
    /// [`Error::Refused`] for what is no token of ours, [`Error::Conflict`] for one of another or an older attempt.
    pub async fn prove(&self, token: &str) -> Result<Proven> {
        let wrong = || Error::Refused("this is no runner's token".into());
        let mut parts = token.splitn(3, '.');
        let stage: StageId = parts.next().and_then(|p| p.parse().ok()).ok_or_else(wrong)?;
        let attempt: u32 = parts.next().and_then(|p| p.parse().ok()).ok_or_else(wrong)?;
        let row = match runs::stage(self.store.read(), stage).await {
            Err(Error::NotFound { .. }) => return Err(Error::Conflict("this stage is gone".into())),
            row => row?,
        };
        let known = row.token_hash.as_deref().unwrap_or_default();
        let same: bool = known.as_bytes().ct_eq(token_hash(token).as_bytes()).into();
        if same && row.attempt as u32 == attempt {
            return Ok(Proven { stage, attempt, run: row.run_id });
        }
        if row.attempt as u32 != attempt || known.is_empty() {
            return Err(Error::Conflict(format!(
                "this token is for attempt {attempt}; the stage is at attempt {}",
                row.attempt
            )));
        }
        Err(wrong())
    }

    /// The work of a stage attempt.
    pub async fn job(&self, proven: &Proven) -> Result<Job> {
        let db = self.store.read();
        let row = runs::stage(db, proven.stage).await?;
        if row.status != Status::InProgress.as_str() {
            return Err(Error::Conflict(format!("this stage is {}: there is nothing to do", row.status)));
        }
        let run = runs::get(db, row.run_id.parse()?).await?;
        let service = services::by_id(db, &run.service_id).await?;
        let settings = rows::settings(&service)?;
        let plan: Plan = serde_json::from_str(&run.plan)?;
        let kind: StageKind = row.kind.parse()?;
        let planned = plan.stage(kind).ok_or_else(|| Error::internal("a stage that is not in its plan"))?;
        let command = planned.command.clone();
        let work = match kind {
            StageKind::Prepare => Work::Prepare {
                repository: service.repository.clone(),
                reference: match run.pull_request {
                    Some(number) => format!("refs/pull/{number}/head"),
                    None => format!("refs/heads/{}", run.branch),
                },
                command,
            },
            StageKind::CodeQuality | StageKind::UnitTest => {
                Work::Command { command: command.unwrap_or_default() }
            }
            StageKind::Build => Work::Build { command, bundle: plan.launch.is_some() },
            StageKind::IntegrationTest => {
                let environment = None;
                let candidate = self.launch(&run, &service, plan.launch.as_ref(), environment)?;
                let neighbours = self.neighbours(&service).await?;
                Work::Integrate { command: command.unwrap_or_default(), candidate, neighbours }
            }
            StageKind::DeployStaging | StageKind::DeployProduction => {
                let environment = kind.environment().unwrap_or(EnvironmentName::Production);
                let launch = self.launch(&run, &service, plan.launch.as_ref(), Some(environment))?;
                let deployment = row
                    .deployment_id
                    .as_deref()
                    .ok_or_else(|| Error::internal("a deploy stage without a deployment id"))?
                    .parse()?;
                let (production, others) =
                    (environment == EnvironmentName::Production, services::all(db).await?);
                let neighbours = others
                    .iter()
                    .filter(|s| s.pipeline_id == service.pipeline_id && s.id != service.id)
                    .map(|s| {
                        url_variable(&s.name, if production { s.production_port } else { s.staging_port })
                    })
                    .collect();
                let port = if production { service.production_port } else { service.staging_port } as u16;
                Work::Deploy(DeployWork { deployment, environment, port, launch, neighbours })
            }
        };
        // From here on the runner may have begun: what never got its job has done nothing and may be replaced freely.
        runs::heartbeat(self.store.write(), proven.stage, proven.attempt, self.now()).await?;
        Ok(Job {
            run: run.id.parse()?,
            run_number: run.number,
            stage: proven.stage,
            attempt: proven.attempt,
            kind,
            service: service.name.clone(),
            branch: run.branch.clone(),
            commit: run.commit_sha.clone(),
            context: settings.context.clone(),
            timeout_s: planned.timeout_s,
            variables: variables::open(&self.sealer, &settings, kind.environment())?,
            work,
        })
    }

    fn launch(
        &self,
        run: &run::Model,
        service: &service::Model,
        plan: Option<&LaunchPlan>,
        environment: Option<EnvironmentName>,
    ) -> Result<Launch> {
        let artifact =
            run.artifact.clone().ok_or_else(|| Error::Conflict("this run has no artifact".into()))?;
        let plan = plan.cloned().ok_or_else(|| Error::Conflict("this run has no start command".into()))?;
        Ok(Launch {
            service: service.name.clone(),
            artifact,
            commit: run.commit_sha.clone(),
            start: plan.start,
            context: plan.context,
            health_path: plan.health_path,
            health_timeout_s: plan.health_timeout_s,
            variables: variables::open(&self.sealer, &rows::settings(service)?, environment)?,
        })
    }

    /// The deployed versions of the pipeline's other services: staging's where there is one, else production's.
    async fn neighbours(&self, own: &service::Model) -> Result<Vec<Launch>> {
        let mut found = Vec::new();
        for other in services::all(self.store.read()).await? {
            if other.id == own.id || other.pipeline_id != own.pipeline_id {
                continue;
            }
            let mut live = self.live_in(&other.id, EnvironmentName::Staging).await?;
            if live.is_none() {
                live = self.live_in(&other.id, EnvironmentName::Production).await?;
            }
            let Some(live) = live else { continue };
            let environment: EnvironmentName = live.environment.parse()?;
            let plan: LaunchPlan = serde_json::from_str(&live.launch)?;
            found.push(Launch {
                service: other.name.clone(),
                artifact: live.artifact,
                commit: live.commit_sha,
                start: plan.start,
                context: plan.context,
                health_path: plan.health_path,
                health_timeout_s: plan.health_timeout_s,
                variables: variables::open(&self.sealer, &rows::settings(&other)?, Some(environment))?,
            });
        }
        Ok(found)
    }

    /// A sign of life; the answer says whether to stop.
    pub async fn heartbeat(&self, proven: &Proven, _: &Heartbeat) -> Result<HeartbeatAnswer> {
        let row = runs::stage(self.store.read(), proven.stage).await?;
        if row.attempt as u32 != proven.attempt || row.status != Status::InProgress.as_str() {
            return Err(Error::Conflict(format!("this stage is {} at attempt {}", row.status, row.attempt)));
        }
        // Written every few seconds only: each write is a sync of the disk.
        let now = self.now();
        if row.heartbeat_at.is_none_or(|at| now.0 - at > 5_000) {
            runs::heartbeat(self.store.write(), proven.stage, proven.attempt, now).await?;
        }
        let run = runs::get(self.store.read(), proven.run.parse()?).await?;
        Ok(HeartbeatAnswer { cancel: run.cancel_requested })
    }

    /// Stores log lines.
    pub async fn log(&self, proven: &Proven, batch: LogBatch) -> Result<LogAnswer> {
        let tx = self.store.begin().await?;
        let next_seq =
            logs::append(&tx, proven.stage, proven.attempt, batch.first_seq, &batch.lines, self.now())
                .await?;
        tx.commit().await?;
        if let Ok(run) = proven.run.parse() {
            self.nudge.lines(run);
        }
        Ok(LogAnswer { next_seq })
    }

    /// Ends a stage attempt. Twice is once.
    pub async fn finish(&self, proven: &Proven, finish: Finish) -> Result<()> {
        let tx = self.store.begin().await?;
        let now = self.now();
        let mut state = RunState::load(&tx, &proven.run).await?;
        let Some(row) = state.stages.iter().find(|s| s.id == proven.stage.to_string()).cloned() else {
            return Err(Error::not_found("stage", proven.stage));
        };
        let status: Status = row.status.parse()?;
        if row.attempt as u32 != proven.attempt {
            return Err(Error::Conflict(format!(
                "attempt {} is over; the stage is at attempt {}",
                proven.attempt, row.attempt
            )));
        }
        if status.is_terminal() {
            return Ok(());
        }
        if (row.lines as u64) < finish.lines {
            return Err(Error::Hole { next_seq: row.lines as u64 });
        }
        self.end_stage(&tx, &mut state, &row, finish, now).await?;
        let service = services::by_id(&tx, &state.run.service_id).await?;
        state.settle(&crate::runs::gate_facts(&service)?, now)?;
        let deployed = state.run.id.clone();
        state.save(&tx, now).await?;
        tx.commit().await?;
        self.nudge.changed(deployed.parse().ok());
        self.nudge.dispatch();
        if StageKind::DeployProduction.as_str() == row.kind || StageKind::DeployStaging.as_str() == row.kind {
            self.supersede_older(&row.service_id).await?;
        }
        Ok(())
    }

    /// What a stage's end means for its run.
    pub(crate) async fn end_stage<C: ConnectionTrait>(
        &self,
        db: &C,
        state: &mut RunState,
        row: &stage::Model,
        finish: Finish,
        now: domain::Timestamp,
    ) -> Result<()> {
        let kind: StageKind = row.kind.parse()?;
        let event = match finish.outcome {
            Outcome::Success => StageEvent::Succeed,
            Outcome::Failure => StageEvent::Fail,
            Outcome::Cancelled => StageEvent::Cancel,
        };
        let reason = match (&finish.reason, event, &state.run.cancel_by) {
            (_, StageEvent::Cancel, Some(by)) => Some(format!("cancelled by {by}")),
            (reason, ..) => reason.clone(),
        };
        state.apply(kind, event, reason, now)?;
        if let (Some(error), Some(row)) = (&finish.error, state.stage_mut(kind)) {
            row.error_seq = Some(error.seq as i64);
            row.error_text = Some(error.text.chars().take(500).collect());
        }
        let outputs = finish.outputs;
        if let Some(message) = outputs.message {
            state.run_mut().commit_message = message;
        }
        if let Some(author) = outputs.author {
            state.run_mut().commit_author = author;
        }
        if let Some(digest) = outputs.artifact.filter(|_| kind == StageKind::Build) {
            let size = outputs.artifact_size.unwrap_or(0) as i64;
            state.tell("artifact_built", json!({ "digest": digest, "size": size }));
            let run = state.run_mut();
            run.artifact = Some(digest);
            run.artifact_size = Some(size);
        }
        if let (Some(environment), StageEvent::Succeed) = (kind.environment(), event) {
            let live = self.deployment_of(db, state, row, environment, now).await?;
            state.tell("deployment_live", json!({
                "environment": environment, "deployment": live.id, "commit": live.commit_sha, "rollback": live.rollback,
            }));
            deployments::make_live(db, live, now).await?;
        }
        Ok(())
    }

    async fn deployment_of<C: ConnectionTrait>(
        &self,
        db: &C,
        state: &RunState,
        row: &stage::Model,
        environment: EnvironmentName,
        now: domain::Timestamp,
    ) -> Result<deployment::Model> {
        let service = services::by_id(db, &row.service_id).await?;
        let launch = state.plan.launch.clone().unwrap_or_default();
        let opened = variables::open(&self.sealer, &rows::settings(&service)?, Some(environment))?;
        let built_by = match &state.run.rollback_to {
            Some(to) => deployments::get(db, to.parse()?).await?.built_by,
            None => state.run.number,
        };
        Ok(deployment::Model {
            id: row
                .deployment_id
                .clone()
                .ok_or_else(|| Error::internal("a deploy without a deployment id"))?,
            service_id: row.service_id.clone(),
            environment: environment.as_str().into(),
            artifact: state.run.artifact.clone().unwrap_or_default(),
            artifact_size: state.run.artifact_size.unwrap_or(0),
            commit_sha: state.run.commit_sha.clone(),
            commit_message: state.run.commit_message.clone(),
            commit_author: state.run.commit_author.clone(),
            config_hash: variables::config_hash(&launch, &opened)?,
            launch: serde_json::to_string(&launch)?,
            run_id: state.run.id.clone(),
            run_number: state.run.number,
            built_by,
            rollback: state.run.rollback_to.is_some(),
            live: true,
            since: now.0,
            until: None,
        })
    }

    /// Ends the waits of runs that are older than what is live in production now.
    pub(crate) async fn supersede_older(&self, service: &str) -> Result<()> {
        let Some(live) = self.live_in(service, EnvironmentName::Production).await? else { return Ok(()) };
        if live.rollback {
            return Ok(());
        }
        let by = format!("run {} ({})", live.run_number, live.commit_sha.get(..7).unwrap_or_default());
        for run in runs::open(self.store.read()).await? {
            let waits = run.status == Status::AwaitingApproval.as_str();
            if run.service_id != service || !waits || run.number >= live.built_by {
                continue;
            }
            let now = self.now();
            self.change_run(&run.id, |state| {
                if state.status() == Status::AwaitingApproval { state.supersede(&by, now) } else { Ok(()) }
            })
            .await?;
        }
        Ok(())
    }
}
