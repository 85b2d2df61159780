//! What the REST API answers and the pages show: one set of types for both.
//!
//! Refuses to hold a secret: variables of secret kind arrive here without their value.

use serde::{Deserialize, Serialize};

use crate::{
    cloud::CloudAccount,
    containers::TargetKind,
    id::{DeliveryId, DeploymentId, PipelineId, RunId, ServiceId, SessionId, StageId, TokenId, UserId},
    plan::{Plan, Trigger},
    role::Role,
    service::ServiceSettings,
    stage::{EnvironmentName, StageKind},
    status::Status,
    time::Timestamp,
};

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `before` to get the next page; `null` at the end.
    pub next: Option<String>,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pipeline {
    /// Its id.
    pub id: PipelineId,
    /// Its name.
    pub name: String,
    /// Its environments, in deploy order.
    pub environments: Vec<String>,
    /// How many services it has.
    pub services: u64,
    /// What is kept of its services' runs, and for how long.
    pub retention: Retention,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What is kept of runs, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days after its end that a stage's log is removed; 0: never. Logs of deploys that are live stay.
    #[cfg_attr(feature = "openapi", schema(maximum = 3650, example = 90))]
    pub log_days: u32,
    /// Megabytes that all logs may take, compressed; the oldest go first. 0: any number.
    #[cfg_attr(feature = "openapi", schema(maximum = 100_000_000, example = 0))]
    pub log_megabytes: u64,
    /// Days after which a run is removed with everything that is known of it; 0: never. A service's newest run stays, and runs whose
    /// deploys were live since.
    #[cfg_attr(feature = "openapi", schema(maximum = 3650, example = 0))]
    pub run_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { log_days: 90, log_megabytes: 0, run_days: 0 }
    }
}

/// Which service, by id and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceRef {
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: String,
}

/// Automatic deploys to production are stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hold {
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

/// A service with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// The pipeline it belongs to.
    pub pipeline: PipelineId,
    /// What a person set, with the chosen ports filled in.
    #[serde(flatten)]
    pub settings: ServiceSettings,
    /// The runtime that was detected: `node`, `python`, `go`, ...
    pub runtime: Option<String>,
    /// Set while automatic deploys to production are stopped.
    pub hold: Option<Hold>,
    /// How pushes are noticed: `hook` (a post-receive hook tells), or `poll` (branch heads are compared).
    pub notices: String,
    /// When it was connected.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
}

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

/// What ran where since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Where.
    pub environment: EnvironmentName,
    /// What.
    pub artifact: Artifact,
    /// From which commit.
    pub commit: Commit,
    /// By which run.
    pub run: RunId,
    /// That run's number.
    pub run_number: i64,
    /// Whether it is what runs there now.
    pub live: bool,
    /// Since when it ran.
    pub since: Timestamp,
    /// When something else took its place.
    pub until: Option<Timestamp>,
    /// Whether it was a rollback.
    pub rollback: bool,
    /// Whether one can go back to it.
    pub can_roll_back: bool,
    /// Why not, and what helps.
    pub why_not: Option<String>,
    /// What could not be found out beforehand; a rollback finds it out, and is not refused for it.
    #[serde(default)]
    pub doubt: Option<String>,
}

/// An image that was deployed, of which the registry alone still knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeptImage {
    /// The deployment that its tag names; a rollback goes there by it.
    pub deployment: DeploymentId,
    /// Where it ran.
    pub environment: EnvironmentName,
    /// The image.
    pub artifact: Artifact,
    /// The commit that it was built from.
    pub commit: String,
    /// When it was deployed.
    pub at: Timestamp,
    /// Why one cannot go back to it, and what helps.
    pub why_not: Option<String>,
}

/// What runs in one environment of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnvironmentState {
    /// Where.
    pub environment: EnvironmentName,
    /// Whether the service uses it.
    pub used: bool,
    /// What runs there.
    pub artifact: Option<Artifact>,
    /// From which commit.
    pub commit: Option<Commit>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// By which run.
    pub run: Option<RunId>,
    /// `healthy`, `unhealthy`, `drifted` (changed, and not by a deployment from here), `stopped`, `none` (nothing deployed) or `unknown`.
    pub health: String,
    /// Why it is not healthy.
    pub health_reason: Option<String>,
    /// Its stable port.
    pub port: Option<u16>,
    /// Commits of staging that production does not have.
    pub ahead: Option<u32>,
}

/// One service in `GET /environments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnvironmentRow {
    /// Whose.
    pub service: ServiceRef,
    /// Staging.
    pub staging: EnvironmentState,
    /// Production.
    pub production: EnvironmentState,
}

