//! Traits to the outside: what starts runners, what knows Git, what knows this host's deployed processes.
//!
//! Refuses SDK types in signatures; an adapter keeps those to itself.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{
    DeploymentId, EnvironmentName, RunId, StageId, StageKind,
    cloud::{CloudAccount, NewCloudService},
    containers::{ContainerSettings, EcsService},
    problem::FieldError,
    protocol::Registry,
    view::Commit,
};
use secrecy::SecretString;

/// Something outside did not do what it was asked, in words for the log and the run page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

impl PortError {
    /// From anything that can say what is wrong.
    pub fn new(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// One attempt at a stage, with the token that is bound to it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// The stage.
    pub stage: StageId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Which of the seven.
    pub kind: StageKind,
    /// What the runner proves itself with.
    pub token: SecretString,
}

/// Starts and ends runners.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts a runner, detached from this process. Starting the same attempt twice while it lives is one start.
    async fn launch(&self, attempt: &Attempt) -> Result<(), PortError>;
    /// Whether that attempt's runner lives.
    async fn alive(&self, stage: StageId, attempt: u32) -> Result<bool, PortError>;
    /// Ends the runner and everything it started, at once.
    async fn kill(&self, stage: StageId, attempt: u32) -> Result<(), PortError>;
    /// Removes what runners that are gone have left where `kill` could not reach it at the time. Idempotent.
    async fn sweep(&self) -> Result<(), PortError>;
}

/// Why a repository did not give what was asked. The text tells a person what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// Nothing is there.
    #[error("there is no Git repository at {0}; check the path or URL")]
    NoRepository(String),
    /// It wants to know who asks.
    #[error(
        "{0} asks for a password; use an address that can be read without one, or a path on this machine"
    )]
    NeedsPassword(String),
    /// It has no commit.
    #[error("{0} has no commits yet; push one first")]
    Empty(String),
    /// The branch is not there.
    #[error("{repository} has no branch {branch:?}; it has: {known}")]
    NoBranch {
        /// Which repository.
        repository: String,
        /// What was asked for.
        branch: String,
        /// What there is.
        known: String,
    },
    /// The commit is not there (any more).
    #[error("commit {commit} is not in {repository}; it may have been replaced by a force push")]
    NoCommit {
        /// Which repository.
        repository: String,
        /// What was asked for.
        commit: String,
    },
    /// Git said something else.
    #[error("Git could not read {repository}: {message}")]
    Other {
        /// Which repository.
        repository: String,
        /// Git's own words.
        message: String,
    },
}

/// What is new in a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Its whole message.
    pub message: String,
    /// Paths of the files that differ.
    pub paths: Vec<String>,
}

/// Reads repositories and puts hooks into local ones.
#[async_trait]
pub trait Git: Send + Sync {
    /// The branch that `HEAD` names.
    async fn default_branch(&self, repository: &str) -> Result<String, GitError>;
    /// The newest commit of a branch, or the commit that `commit` names; the mirror is brought up to date when needed.
    async fn resolve(
        &self,
        repository: &str,
        branch: Option<&str>,
        commit: Option<&str>,
    ) -> Result<Commit, GitError>;
    /// The head of a branch, without fetching anything.
    async fn head(&self, repository: &str, branch: &str) -> Result<String, GitError>;
    /// Commits reachable from `to` but not from `from`, newest first, at most `limit`, from the mirror.
    async fn log(
        &self,
        repository: &str,
        from: Option<&str>,
        to: &str,
        limit: u32,
    ) -> Result<Vec<Commit>, GitError>;
    /// Paths of all files at a commit.
    async fn files(&self, repository: &str, commit: &str) -> Result<Vec<String>, GitError>;
    /// Contents of the named files at a commit, 256 KiB each at most; absent ones are left out.
    async fn read(
        &self,
        repository: &str,
        commit: &str,
        paths: &[String],
    ) -> Result<BTreeMap<String, String>, GitError>;
    /// What a commit brings to what was there before: for a pull request (`three_dots`) since it left its base. `reference` is
    /// where the commit is found.
    async fn change(
        &self,
        repository: &str,
        reference: &str,
        from: &str,
        to: &str,
        three_dots: bool,
    ) -> Result<Change, GitError>;
    /// Whether `to` has `from` in its history.
    async fn precedes(&self, repository: &str, from: &str, to: &str) -> Result<bool, GitError>;
    /// Puts a shell command into the repository's post-receive hook between our own marks. False when the repository is no
    /// local bare one that we may write to.
    async fn install_hook(&self, repository: &str, line: &str) -> Result<bool, GitError>;
    /// Takes that command out again.
    async fn remove_hook(&self, repository: &str, line: &str) -> Result<(), GitError>;
}

