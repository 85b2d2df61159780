//! What a runner and the server say to each other over `/runner/v1`, with a bearer token bound to one stage attempt.
//!
//! A token of another or an older attempt gets 409 and changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    containers::{ContainerSettings, Toolchain},
    id::{DeploymentId, RunId, StageId},
    stage::{EnvironmentName, StageKind},
    time::Timestamp,
    view::{ErrorLine, Stream},
};

/// What a runner finds on its standard input when it is started: where to report and how to prove itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// The server's address, such as `http://127.0.0.1:3000`.
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
    /// The image in which commands run; on the host when absent.
    #[serde(default)]
    pub toolchain: Option<ToolchainImage>,
    /// The work.
    #[serde(flatten)]
    pub work: Work,
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
    /// How many lines the log has.
    pub lines: u64,
    /// What was made.
    #[serde(default)]
    pub outputs: Outputs,
}
