//! Several servers on one database: each says that it lives, and what only one may do at a time is leased.
//!
//! What is bound to a machine (runners, keepers, Docker, mirrors, everything in a data folder) is done by servers of that data folder
//! alone; they know of each other by locks, which a fall lets go at once. Of other folders' servers only their signs of life in the
//! database are known. Refuses to need a leader: losing any server costs no more than the time its leases run.

use std::time::Duration;

use entity::{node, stage};

use crate::{
    Control,
    error::Result,
    store::{nodes, services},
};

/// A server that gave no sign of life for so long is gone, in milliseconds.
const LEASE_MS: i64 = 15_000;
/// For so long a server that is gone is remembered, so that its machine can be named.
const REMEMBERED_MS: i64 = 30 * 24 * 3_600_000;

/// Which server this is.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Of this start.
    pub id: String,
    /// The data folder's.
    pub folder: String,
    /// The machine's name.
    pub host: String,
    /// How programs on this machine reach it.
    pub address: String,
    /// How others reach it.
    pub url: String,
}

/// Who judges whether a stage's runner lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judge {
    /// This server.
    Here,
    /// Another one, which lives.
    Another,
    /// One whose machine is not heard of; by its name.
    Gone(String),
}

impl Control {
    /// The id of this start of a server.
    pub fn node(&self) -> &str {
        &self.setup.node.id
    }

    /// Gives a sign of life. Answers the addresses under which a server can be reached from this data folder: its own servers', then the
    /// others'.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alive(&self) -> Result<Vec<String>> {
        let (own, now) = (&self.setup.node, self.now());
        let row = node::Model {
            id: own.id.clone(),
            folder: own.folder.clone(),
            host: own.host.clone(),
            address: own.address.clone(),
            url: own.url.clone(),
            started_at: self.started().0,
            seen_at: now.0,
        };
        nodes::seen(self.store.write(), row).await?;
        let (here, elsewhere): (Vec<_>, Vec<_>) = nodes::since(self.store.read(), now.plus(-LEASE_MS))
            .await?
            .into_iter()
            .partition(|node| node.folder == own.folder);
        let mut addresses = Vec::new();
        for node in here {
            // One that fell is in the database for a while yet.
            if node.id == own.id || self.ports.host.server_lives(&node.id).await {
                addresses.push(node.address);
            }
        }
        addresses.extend(elsewhere.into_iter().map(|node| node.url));
        Ok(addresses)
    }

    /// Forgets servers that nobody has heard of for long.
    pub(crate) async fn forget_servers(&self) -> Result<()> {
        nodes::prune(self.store.write(), self.now().plus(-REMEMBERED_MS)).await
    }

    /// Says that this server ends, so that others need not wait for its leases.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn leave(&self) -> Result<()> {
        nodes::forget(self.store.write(), &self.setup.node.id).await
    }

    /// Whether this server is to do some work now, and nobody else for `lasts`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn turn(&self, work: &str, lasts: Duration) -> Result<bool> {
        let now = self.now();
        let until = now.plus(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX / 2));
        let (db, own) = (self.store.write(), &self.setup.node);
        if nodes::take(db, work, &own.id, now, until).await? {
            return Ok(true);
        }
        // One that fell needs not be waited for.
        let Some(holder) = nodes::holder(self.store.read(), work).await? else { return Ok(false) };
        let gone = match nodes::get(self.store.read(), &holder).await? {
            None => true,
            Some(node) if node.folder == own.folder => !self.ports.host.server_lives(&holder).await,
            Some(node) => node.seen_at < now.0 - LEASE_MS,
        };
        Ok(gone && nodes::take_over(db, work, &holder, &own.id, until).await?)
    }

    /// As [`Control::turn`], among the servers of this data folder.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn turn_here(&self, work: &str, lasts: Duration) -> Result<bool> {
        self.turn(&format!("{work} in {}", self.setup.node.folder), lasts).await
    }

    /// Whether something is at home in this data folder, or nowhere yet.
    pub(crate) fn at_home(&self, folder: Option<&str>) -> bool {
        folder.is_none_or(|folder| folder == self.setup.node.folder)
    }

    /// The machine that is home to a data folder, as people know it.
    pub(crate) async fn home_of(&self, folder: &str) -> Result<String> {
        let known = nodes::of_folder(self.store.read(), folder).await?;
        Ok(known.into_iter().next().map_or_else(|| "another machine".into(), |node| node.host))
    }

    /// Who judges whether the runner of a stage in progress lives.
    pub(crate) async fn judge(&self, row: &stage::Model) -> Result<Judge> {
        let own = &self.setup.node;
        if self.at_home(row.folder.as_deref()) {
            // The one that started it knows whether it has done so yet.
            let another = row.node.as_ref().filter(|node| **node != own.id);
            return Ok(match another {
                Some(node) if self.ports.host.server_lives(node).await => Judge::Another,
                _ => Judge::Here,
            });
        }
        let folder = row.folder.as_deref().unwrap_or_default();
        let known = nodes::of_folder(self.store.read(), folder).await?;
        let since = self.now().0 - LEASE_MS;
        if known.iter().any(|node| node.seen_at >= since) {
            return Ok(Judge::Another);
        }
        Ok(Judge::Gone(self.home_of(folder).await?))
    }

    /// Whether a service is deployed by servers of another data folder, and then on which machine.
    pub(crate) async fn elsewhere(&self, service: &entity::service::Model) -> Result<Option<String>> {
        match service.folder.as_deref() {
            Some(folder) if !self.at_home(Some(folder)) => Ok(Some(self.home_of(folder).await?)),
            _ => Ok(None),
        }
    }

    /// Brings services home into this data folder whose own one no server works in any more, as when its machine is gone for good or
    /// the database was restored on another. Answers their names.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn adopt(&self) -> Result<Vec<String>> {
        let lives = nodes::since(self.store.read(), self.now().plus(-LEASE_MS)).await?;
        let mut adopted = Vec::new();
        for service in services::all(self.store.read()).await? {
            let Some(folder) = service.folder.as_deref().filter(|folder| !self.at_home(Some(folder))) else {
                continue;
            };
            if lives.iter().any(|node| node.folder == folder) {
                continue;
            }
            services::move_home(self.store.write(), &service.id, folder, &self.setup.node.folder).await?;
            adopted.push(service.name);
        }
        self.nudge.dispatch();
        Ok(adopted)
    }

    /// Whether secrets in the database can be opened with the key this server has.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_the_key(&self) -> Result<bool> {
        let services = services::all(self.store.read()).await?;
        Ok(services.last().is_none_or(|service| self.sealer.open("hook", &service.hook_secret).is_ok()))
    }
}
