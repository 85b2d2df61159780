//! Proposes settings from a repository's files.

use std::collections::BTreeMap;

use domain::{service::Commands, view::Proposal};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detection {
    /// The runtime.
    pub runtime: Option<String>,
    /// Proposed commands.
    pub commands: Commands,
    /// Hint.
    pub port: Option<u16>,
    /// Health path.
    pub health_path: Option<String>,
    /// Dockerfile.
    pub dockerfile: Option<String>,
    /// Each field with its reason.
    pub proposals: Vec<Proposal>,
}

/// Files to read.
pub fn wanted(_paths: &[String]) -> Vec<String> {
    Vec::new()
}

/// Proposals.
pub fn propose(_name: &str, _paths: &[String], _read: &BTreeMap<String, String>) -> Detection {
    Detection::default()
}
