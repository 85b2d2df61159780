//! Runs: made, repeated, ended, decided about.

use domain::{
    EnvironmentName, Role, RunId, ServiceId, StageEvent, StageId, StageKind, Status,
    plan::{Done, Plan, Trigger},
    view::{Commit, Page, Run},
};
use entity::{run, service, stage};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::json;

use crate::{
    Actor, Control,
    error::{Error, Result},
    store::{
        deployments, executions, rows,
        run_state::{GateFacts, RunState},
        runs, services,
    },
};

/// Where a repeated run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rerun {
    /// At the beginning.
    Start,
    /// At what failed; what succeeded is not done again.
    Failed,
}

/// What a new run is made from.
pub(crate) struct NewRun<'a> {
    pub service: &'a service::Model,
    pub trigger: Trigger,
    pub commit: Commit,
    pub branch: String,
    pub pull_request: Option<u64>,
    /// The fork it comes from.
    pub fork: Option<String>,
    /// Makes it unique together with service, trigger and commit.
    pub cause: String,
    pub requested_by: Option<String>,
    pub plan: Plan,
    pub artifact: Option<(String, i64)>,
    pub rerun_of: Option<String>,
    pub rollback_to: Option<String>,
}

/// What a gate needs to know of a service.
pub(crate) fn gate_facts(row: &service::Model) -> Result<GateFacts> {
    let settings = rows::settings(row)?;
    Ok(GateFacts {
        hold: row
            .hold_since
            .map(|_| (row.hold_reason.clone().unwrap_or_default(), row.hold_by.clone().unwrap_or_default())),
        approval_ms: i64::from(settings.approval_timeout_s) * 1000,
    })
}

impl Control {
    /// Inserts a run with its stages inside the caller's transaction.
    pub(crate) async fn insert_run<C: ConnectionTrait>(&self, db: &C, new: NewRun<'_>) -> Result<RunId> {
        let now = self.now();
        let number = services::next_run_number(db, &new.service.id).await?;
        let id: RunId = self.new_id()?;
        let row = run::Model {
            id: id.to_string(),
            service_id: new.service.id.clone(),
            number,
            status: Status::Idle.as_str().into(),
            reason: None,
            trigger: new.trigger.as_str().into(),
            requested_by: new.requested_by,
            branch: new.branch,
            commit_sha: new.commit.sha,
            commit_message: new.commit.message,
            commit_author: new.commit.author,
            pull_request: new.pull_request.map(|n| n as i64),
            fork: new.fork,
            plan: serde_json::to_string(&new.plan)?,
            cause: new.cause,
            artifact: new.artifact.as_ref().map(|a| a.0.clone()),
            artifact_size: new.artifact.map(|a| a.1),
            rerun_of: new.rerun_of,
            rollback_to: new.rollback_to,
            cancel_requested: false,
            cancel_by: None,
            generation: 0,
            created_at: now.0,
            started_at: None,
            ended_at: None,
        };
        let mut stages = Vec::new();
        for planned in &new.plan.stages {
            stages.push(stage::Model {
                id: self.new_id::<StageId>()?.to_string(),
                run_id: row.id.clone(),
                service_id: row.service_id.clone(),
                kind: planned.kind.as_str().into(),
                ordinal: planned.kind.ordinal() as i32,
                status: Status::Idle.as_str().into(),
                reason: None,
                attempt: 0,
                token_hash: None,
                heartbeat_at: None,
                ready_at: None,
                started_at: None,
                ended_at: None,
                lines: 0,
                error_seq: None,
                error_text: None,
                exit_code: None,
                deployment_id: None,
                folder: None,
                node: None,
                log_bytes: 0,
                log_removed: None,
                generation: 0,
            });
        }
        let mut state = RunState::new(row, stages, new.plan);
        let payload = json!({
            "number": number, "trigger": new.trigger, "commit": state.run.commit_sha, "by": state.run.requested_by,
        });
        state.tell("run_created", payload);
        state.settle(&gate_facts(new.service)?, now)?;
        let driven = self.ports.executions.is_some() && !state.status().is_terminal();
        state.insert(db, now).await?;
        if driven {
            executions::want(db, id, now).await?;
        }
        Ok(id)
    }

