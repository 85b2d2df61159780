//! Hooks: stored first, answered, acted on later by the intake worker, which is idempotent.
//!
//! Refuses to judge signatures: that is done before anything reaches this.

mod arrivals;
mod heads;
mod judge;
mod keys;
mod strangers;
mod take;

use std::collections::HashSet;

use domain::{
    DeliveryId, Role, ServiceId,
    view::{Delivery, Page},
};
use entity::delivery;
use serde::{Deserialize, Serialize};

pub use arrivals::Arrivals;
pub use keys::Keys;

use crate::{
    Actor, Control,
    error::{Error, Result},
    store::{deliveries, rows, services},
};

/// What a Git hook says: one moved ref, or one moved pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitHook {
    /// `push`, `pull_request_opened` or `pull_request_synchronized`.
    #[serde(default = "push")]
    pub event: String,
    /// The ref, such as `refs/heads/main`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What it pointed to before; zeros when it is new.
    #[serde(default)]
    pub before: String,
    /// What it points to now; zeros when it is gone.
    pub after: String,
    /// Who pushed, if known.
    #[serde(default)]
    pub by: Option<String>,
    /// The pull request's number, if it is one.
    #[serde(default)]
    pub pull_request: Option<u64>,
    /// The commit a pull request is to be merged into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The fork a pull request comes from, `owner/name`: it waits for a person and gets no secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<String>,
    /// Whether a pull request is a draft.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft: bool,
    /// The newest commit's message, if known: its author may ask for no run in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The changed paths, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
}

impl Default for GitHook {
    fn default() -> Self {
        Self {
            event: push(),
            reference: String::new(),
            before: String::new(),
            after: String::new(),
            by: None,
            pull_request: None,
            base: None,
            fork: None,
            draft: false,
            message: None,
            paths: None,
        }
    }
}

fn push() -> String {
    "push".into()
}

/// What became of a hook that was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Received {
    /// The delivery.
    pub id: DeliveryId,
    /// Whether its GUID was known already.
    pub duplicate: bool,
}

/// What became of a delivery, for whoever pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `pending`, `waiting`, `accepted` or `ignored`; absent when no such delivery is known.
    pub verdict: Option<String>,
    /// Why it waits or was ignored.
    pub reason: Option<String>,
    /// The run it started.
    pub run: Option<domain::RunId>,
}

/// A delivery that says again what another one said: for one of several services, or because a person asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    part_of: DeliveryId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// Deliveries of this source are a forge's own words; others hold a [`GitHook`].
const FORGE: &str = "github";
/// GUIDs of what was found by comparing branch heads begin with this.
const POLLED: &str = "poll:";
/// GUIDs of what a person asked for again begin with this.
const REPLAYED: &str = "replay:";
/// For how long a hook may come after the same push was found by comparing branch heads.
const HOOK_LATE_MS: i64 = 120_000;

impl Control {
    /// The key with which hooks for a service are signed.
    pub async fn hook_secret(&self, service: ServiceId) -> Result<String> {
        let row = services::get(self.store.read(), service).await?;
        self.sealer.open("hook", &row.hook_secret)
    }

    /// Stores a hook whose signature was verified.
    pub async fn receive(
        &self,
        source: &str,
        guid: &str,
        service: ServiceId,
        hook: &GitHook,
    ) -> Result<Received> {
        self.arrive(source, guid, &hook.event, Some(service.to_string()), serde_json::to_string(hook)?).await
    }

    /// Stores a forge's delivery whose signature was verified, as it came.
    pub async fn receive_from_forge(&self, guid: &str, event: &str, payload: String) -> Result<Received> {
        self.arrive(FORGE, guid, event, None, payload).await
    }

    async fn arrive(
        &self,
        source: &str,
        guid: &str,
        event: &str,
        service: Option<String>,
        payload: String,
    ) -> Result<Received> {
        let id: DeliveryId = self.new_id()?;
        let row = self.arrived(id, source, guid, event, service, payload);
        let fresh = self.arrivals.store(&self.store, row).await?;
        self.nudge.intake();
        if fresh {
            return Ok(Received { id, duplicate: false });
        }
        let known = deliveries::by_guid(self.store.read(), guid)
            .await?
            .ok_or_else(|| Error::not_found("delivery", guid))?;
        Ok(Received { id: known.id.parse()?, duplicate: true })
    }

