//! The keeper: one small process per service and environment that owns the stable port and what runs behind it.
//!
//! It lives apart from the server and from the runner that asks it to deploy, so both may die at any moment. When it dies
//! itself, the next keeper takes over the running version, or starts it again. Two keepers of one place never run at once:
//! a lock that the kernel releases sees to it. Refuses to decide what should be live; it is told.

mod boxed;
pub mod container;
pub mod deploy;
mod drift;
mod follow;
mod gate;
pub mod health;
pub mod output;
pub mod process;
pub mod proxy;
mod recipe;
mod serve;
pub mod spawn;
pub mod state;
pub mod supervise;
pub mod upstream;
pub mod version;
pub mod wire;

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use domain::{DeploymentId, EnvironmentName};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    deploy::GRACE,
    health::check,
    proxy::{Front, hold_port},
    state::{Place, Started, State, mark},
    supervise::Supervisor,
    upstream::Upstream,
    version::Version,
    wire::Report,
};
use crate::{docker::containers, proc};

/// What a keeper is told at its start: `seamless keeper --data D --service S --environment E [--address A]`.
#[derive(Debug, Clone)]
pub struct KeeperArgs {
    /// The data folder.
    pub data: PathBuf,
    /// The service's name.
    pub service: String,
    /// The environment.
    pub environment: EnvironmentName,
    /// The address on which the stable port is opened.
    pub address: IpAddr,
}

/// What all parts of a keeper share.
#[derive(Debug)]
pub struct Shared {
    place: Place,
    address: IpAddr,
    front: Arc<Front>,
    state: Mutex<State>,
    supervisor: Mutex<Option<Supervisor>>,
    listening: Mutex<Option<(u16, CancellationToken)>>,
    /// Why the stable port is not open although it should be.
    blocked: Mutex<Option<String>>,
    /// The stable port on the containers' network.
    gate: Mutex<Option<gate::Gate>>,
    /// One change of the state at a time.
    writing: tokio::sync::Mutex<()>,
    /// One deploy, or stop, at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Everything is to end.
    closing: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn new(place: Place, address: IpAddr, state: State) -> Arc<Self> {
        let front = Front::new(&place.service, "No version of it is live yet.");
        Arc::new(Self {
            place,
            address,
            front,
            state: Mutex::new(state),
            supervisor: Mutex::default(),
            listening: Mutex::default(),
            blocked: Mutex::default(),
            gate: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            turn: Arc::default(),
            closing: CancellationToken::new(),
        })
    }

    fn state(&self) -> State {
        lock(&self.state).clone()
    }

