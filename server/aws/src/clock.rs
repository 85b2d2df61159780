//! What time it is, and waiting: behind a trait, so that what waits for minutes can be tested in milliseconds.
//!
//! Refuses to tell the time of day: nothing here compares this machine's clock with Amazon's.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use async_trait::async_trait;

/// Time that goes by.
#[async_trait]
pub(crate) trait Clock: Debug + Send + Sync {
    /// Since some moment in the past.
    fn now(&self) -> Duration;
    /// Waits.
    async fn sleep(&self, time: Duration);
}

/// This machine's.
#[derive(Debug)]
pub(crate) struct WallClock(Instant);

impl Default for WallClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
