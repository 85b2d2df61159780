//! What strangers propose: pull requests from forks that wait until somebody looked at them.
//!
//! Refuses to judge what they bring; it says where that can be read.

use domain::{
    DeliveryId, Role, Timestamp,
    view::{Commit, Delivery, Stranger},
};

use crate::{
    Actor, Control,
    error::{Error, Result},
    store::{deliveries, rows, services},
};

/// Most of them that are shown.
const MOST: u64 = 100;

impl Control {
    /// Those that wait, newest first.
    pub async fn strangers(&self) -> Result<Vec<Stranger>> {
        let db = self.store.read();
        let mut found = Vec::new();
        for row in deliveries::all_waiting(db, MOST).await? {
            let Some(hook) = self.hook_in(db, &row).await? else { continue };
            // Its service may have been deleted just now.
            let Ok(service) = services::by_id(db, row.service_id.as_deref().unwrap_or_default()).await else {
                continue;
            };
            let number = hook.pull_request.unwrap_or_default();
            let forge = &self.ports.forge;
            let page = forge.full_name(&service.repository);
            let first = hook.message.as_deref().and_then(|m| m.lines().next()).unwrap_or_default();
            found.push(Stranger {
                delivery: row.id.parse()?,
                service: rows::service_ref(&service)?,
                pull_request: number,
                fork: hook.fork.unwrap_or_default(),
                by: hook.by,
                commit: Commit { sha: hook.after, message: first.to_owned(), author: String::new() },
                page: page.map(|name| format!("{}/{name}/pull/{number}/files", forge.site())),
                since: Timestamp(row.received_at),
            });
        }
        Ok(found)
    }

    /// Lets a delivery run that waits for somebody to have looked at it.
    pub async fn release(&self, actor: &Actor, id: DeliveryId) -> Result<Delivery> {
        // It runs code on this machine that nobody here wrote.
        actor.must(Role::Deployer)?;
        let done = deliveries::release(self.store.write(), id, &actor.name).await?;
        self.waited(id, done).await?;
        self.intake().await?;
        self.delivery(id).await
    }

    /// Turns one away: it does not run. Newer commits of the pull request ask again.
    pub async fn turn_away(&self, actor: &Actor, id: DeliveryId) -> Result<Delivery> {
        actor.must(Role::Deployer)?;
        let why = format!("ignored: turned away by {}", actor.name);
        let done = deliveries::turn_away(self.store.write(), id, &why, self.now()).await?;
        self.waited(id, done).await?;
        self.nudge.changed(None);
        self.delivery(id).await
    }

    async fn waited(&self, id: DeliveryId, done: bool) -> Result<()> {
        let row = deliveries::get(self.store.read(), id).await?;
        if done {
            return Ok(());
        }
        Err(Error::Conflict(format!("this delivery does not wait: it is {}", row.verdict)))
    }
}