/// The hook of a service's repository on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hook {
    /// `owner/name`.
    pub repository: String,
    /// Its page.
    pub page: String,
    /// Where a hook has to send to.
    pub url: String,
    /// `right`, `gone` (somebody deleted it), `refused` (it could not be made or looked at) or `none` (Seamless made none).
    pub state: String,
    /// Why it is not right, and what helps.
    pub problem: Option<String>,
    /// When it was last looked at.
    pub checked_at: Option<Timestamp>,
    /// Whether Seamless may make and mend hooks.
    pub can_mend: bool,
}

/// What Seamless has with GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forge {
    /// Its address.
    pub site: String,
    /// As what Seamless acts there: `app` or `token`; it only listens when absent.
    pub acts_as: Option<String>,
    /// Requests that are left, as GitHub last said.
    pub requests_left: Option<i64>,
    /// When their number starts anew.
    pub resets_at: Option<Timestamp>,
    /// Until when nothing is asked, because it was too much.
    pub waits_until: Option<Timestamp>,
    /// Runs of which something is still to be told.
    pub untold: u64,
    /// The newest trouble with telling.
    pub problem: Option<String>,
}

/// A received hook and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The sender's id for it; the same twice is one delivery.
    pub guid: String,
    /// `git`, `github` or `poll`.
    pub source: String,
    /// `push`, `pull_request_opened`, `pull_request_synchronized`; from GitHub the name of its event.
    pub event: String,
    /// For which service.
    pub service: Option<ServiceRef>,
    /// What it said; in lists, only the beginning of a long one, as text.
    pub payload: serde_json::Value,
    /// `pending`, `waiting` (for a person to let it run), `accepted` or `ignored`.
    pub verdict: String,
    /// Why it waits, was ignored, or what was done instead of a run.
    pub reason: Option<String>,
    /// The run it started.
    pub run: Option<RunId>,
    /// When it came.
    pub received_at: Timestamp,
    /// When it was dealt with.
    pub handled_at: Option<Timestamp>,
}

/// One entry of the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Its place; give it as `after` to go on.
    pub seq: i64,
    /// Of which run.
    pub run: Option<RunId>,
    /// Of which service.
    pub service: Option<ServiceId>,
    /// What happened: `run_created`, `stage_started`, ...
    pub kind: String,
    /// The particulars.
    pub payload: serde_json::Value,
    /// When.
    pub at: Timestamp,
}

/// Which pipe a line came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Seamless itself.
    System,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Its number, from 0, without holes.
    pub seq: u64,
    /// When it was printed.
    pub at: Timestamp,
    /// Which pipe.
    pub stream: Stream,
    /// Its text, secrets masked, ANSI colours kept.
    pub text: String,
}

/// A range of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Number of the line after the last one here.
    pub next_seq: u64,
    /// How many lines the log has so far.
    pub total: u64,
    /// Whether the log ends there and no more will come.
    pub complete: bool,
    /// Set once the log was removed: why. There are no lines then.
    pub removed: Option<String>,
}

/// A line that was searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogMatch {
    /// Its number.
    pub seq: u64,
    /// Its text.
    pub text: String,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogMatches {
    /// The first of them, up to the limit; from line `from` on, or the last ones before line `before`.
    pub matches: Vec<LogMatch>,
    /// How many lines match in all.
    pub total: u64,
    /// How many lines match before the first one here.
    pub earlier: u64,
    /// Give it as `from` to get the matches after these; `null` when there are none.
    pub next: Option<u64>,
}

/// A proposed setting and why it was proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Proposal {
    /// Path of the field, such as `commands.unit_test`.
    pub field: String,
    /// The value in words.
    pub value: String,
    /// Why.
    pub why: String,
}

/// What `POST /services/detect` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Detected {
    /// `node`, `python`, `go`, `rust`, `java`, `ruby`, `dotnet`, `docker`, or none.
    pub runtime: Option<String>,
    /// Ready to be sent to `POST /services`.
    pub settings: ServiceSettings,
    /// Each proposed field with its reason.
    pub proposals: Vec<Proposal>,
    /// The commit that was looked at.
    pub commit: Commit,
    /// Folders in it that look like services, where there is more than one.
    #[serde(default)]
    pub folders: Vec<String>,
}

/// A repository on the forge that a service can be connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// `owner/name`.
    pub full_name: String,
    /// Whether not everybody sees it.
    pub private: bool,
    /// What its owners say of it.
    pub description: String,
    /// Its default branch.
    pub default_branch: String,
    /// When somebody last pushed.
    pub pushed_at: Option<Timestamp>,
    /// Services that are connected to it.
    pub services: Vec<ServiceRef>,
}

