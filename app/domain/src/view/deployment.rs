//! What was deployed, and what could be again.

use serde::{Deserialize, Serialize};

use super::{Artifact, Commit};
use crate::{
    id::{DeploymentId, RunId},
    stage::EnvironmentName,
    time::Timestamp,
};

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
