//! What a runner and the server say to each other over `/runner/v1`, with a bearer token bound to one stage attempt.
//!
//! A token of another or an older attempt gets 409 and changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    containers::{ContainerSettings, EcsService, Toolchain},
    id::{DeploymentId, RunId, StageId},
    stage::{EnvironmentName, StageKind},
    time::Timestamp,
    view::{ErrorLine, Stream},
};

/// File in the data folder with the addresses of servers, one a line, those of this machine first. It is kept up to date while one
/// runs, and how programs on this machine find one that does.
pub const ADDRESSES: &str = "server.url";

/// What a runner finds on its standard input when it is started: where to report and how to prove itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// The address of the server that starts it, such as `http://127.0.0.1:3000`; others are in [`ADDRESSES`].
    pub server: String,
    /// Bound to this stage attempt.
    pub token: String,
    /// The data folder that server and runner share.
    pub data: String,
    /// The stage.
    pub stage: StageId,
    /// The attempt.
    pub attempt: u32,
}

/// What a task shows when it asks for the stage it was started for: it is not told by the server, but by an engine elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Which of the seven.
    pub stage: StageKind,
    /// Grows with each task that the engine starts for this stage.
    #[serde(rename = "try")]
    pub round: u32,
    /// What the engine was given for this stage of this run, and nothing else.
    pub ticket: String,
    /// The task's own name, which no other task has.
    pub task: String,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Claimed {
    /// The attempt is this task's; the token is bound to it.
    Go {
        /// The stage.
        id: StageId,
        /// The attempt.
        attempt: u32,
        /// Its token.
        token: String,
    },
    /// Something else must end first; ask again then.
    Wait {
        /// After how many milliseconds.
        after_ms: u64,
        /// What is waited for, in words.
        why: String,
    },
    /// There is nothing (more) to do.
    Over {
        /// Whether what comes after this stage may go on.
        passed: bool,
    },
}

/// An environment variable for a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether its value must not appear in a log.
    pub secret: bool,
}

/// How to start a version of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The service's name.
    pub service: String,
    /// The artifact: SHA-256 of the bundle, or the image by digest (see `ArtifactKind`).
    pub artifact: String,
    /// The commit it was built from.
    pub commit: String,
    /// The start command.
    pub start: String,
    /// Folder inside the artifact in which it is started.
    pub context: Option<String>,
    /// Path that answers 2xx when healthy; without one, an open port counts.
    pub health_path: Option<String>,
    /// How long it may take.
    pub health_timeout_s: u32,
    /// Its variables; `PORT` and `SEAMLESS_*` are added by whoever starts it.
    pub variables: Vec<JobVariable>,
    /// How its container is run; a process when absent.
    #[serde(default)]
    pub container: Option<Container>,
}

/// How an image is run as a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The port inside, where it was said; else what the image exposes, else 8080.
    pub port: Option<u16>,
    /// Daemon, limits, restarts.
    pub settings: ContainerSettings,
    /// Where the image is fetched from when the daemon does not have it.
    pub registry: Option<Registry>,
}

/// Where images are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Host, port and path before a service's name, such as `registry.example.org/acme`.
    pub address: String,
    /// Who logs in; nobody when absent.
    pub username: Option<String>,
    /// With what. Never in a log.
    pub password: Option<String>,
    /// Why there is no login, where there should be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What is not as it should be there, though images can be pushed: a line for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The image in which commands run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolchainImage {
    /// Such as `node:22`.
    pub image: String,
    /// How it is run.
    #[serde(flatten)]
    pub settings: Toolchain,
}

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageWork {
    /// Its path in the repository.
    pub dockerfile: String,
    /// Build arguments.
    pub arguments: BTreeMap<String, String>,
    /// Names among the job's variables that are handed over as build secrets.
    pub secrets: Vec<String>,
    /// The repository's address; without its password it becomes the label `org.opencontainers.image.source`.
    pub source: String,
    /// Where it is pushed; it stays with the daemon when absent.
    pub registry: Option<Registry>,
}