/// A page of repositories that can be administered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidates {
    /// Those on this page, the last pushed to first.
    pub items: Vec<Candidate>,
    /// How many were found.
    pub found: usize,
    /// Of how many that were looked through.
    pub of: usize,
    /// Which page this is, from 1.
    pub page: usize,
    /// How many pages there are.
    pub pages: usize,
    /// Whether there are more than were looked through.
    pub more: bool,
    /// Whether it is a person's own list without any private one: they may let Seamless see those.
    pub public_only: bool,
    /// The forge's address for people.
    pub site: String,
    /// Why there is no list.
    pub problem: Option<String>,
}

/// A service that somebody is still connecting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Its id.
    pub id: ServiceId,
    /// What was filled in; secrets without their values.
    pub settings: ServiceSettings,
    /// By whom.
    pub by: String,
    /// When it was last kept.
    pub updated_at: Timestamp,
    /// Its newest trial.
    pub trial: Option<Run>,
}

/// Something that waits for a person, at the head of the overview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The run: awaiting approval, or failed and not yet followed by a better one.
    pub run: Run,
    /// For approvals: commits that would go live.
    pub commits: Vec<Commit>,
}

/// A pull request from a fork that waits until somebody looked at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranger {
    /// The delivery that waits.
    pub delivery: DeliveryId,
    /// For which service.
    pub service: ServiceRef,
    /// Its number.
    pub pull_request: u64,
    /// `owner/name` of the fork.
    pub fork: String,
    /// Who asks.
    pub by: Option<String>,
    /// Its newest commit.
    pub commit: Commit,
    /// Where what it changes can be read.
    pub page: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// One row of the overview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverviewRow {
    /// The service.
    pub service: Service,
    /// Its newest run.
    pub last_run: Option<Run>,
    /// Staging.
    pub staging: EnvironmentState,
    /// Production.
    pub production: EnvironmentState,
}

/// One line of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// `running`, `failed`, `waits`, `rolled_back`, `live`, `cancelled`, `hold`.
    pub kind: String,
    /// Which service.
    pub service: ServiceRef,
    /// Which run.
    pub run: Option<RunId>,
    /// The commit it is about.
    pub commit: Option<Commit>,
    /// What happened, after the service's name: "went live".
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// What the overview page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// What waits for a person.
    pub needs: Vec<Need>,
    /// Every service.
    pub rows: Vec<OverviewRow>,
    /// What happened last, newest first.
    pub activity: Vec<Activity>,
    /// Runs on their way.
    pub running: u32,
    /// The server's clock, for relative times.
    pub now: Timestamp,
    /// Where the live stream goes on from here.
    pub cursor: String,
}

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

/// What the run page shows besides the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPage {
    /// The run.
    pub run: Run,
    /// The stage whose log is shown.
    pub shown: Option<StageId>,
    /// The last lines of that log.
    pub log: LogPage,
    /// Commits since what is live in production, newest first.
    pub commits: Vec<Commit>,
    /// What is live in production now.
    pub live: Option<Deployment>,
    /// The neighbours' versions an integration test meets.
    pub neighbours: Vec<EnvironmentRow>,
    /// What it uses.
    pub means: Means,
    /// The server's clock.
    pub now: Timestamp,
    /// Where the live stream goes on from here.
    pub cursor: String,
}

/// What the service page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePage {
    /// The service.
    pub service: Service,
    /// What runs where.
    pub environments: EnvironmentRow,
    /// Its newest runs.
    pub runs: Vec<Run>,
    /// Its newest deployments, of both environments.
    pub deployments: Vec<Deployment>,
    /// What ran before them, as the registry remembers.
    pub kept: Vec<KeptImage>,
    /// What its next run will use.
    pub means: Means,
    /// The hook of its repository, where that is on GitHub.
    pub hook: Option<Hook>,
    /// The server's clock.
    pub now: Timestamp,
    /// Where the overview's live stream goes on from here.
    pub cursor: String,
}

/// What the login page says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// Where one can log in; only by the printed link when absent.
    pub site: Option<String>,
    /// What is asked for there besides who one is.
    pub scopes: Vec<String>,
    /// Nobody owns this server yet: it takes the printed code.
    pub needs_code: bool,
}

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Their id.
    pub id: UserId,
    /// What they are called on GitHub.
    pub login: String,
    /// Their own name; empty when it is not known.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Why they may in: `code`, `invitation` or `list`.
    pub came_by: String,
    /// Who invited them.
    pub invited_by: Option<String>,
    /// When they were last here; never, if absent.
    pub seen_at: Option<Timestamp>,
    /// Whether it is the one who asks.
    pub you: bool,
}

/// An API token, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may do: no more than who made it may now.
    pub role: Role,
    /// Who made it; the machine's owner, if absent.
    pub by: Option<String>,
    /// Whether it does nothing until who made it logs in again.
    pub rests: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself; never, if absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
}

/// A browser session, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Whose it is, by name.
    pub user: String,
    /// The browser's own words about itself.
    pub agent: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}
