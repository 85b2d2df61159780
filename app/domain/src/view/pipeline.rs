//! Pipelines, and for how long they keep what they did.

use serde::{Deserialize, Serialize};

use crate::{id::PipelineId, time::Timestamp};

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