/// A Compose file that holds the integration tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeWork {
    /// Another repository, and the commit of it.
    pub repository: Option<(String, String)>,
    /// What Git may log in with there, where that is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<GitLogin>,
    /// Its path there; the usual names when absent.
    pub file: Option<String>,
    /// The candidate's name in it.
    pub service: String,
    /// Whose exit code is the verdict.
    pub test_service: String,
}

/// What a deploy stage does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployWork {
    /// The deployment's id: the target keeps it, so that a second try finds the first.
    pub deployment: DeploymentId,
    /// Where.
    pub environment: EnvironmentName,
    /// The port that stays.
    pub port: u16,
    /// What to start.
    pub launch: Launch,
    /// `SEAMLESS_URL_<SERVICE>` of the neighbours in the same environment.
    pub neighbours: Vec<JobVariable>,
    /// The service on ECS that becomes this version, where it is deployed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecs: Option<EcsService>,
    /// For a rollback: the deployment that is gone back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<DeploymentId>,
    /// Why it cannot be deployed as the service is set up now: the stage fails with these words, and nothing is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What Git logs in with at one host. Short-lived where the host can do that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitLogin {
    /// For which addresses, such as `https://github.com`.
    pub site: String,
    /// Who.
    pub username: String,
    /// With what. Never in a log.
    pub password: String,
}

/// The work of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "work")]
pub enum Work {
    /// Check out `commit` of `repository` into the run's workspace, then run the command.
    Prepare {
        /// Path or URL.
        repository: String,
        /// Ref that holds the commit, such as `refs/heads/main`; a hint.
        reference: String,
        /// What Git may log in with, where that is needed; for this stage alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login: Option<GitLogin>,
        /// Run afterwards, with caches.
        command: Option<String>,
    },
    /// Run a command in the workspace.
    Command {
        /// The command.
        command: String,
    },
    /// Run a command in the workspace, then bundle the workspace.
    Build {
        /// The command.
        command: Option<String>,
        /// Whether to make an artifact.
        bundle: bool,
        /// Make an image instead of a bundle.
        #[serde(default)]
        image: Option<ImageWork>,
    },
    /// Start the candidate and its neighbours, run the command, stop them.
    Integrate {
        /// The command.
        command: String,
        /// The new version.
        candidate: Launch,
        /// What is deployed of the others.
        neighbours: Vec<Launch>,
        /// The Compose file, where the candidate is an image and there is one.
        #[serde(default)]
        compose: Option<ComposeWork>,
    },
    /// Deploy an artifact.
    Deploy(DeployWork),
}

/// What a runner is to do; the answer to `GET /runner/v1/job`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// Its number.
    pub run_number: i64,
    /// The stage.
    pub stage: StageId,
    /// The attempt.
    pub attempt: u32,
    /// Which of the seven.
    pub kind: StageKind,
    /// The service's name.
    pub service: String,
    /// The branch.
    pub branch: String,
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// Folder inside the repository in which commands run.
    pub context: Option<String>,
    /// Hard limit of the stage.
    pub timeout_s: u32,
    /// Variables for the command.
    pub variables: Vec<JobVariable>,
    /// Whether its commands keep nothing for later runs: the commit is a stranger's, or on trial.
    #[serde(default)]
    pub aside: bool,
    /// The image in which commands run; on the host when absent.
    #[serde(default)]
    pub toolchain: Option<ToolchainImage>,
    /// What holds for its log.
    #[serde(default)]
    pub log: LogRules,
    /// The work.
    #[serde(flatten)]
    pub work: Work,
}

/// How much a stage may log, and what happens when it prints faster than the server stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRules {
    /// Lines; of more the middle is left out.
    pub lines: u64,
    /// Bytes of text; likewise.
    pub bytes: u64,
    /// What becomes of a command whose lines the server does not store in time.
    pub behind: Behind,
}

impl Default for LogRules {
    fn default() -> Self {
        Self { lines: 10_000_000, bytes: 1 << 30, behind: Behind::Wait }
    }
}

