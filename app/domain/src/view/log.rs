//! Lines of logs, pieces of them, and what was found in them.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

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