    fn supervisor(&self) -> MutexGuard<'_, Option<Supervisor>> {
        lock(&self.supervisor)
    }

    fn listening_on(&self) -> Option<u16> {
        lock(&self.listening).as_ref().map(|(port, _)| *port)
    }

    /// Serves a port; the one that was served before is given up.
    fn listen(self: &Arc<Self>, listener: TcpListener, port: u16) {
        let stop = CancellationToken::new();
        tokio::spawn(self.front.clone().serve(listener, stop.clone()));
        lock(&self.blocked).take();
        if let Some((_, before)) = lock(&self.listening).replace((port, stop)) {
            before.cancel();
        }
        self.tend_gate();
    }

    /// Changes what is remembered; one change at a time, each on top of the one before.
    async fn change(&self, change: impl FnOnce(&mut State)) -> std::io::Result<()> {
        let _one = self.writing.lock().await;
        let mut state = self.state();
        change(&mut state);
        let (place, copy) = (self.place.clone(), state.clone());
        tokio::task::spawn_blocking(move || place.save(&copy)).await.map_err(std::io::Error::other)??;
        *lock(&self.state) = state;
        Ok(())
    }

    /// Writes down what changed about the live version; a full disk must not take the service down.
    async fn note(&self, change: impl FnMut(&mut state::Live)) {
        if let Err(error) = self.change(|state| state.live.as_mut().into_iter().for_each(change)).await {
            tracing::error!(%error, "the state could not be written");
        }
    }

    async fn remember_started(&self, started: Started) {
        self.note(|live| live.started = Some(started.clone())).await;
    }

    async fn count_restart(&self) {
        self.note(|live| live.restarts += 1).await;
    }

    /// `service.log` leads to what the live version prints.
    fn link_log(&self, deployment: DeploymentId) {
        let link = self.place.service_log();
        let _ = std::fs::remove_file(&link);
        if let Err(error) = std::os::unix::fs::symlink(self.place.log(deployment), link) {
            tracing::warn!(%error, "service.log could not be made");
        }
    }

    /// What runs.
    fn report(&self) -> Report {
        let mut report = Report { health: "none".into(), keeper: std::process::id(), ..Report::default() };
        if let Some(live) = self.state().live {
            report.deployment = Some(live.work.deployment);
            report.port = Some(live.work.port);
            report.restarts = live.restarts;
            report.since = Some(live.since);
            report.health = "stopped".into();
            report.reason = Some("nobody watches it".into());
            if let Some(supervisor) = self.supervisor().as_ref() {
                let seen = supervisor.seen();
                report.pid = seen.started.and_then(|s| s.process()).map(|id| id.pid);
                report.health = seen.health.into();
                report.reason = seen.reason;
            }
            if let Some(blocked) = lock(&self.blocked).clone() {
                report.health = "unhealthy".into();
                report.reason = Some(blocked);
            }
        }
        report
    }

    /// Brings back what an earlier keeper served.
    async fn restore(self: &Arc<Self>) {
        let live = self.state().live;
        let current = live.as_ref().map(|live| live.work.deployment);
        let started = live.as_ref().and_then(|live| live.started.clone());
        let process = started.as_ref().and_then(Started::process);
        // Candidates that never became live, and old versions that were being stopped. No deploy until they are gone:
        // it may be the same one again.
        let turn = self.turn.clone().lock_owned().await;
        let mut stray = Vec::new();
        for id in self.place.known() {
            let strays = proc::carriers(&mark(id));
            if Some(id) != current && !strays.is_empty() {
                tracing::warn!(deployment = %id, "ends what an earlier keeper was about to stop");
                stray.push(id);
            } else if Some(id) == current && live.as_ref().is_some_and(|l| l.work.launch.container.is_some())
            {
                // Whoever follows a container's log for a keeper that is gone: it is followed anew.
                strays.iter().for_each(|s| s.signal(rustix::process::Signal::KILL));
            } else if let Some(serving) = process.filter(|p| Some(id) == current && p.lives()) {
                // Started and never written down, because the keeper died in between.
                let ours = proc::families(&[serving]);
                strays
                    .iter()
                    .filter(|s| !ours.contains(s))
                    .for_each(|s| s.signal(rustix::process::Signal::KILL));
            }
        }
        self.place.remove_unfinished();
        let shared = self.clone();
        tokio::spawn(async move {
            futures::future::join_all(
                stray.into_iter().map(async |id| proc::end(None, &mark(id), GRACE).await),
            )
            .await;
            shared.sweep_soon().await;
            drop(turn);
        });
        let Some(live) = live else { return };
        let work = Arc::new(live.work);
        let adopted = started.and_then(|started| Version::adopt(&self.place, work.deployment, &started));
        let running = match adopted {
            Some(version) => {
                tracing::info!(started = ?version.started(), "takes over the running version");
                let (at, path) = (version.address(), work.launch.health_path.as_deref());
                let asked = tokio::time::timeout(Duration::from_secs(1), check(&at, path)).await;
                self.front.point(Ok(Upstream::new(at)));
                Some((version, asked.unwrap_or(Err(health::Ill::Silent))))
            }
            None => None,
        };
        self.link_log(work.deployment);
        self.supervisor().replace(Supervisor::start(self.clone(), work.clone(), running));
        self.open_port(work.port).await;
    }

    /// Opens the stable port, however long somebody else holds it.
    async fn open_port(self: &Arc<Self>, port: u16) {
        let open = move |shared: &Arc<Self>| match hold_port(shared.address, port)
            .and_then(|s| s.listen(1024).map_err(|e| e.to_string()))
        {
            Ok(listener) => {
                shared.listen(listener, port);
                true
            }
            Err(why) => {
                *lock(&shared.blocked) = Some(why);
                false
            }
        };
        if open(self) {
            return;
        }
        let shared = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = shared.closing.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
                let _turn = shared.turn.lock().await;
                // A deploy may have brought another port meanwhile.
                if shared.listening_on().is_some()
                    || shared.state().live.is_none_or(|l| l.work.port != port)
                    || open(&shared)
                {
                    return;
                }
            }
        });
    }

    /// Stops what runs; `forget` also strikes it from the memory, so that nobody starts it again.
    async fn close(&self, forget: bool) {
        self.closing.cancel();
        let _turn = self.turn.lock().await;
        let daemons = self.state().daemons();
        if forget && let Err(error) = self.change(|state| *state = State::default()).await {
            tracing::error!(%error, "the state could not be written");
        }
        self.front.point(Err("It has been stopped.".into()));
        if let Some((_, stop)) = lock(&self.listening).take() {
            stop.cancel();
        }
        lock(&self.gate).take();
        let watching = self.supervisor().take();
        if let Some(supervisor) = watching
            && let Some(version) = supervisor.hand_over().await
        {
            // A container belongs to its daemon, which also ends it when the machine goes down.
            if forget || matches!(version, Version::Process(_)) {
                version.end(GRACE).await;
            }
        }
        if forget {
            containers::remove_all(&daemons, &self.place).await;
        }
    }
}

/// A keeper's whole life.
///
/// # Errors
/// When its folder or socket cannot be used.
pub async fn main(args: KeeperArgs) -> anyhow::Result<()> {
    let place = Place::new(&args.data, &args.service, args.environment);
    place.make().with_context(|| format!("{} cannot be made", place.folder().display()))?;
    let Some(_only) = place.lock().context("the lock cannot be used")? else {
        println!("{}", spawn::HELD);
        return Ok(());
    };
    // A session of its own: what ends the terminal or the server does not end it.
    let _ = rustix::process::setsid();
    let state = place.recall().context("state.json cannot be read")?;
    let shared = Shared::new(place, args.address, state);
    serve::run(shared).await
}