    /// Reads a run, lets `change` change it, settles what follows, and writes all of it or nothing.
    pub(crate) async fn change_run<T>(
        &self,
        id: &str,
        mut change: impl FnMut(&mut RunState) -> Result<T>,
    ) -> Result<T> {
        let tx = self.store.begin().await?;
        let now = self.now();
        let mut state = RunState::load(&tx, id).await?;
        let service = services::by_id(&tx, &state.run.service_id).await?;
        let answer = change(&mut state)?;
        state.settle(&gate_facts(&service)?, now)?;
        state.save(&tx, now).await?;
        tx.commit().await?;
        self.nudge.changed(id.parse().ok());
        self.nudge.dispatch();
        Ok(answer)
    }

    /// One run.
    pub async fn run(&self, id: RunId) -> Result<Run> {
        let tx = self.store.snapshot().await?;
        let row = runs::get(&tx, id).await?;
        let mut views = self.views(&tx, vec![row], true).await?;
        tx.commit().await?;
        views.pop().ok_or_else(|| Error::not_found("run", id))
    }

    /// Runs, newest first.
    pub async fn runs(
        &self,
        service: Option<ServiceId>,
        status: Option<Status>,
        before: Option<RunId>,
        limit: u64,
    ) -> Result<Page<Run>> {
        if let Some(service) = service {
            services::get(self.store.read(), service).await?;
        }
        let tx = self.store.snapshot().await?;
        let found = runs::list(&tx, service, status, before, limit).await?;
        let next = (found.len() as u64 == limit).then(|| found.last().map(|r| r.id.clone())).flatten();
        let items = self.views(&tx, found, false).await?;
        tx.commit().await?;
        Ok(Page { items, next })
    }

    /// Rows as they are shown; `usual` adds usual durations and places in the queue. They are to be found in the same snapshot: what a run's
    /// status was a moment before its stages went on is nobody's truth.
    pub(crate) async fn views(
        &self,
        db: &DatabaseTransaction,
        found: Vec<run::Model>,
        usual: bool,
    ) -> Result<Vec<Run>> {
        let ids: Vec<String> = found.iter().map(|r| r.id.clone()).collect();
        let mut stages = runs::stages_of(db, &ids).await?;
        let mut approvals = runs::approvals_of(db, &ids).await?;
        let names: std::collections::HashMap<_, _> =
            services::all_with_drafts(db).await?.into_iter().map(|s| (s.id.clone(), s)).collect();
        let mut facts = rows::StageFacts::default();
        if usual {
            let (mut ready, _) = runs::queue(db).await?;
            if self.ports.executions.is_some() {
                // Those stand in nobody's line here.
                let open = executions::open(db).await?;
                ready.retain(|stage| open.iter().all(|execution| execution.run_id != stage.run_id));
            }
            facts.queue = ready.into_iter().zip(1..).map(|(s, place)| (s.id, place)).collect();
        }
        let alone = found.len() == 1;
        let mut views = Vec::with_capacity(found.len());
        for row in found {
            facts.usual.clear();
            // Among many, nobody asks how long usually takes what is over.
            if usual && (alone || row.ended_at.is_none()) {
                facts.usual = medians(runs::past_durations(db, &row.service_id).await?);
            }
            let Some(service) = names.get(&row.service_id) else { continue };
            let (own, approval) = (stages.remove(&row.id).unwrap_or_default(), approvals.remove(&row.id));
            views.push(rows::run(row, rows::service_ref(service)?, own, &facts, approval)?);
        }
        self.note_executions(db, &mut views).await?;
        Ok(views)
    }

    /// Says of runs that an engine elsewhere drives what keeps them from going on, and of one by itself where that engine shows it.
    async fn note_executions(&self, db: &DatabaseTransaction, views: &mut [Run]) -> Result<()> {
        let Some(engine) = &self.ports.executions else { return Ok(()) };
        if let [run] = views
            && let Some(execution) = executions::of(db, &run.id.to_string()).await?
        {
            run.execution = execution.name.and_then(|name| engine.page(&name));
        }
        if views.iter().all(|run| run.status.is_terminal()) {
            return Ok(());
        }
        for execution in executions::open(db).await? {
            let id = execution.run_id.parse()?;
            if let (Some(why), Some(run)) = (execution.trouble, views.iter_mut().find(|run| run.id == id)) {
                run.reason = Some(why);
            }
        }
        Ok(())
    }

