//! Who people are, as the forge says: the port through which they log in, and what it hands over.
//!
//! Refuses to know any forge's addresses and words; the crate `github` has them.

use async_trait::async_trait;
use domain::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{error::Result, forge::ForgeError, seal::Sealer};

/// What Seamless may act with in a person's name.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The token.
    pub token: SecretString,
    /// With what another one is asked for when it ends; none where it does not end.
    pub refresh: Option<SecretString>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// What it may do there, as the forge said: words with spaces between them.
    pub scopes: String,
    /// Since when somebody is asking for another one.
    pub renewing: Option<Timestamp>,
}

/// A grant's secrets as they are sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewing: Option<i64>,
}

/// What tokens of people are sealed for.
pub(crate) const PURPOSE: &str = "person";

impl Grant {
    pub(crate) fn seal(&self, sealer: &Sealer) -> Result<String> {
        let kept = Kept {
            token: self.token.expose_secret().into(),
            refresh: self.refresh.as_ref().map(|r| r.expose_secret().into()),
            expires_at: self.expires_at.map(|at| at.0),
            renewing: self.renewing.map(|at| at.0),
        };
        sealer.seal(PURPOSE, &serde_json::to_string(&kept)?)
    }

    pub(crate) fn open(sealer: &Sealer, sealed: &str, scopes: &str) -> Result<Self> {
        let kept: Kept = serde_json::from_str(&sealer.open(PURPOSE, sealed)?)?;
        Ok(Self {
            token: kept.token.into(),
            refresh: kept.refresh.map(Into::into),
            expires_at: kept.expires_at.map(Timestamp),
            scopes: scopes.into(),
            renewing: kept.renewing.map(Timestamp),
        })
    }
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Somebody {
    /// The forge's number for them; it never changes.
    pub id: i64,
    /// What they are called there.
    pub login: String,
    /// Their own name; empty if they gave none.
    pub name: String,
}

/// Lets people log in. The address they come back to is settled when it is made.
#[async_trait]
pub trait Identity: Send + Sync {
    /// Whether rights are asked for by scopes; an app has those it was registered with.
    fn takes_scopes(&self) -> bool;

    /// Where a browser is sent to log in. `state` comes back with it; `verifier` is shown at the exchange alone.
    fn address(&self, state: &SecretString, verifier: &SecretString, scopes: &[&str]) -> String;

    /// Turns the code a browser came back with into a grant.
    async fn exchange(&self, code: &str, verifier: &SecretString) -> Result<Grant, ForgeError>;

    /// A grant in the place of one that ends.
    async fn renew(&self, refresh: &SecretString) -> Result<Grant, ForgeError>;

    /// Whose a token is. [`ForgeError::Revoked`] when it is nobody's any more.
    async fn whose(&self, token: &SecretString) -> Result<Somebody, ForgeError>;

    /// Whether somebody is a member of an organisation, or of a team in it.
    async fn belongs(
        &self,
        token: &SecretString,
        login: &str,
        organisation: &str,
        team: Option<&str>,
    ) -> Result<bool, ForgeError>;
}
