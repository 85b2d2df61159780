//! What the pages show, put together: each is read at one moment.

use serde::{Deserialize, Serialize};

use super::{
    Activity, Commit, Deployment, EnvironmentRow, EnvironmentState, Hook, KeptImage, LogPage, Means, Run,
    Service,
};
use crate::{id::StageId, time::Timestamp};

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `before` to get the next page; `null` at the end.
    pub next: Option<String>,
}

/// Something that waits for a person, at the head of the overview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The run: awaiting approval, or failed and not yet followed by a better one.
    pub run: Run,
    /// For approvals: commits that would go live.
    pub commits: Vec<Commit>,
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
