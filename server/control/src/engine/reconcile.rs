//! Compares what the rows say with what really lives, with the same code as the happy path: living runners are left to go on, lost
//! ones are replaced once (or, for deploys, compared with what really runs), what overran its time is ended, approvals expire.

use domain::{
    StageEvent, StageId, StageKind, Status,
    protocol::{Finish, Outcome, Outputs},
    time::in_words,
};
use entity::stage;

use super::{attempt::last_word, executions};
use crate::{
    Control,
    error::{Error, Result},
    nodes::Judge,
    store::{run_state::RunState, runs, services},
};

/// How long after a cancel, or past its hard limit, a runner may take to end by itself.
const GRACE_MS: i64 = 30_000;
/// How often a runner is started that never gets as far as asking for its job.
const MOST_STARTS: u32 = 3;

impl Control {
    /// One look at every stage that is in progress, and at every approval.
    pub async fn reconcile(&self) -> Result<()> {
        let (_, busy) = runs::queue(self.store.read()).await?;
        // What an engine elsewhere drives, it also tells the end of.
        for row in busy.into_iter().filter(|row| row.folder.as_deref() != Some(executions::HOME)) {
            let id = row.id.clone();
            match self.check_stage(row).await {
                // It moved on in between: nothing to do.
                Ok(()) | Err(Error::Conflict(_) | Error::NotFound { .. }) => {}
                // One stage that cannot be looked at must not hide the others.
                Err(error) => tracing::error!(
                    stage = id,
                    error = &error as &dyn std::error::Error,
                    "a stage could not be checked"
                ),
            }
        }
        self.expire_approvals().await
    }

    /// Tidies up behind runners that are gone: their containers outlive them where the daemon was away when they were killed.
    pub async fn sweep(&self) -> Result<()> {
        Ok(self.ports.launcher.sweep().await?)
    }

    async fn check_stage(&self, row: stage::Model) -> Result<()> {
        let stage: StageId = row.id.parse()?;
        let attempt = row.attempt as u32;
        let launching = self
            .launching
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .contains(&(stage, attempt));
        if launching {
            return Ok(());
        }
        let now = self.now();
        match self.judge(&row).await? {
            Judge::Here => {}
            Judge::Another => return Ok(()),
            Judge::Gone(host) => {
                let silent = now.0 - last_word(&row).unwrap_or(now.0);
                if silent <= self.setup.limits.lease_ms {
                    return Ok(()); // its runner lives, and talks to another server
                }
                // Its runner may live too, cut off from everything; what it reports is refused from now on.
                let why =
                    format!("runner lost: {host}, where it ran, was not heard of for {}", in_words(silent));
                return self.lost(&row, why, false).await;
            }
        }
        let run = runs::get(self.store.read(), row.run_id.parse()?).await?;
        if self.ports.launcher.alive(stage, attempt).await? {
            let started = domain::Timestamp(row.started_at.unwrap_or(now.0));
            let plan: domain::plan::Plan = serde_json::from_str(&run.plan)?;
            let kind: StageKind = row.kind.parse()?;
            let limit = i64::from(plan.stage(kind).map_or(3600, |s| s.timeout_s)) * 1000;
            // Signs of life count from this server's start: while it was away nobody could give any.
            let seen = row.heartbeat_at.unwrap_or(started.0).max(self.started().0);
            let why = if now.since(started) > limit + GRACE_MS {
                format!("did not end within {}", in_words(limit))
            } else if now.0 - seen > self.setup.limits.lease_ms {
                format!("runner lost: it was not heard of for {}", in_words(now.0 - seen))
            } else {
                return Ok(());
            };
            tracing::warn!(%stage, attempt, why, "ending a runner");
            self.ports.launcher.kill(stage, attempt).await?;
            return self.lost(&row, why, true).await;
        }
        // Its end may have arrived between the two looks; `lost` looks again inside its transaction.
        self.ports.launcher.kill(stage, attempt).await?;
        self.lost(&row, "runner lost: its process ended without a word".into(), true).await
    }

    /// A runner is gone for good: what becomes of its stage is a matter of policy.
    async fn lost(&self, row: &stage::Model, why: String, here: bool) -> Result<()> {
        let kind: StageKind = row.kind.parse()?;
        let landed = match kind.environment() {
            Some(environment) if here => {
                let service = services::by_id(self.store.read(), &row.service_id).await?;
                let found = self.ports.host.deployed(&service.name, environment).await?;
                found.deployment.map(|d| d.to_string()) == row.deployment_id && found.health == "healthy"
            }
            _ => false,
        };
        let now = self.now();
        let tx = self.store.begin().await?;
        let mut state = RunState::load(&tx, &row.run_id).await?;
        let current = state.stage(kind).cloned();
        if current.is_none_or(|s| s.status != Status::InProgress.as_str() || s.attempt != row.attempt) {
            return Ok(());
        }
        tracing::warn!(stage = row.id, attempt = row.attempt, why, "a runner was lost");
        if landed {
            // The deploy was done; only its report was lost. Deploying again would be deploying twice.
            let finish = Finish {
                outcome: Outcome::Success,
                reason: Some(
                    "the runner was lost after the switch: what runs is what was to be deployed".into(),
                ),
                error: None,
                exit_code: None,
                lines: row.lines as u64,
                outputs: Outputs::default(),
            };
            self.end_stage(&tx, &mut state, row, finish, now).await?;
        } else if state.run.cancel_requested {
            let by = state.run.cancel_by.clone().unwrap_or_default();
            state.apply(kind, StageEvent::Cancel, Some(format!("cancelled by {by}")), now)?;
        } else if row.heartbeat_at.is_none() && (row.attempt as u32) < MOST_STARTS {
            // It never got its job, as when the server was killed between its decision and the runner's start.
            state.apply(
                kind,
                StageEvent::Retry,
                Some("its runner never began; it is started again".into()),
                now,
            )?;
        } else if why.starts_with("runner lost") && (row.attempt as u32) <= kind.retries() {
            state.apply(kind, StageEvent::Retry, Some(format!("{why}; it is tried once more")), now)?;
        } else {
            let tail = match kind.environment() {
                Some(_) if here => "; what was live before still serves",
                Some(_) => "; whether it went live is seen when that machine is back",
                None => "",
            };
            state.apply(kind, StageEvent::Fail, Some(format!("{why}{tail}")), now)?;
        }
        let service = services::by_id(&tx, &state.run.service_id).await?;
        state.settle(&crate::runs::gate_facts(&service)?, now)?;
        state.save(&tx, now).await?;
        tx.commit().await?;
        self.nudge.changed(row.run_id.parse().ok());
        self.nudge.dispatch();
        Ok(())
    }

    async fn expire_approvals(&self) -> Result<()> {
        let now = self.now();
        for run in runs::open(self.store.read()).await? {
            if run.status != Status::AwaitingApproval.as_str() {
                continue;
            }
            let approvals = runs::approvals_of(self.store.read(), std::slice::from_ref(&run.id)).await?;
            let due = approvals.get(&run.id).is_some_and(|a| a.state == "waiting" && a.expires_at <= now.0);
            if !due {
                continue;
            }
            self.change_run(&run.id, |state| {
                let Some(approval) = state.approval.clone().filter(|a| a.state == "waiting") else {
                    return Ok(());
                };
                let waited = in_words(approval.expires_at - approval.requested_at);
                state.decide("expired", None, None, now);
                let reason = Some(format!("nobody approved within {waited}"));
                state.apply(StageKind::DeployProduction, StageEvent::Cancel, reason, now)
            })
            .await?;
        }
        Ok(())
    }
}
