//! How an attempt at a stage begins, whoever starts its runner.
//!
//! Refuses to decide when: that is `dispatch`'s, or the claim of a task that an engine elsewhere has started.

use domain::{DeploymentId, StageEvent, StageId, StageKind, Timestamp, plan::Trigger};
use entity::stage;
use sea_orm::ConnectionTrait;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Control,
    error::{Error, Result},
    runner::token_text,
    seal::{new_token, token_hash},
    store::{deployments, run_state::RunState},
};

impl Control {
    /// Marks the next attempt at a stage as begun; answers its number and its token. The caller saves, or nothing happened.
    pub(super) fn begin(
        &self,
        state: &mut RunState,
        kind: StageKind,
        folder: &str,
        now: Timestamp,
    ) -> Result<(u32, SecretString)> {
        state.apply(kind, StageEvent::Start, None, now)?;
        let deployment = kind.environment().map(|_| self.new_id::<DeploymentId>()).transpose()?;
        let node = self.setup.node.id.clone();
        let Some(own) = state.stage_mut(kind) else { return Err(Error::internal("a stage without a row")) };
        own.folder = Some(folder.to_owned());
        own.node = Some(node);
        if own.deployment_id.is_none() {
            own.deployment_id = deployment.map(|d| d.to_string());
        }
        let attempt = own.attempt as u32;
        Ok((attempt, new_attempt_token(own, attempt)?))
    }

    /// Skips what is left to deploy where something newer is live already; whether it is so.
    pub(super) async fn overtaken<C: ConnectionTrait>(
        &self,
        db: &C,
        state: &mut RunState,
        kind: StageKind,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(environment) = kind.environment() else { return Ok(false) };
        let trigger: Trigger = state.run.trigger.parse()?;
        let live = deployments::live(db, &state.run.service_id, environment).await?;
        let newer = |l: &entity::deployment::Model| {
            !trigger.by_person() && !l.rollback && l.built_by > state.run.number
        };
        let Some(live) = live.filter(newer) else { return Ok(false) };
        let by = format!("run {} ({})", live.run_number, live.commit_sha.get(..7).unwrap_or_default());
        state.supersede(&by, now)?;
        Ok(true)
    }
}

/// When a stage's runner was last heard of, or, before its first word, when it was started.
pub(super) fn last_word(row: &stage::Model) -> Option<i64> {
    row.heartbeat_at.or(row.started_at)
}

/// Gives the current attempt a new token; the one before is of no use from then on.
pub(super) fn new_attempt_token(row: &mut stage::Model, attempt: u32) -> Result<SecretString> {
    let stage: StageId = row.id.parse()?;
    let secret = new_token()?;
    let token = SecretString::from(token_text(stage, attempt, secret.expose_secret()));
    row.token_hash = Some(token_hash(token.expose_secret()));
    Ok(token)
}
