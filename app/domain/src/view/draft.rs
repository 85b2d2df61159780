//! What is proposed for a repository that is about to be connected.

use serde::{Deserialize, Serialize};

use super::{Commit, Run, ServiceRef};
use crate::{id::ServiceId, service::ServiceSettings, time::Timestamp};

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
