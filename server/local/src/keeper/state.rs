//! Where a keeper keeps its things, and what it remembers between its own lives.
//!
//! Refuses to leave a half-written state: it is written beside and renamed, for the owner's eyes only.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use domain::{DeploymentId, EnvironmentName, Timestamp, protocol::DeployWork};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::health::Address;
use crate::{docker::Daemon, proc::Identity};

/// The folder of one service in one environment.
#[derive(Debug, Clone)]
pub struct Place {
    /// The data folder.
    pub data: PathBuf,
    /// The service's name.
    pub service: String,
    /// The environment.
    pub environment: EnvironmentName,
}

impl Place {
    /// The place of a service in an environment.
    pub fn new(data: &Path, service: &str, environment: EnvironmentName) -> Self {
        Self { data: data.into(), service: service.into(), environment }
    }

    /// All places there are in a data folder.
    pub fn all(data: &Path) -> Vec<Place> {
        let services = fs::read_dir(data.join("deploys")).into_iter().flatten().flatten();
        let names = services.filter_map(|entry| entry.file_name().into_string().ok());
        names
            .flat_map(|name| EnvironmentName::ALL.map(|environment| Place::new(data, &name, environment)))
            .filter(|place| place.folder().is_dir())
            .collect()
    }

    /// `deploys/<service>/<environment>`.
    pub fn folder(&self) -> PathBuf {
        self.data.join("deploys").join(&self.service).join(self.environment.as_str())
    }

    /// Makes the folder, for the owner alone.
    pub fn make(&self) -> io::Result<()> {
        for folder in [self.folder(), self.versions(), self.folder().join("logs"), self.folder().join("tmp")]
        {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(())
    }

    /// Unpacked versions, one folder per deployment.
    pub fn versions(&self) -> PathBuf {
        self.folder().join("versions")
    }

    /// The folder of one version.
    pub fn version(&self, deployment: DeploymentId) -> PathBuf {
        self.versions().join(deployment.to_string())
    }

    /// The deployments that have a folder, oldest first.
    pub fn known(&self) -> Vec<DeploymentId> {
        let entries = fs::read_dir(self.versions()).into_iter().flatten().flatten();
        let mut ids: Vec<DeploymentId> =
            entries.filter_map(|e| e.file_name().to_str()?.parse::<DeploymentId>().ok()).collect();
        ids.sort();
        ids
    }

    /// What a version printed.
    pub fn log(&self, deployment: DeploymentId) -> PathBuf {
        self.folder().join("logs").join(format!("{deployment}.log"))
    }

    /// Removes what was being unpacked when a keeper died.
    pub fn remove_unfinished(&self) {
        for entry in fs::read_dir(self.versions()).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with('.') {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Removes all logs but the newest.
    pub fn prune_logs(&self, keep: usize) {
        let entries = fs::read_dir(self.folder().join("logs")).into_iter().flatten().flatten();
        let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        logs.sort();
        // Each may have an older part beside it, so count by deployment.
        let mut names: Vec<String> = logs
            .iter()
            .filter_map(|p| Some(p.file_name()?.to_str()?.split('.').next()?.to_owned()))
            .collect();
        names.dedup();
        let old = &names[..names.len().saturating_sub(keep)];
        for log in &logs {
            let name = log.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if old.iter().any(|id| name.starts_with(id.as_str())) {
                let _ = fs::remove_file(log);
            }
        }
    }

    /// What the live version prints: a link to its log.
    pub fn service_log(&self) -> PathBuf {
        self.folder().join("service.log")
    }

    /// The keeper's own words.
    pub fn keeper_log(&self) -> PathBuf {
        self.folder().join("keeper.log")
    }

    fn state(&self) -> PathBuf {
        self.folder().join("state.json")
    }

    /// Takes the lock that only one keeper can hold; `None` when another has it. It is held until the file is closed.
    pub fn lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.folder().join("keeper.lock"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Does something with the socket's path, by a short way round when it is too long for the kernel (108 bytes).
    pub fn with_socket<T>(&self, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let path = self.folder().join("keeper.sock");
        if path.as_os_str().len() < 100 {
            return act(&path);
        }
        let folder = File::open(self.folder())?;
        act(&PathBuf::from(format!("/proc/self/fd/{}/keeper.sock", folder.as_raw_fd())))
    }

    /// Reads what was remembered; nothing when there is nothing.
    pub fn load(&self) -> io::Result<State> {
        match fs::read(self.state()) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(e) => Err(e),
        }
    }

    /// Reads what was remembered; what cannot be understood is set aside, so that it does not stand in the way for ever.
    pub fn recall(&self) -> io::Result<State> {
        match self.load() {
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                let aside = self.folder().join("state.json.unreadable");
                tracing::error!(error = %e, aside = %aside.display(), "what should run is unknown; deploy it again");
                fs::rename(self.state(), aside)?;
                Ok(State::default())
            }
            other => other,
        }
    }

    /// Remembers.
    pub fn save(&self, state: &State) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.folder())?; // 0600 from birth
        file.write_all(&serde_json::to_vec_pretty(state)?)?;
        file.as_file().sync_all()?;
        file.persist(self.state())?;
        Ok(())
    }
}

