//! What this machine runs and keeps: deployed versions, artifacts, ports.
//!
//! Refuses to decide what should run; it says what does, and starts again what a keeper remembers.

use std::{fs, path::PathBuf, time::Duration};

use async_trait::async_trait;
use control::ports::{Deployed, Docker, Host, PortError};
use domain::{EnvironmentName, RunId, containers::ArtifactKind, protocol::Registry};

use crate::{
    clean, docker,
    keeper::{
        spawn::Keepers,
        state::{Place, mark},
        wire::{Answer, Request, ask},
    },
    proc,
};

/// This machine.
#[derive(Debug, Clone)]
pub struct ThisHost {
    keepers: Keepers,
    limits: clean::Limits,
}

impl ThisHost {
    /// With keepers started this way.
    pub fn new(keepers: Keepers) -> Self {
        Self { keepers, limits: clean::Limits::default() }
    }

    /// With other limits on what is kept.
    #[must_use]
    pub fn with_limits(mut self, limits: clean::Limits) -> Self {
        self.limits = limits;
        self
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

    async fn has_artifacts(&self, artifacts: &[String], registry: Option<&Registry>) -> Vec<bool> {
        let is_image = |a: &&String| ArtifactKind::of(a) == ArtifactKind::Image;
        let images: Vec<String> = artifacts.iter().filter(is_image).cloned().collect();
        let found = docker::images::locate(&runner::docker::Docker::here(), &images, registry).await;
        let there = |artifact: &String| match ArtifactKind::of(artifact) {
            ArtifactKind::Bundle => self.artifact(artifact).exists(),
            ArtifactKind::Image => !matches!(found.get(artifact), Some(docker::images::Where::Gone)),
        };
        artifacts.iter().map(there).collect()
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
        if failed.is_empty() { Ok(()) } else { Err(PortError::new(failed.join("; "))) }
    }

    async fn retire(&self, service: &str) -> Result<(), PortError> {
        for environment in EnvironmentName::ALL {
            let place = Place::new(&self.keepers.data, service, environment);
            if !place.folder().is_dir() {
                continue;
            }
            let daemons = place.load().map(|state| state.daemons()).unwrap_or_default();
            // Its own deploy may be under way; that is broken off and stopped, which takes its grace.
            match ask(&place, &Request::Stop, Duration::from_secs(60)).await {
                Ok(Some(Answer::Stopped) | None) => {}
                other => tracing::warn!(service, %environment, ?other, "the keeper did not stop as asked"),
            }
            // No keeper, or one that was killed: what it left is found by its mark.
            for id in place.known() {
                proc::end(None, &mark(id), Duration::from_secs(10)).await;
            }
            docker::containers::remove_all(&daemons, &place).await;
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

    async fn clean(&self, keep_artifacts: &[String], keep_runs: &[RunId]) -> Result<(), PortError> {
        let (data, limits) = (self.keepers.data.clone(), self.limits);
        let mut artifacts: Vec<String> = keep_artifacts.to_vec();
        let mut services = Vec::new();
        for place in Place::all(&data) {
            if let Some(live) = place.load().map_err(PortError::new)?.live {
                artifacts.push(live.work.launch.artifact);
                services.push(place.service);
            }
        }
        let runs: Vec<String> = keep_runs.iter().map(ToString::to_string).collect();
        tokio::task::spawn_blocking(move || clean::clean(&data, &limits, &artifacts, &runs, &services))
            .await
            .map_err(PortError::new)
    }
}
