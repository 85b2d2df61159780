//! The forge: its hooks, what they told, and who waits for a person.

use serde::{Deserialize, Serialize};

use super::{Commit, ServiceRef};
use crate::{
    id::{DeliveryId, RunId},
    time::Timestamp,
};

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