    fn arrived(
        &self,
        id: DeliveryId,
        source: &str,
        guid: &str,
        event: &str,
        service_id: Option<String>,
        payload: String,
    ) -> delivery::Model {
        delivery::Model {
            id: id.to_string(),
            guid: guid.into(),
            source: source.into(),
            event: event.into(),
            service_id,
            payload,
            verdict: "pending".into(),
            reason: None,
            run_id: None,
            released_by: None,
            received_at: self.now().0,
            handled_at: None,
        }
    }

    /// What became of a delivery.
    pub async fn outcome(&self, guid: &str) -> Result<Outcome> {
        let Some(row) = deliveries::by_guid(self.store.read(), guid).await? else {
            return Ok(Outcome::default());
        };
        Ok(Outcome {
            verdict: Some(row.verdict),
            reason: row.reason,
            run: row.run_id.map(|r| r.parse()).transpose()?,
        })
    }

    /// Does what undone deliveries ask for. Doing it twice is doing it once, also for two servers at the same time: each claims a
    /// delivery before it acts on it, and lets those wait that came after one which another server has, so that their order stays.
    pub async fn intake(&self) -> Result<usize> {
        let _turn = self.intake.lock().await;
        let undone = deliveries::pending(self.store.read(), 100).await?;
        let (mut busy, mut done) = (HashSet::new(), 0);
        for (id, service) in undone {
            if busy.contains(&service) {
                continue;
            }
            match self.take_in(&id).await {
                Ok(true) => done += 1,
                Ok(false) => drop(busy.insert(service)),
                // One bad delivery must not stall the inbox.
                Err(error) => {
                    tracing::error!(
                        delivery = id,
                        error = &error as &dyn std::error::Error,
                        "a delivery could not be handled"
                    );
                    if !matches!(error, Error::Internal(_) | Error::Unavailable(_)) {
                        let why = Some(format!("ignored: {error}"));
                        deliveries::settle(self.store.write(), &id, "ignored", why, None, self.now()).await?;
                    }
                }
            }
        }
        if done > 0 {
            // More may wait, or came for another server while this one had its service.
            self.nudge.intake();
        }
        Ok(done)
    }

    /// Deliveries, newest first.
    pub async fn deliveries(&self, before: Option<DeliveryId>, limit: u64) -> Result<Page<Delivery>> {
        let found = deliveries::list(self.store.read(), before, limit).await?;
        let next = (found.len() as u64 == limit).then(|| found.last().map(|d| d.id.clone())).flatten();
        let names = services::all(self.store.read()).await?;
        let items = found
            .into_iter()
            .map(|row| {
                let service = names.iter().find(|s| Some(&s.id) == row.service_id.as_ref());
                let service = service.map(rows::service_ref).transpose()?;
                deliveries::view(row, service)
            })
            .collect::<Result<_>>()?;
        Ok(Page { items, next })
    }

    /// One delivery, with its whole payload.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Delivery> {
        let row = deliveries::get(self.store.read(), id).await?;
        let service = match &row.service_id {
            Some(id) => Some(rows::service_ref(&services::by_id(self.store.read(), id).await?)?),
            None => None,
        };
        deliveries::view(row, service)
    }

    /// Takes a delivery in again, as a new one.
    pub async fn replay(&self, actor: &Actor, id: DeliveryId) -> Result<Delivery> {
        actor.must(Role::Developer)?;
        let old = deliveries::get(self.store.read(), id).await?;
        let guid = format!("{REPLAYED}{}", self.new_id::<DeliveryId>()?);
        let received = if old.source == FORGE {
            let part_of = part(&old.payload).map_or(id, |part| part.part_of);
            let payload = serde_json::to_string(&Part { part_of, by: Some(actor.name.clone()) })?;
            self.arrive(FORGE, &guid, &old.event, old.service_id, payload).await?
        } else {
            let service = old.service_id.as_deref();
            let service =
                service.ok_or_else(|| Error::Conflict("this delivery names no service".into()))?.parse()?;
            let mut hook: GitHook = serde_json::from_str(&old.payload)?;
            hook.by = Some(actor.name.clone());
            self.receive(&old.source, &guid, service, &hook).await?
        };
        self.intake().await?;
        self.delivery(received.id).await
    }
}

/// What another delivery said, if the payload says no more than that.
fn part(payload: &str) -> Option<Part> {
    // The words of a forge may be megabytes, and never look like this.
    (payload.len() < 1000).then(|| serde_json::from_str(payload).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_refused() {
        assert!(serde_json::from_str::<GitHook>(r#"{"ref":"refs/heads/main","after":"a","x":1}"#).is_err());
    }
}
