//! Nudges: "look again", and nothing else; other servers are told too, where there is a way. Everything stays right if every one of them is lost, because workers and streams also
//! look by themselves after a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::RunId;
use tokio::sync::{Notify, watch};

use crate::hot::{Hot, News};

/// Wakes workers and live streams of this process, and those of other servers.
#[derive(Clone, Default)]
pub struct Nudge(Arc<Inner>);

#[derive(Default)]
struct Inner {
    intake: Notify,
    dispatch: Notify,
    drive: Notify,
    hooks: Notify,
    reports: Notify,
    notices: Notify,
    all: watch::Sender<u64>,
    runs: Mutex<HashMap<RunId, watch::Sender<u64>>>,
    others: Option<Arc<dyn Hot>>,
}

impl Nudge {
    /// Tells others by this way.
    pub(crate) fn of(others: Option<Arc<dyn Hot>>) -> Self {
        Self(Arc::new(Inner { others, ..Inner::default() }))
    }

    fn tell(&self, news: News) {
        if let Some(others) = &self.0.others {
            others.tell(news);
        }
    }

    /// Passes on within this process what another server told.
    pub fn heard(&self, news: News) {
        match news {
            News::Lines(run) => self.wake(Some(run)),
            News::Changed(run) => self.wake_all(run),
            News::Dispatch => self.wake_dispatch(),
            News::Missed => {
                self.0.intake.notify_one();
                self.wake_dispatch();
                self.0.all.send_modify(|n| *n += 1);
                self.wake(None);
            }
        }
    }

    /// Whoever has stages started: by runners of ours, or by an engine elsewhere.
    fn wake_dispatch(&self) {
        self.0.dispatch.notify_one();
        self.0.drive.notify_one();
    }

    fn wake_all(&self, run: Option<RunId>) {
        self.0.all.send_modify(|n| *n += 1);
        self.0.reports.notify_one();
        self.0.notices.notify_one();
        if run.is_some() {
            self.wake(run);
        }
    }

    /// Followers of one run, or of each.
    fn wake(&self, run: Option<RunId>) {
        let runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        match run {
            Some(run) => runs.get(&run).into_iter().for_each(|sender| sender.send_modify(|n| *n += 1)),
            None => runs.values().for_each(|sender| sender.send_modify(|n| *n += 1)),
        }
    }

    /// There may be undone deliveries.
    pub fn intake(&self) {
        self.0.intake.notify_one();
    }

    /// Stages may be ready to start.
    pub fn dispatch(&self) {
        self.wake_dispatch();
        self.tell(News::Dispatch);
    }

    /// Services came, went or moved: their repositories' hooks may have to follow.
    pub fn hooks(&self) {
        self.0.hooks.notify_one();
    }

    /// Something about a run changed that the overview shows too.
    pub fn changed(&self, run: Option<RunId>) {
        self.wake_all(run);
        self.tell(News::Changed(run));
    }

    /// New log lines of a run.
    pub fn lines(&self, run: RunId) {
        self.wake(Some(run));
        self.tell(News::Lines(run));
    }

    /// Resolves at the next [`Nudge::intake`].
    pub async fn wait_intake(&self) {
        self.0.intake.notified().await;
    }

    /// Resolves at the next [`Nudge::dispatch`].
    pub async fn wait_dispatch(&self) {
        self.0.dispatch.notified().await;
    }

    /// Resolves at the next [`Nudge::dispatch`], for whoever drives executions.
    pub async fn wait_drive(&self) {
        self.0.drive.notified().await;
    }

    /// Resolves at the next [`Nudge::hooks`].
    pub async fn wait_hooks(&self) {
        self.0.hooks.notified().await;
    }

    /// Resolves at the next [`Nudge::changed`].
    pub async fn wait_reports(&self) {
        self.0.reports.notified().await;
    }

    /// Resolves at the next [`Nudge::changed`], for whoever sends notifications.
    pub async fn wait_notices(&self) {
        self.0.notices.notified().await;
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
