//! What this server has to work with: daemons, registries, engines.

use serde::{Deserialize, Serialize};

use crate::{cloud::CloudAccount, containers::TargetKind, stage::EnvironmentName, time::Timestamp};

/// Whether a Docker daemon answers for images and toolchains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Daemon {
    /// It does.
    Answers {
        /// Its version, such as `28.2.2`.
        version: String,
        /// Where it is, such as `unix:///var/run/docker.sock`.
        host: String,
    },
    /// It does not, for this reason.
    Away(String),
    /// Stages run on other machines, each with its own; the server needs none.
    Elsewhere,
}

/// What this server has for containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containers {
    /// Its daemon.
    pub daemon: Daemon,
    /// Where images are pushed; they stay with the daemon when absent.
    pub registry: Option<String>,
    /// What the AWS account has, or why it cannot be asked.
    pub cloud: Result<CloudAccount, String>,
    /// Whether services can be deployed to ECS alone.
    pub ecs_alone: bool,
}

/// An engine elsewhere that drives runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Executions that are not over.
    pub open: u64,
    /// What keeps them from going on, each said once.
    pub troubles: Vec<String>,
    /// The newest messages of it that nothing could be made of.
    pub aside: Vec<Aside>,
}

/// A message that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// When.
    pub at: Timestamp,
    /// Why nothing could be made of it.
    pub why: String,
    /// What it says.
    pub body: String,
}

/// What runs of a service use, told before one starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Means {
    /// How it is deployed; absent when it is not.
    pub target: Option<TargetKind>,
    /// The toolchain image of its commands; they run on the server's machine when absent.
    pub image: Option<String>,
    /// The server's daemon; not asked when nothing needs it.
    pub daemon: Option<Daemon>,
    /// Environments that are with a daemon of their own, and where that is.
    pub elsewhere: Vec<(EnvironmentName, String)>,
    /// Why it cannot be deployed like that, whatever answers.
    pub trouble: Option<String>,
}
