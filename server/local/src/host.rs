//! What this machine runs and keeps: deployed versions, artifacts, ports.
//!
//! Refuses to decide what should run; it says what does, and starts again what a keeper remembers.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use control::ports::{Deployed, Docker, Found, Host, Keep, PortError};
use domain::{
    EnvironmentName,
    containers::{ArtifactKind, ContainerSettings},
    protocol::Registry,
};

use crate::{
    clean,
    docker::{self, Daemon, known, locate::Finder, tidy},
    keeper::{
        spawn::Keepers,
        state::{Place, mark},
        wire::{Answer, Request, ask},
    },
    presence, proc,
};

/// How often daemons are looked at that have something of a deleted service.
const DEBTS: Duration = Duration::from_secs(60);
/// How long a keeper may take to let go of what it keeps.
const TIDY: Duration = Duration::from_secs(60);

/// This machine.
#[derive(Debug, Clone)]
pub struct ThisHost {
    keepers: Keepers,
    limits: clean::Limits,
    own: Daemon,
    images: Arc<Finder>,
    /// When daemons that owe something were looked at.
    looked: Arc<Mutex<Option<Instant>>>,
}

impl ThisHost {
    /// With keepers started this way.
    pub fn new(keepers: Keepers) -> Self {
        Self {
            keepers,
            limits: clean::Limits::default(),
            own: Daemon::default(),
            images: Arc::default(),
            looked: Arc::default(),
        }
    }

    /// With other limits on what is kept.
    #[must_use]
    pub fn with_limits(mut self, limits: clean::Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With another daemon as the server's own.
    #[must_use]
    pub fn with_daemon(mut self, own: Daemon) -> Self {
        self.own = own;
        self
    }

    /// Whether it is time to look at daemons that owe something.
    fn time_for_debts(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|at| at.elapsed() >= DEBTS);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }

    fn bundle(&self, digest: &str) -> Found {
        match self.artifact(digest).try_exists() {
            Ok(true) => Found::There,
            Ok(false) => Found::Gone("its artifact was cleaned up: run its commit again".into()),
            Err(e) => Found::Unknown(format!("its artifact cannot be looked at: {e}")),
        }
    }

    fn artifact(&self, digest: &str) -> PathBuf {
        runner::artifact::path(&self.keepers.data.join("artifacts"), digest)
    }
}

#[async_trait]
impl Host for ThisHost {
    async fn deployed(&self, service: &str, environment: EnvironmentName) -> Result<Deployed, PortError> {
        let place = Place::new(&self.keepers.data, service, environment);
        match ask(&place, &Request::Status, Duration::from_secs(3)).await {
            Ok(Some(Answer::Status(report))) => {
                return Ok(Deployed {
                    deployment: report.deployment,
                    health: report.health,
                    reason: report.reason,
                });
            }
            Ok(_) => {}
            Err(e) => tracing::warn!(service, %environment, error = %e, "a keeper could not be asked"),
        }
        let live = place.load().map_err(PortError::new)?.live;
        Ok(match live {
            Some(live) => Deployed {
                deployment: Some(live.work.deployment),
                health: "stopped".into(),
                reason: Some("its keeper does not run; it is started again with the server".into()),
            },
            None => Deployed { deployment: None, health: "none".into(), reason: None },
        })
    }

    async fn artifacts(
        &self,
        wanted: &[String],
        daemon: &ContainerSettings,
        registry: Option<&Registry>,
    ) -> Vec<Found> {
        let is_image = |a: &&String| ArtifactKind::of(a) == ArtifactKind::Image;
        let images: Vec<String> = wanted.iter().filter(is_image).cloned().collect();
        let mut daemon = Daemon::of(daemon);
        if daemon == Daemon::default() {
            daemon = self.own.clone();
        }
        let found = self.images.find(&daemon, &images, registry).await;
        let look = |artifact: &String| found.get(artifact).cloned().unwrap_or_else(|| self.bundle(artifact));
        wanted.iter().map(look).collect()
    }

    async fn docker(&self) -> Docker {
        docker::probe().await
    }

