//! One deploy: unpack, start, wait for health, switch, drain, stop the old version.
//!
//! Until the switch everything can be undone and is: a version that does not get there is stopped, and the old one
//! never noticed. Refuses to deploy what is live already.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{protocol::DeployWork, view::Stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    output::{Hear, Tail},
    process::Process,
    proxy::hold_port,
    state::{Live, mark},
    supervise::{Supervisor, Waited, healthy},
    upstream::Upstream,
    version::Version,
    wire::{Answer, End},
};
use crate::proc;

/// How long requests to the old version may take to finish.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a version may take to end by itself.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long a slow reader of the deploy's log is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many versions keep their folder.
pub const KEPT: usize = 3;

/// Where a deploy speaks to.
#[derive(Debug, Clone)]
pub struct Talk(mpsc::Sender<Answer>);

impl Talk {
    /// Into a channel.
    pub fn new(to: mpsc::Sender<Answer>) -> Self {
        Self(to)
    }

    /// The last word, which is not left out.
    pub async fn end(self, end: End) {
        let _ = self.0.send(Answer::Deployed(end)).await;
    }

    /// In Seamless's own name.
    pub fn say(&self, text: impl Into<String>) {
        // Whoever asked may be gone; after the switch the deploy goes on without listeners.
        let _ = self.0.try_send(Answer::Line { stream: Stream::System, text: text.into() });
    }
}

#[async_trait]
impl Hear for Talk {
    async fn hear(&self, lines: Vec<String>) {
        for text in lines {
            let line = Answer::Line { stream: Stream::Stdout, text };
            // A reader who stands still must not keep a version from being started, or stopped.
            if self.0.send_timeout(line, PATIENCE).await.is_err() {
                return;
            }
        }
    }
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

impl Shared {
    /// Makes a version the live one.
    pub async fn deploy(self: &Arc<Self>, work: DeployWork, talk: &Talk, cancel: &CancellationToken) -> End {
        let _turn = tokio::select! {
            turn = self.turn.lock() => turn,
            () = cancel.cancelled() => return End::Cancelled,
        };
        if self.closing.is_cancelled() {
            return End::Failed(
                "this service is being stopped on this machine; deploy again afterwards".into(),
            );
        }
        if self.state().live.is_some_and(|live| live.work.deployment == work.deployment) {
            return self.already_live(&work, talk, cancel).await;
        }
        match self.candidate(&work, talk, cancel).await {
            Ok((version, socket)) => self.switch(work, version, socket, talk).await,
            Err(end) => {
                self.forget_version(&work).await;
                self.sweep_soon().await;
                end
            }
        }
    }

    async fn already_live(&self, work: &DeployWork, talk: &Talk, cancel: &CancellationToken) -> End {
        talk.say("This very deployment is live already; nothing to do.");
        let Some(mut seen) = self.supervisor().as_ref().map(Supervisor::watch) else {
            return End::Failed("it is live but nobody watches it; deploy again".into());
        };
        let patience = Duration::from_secs(work.launch.health_timeout_s.max(1).into());
        let waited = tokio::select! {
            waited = tokio::time::timeout(patience, seen.wait_for(|seen| seen.health == "healthy")) => waited.is_ok_and(|w| w.is_ok()),
            () = cancel.cancelled() => return End::Cancelled,
        };
        if waited {
            return End::Live;
        }
        let reason = seen.borrow().reason.clone().unwrap_or_default();
        End::Failed(format!("it is live but not healthy: {reason}"))
    }

    /// A healthy version that does not serve yet, and the stable port when it was not open before.
    async fn candidate(
        self: &Arc<Self>,
        work: &DeployWork,
        talk: &Talk,
        cancel: &CancellationToken,
    ) -> Result<(Version, Option<tokio::net::TcpSocket>), End> {
        let socket = match self.listening_on() {
            Some(port) if port == work.port => None,
            _ => Some(hold_port(self.address, work.port).map_err(End::Failed)?),
        };
        let mut tail = Tail::new(self.place.log(work.deployment));
        let version = match work.launch.container {
            Some(_) => self.boxed(work, talk, cancel).await?,
            None => self.process(work, talk).await.map_err(End::Failed)?,
        };
        let waited = healthy(&version, &work.launch, &mut tail, talk, cancel).await;
        let end = match waited {
            // Whoever asked is gone or has changed their mind: this is the last moment to listen.
            Waited::Healthy if cancel.is_cancelled() => End::Cancelled,
            Waited::Healthy => match &work.launch.health_path {
                Some(path) => {
                    talk.say(format!("GET {path} answers; it is healthy."));
                    return Ok((version, socket));
                }
                None => {
                    talk.say("Its port is open; it is healthy.");
                    return Ok((version, socket));
                }
            },
            Waited::Cancelled => End::Cancelled,
            Waited::Failed(why) => End::Failed(why),
        };
        if version.end(GRACE).await {
            talk.say("It did not end within 10 s and was killed.");
        }
        talk.say(match self.state().live {
            Some(live) => format!("It was stopped; {} goes on serving.", short(&live.work.launch.commit)),
            None => "It was stopped; nothing serves.".into(),
        });
        Err(end)
    }

