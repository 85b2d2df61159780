//! A task asks for the stage it was started for. It gets a token that is bound to one attempt, as any runner does; who comes second, or
//! late, gets none.

use std::collections::BTreeMap;

use domain::{
    StageEvent, StageKind, Status,
    protocol::{Claim, Claimed},
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::HOME;
use crate::{
    Control,
    engine::attempt::new_attempt_token,
    error::{Error, Result},
    store::{backend, executions, run_state::RunState, runs, services},
};

/// After how long a task that has to wait asks again, in milliseconds.
const AGAIN_MS: u64 = 1000;

/// Who has claimed a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    round: u32,
    task: String,
}

impl Control {
    /// Answers the claim of a task.
    ///
    /// # Errors
    /// [`Error::Refused`] for a ticket that is not of this stage; [`Error::Conflict`] when another task has the stage, or the run is over.
    pub async fn claim_stage(&self, claim: &Claim) -> Result<Claimed> {
        if !self.admits(&claim.ticket, claim.run, claim.stage) {
            return Err(Error::Refused("this is no ticket for that stage".into()));
        }
        let (kind, now) = (claim.stage, self.now());
        let tx = self.store.begin().await?;
        backend::lock(&tx, backend::Lock::Dispatch).await?;
        let gone = || Error::Conflict("no engine drives this run".into());
        let mut state = match RunState::load(&tx, &claim.run.to_string()).await {
            // Whoever asks is to end, not to ask again.
            Err(Error::NotFound { .. }) => return Err(gone()),
            state => state?,
        };
        let execution = executions::of(&tx, &state.run.id).await?.ok_or_else(gone)?;
        let mut claims: BTreeMap<StageKind, Holder> = serde_json::from_str(&execution.claims)?;
        let service = services::by_id(&tx, &state.run.service_id).await?;
        let facts = crate::runs::gate_facts(&service)?;
        let own = Holder { round: claim.round, task: claim.task.clone() };
        let status = state
            .status_of(kind)
            .ok_or_else(|| Error::Conflict(format!("this run has no stage {}", kind.title())))?;
        if status == Status::InProgress {
            let held = claims.get(&kind);
            if held == Some(&own) && state.stage(kind).is_some_and(|row| row.heartbeat_at.is_none()) {
                // The answer was lost on its way, and nothing was done: it is given again, with another token.
                let Some(row) = state.stage_mut(kind) else { return Err(gone()) };
                let (id, attempt) = (row.id.parse()?, row.attempt as u32);
                let token = new_attempt_token(row, attempt)?;
                state.save(&tx, now).await?;
                tx.commit().await?;
                return Ok(Claimed::Go { id, attempt, token: token.expose_secret().to_owned() });
            }
            if held.is_some_and(|held| held.round >= own.round) {
                return Err(Error::Conflict("another task has this stage".into()));
            }
            self.lose(&mut state, kind, "its task ended without a word", now)?;
            state.settle(&facts, now)?;
        }
        let waits = |why: String| Claimed::Wait { after_ms: AGAIN_MS, why };
        let answer = match state.status_of(kind) {
            Some(Status::Idle) if state.stage(kind).is_some_and(|row| row.ready_at.is_some()) => {
                let (_, busy) = runs::queue(&tx).await?;
                let taken = |row: &&entity::stage::Model| {
                    row.service_id == service.id && row.kind == kind.as_str() && row.run_id != state.run.id
                };
                if kind.environment().is_some() && busy.iter().any(|row| taken(&row)) {
                    waits(format!("another run has {} in progress", kind.title()))
                } else if self.overtaken(&tx, &mut state, kind, now).await? {
                    Claimed::Over { passed: true }
                } else {
                    let (attempt, token) = self.begin(&mut state, kind, HOME, now)?;
                    claims.insert(kind, own);
                    let Some(row) = state.stage(kind) else { return Err(gone()) };
                    Claimed::Go { id: row.id.parse()?, attempt, token: token.expose_secret().to_owned() }
                }
            }
            Some(Status::AwaitingApproval) => waits("nobody has approved yet".into()),
            Some(status) if status.is_terminal() => Claimed::Over { passed: status.lets_pass() },
            _ => waits("what comes before is not done".into()),
        };
        state.settle(&facts, now)?;
        state.save(&tx, now).await?;
        let claims = serde_json::to_string(&claims)?;
        executions::change(&tx, &execution.run_id, |row| {
            row.claims = claims;
            row.seen_at = now.0;
            row.trouble = None;
        })
        .await?;
        tx.commit().await?;
        if !matches!(answer, Claimed::Wait { .. }) {
            self.nudge.changed(Some(claim.run));
            self.nudge.dispatch();
        }
        Ok(answer)
    }

    /// A task is gone for good without a verdict on its stage: what becomes of it is the same policy as for any lost runner.
    pub(super) fn lose(
        &self,
        state: &mut RunState,
        kind: StageKind,
        why: &str,
        now: domain::Timestamp,
    ) -> Result<()> {
        let Some(row) = state.stage(kind) else { return Ok(()) };
        let (attempt, began) = (row.attempt as u32, row.heartbeat_at.is_some());
        if state.run.cancel_requested {
            let by = state.run.cancel_by.clone().unwrap_or_default();
            state.apply(kind, StageEvent::Cancel, Some(format!("cancelled by {by}")), now)
        } else if !began || attempt <= kind.retries() {
            state.apply(
                kind,
                StageEvent::Retry,
                Some(format!("runner lost: {why}; it is tried once more")),
                now,
            )
        } else {
            state.apply(kind, StageEvent::Fail, Some(format!("runner lost: {why}")), now)
        }
    }
}
