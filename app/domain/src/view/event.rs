//! What happened, as it is told to everybody.

use serde::{Deserialize, Serialize};

use super::{Commit, ServiceRef};
use crate::{
    id::{RunId, ServiceId},
    time::Timestamp,
};

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
