//! Who hears of what happens: listed, added, changed and removed.
//!
//! Refuses to put an address into an answer or an address of ours: some are as good as a password.

use std::collections::BTreeMap;

#[cfg(feature = "ssr")]
use domain::news::Hears;
use domain::{
    PipelineId,
    news::{Notifications, Reached},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Answer, Dated};

#[cfg(feature = "ssr")]
use super::server::{actor, control, dated, refuse};

/// What a form says that somebody is to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HearsForm {
    /// Kinds of news that are ticked.
    pub news: BTreeMap<String, String>,
    /// An environment, or both when empty.
    pub environment: String,
    /// Services that are ticked; all when none is.
    pub services: BTreeMap<String, String>,
    /// Ticked, or not there.
    pub pull_requests: Option<String>,
}

/// The notifications of each pipeline; none where this server sends none.
#[server(name = ReadNotifications, prefix = "/fn", endpoint = "notifications")]
pub async fn notifications() -> Answer<Dated<Option<Vec<Notifications>>>> {
    control()?.notifications(&actor()?).await.map(dated).map_err(refuse)
}

/// Subscribes somebody.
#[server(prefix = "/fn", endpoint = "subscribe")]
pub async fn subscribe(id: PipelineId, reached: Reached, endpoint: String, hears: HearsForm) -> Answer<()> {
    let actor = actor()?;
    actor.must(domain::Role::Owner).map_err(refuse)?;
    let wanted = control::notify::Wanted { reached, endpoint, hears: heard(hears).map_err(refuse)? };
    control()?.subscribe(&actor, id, wanted).await.map_err(refuse)?;
    leptos_axum::redirect("/settings/notifications?asked=1");
    Ok(())
}

/// Changes what somebody hears of.
#[server(prefix = "/fn", endpoint = "change_subscription")]
pub async fn change_subscription(id: PipelineId, subscription: String, hears: HearsForm) -> Answer<()> {
    let actor = actor()?;
    actor.must(domain::Role::Owner).map_err(refuse)?;
    let hears = heard(hears).map_err(refuse)?;
    control()?.change_subscription(&actor, id, &subscription, &hears).await.map_err(refuse)?;
    leptos_axum::redirect("/settings/notifications?saved=1");
    Ok(())
}

/// Lets somebody hear nothing any more.
#[server(prefix = "/fn", endpoint = "unsubscribe")]
pub async fn unsubscribe(id: PipelineId, subscription: String) -> Answer<()> {
    control()?.unsubscribe(&actor()?, id, &subscription).await.map_err(refuse)?;
    leptos_axum::redirect("/settings/notifications");
    Ok(())
}

#[cfg(feature = "ssr")]
fn heard(form: HearsForm) -> Result<Hears, control::Error> {
    let wrong = |field: &str, error: &dyn std::fmt::Display| control::Error::field(field, error.to_string());
    let news = form.news.keys().map(|name| name.parse().map_err(|e| wrong("news", &e)));
    let news: Vec<domain::news::News> = news.collect::<Result<_, _>>()?;
    if news.is_empty() {
        return Err(control::Error::field("news", "choose at least one kind of news"));
    }
    let services = form.services.keys().map(|id| id.parse().map_err(|e| wrong("services", &e)));
    let environment = match form.environment.trim() {
        "" => None,
        name => Some(name.parse().map_err(|e| wrong("environment", &e))?),
    };
    Ok(Hears {
        news: if news.len() == domain::news::News::ALL.len() { Vec::new() } else { news },
        environment,
        services: services.collect::<Result<_, _>>()?,
        pull_requests: form.pull_requests.is_some(),
    })
}
