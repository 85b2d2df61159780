//! What people and API tokens may do: four roles, each of which may do what those before it may.
//!
//! Refuses exceptions: a use case asks for one role, and there is no right besides.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::status::UnknownName;

/// The roles, from the one that may least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Look at everything but secrets.
    Viewer,
    /// And start, repeat and cancel runs.
    Developer,
    /// And approve, reject, roll back, hold and resume deploys.
    Deployer,
    /// And change settings, services, members, secrets and hooks.
    Owner,
}

impl Role {
    /// All four, in order.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Developer, Role::Deployer, Role::Owner];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Developer => "developer",
            Role::Deployer => "deployer",
            Role::Owner => "owner",
        }
    }

    /// What it adds to the role before it, for people.
    pub fn may(self) -> &'static str {
        match self {
            Role::Viewer => "sees everything but secrets",
            Role::Developer => "starts, repeats and cancels runs",
            Role::Deployer => "approves, rejects, rolls back, holds and resumes deploys",
            Role::Owner => "changes settings, services, members, secrets and hooks",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Role::ALL.into_iter().find(|r| r.as_str() == text).ok_or_else(|| UnknownName {
            what: "role",
            text: text.to_owned(),
            known: Role::ALL.map(Role::as_str).join(", "),
        })
    }
}
