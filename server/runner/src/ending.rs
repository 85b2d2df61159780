//! Why a stage must end before its work is done. The first cause wins; later ones change nothing.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// What ended a stage from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The server said so.
    Cancelled,
    /// The runner got SIGTERM or SIGINT.
    Stopped,
    /// The machine goes away, and the stage may be tried on another.
    Displaced,
    /// The hard limit passed.
    TimedOut,
    /// The server knows a newer attempt, or none.
    Fenced,
}

/// Told to everything that waits; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    token: CancellationToken,
    cause: Arc<OnceLock<Cause>>,
}

impl Ending {
    /// Ends the stage.
    pub fn end(&self, cause: Cause) {
        let _ = self.cause.set(cause);
        self.token.cancel();
    }

    /// Why it ends, if it does.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }

    /// Fires when it ends.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Waits until it ends.
    pub async fn ended(&self) {
        self.token.cancelled().await;
    }
}
