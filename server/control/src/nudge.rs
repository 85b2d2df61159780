//! Nudges: "look again", and nothing else. Everything stays right if every one of them is lost, because workers and streams also
//! look by themselves after a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::RunId;
use tokio::sync::{Notify, watch};

/// Wakes workers and live streams of this process.
#[derive(Clone, Default)]
pub struct Nudge(Arc<Inner>);

#[derive(Default)]
struct Inner {
    intake: Notify,
    dispatch: Notify,
    hooks: Notify,
    reports: Notify,
    all: watch::Sender<u64>,
    runs: Mutex<HashMap<RunId, watch::Sender<u64>>>,
}

impl Nudge {
    /// There may be undone deliveries.
    pub fn intake(&self) {
        self.0.intake.notify_one();
    }

    /// Stages may be ready to start.
    pub fn dispatch(&self) {
        self.0.dispatch.notify_one();
    }

    /// Services came, went or moved: their repositories' hooks may have to follow.
    pub fn hooks(&self) {
        self.0.hooks.notify_one();
    }

    /// Something about a run changed that the overview shows too.
    pub fn changed(&self, run: Option<RunId>) {
        self.0.all.send_modify(|n| *n += 1);
        self.0.reports.notify_one();
        if let Some(run) = run {
            self.lines(run);
        }
    }

    /// New log lines of a run.
    pub fn lines(&self, run: RunId) {
        let runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = runs.get(&run) {
            sender.send_modify(|n| *n += 1);
        }
    }

    /// Resolves at the next [`Nudge::intake`].
    pub async fn wait_intake(&self) {
        self.0.intake.notified().await;
    }

    /// Resolves at the next [`Nudge::dispatch`].
    pub async fn wait_dispatch(&self) {
        self.0.dispatch.notified().await;
    }

    /// Resolves at the next [`Nudge::hooks`].
    pub async fn wait_hooks(&self) {
        self.0.hooks.notified().await;
    }

    /// Resolves at the next [`Nudge::changed`].
    pub async fn wait_reports(&self) {
        self.0.reports.notified().await;
    }

    /// Follows one run, or everything.
    pub fn follow(&self, run: Option<RunId>) -> watch::Receiver<u64> {
        let Some(run) = run else { return self.0.all.subscribe() };
        let mut runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody follows these any more.
        runs.retain(|_, sender| sender.receiver_count() > 0);
        runs.entry(run).or_default().subscribe()
    }
}