/// What becomes of a command whose lines the server does not store in time. While no server answers, lines go to the disk either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behind {
    /// It waits: 64 MiB behind, its next line is not read.
    #[default]
    Wait,
    /// It goes on: lines wait on the disk of the machine it runs on, up to the cap.
    Spool,
}

impl Job {
    /// Every secret variable that may turn up in this stage's log.
    pub fn secrets(&self) -> impl Iterator<Item = &JobVariable> {
        let launches: Vec<_> = match &self.work {
            Work::Deploy(deploy) => vec![&deploy.launch],
            Work::Integrate { candidate, neighbours, .. } => {
                std::iter::once(candidate).chain(neighbours).collect()
            }
            _ => Vec::new(),
        };
        let theirs = launches.into_iter().flat_map(|launch| &launch.variables);
        self.variables.iter().chain(theirs).filter(|v| v.secret && !v.value.is_empty())
    }

    /// Passwords that are no variables: the one within a repository's address, and the registry's.
    pub fn passwords(&self) -> impl Iterator<Item = &str> {
        let registry = match &self.work {
            Work::Build { image, .. } => image.as_ref().and_then(|image| image.registry.as_ref()),
            Work::Integrate { candidate: launch, .. } | Work::Deploy(DeployWork { launch, .. }) => {
                launch.container.as_ref().and_then(|container| container.registry.as_ref())
            }
            _ => None,
        };
        let address = match &self.work {
            Work::Prepare { repository, .. } => Some(repository),
            Work::Build { image: Some(image), .. } => Some(&image.source),
            Work::Integrate { compose: Some(ComposeWork { repository: Some((address, _)), .. }), .. } => {
                Some(address)
            }
            _ => None,
        };
        let within = address.and_then(|address| password_in(address));
        let login = match &self.work {
            Work::Prepare { login, .. }
            | Work::Integrate { compose: Some(ComposeWork { login, .. }), .. } => {
                login.as_ref().map(|login| login.password.as_str())
            }
            _ => None,
        };
        within.into_iter().chain(login).chain(registry.and_then(|registry| registry.password.as_deref()))
    }
}

/// The password, or the token in its place, within a repository's address.
pub fn password_in(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
    Some(user.split_once(':').map_or(user, |(_, password)| password))
}

/// A sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {}

/// The answer to a sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Whether the stage must end now.
    pub cancel: bool,
}

/// A line on its way; its number is its place in the batch plus the batch's first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLine {
    /// When it was printed.
    pub at: Timestamp,
    /// Which pipe.
    pub stream: Stream,
    /// Its text, masked.
    pub text: String,
}

/// Lines in order. Overlap with what is stored is accepted and ignored; a hole is refused with 409 and `next_seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBatch {
    /// Number of the first line.
    pub first_seq: u64,
    /// The lines.
    pub lines: Vec<NewLine>,
    /// What commands asked to have masked while the stage ran (`::add-mask::`), all of it so far: the server looks once more, and
    /// need not remember. Never stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<String>,
}

/// The answer to a batch: everything before this is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAnswer {
    /// Number of the next line the server wants.
    pub next_seq: u64,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Well.
    Success,
    /// Not well.
    Failure,
    /// Because it was told to.
    Cancelled,
}

/// What a stage made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outputs {
    /// Prepare: first line of the commit's message.
    pub message: Option<String>,
    /// Prepare: the commit's author.
    pub author: Option<String>,
    /// Build: SHA-256 of the bundle, or the image by digest.
    pub artifact: Option<String>,
    /// Build: its size in bytes.
    pub artifact_size: Option<u64>,
    /// Deploy: what took the place of what was live before.
    pub deployment: Option<DeploymentId>,
}

/// The end of a stage, posted after the whole log was acknowledged. Posting it twice is posting it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// How.
    pub outcome: Outcome,
    /// Why, in words a person can act on.
    pub reason: Option<String>,
    /// For a failure: the line to look at first.
    pub error: Option<ErrorLine>,
    /// The exit code of what failed, as a shell says it: of a process that a signal ended, 128 and the signal's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How many lines the log has.
    pub lines: u64,
    /// What was made.
    #[serde(default)]
    pub outputs: Outputs,
}