    /// Starts a run that a person asked for: of a commit, or of a branch's newest.
    pub async fn start_run(
        &self,
        actor: &Actor,
        service: ServiceId,
        commit: Option<String>,
        branch: Option<String>,
    ) -> Result<Run> {
        actor.must(Role::Developer)?;
        let row = services::get(self.store.read(), service).await?;
        let field = if commit.is_some() { "commit" } else { "branch" };
        let on = branch.clone().unwrap_or_else(|| row.branch.clone());
        let found = self
            .ports
            .git
            .resolve(&row.repository, Some(&on), commit.as_deref())
            .await
            .map_err(|e| Error::field(field, e.to_string()))?;
        let settings = rows::settings(&row)?;
        let cause = format!("manual:{}", self.new_id::<RunId>()?);
        let tx = self.store.begin().await?;
        let plan = Plan::make(&settings, Trigger::Manual, None);
        let id = self
            .insert_run(
                &tx,
                NewRun {
                    service: &row,
                    trigger: Trigger::Manual,
                    commit: found,
                    branch: on,
                    pull_request: None,
                    fork: None,
                    cause,
                    requested_by: Some(actor.name.clone()),
                    plan,
                    artifact: None,
                    rerun_of: None,
                    rollback_to: None,
                },
            )
            .await?;
        tx.commit().await?;
        self.nudge.changed(Some(id));
        self.nudge.dispatch();
        self.run(id).await
    }

    /// Repeats a run as a new one.
    pub async fn rerun(&self, actor: &Actor, id: RunId, from: Rerun) -> Result<Run> {
        let cause = format!("rerun:{}", self.new_id::<RunId>()?);
        self.rerun_for(actor, id, from, cause).await
    }

    /// Repeats a run for a cause, which makes the new one unique.
    pub(crate) async fn rerun_for(
        &self,
        actor: &Actor,
        id: RunId,
        from: Rerun,
        cause: String,
    ) -> Result<Run> {
        actor.must(Role::Developer)?;
        let old = self.run(id).await?;
        if old.trigger == Trigger::Rollback {
            actor.must(Role::Deployer)?;
        }
        if !old.status.is_terminal() {
            return Err(Error::Conflict(format!(
                "run {} is still {}; cancel it first, or wait",
                old.number, old.status
            )));
        }
        let row = services::by_id(self.store.read(), &old.service.id.to_string()).await?;
        let settings = rows::settings(&row)?;
        let environment = old.plan.stages.first().and_then(|s| s.kind.environment());
        let mut plan = Plan::make(&settings, old.trigger, environment);
        let artifact = match &old.artifact {
            Some(a) if plan.deploys(&a.digest) && !self.is_gone(&a.digest).await => {
                Some((a.digest.clone(), a.size as i64))
            }
            _ => None,
        };
        let mut kept = None;
        if from == Rerun::Failed {
            let done: Vec<StageKind> = old
                .stages
                .iter()
                .filter(|s| {
                    let repeated = s.reason.as_deref().is_some_and(|r| r.starts_with("succeeded in run "));
                    s.status == Status::Success || (s.status == Status::Skipped && repeated)
                })
                .map(|s| s.kind)
                .collect();
            if old.status == Status::Success {
                return Err(Error::Conflict(format!(
                    "run {} succeeded; rerun it from the start instead",
                    old.number
                )));
            }
            plan = plan.without(&Done { run: old.number, stages: done, artifact: artifact.is_some() });
            kept = artifact;
        } else if old.trigger == Trigger::Rollback {
            kept = artifact;
        }
        let rollback_to = runs::get(self.store.read(), id).await?.rollback_to;
        if old.trigger == Trigger::Rollback && kept.is_none() {
            return Err(Error::Conflict(
                "the artifact of this rollback is gone; choose another deployment".into(),
            ));
        }
        let tx = self.store.begin().await?;
        let new = self
            .insert_run(
                &tx,
                NewRun {
                    service: &row,
                    trigger: if old.trigger == Trigger::Push { Trigger::Manual } else { old.trigger },
                    commit: old.commit,
                    branch: old.branch,
                    fork: old.pull_request.as_ref().and_then(|p| p.fork.clone()),
                    pull_request: old.pull_request.map(|p| p.number),
                    cause,
                    requested_by: Some(actor.name.clone()),
                    plan,
                    artifact: kept,
                    rerun_of: Some(id.to_string()),
                    rollback_to,
                },
            )
            .await?;
        tx.commit().await?;
        self.nudge.changed(Some(new));
        self.nudge.dispatch();
        self.run(new).await
    }

