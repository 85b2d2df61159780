//! What runners ask and report, each call proven by a token that is bound to one stage attempt.
//!
//! A token of another or an older attempt is a conflict and changes nothing (fencing).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use domain::{
    EnvironmentName, StageEvent, StageId, StageKind, Status,
    protocol::{Finish, Heartbeat, HeartbeatAnswer, Outcome},
};
use entity::{deployment, stage};
use sea_orm::ConnectionTrait;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::{
    Control,
    error::{Error, Result},
    seal::token_hash,
    store::{deployments, rows, run_state::RunState, runs, services},
    variables,
};

/// A token that was verified.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The stage.
    pub stage: StageId,
    /// The attempt.
    pub attempt: u32,
    pub(crate) run: String,
}

/// So many proofs are remembered.
const PROOFS: usize = 1024;

/// Tokens that proved right, by their hash.
#[derive(Default)]
pub(crate) struct Proofs(Mutex<HashMap<String, Proven>>);

/// `<stage>.<attempt>.<secret>`: it carries what it is bound to, so that an older one can be told from a wrong one.
pub(crate) fn token_text(stage: StageId, attempt: u32, secret: &str) -> String {
    format!("{stage}.{attempt}.{secret}")
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

    /// Checks a runner's token for a call that judges by itself, in its own transaction, whether the attempt is the current one and goes on:
    /// then a token that proved right once is right for good, and the database need not be asked for every batch of lines.
    ///
    /// # Errors
    /// As [`Control::prove`].
    pub async fn prove_once(&self, token: &str) -> Result<Proven> {
        let hash = token_hash(token);
        let proofs = || self.proofs.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proven) = proofs().get(&hash) {
            return Ok(proven.clone());
        }
        let proven = self.prove(token).await?;
        let mut proofs = proofs();
        if proofs.len() >= PROOFS {
            proofs.clear();
        }
        proofs.insert(hash, proven.clone());
        Ok(proven)
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

    /// Ends a stage attempt. Twice is once.
    pub async fn finish(&self, proven: &Proven, mut finish: Finish) -> Result<()> {
        // What a log must not say, a reason must not say either.
        let masks = self.masks(proven, &[]).await?;
        let texts = finish.reason.iter_mut().chain(finish.error.iter_mut().map(|e| &mut e.text));
        texts.for_each(|text| *text = masks.text(text).into_owned());
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
        self.known.forget((proven.stage, proven.attempt));
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
        if let Some(row) = state.stage_mut(kind) {
            row.exit_code = finish.exit_code.filter(|_| event == StageEvent::Fail);
            if let Some(error) = &finish.error {
                row.error_seq = Some(error.seq as i64);
                row.error_text = Some(error.text.chars().take(500).collect());
            }
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
            Some(to) => match deployments::get(db, to.parse()?).await {
                Ok(before) => before.built_by,
                // Older than all that is known.
                Err(Error::NotFound { .. }) => 0,
                Err(error) => return Err(error),
            },
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
