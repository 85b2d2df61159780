//! What the forge could not deliver: asked for once more. Together with the comparison of branch heads (`inbox::heads`) nothing that
//! happened while this server or its database was away stays unknown.
//!
//! Refuses to use up the forge's limit: it looks at nothing while little of it is left, and begins where it had to stop.

use std::sync::atomic::Ordering;

use entity::forge_hook;

use crate::{
    Control,
    error::Result,
    forge::ForgeError,
    store::{deliveries, forge},
};

/// GitHub keeps deliveries for three days for those who want them again.
const SINCE_MS: i64 = 3 * 24 * 3_600_000;
/// Most deliveries of one hook that are asked for at a time; the rest follows at the next look.
const MOST: usize = 100;
/// So many requests are left for what people wait for.
const RESERVE: i64 = 200;

impl Control {
    /// Notes that a delivery had to be refused, so that it is asked for as soon as there is a database again.
    pub fn owe(&self) {
        self.owed.store(true, Ordering::Relaxed);
    }

    /// Asks for what was refused; while nothing can be stored this fails, and is tried again.
    pub async fn ask_owed(&self) -> Result<usize> {
        if !self.owed.load(Ordering::Relaxed) {
            return Ok(0);
        }
        self.ask(true).await
    }

    /// Asks for what was not taken. Idempotent: what arrives twice is one delivery.
    pub async fn ask_again(&self) -> Result<usize> {
        self.ask(false).await
    }

    /// One after the other: who asks, asks for what was refused too, and whoever waited for it need not ask once more.
    async fn ask(&self, for_owed: bool) -> Result<usize> {
        if !self.acts_on_forge() {
            return Ok(0);
        }
        let _asking = self.asking.lock().await;
        let hooks = forge::hooks(self.store.read()).await?;
        if !self.owed.swap(false, Ordering::Relaxed) && for_owed {
            return Ok(0);
        }
        let asked = self.ask_for(hooks).await;
        if asked.is_err() {
            self.owe();
        }
        asked
    }

    async fn ask_for(&self, hooks: Vec<forge_hook::Model>) -> Result<usize> {
        let (mut asked, port) = (0, &self.ports.forge);
        for hook in hooks {
            let Some(id) = hook.hook_id.filter(|_| hook.state == "right") else { continue };
            let now = self.now();
            let limit = port.limit();
            if limit.left.is_some_and(|left| left < RESERVE)
                && limit.reset.is_some_and(|at| at * 1000 > now.0)
            {
                tracing::warn!("little is left of GitHub's limit; missed deliveries are looked for later");
                return Ok(asked);
            }
            let missed = match port.missed(&hook.repository, id, now.plus(-SINCE_MS)).await {
                Ok(missed) => missed,
                Err(ForgeError::Limited { .. }) => return Ok(asked),
                Err(error) => {
                    tracing::warn!(repository = hook.repository, %error, "missed deliveries are not known");
                    continue;
                }
            };
            for delivery in missed.into_iter().take(MOST) {
                // It may have been stored just before the answer got lost.
                if deliveries::by_guid(self.store.read(), &delivery.guid).await?.is_some() {
                    continue;
                }
                match port.redeliver(&hook.repository, id, &delivery.id).await {
                    Ok(()) => asked += 1,
                    Err(ForgeError::Limited { .. }) => return Ok(asked),
                    Err(error) => {
                        tracing::warn!(repository = hook.repository, %error, "a delivery was not sent again");
                    }
                }
            }
        }
        Ok(asked)
    }
}
