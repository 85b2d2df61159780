//! Services, and where each of their environments stands.

use serde::{Deserialize, Serialize};

use super::{Artifact, Commit};
use crate::{
    id::{PipelineId, RunId, ServiceId},
    service::ServiceSettings,
    stage::EnvironmentName,
    time::Timestamp,
};

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
