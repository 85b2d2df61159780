//! Who is let in, with what.

use serde::{Deserialize, Serialize};

use crate::{
    id::{SessionId, TokenId, UserId},
    role::Role,
    time::Timestamp,
};

/// What the login page says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// Where one can log in; only by the printed link when absent.
    pub site: Option<String>,
    /// What is asked for there besides who one is.
    pub scopes: Vec<String>,
    /// Nobody owns this server yet: it takes the printed code.
    pub needs_code: bool,
}

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Their id.
    pub id: UserId,
    /// What they are called on GitHub.
    pub login: String,
    /// Their own name; empty when it is not known.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Why they may in: `code`, `invitation` or `list`.
    pub came_by: String,
    /// Who invited them.
    pub invited_by: Option<String>,
    /// When they were last here; never, if absent.
    pub seen_at: Option<Timestamp>,
    /// Whether it is the one who asks.
    pub you: bool,
}

/// An API token, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may do: no more than who made it may now.
    pub role: Role,
    /// Who made it; the machine's owner, if absent.
    pub by: Option<String>,
    /// Whether it does nothing until who made it logs in again.
    pub rests: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself; never, if absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
}

/// A browser session, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Whose it is, by name.
    pub user: String,
    /// The browser's own words about itself.
    pub agent: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}
