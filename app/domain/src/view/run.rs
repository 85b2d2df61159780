//! Runs, their stages, and what they say of a commit.

use serde::{Deserialize, Serialize};

use super::ServiceRef;
use crate::{
    id::{RunId, StageId},
    plan::{Plan, Trigger},
    stage::StageKind,
    status::Status,
    time::Timestamp,
};

/// A commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Commit {
    /// 40 hexadecimal digits.
    pub sha: String,
    /// First line of its message; empty until the repository was read.
    pub message: String,
    /// Its author's name; empty until the repository was read.
    pub author: String,
}

impl Commit {
    /// The first seven digits.
    pub fn short(&self) -> &str {
        self.sha.get(..7).unwrap_or(&self.sha)
    }
}

/// The line to look at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorLine {
    /// Its number in the stage's log.
    pub seq: u64,
    /// Its text.
    pub text: String,
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stage {
    /// Its id.
    pub id: StageId,
    /// Which of the seven.
    pub kind: StageKind,
    /// Where it stands.
    pub status: Status,
    /// Why, for a failure, a skip, a cancel or a wait.
    pub reason: Option<String>,
    /// The current attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// When that attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// How long it usually takes: the median of its last successes.
    pub usual_ms: Option<i64>,
    /// Lines in its log so far.
    pub lines: u64,
    /// Set once its log was removed: why.
    pub log_removed: Option<String>,
    /// For a failure: the line to look at first.
    pub error: Option<ErrorLine>,
    /// For a failure: the exit code of the command, the container or the task that failed, as a shell says it (128 and the signal's number
    /// for one that a signal ended); `null` where nothing exited.
    pub exit_code: Option<i32>,
    /// Its place in the queue, from 1, while it waits for a free slot.
    pub queue: Option<u32>,
}

/// The wait for a person, or what that person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Approval {
    /// `waiting`, `approved`, `rejected`, `expired` or `superseded`.
    pub state: String,
    /// SHA-256 of the artifact it is bound to.
    pub artifact: Option<String>,
    /// Since when.
    pub requested_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// By whom it was decided.
    pub by: Option<String>,
    /// What they said.
    pub comment: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why a person is asked although the service deploys by itself: the hold.
    pub note: Option<String>,
}

/// The immutable result of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Artifact {
    /// SHA-256 of the bundle, 64 hexadecimal digits; or the image, `name@sha256:…` or `sha256:…`.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The pull request behind a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The fork it comes from: its run gets no secrets.
    pub fork: Option<String>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its number among the service's runs, from 1.
    pub number: i64,
    /// Whose.
    pub service: ServiceRef,
    /// Where it stands.
    pub status: Status,
    /// Why, where there is something to say.
    pub reason: Option<String>,
    /// Why it exists.
    pub trigger: Trigger,
    /// Who asked for it, where a person did.
    pub requested_by: Option<String>,
    /// The branch it came from.
    pub branch: String,
    /// The commit.
    pub commit: Commit,
    /// The pull request, if it came from one.
    pub pull_request: Option<PullRequest>,
    /// What it does.
    pub plan: Plan,
    /// How far it is.
    pub stages: Vec<Stage>,
    /// The approval, if there is a gate and it was reached.
    pub approval: Option<Approval>,
    /// What it built, or was given.
    pub artifact: Option<Artifact>,
    /// The run it repeats.
    pub rerun_of: Option<RunId>,
    /// Where an engine elsewhere shows what it does for it; only on the run by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its first stage started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// From the first stage's start to the end.
    pub duration_ms: Option<i64>,
}

impl Run {
    /// The first stage that failed.
    pub fn failed_stage(&self) -> Option<&Stage> {
        self.stages.iter().find(|s| s.status == Status::Failure)
    }

    /// Its stage of a kind.
    pub fn stage(&self, kind: StageKind) -> Option<&Stage> {
        self.stages.iter().find(|s| s.kind == kind)
    }
}
