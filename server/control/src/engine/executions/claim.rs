//! A task asks for the stage it was started for. It gets a token that is bound to one attempt, as any runner does; who comes second, or
//! late, gets none.

use domain::{
    StageEvent, StageKind, Status, Timestamp,
    protocol::{Claim, Claimed},
};
use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret;

use super::{
    HOME,
    claims::{Claims, Holder, undoes},
};
use crate::{
    Control,
    engine::attempt::{last_word, new_attempt_token},
    error::{Error, Result},
    store::{backend, executions, run_state::RunState, runs, services},
};

/// After how long a task that has to wait asks again, in milliseconds.
const AGAIN_MS: u64 = 1000;
/// A runner that was heard of within this time is taken to live, in milliseconds: it is heard of every second.
const ALIVE_MS: i64 = 15_000;

impl Control {
    /// Answers the claim of a task. One that has to wait changes nothing, however often it asks.
    ///
    /// # Errors
    /// [`Error::Refused`] for a ticket that is not of this stage; [`Error::Conflict`] when another task has the stage, or the run is gone.
    pub async fn claim_stage(&self, claim: &Claim) -> Result<Claimed> {
        if !self.admits(&claim.ticket, claim.run, claim.stage) {
            return Err(Error::Refused("this is no ticket for that stage".into()));
        }
        let (kind, now) = (claim.stage, self.now());
        let tx = self.store.begin().await?;
        backend::lock(&tx, backend::Lock::Dispatch).await?;
        let gone = || Error::Conflict("no engine drives this run".into());
        let mut execution = executions::lock(&tx, &claim.run.to_string()).await?.ok_or_else(gone)?;
        let mut state = match RunState::load(&tx, &execution.run_id).await {
            // Whoever asks is to end, not to ask again.
            Err(Error::NotFound { .. }) => return Err(gone()),
            state => state?,
        };
        let mut claims = Claims::of(&execution)?;
        let facts = crate::runs::gate_facts(&services::by_id(&tx, &state.run.service_id).await?)?;
        let own = Holder::new(claim.round, &claim.task);
        let row = state
            .stage(kind)
            .ok_or_else(|| Error::Conflict(format!("this run has no stage {}", kind.title())))?;
        let mut lost = false;
        if row.status == Status::InProgress.as_str() {
            let held = claims.holder(kind);
            if held == Some(&own) && row.heartbeat_at.is_none() {
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
            if last_word(row).is_some_and(|at| now.0 - at < ALIVE_MS) {
                return Ok(waits("the task that has this stage was heard of a moment ago"));
            }
            self.lose(&mut state, kind, "its task ended without a word", now)?;
            claims.shut_out(kind, now);
            state.settle(&facts, now)?;
            lost = true;
        }
        let answer = self.give(&tx, &mut state, &mut claims, claim, now).await?;
        if !lost && matches!(answer, Claimed::Wait { .. }) {
            return Ok(answer);
        }
        state.settle(&facts, now)?;
        state.save(&tx, now).await?;
        claims.keep(&mut execution)?;
        execution.seen_at = now.0;
        self.well_again(&tx, &mut execution).await?;
        executions::keep(&tx, execution).await?;
        tx.commit().await?;
        self.nudge.changed(Some(claim.run));
        self.nudge.dispatch();
        Ok(answer)
    }

    /// What becomes of a claim on a stage that no task has.
    async fn give<C: ConnectionTrait>(
        &self,
        db: &C,
        state: &mut RunState,
        claims: &mut Claims,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<Claimed> {
        let kind = claim.stage;
        let Some(row) = state.stage(kind).cloned() else { return Ok(waits("there is no such stage")) };
        match row.status.parse()? {
            Status::Idle if row.ready_at.is_some() => {}
            Status::AwaitingApproval => return Ok(waits("nobody has approved yet")),
            // Of what is left out because something failed, the machine must not think that it went well.
            Status::Skipped => {
                let bad = |row: &entity::stage::Model| {
                    [Status::Failure.as_str(), Status::Cancelled.as_str()].contains(&row.status.as_str())
                };
                return Ok(Claimed::Over { passed: !state.stages.iter().any(bad) });
            }
            status if status.is_terminal() => return Ok(Claimed::Over { passed: status.lets_pass() }),
            _ => return Ok(waits("what comes before is not done")),
        }
        if kind.environment().is_some() {
            let (_, busy) = runs::queue(db).await?;
            let same = |other: &entity::stage::Model| {
                other.service_id == row.service_id && other.kind == row.kind && other.run_id != row.run_id
            };
            if busy.iter().any(same) {
                return Ok(waits(&format!("another run has {} in progress", kind.title())));
            }
            if undoes(db, &row, now).await? {
                return Ok(waits("an earlier deploy that was lost may still undo itself"));
            }
        }
        if self.overtaken(db, state, kind, now).await? {
            return Ok(Claimed::Over { passed: true });
        }
        let (attempt, token) = self.begin(state, kind, HOME, now)?;
        claims.give(kind, Holder::new(claim.round, &claim.task));
        Ok(Claimed::Go { id: row.id.parse()?, attempt, token: token.expose_secret().to_owned() })
    }

    /// A task is gone for good without a verdict on its stage: what becomes of it is the same policy as for any lost runner.
    fn lose(&self, state: &mut RunState, kind: StageKind, why: &str, now: Timestamp) -> Result<()> {
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

fn waits(why: &str) -> Claimed {
    Claimed::Wait { after_ms: AGAIN_MS, why: why.to_owned() }
}