    async fn process(&self, work: &DeployWork, talk: &Talk) -> Result<Version, String> {
        // What a keeper that died in the middle of this very deploy has left.
        if self.place.version(work.deployment).is_dir() {
            proc::end(None, &mark(work.deployment), GRACE).await;
        }
        self.unpack(work).await?;
        let process = Process::start(&self.place, work.deployment, &work.launch, &work.neighbours)
            .map_err(|e| e.to_string())?;
        talk.say(format!(
            "Starting {} on port {}: {}",
            short(&work.launch.commit),
            process.port,
            work.launch.start
        ));
        Ok(Version::Process(process))
    }

    async fn switch(
        self: &Arc<Self>,
        work: DeployWork,
        version: Version,
        socket: Option<tokio::net::TcpSocket>,
        talk: &Talk,
    ) -> End {
        let listener = match socket.map(|socket| socket.listen(1024)).transpose() {
            Ok(listener) => listener,
            Err(e) => {
                version.end(GRACE).await;
                self.forget_version(&work).await;
                self.sweep_soon().await;
                return End::Failed(format!("port {} could not be opened: {e}", work.port));
            }
        };
        let watching = self.supervisor().take();
        let old = match watching {
            Some(supervisor) => supervisor.hand_over().await,
            None => None,
        };
        let work = Arc::new(work);
        let before = self.state().live;
        let started = version.started();
        let live =
            Live { work: (*work).clone(), since: runner::sink::now(), started: Some(started), restarts: 0 };
        if let Err(e) = self.change(|state| state.switch(live)).await {
            version.end(GRACE).await;
            // The old version was only out of sight for a moment; it never stopped serving.
            if let Some(before) = before {
                let old = old.map(|old| (old, Ok(())));
                let again = Supervisor::start(self.clone(), Arc::new(before.work), old);
                self.supervisor().replace(again);
            }
            self.forget_version(&work).await;
            self.sweep_soon().await;
            return End::Failed(format!("the switch could not be written down, so it was not made: {e}"));
        }
        if let Version::Container(container) = &version {
            let policy = work.launch.container.as_ref().map(|c| c.settings.restart).unwrap_or_default();
            if let Err(error) = container.settle(policy).await {
                talk.say(format!("Its restart policy could not be set; it is set later: {error}"));
            }
        }
        let old_upstream = self.front.point(Ok(Upstream::new(version.address())));
        self.supervisor().replace(Supervisor::start(self.clone(), work.clone(), Some((version, Ok(())))));
        if let Some(listener) = listener {
            self.listen(listener, work.port);
        }
        self.link_log(work.deployment);
        talk.say(format!("Port {} now answers with {}.", work.port, short(&work.launch.commit)));
        if let Some(before) = &before {
            let mut kept_for_return = false;
            let name = short(&before.work.launch.commit).to_owned();
            if let Some(upstream) = old_upstream {
                self.drain(&upstream, &name, talk).await;
            }
            match old {
                Some(old) => {
                    if old.end(GRACE).await {
                        talk.say(format!("{name} did not end within 10 s and was killed."));
                    }
                    kept_for_return = matches!(old, Version::Container(_));
                }
                None => {
                    proc::end(None, &mark(before.work.deployment), GRACE).await;
                }
            }
            talk.say(match kept_for_return {
                true => format!("{name} is stopped and kept for a rollback."),
                false => format!("{name} is stopped."),
            });
        }
        self.prune().await;
        self.age_out(None).await;
        self.sweep_soon().await;
        End::Live
    }

    async fn drain(&self, upstream: &Upstream, name: &str, talk: &Talk) {
        upstream.close_idle();
        let open = upstream.in_flight();
        if open > 0 {
            let (requests, them) = if open == 1 { ("request", "it") } else { ("requests", "them") };
            talk.say(format!("{name} still answers {open} {requests}; waiting for {them}."));
            if tokio::time::timeout(DRAIN, upstream.drained()).await.is_err() {
                talk.say(format!(
                    "{} requests did not finish within 30 s and are broken off.",
                    upstream.in_flight()
                ));
            }
        }
    }

    /// Removes the folder of a version that did not become live; its log stays.
    async fn forget_version(&self, work: &DeployWork) {
        if self.state().live.is_none_or(|live| live.work.deployment != work.deployment) {
            let folder = self.place.version(work.deployment);
            let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        }
    }

    /// Keeps the newest folders and the live one.
    async fn prune(&self) {
        let live = self.state().live.map(|live| live.work.deployment);
        let place = self.place.clone();
        let pruned = tokio::task::spawn_blocking(move || {
            let known = place.known();
            let old = known
                .iter()
                .rev()
                .filter(|id| Some(**id) != live)
                .skip(KEPT - 1)
                .copied()
                .collect::<Vec<_>>();
            for id in old {
                let _ = std::fs::remove_dir_all(place.version(id));
            }
            place.prune_logs(10);
        });
        let _ = pruned.await;
    }

    /// Makes sure that a version's folder is there and whole.
    ///
    /// # Errors
    /// In words.
    pub async fn unpack(&self, work: &DeployWork) -> Result<(), String> {
        let folder = self.place.version(work.deployment);
        if folder.is_dir() {
            return Ok(());
        }
        let (artifacts, digest) = (self.place.data.join("artifacts"), work.launch.artifact.clone());
        tokio::task::spawn_blocking(move || runner::artifact::unpack(&artifacts, &digest, &folder))
            .await
            .map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())
    }
}
