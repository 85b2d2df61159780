//! Watches the live version: asks after its health, starts it again when it ends by itself.
//!
//! Refuses to choose a version; it is given one, and gives its process back when another takes over.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::protocol::{DeployWork, Launch};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared, container, drift,
    health::{Ill, check},
    output::{Hear, LONGEST, Tail, turn_over},
    process::Process,
    state::{Started, mark},
    upstream::Upstream,
    version::Version,
};
use crate::proc;

/// How often health is asked after.
pub const PULSE: Duration = Duration::from_secs(5);
/// The first pause before a new start; it doubles up to [`LONG`].
const SHORT: Duration = Duration::from_secs(1);
/// The longest pause.
const LONG: Duration = Duration::from_secs(30);
/// Who ran this long starts over with short pauses.
const STEADY: Duration = Duration::from_secs(60);

/// What the supervisor sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `healthy`, `unhealthy`, `drifted`, `unknown` or `stopped`.
    pub health: &'static str,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// The process that serves.
    pub started: Option<Started>,
}

/// A supervised version.
#[derive(Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    task: JoinHandle<Option<Version>>,
    seen: watch::Receiver<Seen>,
}

impl Supervisor {
    /// Watches over what runs already and is healthy, or starts it.
    pub fn start(
        shared: Arc<Shared>,
        work: Arc<DeployWork>,
        running: Option<(Version, Result<(), Ill>)>,
    ) -> Self {
        let stop = CancellationToken::new();
        let first = match &running {
            Some((version, Ok(()))) => Seen::healthy(version.started()),
            Some((version, Err(_))) => Seen {
                health: "unhealthy",
                reason: Some("it did not answer at once".into()),
                started: Some(version.started()),
            },
            None => Seen { health: "stopped", reason: Some("it is being started".into()), started: None },
        };
        let (tell, seen) = watch::channel(first);
        let watcher = Watcher { shared, work, tell, stop: stop.clone() };
        let task = tokio::spawn(watcher.watch(running.map(|(version, _)| version)));
        Self { stop, task, seen }
    }

    /// What it sees now.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// What it sees, and will see.
    pub fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// Ends the watch, not the version: its process is handed over.
    pub async fn hand_over(self) -> Option<Version> {
        self.stop.cancel();
        self.task.await.ok().flatten()
    }
}

impl Seen {
    /// All is well.
    pub fn healthy(started: Started) -> Self {
        Self { health: "healthy", reason: None, started: Some(started) }
    }

    /// It runs but is not well.
    pub fn unhealthy(why: String, started: Started) -> Self {
        Self { health: "unhealthy", reason: Some(why), started: Some(started) }
    }
}

/// How a version is, from how it answered.
async fn judge(launch: &Launch, version: &Version, health: Result<(), Ill>) -> Seen {
    match health {
        Ok(()) => Seen::healthy(version.started()),
        Err(ill) => Seen::unhealthy(version.ill(launch, &ill, None).await, version.started()),
    }
}

/// What a supervisor's task holds.
pub struct Watcher {
    /// The keeper.
    pub shared: Arc<Shared>,
    /// What should run.
    pub work: Arc<DeployWork>,
    /// Where what is seen is told.
    pub tell: watch::Sender<Seen>,
    /// The watch is over.
    pub stop: CancellationToken,
}

impl Watcher {
    async fn watch(self, mut running: Option<Version>) -> Option<Version> {
        // A container's daemon starts it again; all there is to do is to look.
        if self.work.launch.container.is_some() {
            return drift::watch(&self, running).await;
        }
        let mut pause = SHORT;
        loop {
            let version = match running.take() {
                Some(version) => version,
                None => match self.bring_up().await {
                    Ok(version) => version,
                    Err(BringUp::Stopped(version)) => return version,
                    Err(BringUp::Failed(why)) => {
                        tracing::warn!(why, "the live version did not start");
                        self.tell.send_replace(Seen { health: "stopped", reason: Some(why), started: None });
                        if !self.pause(&mut pause).await {
                            return None;
                        }
                        continue;
                    }
                },
            };
            let since = Instant::now();
            let exit = tokio::select! {
                () = self.stop.cancelled() => return Some(version),
                exit = version.ended() => exit,
                () = self.pulse(&version) => continue,
            };
            self.shared.front.point(Err(
                "It has just ended by itself and is being started again; try once more in a moment.".into(),
            ));
            let mut tail = Tail::near_end(self.shared.place.log(self.work.deployment));
            tail.look(true);
            let why = words(&format!("{exit}"), tail.last());
            tracing::warn!(why, "the live version ended by itself");
            self.tell.send_replace(Seen { health: "stopped", reason: Some(why), started: None });
            version.end(Duration::from_secs(2)).await;
            self.shared.count_restart().await;
            if since.elapsed() > STEADY {
                pause = SHORT;
            }
            if !self.pause(&mut pause).await {
                return None;
            }
        }
    }