    async fn free_port(&self, environment: EnvironmentName, taken: &[u16]) -> Result<u16, PortError> {
        let first: u16 = match environment {
            EnvironmentName::Production => 4100,
            EnvironmentName::Staging => 4600,
        };
        (first..first + 500).find(|port| !taken.contains(port) && proc::port_is_free(*port)).ok_or_else(
            || {
                PortError::new(format!(
                    "all ports from {first} to {} are taken; choose one in the settings",
                    first + 499
                ))
            },
        )
    }

    async fn server_lives(&self, node: &str) -> bool {
        presence::lives(&self.keepers.data, node)
    }

    async fn port_is_free(&self, port: u16) -> bool {
        proc::port_is_free(port)
    }

    async fn ensure(&self) -> Result<(), PortError> {
        let mut failed = Vec::new();
        for place in Place::all(&self.keepers.data) {
            match place.load() {
                Ok(state) if state.is_idle() => {}
                Ok(_) => {
                    if let Err(e) = self.keepers.ensure(&place).await {
                        failed.push(format!("{} {}: {e}", place.service, place.environment));
                    }
                }
                Err(e) => failed.push(format!("{} {}: {e}", place.service, place.environment)),
            }
        }
        if self.time_for_debts() {
            tidy::debts(&self.keepers.data).await;
        }
        if failed.is_empty() { Ok(()) } else { Err(PortError::new(failed.join("; "))) }
    }

    async fn retire(&self, service: &str) -> Result<(), PortError> {
        for environment in EnvironmentName::ALL {
            let place = Place::new(&self.keepers.data, service, environment);
            if !place.folder().is_dir() {
                continue;
            }
            let daemons = place.load().map(|state| state.daemons()).unwrap_or_default();
            // Whatever happens from here on, what is left with a daemon is found.
            let owe = || known::note(&self.keepers.data, &daemons, true).map_err(PortError::new);
            owe()?;
            // Its own deploy may be under way; that is broken off and stopped, which takes its grace.
            match ask(&place, &Request::Stop, Duration::from_secs(60)).await {
                Ok(Some(Answer::Stopped) | None) => {}
                other => tracing::warn!(service, %environment, ?other, "the keeper did not stop as asked"),
            }
            // No keeper, or one that was killed: what it left is found by its mark.
            for id in place.known() {
                proc::end(None, &mark(id), Duration::from_secs(10)).await;
            }
            if !docker::containers::remove_all(&daemons, &place).await {
                owe()?;
            }
            let folder = place.folder();
            tokio::task::spawn_blocking(move || fs::remove_dir_all(folder))
                .await
                .map_err(PortError::new)?
                .map_err(|e| {
                    PortError::new(format!("{} could not be removed: {e}", place.folder().display()))
                })?;
        }
        let _ = fs::remove_dir(self.keepers.data.join("deploys").join(service));
        if Place::all(&self.keepers.data).is_empty() {
            docker::network::forget(&self.keepers.data).await;
        }
        let caches = self.keepers.data.join("caches").join(service);
        let _ = tokio::task::spawn_blocking(move || fs::remove_dir_all(caches)).await;
        Ok(())
    }

    async fn clean(&self, keep: &Keep) -> Result<(), PortError> {
        let (data, limits) = (self.keepers.data.clone(), self.limits);
        let mut keep = keep.clone();
        let mut services = Vec::new();
        for place in Place::all(&data) {
            let state = place.load().map_err(PortError::new)?;
            if !state.kept.is_empty() {
                let tidied = ask(&place, &Request::Tidy(limits.kept.as_secs()), TIDY).await;
                if !matches!(tidied, Ok(Some(Answer::Tidied) | None)) {
                    tracing::warn!(service = place.service, ?tidied, "the keeper did not tidy up as asked");
                }
            }
            if let Some(live) = state.live {
                keep.artifacts.push(live.work.launch.artifact);
                services.push(place.service);
            }
        }
        tidy::all(&data, &self.own, &keep, &limits).await;
        let runs: Vec<String> = keep.runs.iter().map(ToString::to_string).collect();
        tokio::task::spawn_blocking(move || clean::clean(&data, &limits, &keep.artifacts, &runs, &services))
            .await
            .map_err(PortError::new)
    }
}
