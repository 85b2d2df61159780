//! Where versions of a service are started: the port through which a stage deploys.
//!
//! Refuses to know how a target works. The runner decides when; the target decides how.

use async_trait::async_trait;
use domain::protocol::{DeployWork, JobVariable, Launch};
use tokio_util::sync::CancellationToken;

pub use crate::sink::LogSink;

/// Why a target could not do what it was asked for, in words that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TargetError {
    /// The words.
    pub message: String,
}

impl TargetError {
    /// An error with these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Ends what was started for a test.
#[async_trait]
pub trait Stop: Send {
    /// Stops the version and everything it started; returns when it is gone.
    async fn stop(self: Box<Self>);
}

/// A version that was started for a test and is healthy.
pub struct Started {
    /// The port on which it answers.
    pub port: u16,
    /// Its address, such as `http://127.0.0.1:40123`.
    pub url: String,
    /// How it is ended.
    pub stop: Box<dyn Stop>,
}

/// A place where versions run.
///
/// Whatever it starts must get `/dev/null` as its standard input: the runner's own life is told by that descriptor.
#[async_trait]
pub trait Target: Send + Sync {
    /// Puts a version in the place of the one that serves now; returns when it serves, or when the old one goes on
    /// serving and the reason is known. Asking twice for the same deployment is asking once.
    ///
    /// What it starts outlives the runner, so it must not carry the stage's cookie `SEAMLESS_STAGE_ATTEMPT`. When `cancel`
    /// fires, it undoes what is not yet serving and returns an error.
    async fn deploy(
        &self,
        work: &DeployWork,
        log: &LogSink,
        cancel: &CancellationToken,
    ) -> Result<(), TargetError>;

    /// Starts a version beside the others for an integration test; returns when it is healthy.
    ///
    /// `extra` holds the neighbours' `SEAMLESS_URL_<SERVICE>` and always `PORT`: the runner chooses free ports for all of
    /// them first, so that each knows every other's address from its start. `cookie` is the value of
    /// `SEAMLESS_STAGE_ATTEMPT` that every process it starts carries; the runner ends whatever still carries it afterwards.
    async fn start_for_test(
        &self,
        launch: &Launch,
        extra: &[JobVariable],
        cookie: &str,
        log: &LogSink,
    ) -> Result<Started, TargetError>;
}
