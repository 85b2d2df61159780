//! Hooks of repositories: made, looked at, mended, removed; and what they could not deliver.
//!
//! <https://docs.github.com/en/rest/repos/webhooks>

use std::collections::{BTreeMap, HashSet};

use control::forge::{ForgeError, HookState, Missed, WantedHook};
use domain::Timestamp;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;

/// What a hook listens to.
const EVENTS: [&str; 6] = ["push", "pull_request", "check_run", "check_suite", "repository", "member"];
/// Deliveries on a page.
const PAGE: usize = 100;
/// Most pages of deliveries that are looked through at a time: 2,000 deliveries.
const MOST_PAGES: usize = 20;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    url: String,
    #[serde(default)]
    content_type: String,
}

#[derive(Deserialize)]
struct Hook {
    id: i64,
    active: bool,
    events: Vec<String>,
    config: Config,
}

#[derive(Deserialize)]
struct Delivery {
    id: u64,
    guid: String,
    delivered_at: Timestamp,
    #[serde(default)]
    status_code: u16,
}

fn body(wanted: &WantedHook) -> Value {
    json!({
        "name": "web",
        "active": true,
        "events": EVENTS,
        "config": {
            "url": wanted.url,
            "content_type": "json",
            "insecure_ssl": "0",
            "secret": wanted.secret.expose_secret(),
        },
    })
}

pub(crate) async fn make(client: &Client, repository: &str, wanted: &WantedHook) -> Result<i64, ForgeError> {
    // GitHub refuses a second hook for the same address; one that an earlier life of this server left is taken over.
    let there: Vec<Hook> = client.call(Method::GET, repository, "/hooks?per_page=100", None).await?;
    if let Some(hook) = there.into_iter().find(|hook| hook.config.url == wanted.url) {
        mend(client, repository, hook.id, wanted).await?;
        return Ok(hook.id);
    }
    let made: Hook = client.call(Method::POST, repository, "/hooks", Some(body(wanted))).await?;
    Ok(made.id)
}

pub(crate) async fn look(
    client: &Client,
    repository: &str,
    id: i64,
    url: &str,
) -> Result<HookState, ForgeError> {
    let hook: Hook = match client.look(repository, &format!("/hooks/{id}")).await {
        Err(ForgeError::Missing(_)) => return Ok(HookState::Gone),
        found => found?,
    };
    let listens = |event: &&str| hook.events.iter().any(|e| e == event || e == "*");
    let right = hook.active
        && hook.config.url == url
        && hook.config.content_type == "json"
        && ["push", "pull_request"].iter().all(listens);
    Ok(if right { HookState::Right } else { HookState::Changed })
}

pub(crate) async fn mend(
    client: &Client,
    repository: &str,
    id: i64,
    wanted: &WantedHook,
) -> Result<(), ForgeError> {
    client.tell(Method::PATCH, repository, &format!("/hooks/{id}"), Some(body(wanted))).await
}

pub(crate) async fn remove(client: &Client, repository: &str, id: i64) -> Result<(), ForgeError> {
    match client.tell(Method::DELETE, repository, &format!("/hooks/{id}"), None).await {
        Err(ForgeError::Missing(_)) => Ok(()),
        done => done,
    }
}

pub(crate) async fn missed(
    client: &Client,
    repository: &str,
    hook: i64,
    since: Timestamp,
) -> Result<Vec<Missed>, ForgeError> {
    let mut taken = HashSet::new();
    let mut failed: BTreeMap<u64, String> = BTreeMap::new();
    let address = format!("/hooks/{hook}/deliveries?per_page={PAGE}");
    // The first page is often the one before, and then costs nothing; but a full one does not say where it goes on.
    let mut page: Vec<Delivery> = client.look(repository, &address).await?;
    let mut next = None;
    if page.len() == PAGE {
        (page, next) = client.page(repository, &address).await?;
    }
    for _ in 0..MOST_PAGES {
        let old = page.iter().any(|delivery| delivery.delivered_at < since);
        for delivery in page.into_iter().filter(|delivery| delivery.delivered_at >= since) {
            if (200..300).contains(&delivery.status_code) {
                taken.insert(delivery.guid);
            } else {
                failed.insert(delivery.id, delivery.guid);
            }
        }
        let Some(cursor) = next.filter(|_| !old) else { break };
        (page, next) = client.page(repository, &format!("{address}&cursor={cursor}")).await?;
    }
    // One delivery may have been tried often: once is enough to ask for.
    let mut seen = taken;
    let missed = failed.into_iter().filter(|(_, guid)| seen.insert(guid.clone()));
    Ok(missed.map(|(id, guid)| Missed { id: id.to_string(), guid }).collect())
}

pub(crate) async fn redeliver(
    client: &Client,
    repository: &str,
    hook: i64,
    delivery: &str,
) -> Result<(), ForgeError> {
    let path = format!("/hooks/{hook}/deliveries/{delivery}/attempts");
    client.tell(Method::POST, repository, &path, None).await
}