    /// Waits before the next start; false when the watch is over.
    async fn pause(&self, pause: &mut Duration) -> bool {
        let now = *pause;
        *pause = (now * 2).min(LONG);
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = sleep(now) => true,
        }
    }

    /// Asks after its health for ever.
    async fn pulse(&self, version: &Version) {
        loop {
            sleep(PULSE).await;
            let health = check(&version.address(), self.work.launch.health_path.as_deref()).await;
            let seen = judge(&self.work.launch, version, health).await;
            self.see(seen);
            self.turn_over();
        }
    }

    /// Tells what is seen, when it is something else than before.
    pub fn see(&self, seen: Seen) {
        self.tell.send_if_modified(|last| {
            let other = *last != seen;
            *last = seen;
            other
        });
    }

    /// Keeps the logs short.
    pub fn turn_over(&self) {
        for log in [self.shared.place.log(self.work.deployment), self.shared.place.keeper_log()] {
            if let Err(error) = turn_over(&log, LONGEST) {
                tracing::warn!(%error, log = %log.display(), "a log could not be turned over");
            }
        }
    }

    async fn bring_up(&self) -> Result<Version, BringUp> {
        let (place, work) = (&self.shared.place, &self.work);
        // What an earlier start left behind must not serve beside the new one.
        proc::end(None, &mark(work.deployment), Duration::from_secs(10)).await;
        if self.stop.is_cancelled() {
            return Err(BringUp::Stopped(None));
        }
        self.shared.unpack(work).await.map_err(BringUp::Failed)?;
        let mut tail = Tail::new(place.log(work.deployment));
        let version = Process::start(place, work.deployment, &work.launch, &work.neighbours)
            .map(Version::Process)
            .map_err(|e| BringUp::Failed(e.to_string()))?;
        // Not to be broken off: an older state must not be written after a newer one.
        self.shared.remember_started(version.started()).await;
        match healthy(&version, &work.launch, &mut tail, &(), &self.stop).await {
            Waited::Healthy => {
                self.shared.front.point(Ok(Upstream::new(version.address())));
                self.tell.send_replace(Seen::healthy(version.started()));
                Ok(version)
            }
            Waited::Cancelled => Err(BringUp::Stopped(Some(version))),
            Waited::Failed(why) => {
                version.end(Duration::from_secs(10)).await;
                Err(BringUp::Failed(why))
            }
        }
    }
}

enum BringUp {
    Stopped(Option<Version>),
    Failed(String),
}

/// How waiting for health ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// It is healthy.
    Healthy,
    /// It will not be, and why.
    Failed(String),
    /// Nobody wants to know any more.
    Cancelled,
}

/// What happened, with its last words.
pub fn words(what: &str, last: Option<&str>) -> String {
    match last {
        Some(last) => format!("{what}: {last}"),
        None => format!("{what}; it printed nothing"),
    }
}

/// Waits until a version is healthy, has ended, or has taken too long; what it prints meanwhile goes to `ear`.
pub async fn healthy(
    version: &Version,
    launch: &Launch,
    tail: &mut Tail,
    ear: &dyn Hear,
    cancel: &CancellationToken,
) -> Waited {
    let (at, path) = (version.address(), launch.health_path.as_deref());
    let ill = Mutex::new(Ill::Closed);
    let probe = async {
        let mut pause = Duration::from_millis(10);
        while let Err(now) = check(&at, path).await {
            *ill.lock().unwrap_or_else(PoisonError::into_inner) = now;
            sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(500));
        }
    };
    tokio::pin!(probe);
    let seconds = launch.health_timeout_s.max(1);
    let deadline = Instant::now() + Duration::from_secs(seconds.into());
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            biased;
            exit = version.ended() => {
                ear.hear(tail.look(true)).await;
                let mut why = words(&format!("{exit} before it was healthy"), tail.last());
                let advice = match launch.container {
                    Some(_) => container::advice(launch, exit, tail.last()),
                    None => None,
                };
                if let Some(advice) = advice {
                    why = format!("{advice} ({why})");
                } else if exit == super::version::Exit::Code(0) {
                    why.push_str(" (the start command must stay in the foreground)");
                }
                return Waited::Failed(why);
            }
            () = cancel.cancelled() => return Waited::Cancelled,
            () = &mut probe => {
                ear.hear(tail.look(true)).await;
                return Waited::Healthy;
            }
            () = sleep_until(deadline) => {
                ear.hear(tail.look(true)).await;
                let ill = ill.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let why = version.ill(launch, &ill, Some(seconds.into())).await;
                return Waited::Failed(match tail.last() {
                    Some(last) => format!("{why}; its last line: {last}"),
                    None => why,
                });
            }
            _ = look.tick() => {
                let lines = tail.look(false);
                if !lines.is_empty() {
                    ear.hear(lines).await;
                }
                let last = tail.turn_over();
                if !last.is_empty() {
                    ear.hear(last).await;
                }
            }
        }
    }
}
