//! Hooks: stored first, answered, acted on later by the intake worker, which is idempotent.
//!
//! Refuses to judge signatures: that is done before anything reaches this.

use std::collections::HashSet;

use domain::{
    DeliveryId, ServiceId,
    plan::{Plan, Trigger},
    view::{Commit, Delivery, Page},
};
use entity::{delivery, service};
use serde::{Deserialize, Serialize};

use crate::{
    Actor, Control,
    error::{Error, Result},
    runs::NewRun,
    store::{deliveries, rows, runs, services},
};

/// What a generic Git hook says: one moved ref.
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
    /// `pending`, `accepted` or `ignored`; absent when no such delivery is known.
    pub verdict: Option<String>,
    /// Why it was ignored.
    pub reason: Option<String>,
    /// The run it started.
    pub run: Option<domain::RunId>,
}

/// GUIDs of what was found by comparing branch heads begin with this.
const POLLED: &str = "poll:";
/// For how long a hook may come after the same push was found by comparing branch heads.
const HOOK_LATE_MS: i64 = 120_000;

enum Verdict {
    Accept(Box<(Trigger, GitHook)>),
    Ignore(String),
}

fn judge(row: &service::Model, event: &str, hook: &GitHook) -> Result<Verdict> {
    let ignore = |why: String| Ok(Verdict::Ignore(why));
    let settings = rows::settings(row)?;
    let zeros = |sha: &str| !sha.is_empty() && sha.bytes().all(|b| b == b'0');
    if zeros(&hook.after) {
        return ignore(format!("ignored: {} was deleted", hook.reference));
    }
    if !(hook.after.len() == 40 || hook.after.len() == 64)
        || !hook.after.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return ignore(format!("ignored: {:?} is no commit hash", hook.after));
    }
    let trigger = match event.parse::<Trigger>() {
        Ok(trigger @ (Trigger::Push | Trigger::PullRequestOpened | Trigger::PullRequestSynchronized)) => {
            trigger
        }
        _ => return ignore(format!("ignored: event {event:?} starts no run")),
    };
    let (wanted, name) = match trigger {
        Trigger::PullRequestOpened => (settings.triggers.pull_request_opened, "pull_request_opened"),
        Trigger::PullRequestSynchronized => {
            (settings.triggers.pull_request_synchronized, "pull_request_synchronized")
        }
        _ => (settings.triggers.push, "push"),
    };
    if !wanted {
        return ignore(format!("ignored: trigger {name} is off for {}", row.name));
    }
    if trigger == Trigger::Push {
        let Some(branch) = hook.reference.strip_prefix("refs/heads/") else {
            return ignore(format!("ignored: {} is no branch", hook.reference));
        };
        if branch != row.branch {
            return ignore(format!("ignored: branch filter ({branch} is not {})", row.branch));
        }
    }
    Ok(Verdict::Accept(Box::new((trigger, hook.clone()))))
}

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
        let id: DeliveryId = self.new_id()?;
        let row = delivery::Model {
            id: id.to_string(),
            guid: guid.into(),
            source: source.into(),
            event: hook.event.clone(),
            service_id: Some(service.to_string()),
            payload: serde_json::to_string(hook)?,
            verdict: "pending".into(),
            reason: None,
            run_id: None,
            received_at: self.now().0,
            handled_at: None,
        };
        let fresh = deliveries::insert(self.store.write(), row).await?;
        self.nudge.intake();
        if fresh {
            return Ok(Received { id, duplicate: false });
        }
        let known = deliveries::by_guid(self.store.read(), guid)
            .await?
            .ok_or_else(|| Error::not_found("delivery", guid))?;
        Ok(Received { id: known.id.parse()?, duplicate: true })
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
        for row in undone {
            if busy.contains(&row.service_id) {
                continue;
            }
            let (id, service) = (row.id.clone(), row.service_id.clone());
            match self.take_in(row).await {
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

    /// False when another server has it.
    async fn take_in(&self, row: delivery::Model) -> Result<bool> {
        let hook: GitHook = serde_json::from_str(&row.payload)?;
        let tx = self.store.begin().await?;
        let Some(current) = deliveries::claim(&tx, &row.id).await? else { return Ok(false) };
        if current.verdict != "pending" {
            return Ok(true);
        }
        let service = services::by_id(&tx, row.service_id.as_deref().unwrap_or_default()).await?;
        let now = self.now();
        let (trigger, hook) = match judge(&service, &row.event, &hook)? {
            Verdict::Ignore(why) => {
                deliveries::settle(&tx, &row.id, "ignored", Some(why), None, now).await?;
                tx.commit().await?;
                return Ok(true);
            }
            Verdict::Accept(accepted) => *accepted,
        };
        // A push may be noticed twice: by its hook and by comparing branch heads. Whichever is second tells nothing new.
        let told = if row.source == "poll" {
            service.head.as_deref() == Some(&hook.after)
        } else {
            let since = now.plus(-HOOK_LATE_MS);
            runs::caused_since(&tx, &service.id, &hook.after, &format!("delivery:{POLLED}"), since).await?
        };
        if told && trigger == Trigger::Push {
            let why = Some("ignored: this push was noticed already".to_owned());
            deliveries::settle(&tx, &row.id, "ignored", why, None, now).await?;
            tx.commit().await?;
            return Ok(true);
        }
        let settings = rows::settings(&service)?;
        let branch = hook.reference.strip_prefix("refs/heads/").unwrap_or(&hook.reference).to_owned();
        let run = self
            .insert_run(
                &tx,
                NewRun {
                    service: &service,
                    trigger,
                    // Prepare fills in message and author when it has the repository at hand.
                    commit: Commit { sha: hook.after.clone(), ..Commit::default() },
                    branch,
                    pull_request: hook.pull_request,
                    cause: format!("delivery:{}", row.guid),
                    requested_by: hook.by.clone(),
                    plan: Plan::make(&settings, trigger, None),
                    artifact: None,
                    rerun_of: None,
                    rollback_to: None,
                },
            )
            .await?;
        if trigger == Trigger::Push {
            services::set_head(&tx, &service.id, &hook.after).await?;
        }
        deliveries::settle(&tx, &row.id, "accepted", None, Some(run.to_string()), now).await?;
        tx.commit().await?;
        self.nudge.changed(Some(run));
        self.nudge.dispatch();
        Ok(true)
    }

    /// Compares branch heads with what was seen, and takes in what no hook told of. `all` looks at repositories with a hook too.
    pub async fn look_at_heads(&self, all: bool) -> Result<()> {
        for row in services::all(self.store.read()).await? {
            if !(all || row.notices == "poll") || !rows::settings(&row)?.triggers.push {
                continue;
            }
            let head = match self.ports.git.head(&row.repository, &row.branch).await {
                Ok(head) => head,
                Err(error) => {
                    tracing::warn!(service = row.name, %error, "its repository could not be read");
                    continue;
                }
            };
            let seen = services::by_id(self.store.read(), &row.id).await?.head;
            if seen.as_deref() == Some(&head) {
                continue;
            }
            let hook = GitHook {
                event: push(),
                reference: format!("refs/heads/{}", row.branch),
                before: seen.clone().unwrap_or_default(),
                after: head.clone(),
                by: None,
                pull_request: None,
            };
            let guid = format!("{POLLED}{}", self.new_id::<DeliveryId>()?);
            self.receive("poll", &guid, row.id.parse()?, &hook).await?;
        }
        Ok(())
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

    /// Takes a delivery in again, as a new one.
    pub async fn replay(&self, actor: &Actor, id: DeliveryId) -> Result<Delivery> {
        let old = deliveries::get(self.store.read(), id).await?;
        let service: ServiceId = old
            .service_id
            .as_deref()
            .ok_or_else(|| Error::Conflict("this delivery names no service".into()))?
            .parse()?;
        let mut hook: GitHook = serde_json::from_str(&old.payload)?;
        hook.by = Some(actor.name.clone());
        let guid = format!("replay:{}", self.new_id::<DeliveryId>()?);
        let received = self.receive(&old.source, &guid, service, &hook).await?;
        self.intake().await?;
        let row = deliveries::get(self.store.read(), received.id).await?;
        let name = services::get(self.store.read(), service).await?;
        deliveries::view(row, Some(rows::service_ref(&name)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_refused() {
        assert!(serde_json::from_str::<GitHook>(r#"{"ref":"refs/heads/main","after":"a","x":1}"#).is_err());
    }
}
