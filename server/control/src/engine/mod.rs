//! The embedded engine: durable because its state is the stage rows. Three workers, each of which may be stopped at any line and
//! started again: they take no input, and doing their work twice is doing it once.
//!
//! - `dispatch` starts what may start, within the slots, fair between services;
//! - `reconcile` compares what the rows say with what really lives, at boot and every few seconds;
//! - `expire` ends approvals nobody gave.
//!
//! [`executions`] is the other way: an engine elsewhere starts the tasks, and the rows stay the truth.

mod attempt;
mod dispatch;
pub mod executions;
mod reconcile;

use domain::EnvironmentName;

use crate::{
    Control,
    error::Result,
    ports::Keep,
    store::{deployments, rows, runs, services},
};

/// How many good artifacts of each service and environment outlive the clean-up.
const KEPT: u64 = 5;

/// How busy the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// Stages that wait for a slot.
    pub queued: usize,
    /// Stages in progress.
    pub in_progress: usize,
    /// Runs that are not at their end.
    pub open_runs: usize,
}

impl Control {
    /// How busy the engine is.
    pub async fn gauges(&self) -> Result<Gauges> {
        let (ready, busy) = runs::queue(self.store.read()).await?;
        let open = runs::open(self.store.read()).await?;
        Ok(Gauges { queued: ready.len(), in_progress: busy.len(), open_runs: open.len() })
    }

    /// Starts again what should run on this host and does not.
    pub async fn ensure_deployed(&self) -> Result<()> {
        Ok(self.ports.host.ensure().await?)
    }

    /// Removes what is old, but nothing that is live, among the last good ones, or needed by a run that goes on.
    pub async fn clean(&self) -> Result<()> {
        let db = self.store.read();
        let mut keep = Keep { artifacts: deployments::kept_artifacts(db, KEPT).await?, ..Keep::default() };
        for run in runs::open(db).await? {
            keep.artifacts.extend(run.artifact);
            keep.runs.push(run.id.parse()?);
        }
        for service in services::all(db).await? {
            let settings = rows::settings(&service)?;
            let of = |environment| settings.environments.of(environment).container.clone();
            if settings.target().takes_images() {
                keep.daemons.extend(EnvironmentName::ALL.map(of));
            }
        }
        Ok(self.ports.host.clean(&keep).await?)
    }
}
