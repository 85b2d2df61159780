//! Containers of this host and others, as far as the server and the keepers deal with them.
//!
//! Refuses to build or test anything: that is the runner's.

pub mod containers;
pub mod images;
pub mod known;
pub mod locate;
pub mod network;
pub mod sweep;
pub mod tidy;

use control::ports;
use domain::containers::ContainerSettings;
use runner::docker::Docker;
use serde::{Deserialize, Serialize};

/// Which daemon: as much of an environment's settings as it takes to find it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Daemon {
    /// Its address; the server's own daemon when absent.
    pub host: Option<String>,
    /// Certificates for it.
    pub certificates: Option<String>,
}

impl Daemon {
    /// The daemon of an environment.
    pub fn of(settings: &ContainerSettings) -> Self {
        Self { host: settings.host.clone(), certificates: settings.certificates.clone() }
    }

    /// The way to it.
    pub fn docker(&self) -> Docker {
        let Self { host, certificates } = self.clone();
        Docker::of(&ContainerSettings { host, certificates, ..ContainerSettings::default() })
    }

    /// Whether its containers run on this machine.
    pub fn is_here(&self) -> bool {
        self.docker().address() == "127.0.0.1"
    }
}

/// Whether the server's own daemon answers.
pub async fn probe() -> ports::Docker {
    let docker = Docker::here();
    match docker.version().await {
        Ok(version) => ports::Docker::Answers { version, host: docker.host() },
        Err(error) => ports::Docker::Away(error.to_string()),
    }
}