/// What a keeper remembers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// What should run.
    pub live: Option<Live>,
    /// Containers that were live before, stopped, newest first.
    #[serde(default)]
    pub kept: Vec<Boxed>,
    /// Where a container is being made, or what was made and did not become live is still to be removed.
    #[serde(default)]
    pub making: Option<Daemon>,
}

impl State {
    /// What is live and what is kept, where it is a container.
    pub fn containers(&self) -> impl Iterator<Item = &Boxed> {
        let live = self.live.as_ref().and_then(|live| live.started.as_ref()?.container());
        live.into_iter().chain(&self.kept)
    }

    /// Every daemon that has, or may have, a container of this place.
    pub fn daemons(&self) -> BTreeSet<Daemon> {
        self.containers().map(|boxed| &boxed.daemon).chain(&self.making).cloned().collect()
    }

    /// Another version is live. Its predecessor comes first among what is kept; what is live again is kept no more.
    pub fn switch(&mut self, live: Live) {
        let container = |live: &Live| live.started.as_ref().and_then(Started::container).cloned();
        let now = container(&live);
        let was = self.live.replace(live).as_ref().and_then(container);
        let kept = was.into_iter().chain(std::mem::take(&mut self.kept));
        self.kept =
            kept.filter(|old| now.as_ref().is_none_or(|now| now.container != old.container)).collect();
        self.making = None;
    }

    /// Whether somebody must still see to something.
    pub fn is_idle(&self) -> bool {
        self.live.is_none() && self.making.is_none()
    }
}

/// The version that should run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Live {
    /// All that is needed to start it again, secrets included.
    pub work: DeployWork,
    /// Since when it serves.
    pub since: Timestamp,
    /// What was last started for it.
    #[serde(alias = "process")]
    pub started: Option<Started>,
    /// How often it was started again after it ended by itself.
    pub restarts: u32,
}

/// What was started for a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Started {
    /// A process of this machine.
    Process {
        /// Which.
        id: Identity,
        /// What it got as `PORT`.
        port: u16,
    },
    /// A container.
    Container(Box<Boxed>),
}

impl Started {
    /// The process, where it is one.
    pub fn process(&self) -> Option<Identity> {
        match self {
            Started::Process { id, .. } => Some(*id),
            Started::Container(_) => None,
        }
    }

    /// The container, where it is one.
    pub fn container(&self) -> Option<&Boxed> {
        match self {
            Started::Process { .. } => None,
            Started::Container(boxed) => Some(boxed),
        }
    }
}

/// A container of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boxed {
    /// Its id, all of it.
    pub container: String,
    /// Its name, for people.
    pub name: String,
    /// Whose it is.
    pub daemon: Daemon,
    /// Where it answers.
    pub address: Address,
    /// The port on which the service listens inside.
    pub inside: u16,
    /// The ports that its image exposes.
    pub exposed: Vec<u16>,
    /// Identity of everything it was made with.
    pub config: String,
}

/// What the processes of a deployment carry in their environment.
pub fn mark(deployment: DeploymentId) -> String {
    format!("SEAMLESS_DEPLOYMENT={deployment}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_an_earlier_release_remembered_is_understood() {
        let old = r#"{"live": {"work": {"deployment": "01JGQ5Y3X8V4T6R2N9M7K1H0FA", "environment": "production", "port": 4100,
            "launch": {"service": "orders", "artifact": "ab", "commit": "cd", "start": "./run", "context": null, "health_path": null,
            "health_timeout_s": 60, "variables": []}, "neighbours": []}, "since": "2026-11-25T10:00:00.000Z",
            "process": {"id": {"pid": 7, "started": 9}, "port": 23456}, "restarts": 1}}"#;
        let live = serde_json::from_str::<State>(old).unwrap().live.unwrap();
        let id = Identity { pid: 7, started: 9 };
        assert_eq!(live.started, Some(Started::Process { id, port: 23456 }));
    }
}
