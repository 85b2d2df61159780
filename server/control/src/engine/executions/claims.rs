//! Which task has which stage of a run, and which deploys may still be under way though their run has gone on without them.

use std::collections::BTreeMap;

use domain::{StageKind, Timestamp};
use entity::{execution, stage};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::HOME;
use crate::{
    error::Result,
    store::{executions, runs},
};

/// How long a deploy may take to undo itself once its runner is shut out, in milliseconds: what a runner gives it, and a little.
const UNDO_MS: i64 = 130_000;

/// Who has claimed a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) round: u32,
    pub(super) task: String,
    /// When the stage got its verdict without it, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shut_out: Option<i64>,
}

impl Holder {
    pub(super) fn new(round: u32, task: &str) -> Self {
        Self { round, task: task.to_owned(), shut_out: None }
    }
}

/// By kind of stage.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Claims(BTreeMap<StageKind, Holder>);

impl Claims {
    pub(super) fn of(execution: &execution::Model) -> Result<Self> {
        Ok(serde_json::from_str(&execution.claims)?)
    }

    pub(super) fn keep(&self, execution: &mut execution::Model) -> Result<()> {
        execution.claims = serde_json::to_string(self)?;
        Ok(())
    }

    pub(super) fn holder(&self, kind: StageKind) -> Option<&Holder> {
        self.0.get(&kind)
    }

    pub(super) fn give(&mut self, kind: StageKind, to: Holder) {
        self.0.insert(kind, to);
    }

    /// A stage that a task still has gets its verdict without it.
    pub(super) fn shut_out(&mut self, kind: StageKind, now: Timestamp) {
        if let Some(holder) = self.0.get_mut(&kind) {
            holder.shut_out = Some(now.0);
        }
    }
}

/// Whether an earlier deploy of the same kind to the same service may still undo itself, its runner being shut out a moment ago.
pub(super) async fn undoes<C: ConnectionTrait>(db: &C, own: &stage::Model, now: Timestamp) -> Result<bool> {
    let since = now.0 - UNDO_MS;
    for row in runs::ended_since(db, &own.service_id, &own.kind, since).await? {
        if row.run_id == own.run_id || row.folder.as_deref() != Some(HOME) {
            continue;
        }
        let Some(execution) = executions::of(db, &row.run_id).await? else { continue };
        let claims = Claims::of(&execution)?;
        let kind: StageKind = row.kind.parse()?;
        if claims.holder(kind).is_some_and(|holder| holder.shut_out.is_some_and(|at| at > since)) {
            return Ok(true);
        }
    }
    Ok(false)
}
