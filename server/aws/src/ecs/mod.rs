//! Services on ECS: the target that deploys to them, and what is asked about them.
//!
//! A deployment is a new revision of the task definition that is live, `UpdateService` with ECS's circuit breaker, and then this
//! very deployment followed to its end ([ADR 16](../../../docs/adr/0016-deploying-to-ecs.md)). Refuses to change anything of a
//! service but what its own container runs, and to start anything for a test.

mod api;
mod capacity;
mod create;
mod deploy;
mod fate;
mod look;
mod patience;
mod revision;
mod secrets;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use domain::protocol::{DeployWork, JobVariable, Launch};
use runner::target::{LogSink, Started, Target, TargetError};
use tokio_util::sync::CancellationToken;

pub use look::EcsCloud;

use crate::{
    account::{Account, AwsError},
    ecr::Address,
};

/// Deploys to ECS what is for ECS, and leaves everything else to another target.
pub struct EcsTarget {
    beside: Arc<dyn Target>,
}

impl EcsTarget {
    /// With what does the rest, tests of candidates among it.
    pub fn new(beside: Arc<dyn Target>) -> Self {
        Self { beside }
    }
}

#[async_trait]
impl Target for EcsTarget {
    async fn deploy(
        &self,
        work: &DeployWork,
        log: &LogSink,
        cancel: &CancellationToken,
    ) -> Result<(), TargetError> {
        match &work.ecs {
            Some(place) => {
                let ecr = Address::parse(work.launch.artifact.split('@').next().unwrap_or_default());
                // Where nothing is said about the region, it is that of the image.
                let account = Account::usual(ecr.map(|ecr| ecr.region));
                deploy::deploy(&account, place, work, log, cancel).await
            }
            None => self.beside.deploy(work, log, cancel).await,
        }
    }

    /// A candidate is tested on the machine that built it, by Docker: on ECS it would serve.
    async fn start_for_test(
        &self,
        launch: &Launch,
        extra: &[JobVariable],
        cookie: &str,
        log: &LogSink,
    ) -> Result<Started, TargetError> {
        self.beside.start_for_test(launch, extra, cookie, log).await
    }
}

impl From<AwsError> for TargetError {
    fn from(error: AwsError) -> Self {
        Self::new(error.message)
    }
}