    /// Ends a run: what waits is cancelled now, what is in progress when its runner has ended everything.
    pub async fn cancel(&self, actor: &Actor, id: RunId) -> Result<Run> {
        actor.must(Role::Developer)?;
        let now = self.now();
        let reason = format!("cancelled by {}", actor.name);
        self.change_run(&id.to_string(), |state| {
            if state.status().is_terminal() {
                return Err(Error::Conflict(format!(
                    "run {} is over: it is {}",
                    state.run.number, state.run.status
                )));
            }
            state.run_mut().cancel_requested = true;
            state.run_mut().cancel_by = Some(actor.name.clone());
            state.tell("cancel_requested", json!({ "by": actor.name }));
            for kind in StageKind::ALL {
                if matches!(state.status_of(kind), Some(Status::Idle | Status::AwaitingApproval)) {
                    state.apply(kind, StageEvent::Cancel, Some(reason.clone()), now)?;
                }
            }
            if state.approval.as_ref().is_some_and(|a| a.state == "waiting") {
                state.decide("cancelled", Some(&actor.name), None, now);
            }
            Ok(())
        })
        .await?;
        self.run(id).await
    }

    /// Lets a run through its gate.
    pub async fn approve(&self, actor: &Actor, id: RunId, comment: Option<String>) -> Result<Run> {
        self.decide(actor, id, comment, true).await
    }

    /// Ends a run at its gate.
    pub async fn reject(&self, actor: &Actor, id: RunId, comment: Option<String>) -> Result<Run> {
        self.decide(actor, id, comment, false).await
    }

    async fn decide(&self, actor: &Actor, id: RunId, comment: Option<String>, approve: bool) -> Result<Run> {
        actor.must(Role::Deployer)?;
        let now = self.now();
        let comment = comment.map(|c| c.trim().to_owned()).filter(|c| !c.is_empty());
        self.change_run(&id.to_string(), |state| {
            let waiting = state.stages.iter().find(|s| s.status == Status::AwaitingApproval.as_str());
            let Some(kind) = waiting.and_then(|s| s.kind.parse::<StageKind>().ok()) else {
                return Err(Error::Conflict(format!(
                    "nothing waits for approval in run {}: it is {}",
                    state.run.number, state.run.status
                )));
            };
            let bound = state.approval.as_ref().and_then(|a| a.artifact.clone());
            if bound != state.run.artifact {
                return Err(Error::Conflict(format!(
                    "the approval is bound to artifact {bound:?}, but the run has {:?}",
                    state.run.artifact
                )));
            }
            if approve {
                state.decide("approved", Some(&actor.name), comment.clone(), now);
                state.apply(kind, StageEvent::Approve, None, now)
            } else {
                state.decide("rejected", Some(&actor.name), comment.clone(), now);
                let said = comment.as_deref().map(|c| format!(": {c}")).unwrap_or_default();
                state.apply(kind, StageEvent::Cancel, Some(format!("rejected by {}{said}", actor.name)), now)
            }
        })
        .await?;
        self.run(id).await
    }

    /// What is live of the run's service in production, if anything.
    pub(crate) async fn live_in(
        &self,
        service: &str,
        environment: EnvironmentName,
    ) -> Result<Option<entity::deployment::Model>> {
        deployments::live(self.store.read(), service, environment).await
    }
}

/// The median of the last seven durations by kind.
fn medians(past: Vec<(String, i64)>) -> std::collections::HashMap<String, i64> {
    let mut by_kind: std::collections::HashMap<String, Vec<i64>> = Default::default();
    for (kind, millis) in past {
        let of_kind = by_kind.entry(kind).or_default();
        if of_kind.len() < 7 {
            of_kind.push(millis);
        }
    }
    by_kind
        .into_iter()
        .map(|(kind, mut all)| {
            all.sort_unstable();
            let middle = all[all.len() / 2];
            (kind, middle)
        })
        .collect()
}
