//! Where things lie in the data folder that runner and server share.

use std::path::{Path, PathBuf};

use domain::{RunId, StageId};
use sha2::{Digest, Sha256};

/// The data folder.
#[derive(Debug, Clone)]
pub struct Data(PathBuf);

impl Data {
    /// The layout below this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Credentials, the runner's own log and the spool of one attempt.
    pub fn stage(&self, stage: StageId, attempt: u32) -> PathBuf {
        self.0.join("stages").join(format!("{stage}.{attempt}"))
    }

    /// All mirrors.
    pub fn mirrors(&self) -> PathBuf {
        self.0.join("mirrors")
    }

    /// The bare mirror of one repository.
    pub fn mirror(&self, repository: &str) -> PathBuf {
        let digest = hex::encode(Sha256::digest(repository.as_bytes()));
        self.mirrors().join(format!("{}.git", &digest[..32]))
    }

    /// Everything of one run that may go when the run is over.
    pub fn run(&self, run: RunId) -> PathBuf {
        self.0.join("work").join(run.to_string())
    }

    /// The checkout of one run.
    pub fn workspace(&self, run: RunId) -> PathBuf {
        self.run(run).join("src")
    }

    /// What a service's commands keep between runs.
    pub fn caches(&self, service: &str) -> PathBuf {
        self.0.join("caches").join(service)
    }

    /// What the commands of one run keep, where they keep nothing for others.
    pub fn own_caches(&self, run: RunId) -> PathBuf {
        self.run(run).join("caches")
    }

    /// All artifacts.
    pub fn artifacts(&self) -> PathBuf {
        self.0.join("artifacts")
    }
}
