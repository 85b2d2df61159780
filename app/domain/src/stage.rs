//! The seven stages by name and order, and what each is allowed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::status::UnknownName;

/// The stages of the one pipeline, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StageKind {
    /// Check out the commit, bring in dependencies.
    Prepare,
    /// Linters and formatters.
    CodeQuality,
    /// The service's own tests.
    UnitTest,
    /// Make the immutable artifact.
    Build,
    /// The candidate beside its neighbours.
    IntegrationTest,
    /// To staging.
    DeployStaging,
    /// To production.
    DeployProduction,
}

/// Where a service is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EnvironmentName {
    /// For a last look.
    Staging,
    /// For users.
    Production,
}

impl EnvironmentName {
    /// Both, in deploy order.
    pub const ALL: [EnvironmentName; 2] = [EnvironmentName::Staging, EnvironmentName::Production];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            EnvironmentName::Staging => "staging",
            EnvironmentName::Production => "production",
        }
    }

    /// The stage that deploys there.
    pub fn stage(self) -> StageKind {
        match self {
            EnvironmentName::Staging => StageKind::DeployStaging,
            EnvironmentName::Production => StageKind::DeployProduction,
        }
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EnvironmentName {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        EnvironmentName::ALL.into_iter().find(|e| e.as_str() == text).ok_or_else(|| UnknownName {
            what: "environment",
            text: text.to_owned(),
            known: "staging, production".into(),
        })
    }
}

impl StageKind {
    /// All seven, in order.
    pub const ALL: [StageKind; 7] = [
        StageKind::Prepare,
        StageKind::CodeQuality,
        StageKind::UnitTest,
        StageKind::Build,
        StageKind::IntegrationTest,
        StageKind::DeployStaging,
        StageKind::DeployProduction,
    ];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            StageKind::Prepare => "prepare",
            StageKind::CodeQuality => "code_quality",
            StageKind::UnitTest => "unit_test",
            StageKind::Build => "build",
            StageKind::IntegrationTest => "integration_test",
            StageKind::DeployStaging => "deploy_staging",
            StageKind::DeployProduction => "deploy_production",
        }
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            StageKind::Prepare => "Prepare",
            StageKind::CodeQuality => "Code Quality",
            StageKind::UnitTest => "Unit Test",
            StageKind::Build => "Build",
            StageKind::IntegrationTest => "Integration Test",
            StageKind::DeployStaging => "Deploy to Staging",
            StageKind::DeployProduction => "Deploy to Production",
        }
    }

    /// Its place among the seven, from 0.
    pub fn ordinal(self) -> usize {
        self as usize
    }

    /// Where it deploys, if it deploys.
    pub fn environment(self) -> Option<EnvironmentName> {
        match self {
            StageKind::DeployStaging => Some(EnvironmentName::Staging),
            StageKind::DeployProduction => Some(EnvironmentName::Production),
            _ => None,
        }
    }

    /// How often a lost runner is replaced: work that only reads may be tried again once; a deploy is compared with
    /// what really runs instead, so that nothing is deployed twice.
    pub fn retries(self) -> u32 {
        u32::from(self.environment().is_none())
    }
}

impl fmt::Display for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StageKind {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        StageKind::ALL.into_iter().find(|k| k.as_str() == text).ok_or_else(|| UnknownName {
            what: "stage",
            text: text.to_owned(),
            known: StageKind::ALL.map(StageKind::as_str).join(", "),
        })
    }
}