/// What really runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The deployment that serves.
    pub deployment: Option<DeploymentId>,
    /// `healthy`, `unhealthy`, `drifted`, `stopped`, `unknown` or `none`.
    pub health: String,
    /// Why it is not healthy.
    pub reason: Option<String>,
}

/// Whether containers can be used, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Docker {
    /// A daemon answers: its version, and where it is.
    Answers {
        /// Such as `28.2.2`.
        version: String,
        /// Such as `unix:///var/run/docker.sock`.
        host: String,
    },
    /// None does, for this reason.
    Away(String),
}

/// Whether an artifact could be deployed now, each answer in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    There,
    /// It is not, and what helps.
    Gone(String),
    /// Nobody could be asked, and why.
    Unknown(String),
    /// The daemon that would run it does not answer, and why.
    NoDaemon(String),
}

/// An image that its tags say was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// `sha256:…`.
    pub digest: String,
    /// By which deployment.
    pub deployment: DeploymentId,
    /// Where.
    pub environment: EnvironmentName,
    /// From which commit, where a tag says so.
    pub commit: Option<String>,
    /// Its size in bytes.
    pub size: u64,
}

/// A login at a registry, for a while.
#[derive(Debug, Clone)]
pub struct RegistryLogin {
    /// Who.
    pub username: String,
    /// With what.
    pub password: SecretString,
    /// What is not as it should be there, though one can log in: a line for the stage's log.
    pub warning: Option<String>,
}

/// A registry whose logins hold for a while, and whose repositories have to be made.
#[async_trait]
pub trait Images: Send + Sync {
    /// Who logs in, and with what, for the images of a service. Where they are to be pushed, their repository is made unless it is
    /// there.
    async fn login(&self, service: &str, push: bool) -> Result<RegistryLogin, PortError>;
    /// Whether these images are there, in their order.
    async fn found(&self, wanted: &[String]) -> Vec<Found>;
    /// Images of a service that were deployed and are still there.
    async fn deployed(&self, service: &str) -> Result<Vec<Tagged>, PortError>;
}

/// Why a service was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotMade {
    /// Something about what was asked for, and what helps.
    Wrong(FieldError),
    /// Something else.
    Not(PortError),
}

/// Services that run in a cloud: picked from what is there, looked at, made.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// What there is, with what it runs now.
    async fn account(&self) -> Result<CloudAccount, PortError>;
    /// What really runs of the service with this name, held against the artifact that should.
    async fn deployed(
        &self,
        service: &str,
        place: &EcsService,
        artifact: &str,
    ) -> Result<Deployed, PortError>;
    /// Makes a service. The very same asked for twice is one.
    async fn create(&self, wanted: &NewCloudService) -> Result<(), NotMade>;
}

/// What the clean-up leaves alone, and where else it looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Artifacts that are live, among the last good ones, or needed by a run that goes on.
    pub artifacts: Vec<String>,
    /// Runs that go on.
    pub runs: Vec<RunId>,
    /// The daemons of all environments, beside the server's own.
    pub daemons: Vec<ContainerSettings>,
}

/// What this host keeps and runs.
#[async_trait]
pub trait Host: Send + Sync {
    /// What really runs of a service in an environment.
    async fn deployed(&self, service: &str, environment: EnvironmentName) -> Result<Deployed, PortError>;
    /// Where these artifacts are, in their order: bundles in the data folder, images with the daemon that would run them or in
    /// the registry.
    async fn artifacts(
        &self,
        wanted: &[String],
        daemon: &ContainerSettings,
        registry: Option<&Registry>,
    ) -> Vec<Found>;
    /// Whether containers can be used.
    async fn docker(&self) -> Docker;
    /// A port that is free now and not in `taken`.
    async fn free_port(&self, environment: EnvironmentName, taken: &[u16]) -> Result<u16, PortError>;
    /// Whether a server of this data folder lives, by the id of its start.
    async fn server_lives(&self, node: &str) -> bool;
    /// Whether nobody listens there.
    async fn port_is_free(&self, port: u16) -> bool;
    /// Starts again what should run and does not, as after a reboot. Idempotent.
    async fn ensure(&self) -> Result<(), PortError>;
    /// Stops and removes everything that is deployed of a service.
    async fn retire(&self, service: &str) -> Result<(), PortError>;
    /// Removes workspaces, caches, stage folders, artifacts, images, kept containers and build caches by age and size, and
    /// containers that belong to nothing any more; never what is named here.
    async fn clean(&self, keep: &Keep) -> Result<(), PortError>;
}
