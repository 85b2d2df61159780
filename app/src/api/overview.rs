//! What the overview, the navigation and the approvals page read.
//!
//! Refuses to write.

use domain::view::{Need, Overview};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Answer, Dated};

#[cfg(feature = "ssr")]
use super::server::{actor, control, dated, refuse};

/// What the navigation shows besides its links.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nav {
    /// Who is logged in.
    pub user: String,
    /// Runs, and what strangers propose, that wait for a person.
    pub approvals: usize,
    /// Services to jump to, by id and name.
    pub services: Vec<(String, String)>,
    /// What people should know about the server while it lasts.
    pub notices: Vec<String>,
}

/// The overview page.
#[server(name = ReadOverview, prefix = "/fn", endpoint = "overview")]
pub async fn overview() -> Answer<Overview> {
    control()?.overview().await.map_err(refuse)
}

/// The navigation.
#[server(name = ReadNav, prefix = "/fn", endpoint = "nav")]
pub async fn nav() -> Answer<Nav> {
    let waiting =
        control()?.runs(None, Some(domain::Status::AwaitingApproval), None, 100).await.map_err(refuse)?;
    let strangers = control()?.strangers().await.map_err(refuse)?.len();
    let services = control()?.services().await.map_err(refuse)?;
    let services = services.into_iter().map(|s| (s.id.to_string(), s.settings.name)).collect();
    let notices = control()?.notices();
    Ok(Nav { user: actor()?.name, approvals: waiting.items.len() + strangers, services, notices })
}

/// Runs that wait for a person, with what would go live.
#[server(name = ReadApprovals, prefix = "/fn", endpoint = "approvals")]
pub async fn approvals() -> Answer<Dated<Vec<Need>>> {
    let mut needs = control()?.overview().await.map_err(refuse)?.needs;
    needs.retain(|n| n.run.status == domain::Status::AwaitingApproval);
    Ok(dated(needs))
}
