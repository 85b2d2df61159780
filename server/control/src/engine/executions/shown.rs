//! What the settings page tells of an engine elsewhere.

use domain::{
    Timestamp,
    view::{Aside, Engine},
};

use crate::{
    Control,
    error::Result,
    store::{events, executions},
};

/// So many messages that were set aside are shown.
const ASIDE: u64 = 10;

impl Control {
    /// What drives runs: nothing but the embedded engine, or one elsewhere, and how that goes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn engine(&self) -> Result<Option<Engine>> {
        if self.ports.executions.is_none() {
            return Ok(None);
        }
        let open = executions::open(self.store.read()).await?;
        let mut troubles: Vec<String> = open.iter().filter_map(|row| row.trouble.clone()).collect();
        troubles.extend(self.deaf());
        troubles.sort();
        troubles.dedup();
        let mut aside = Vec::new();
        for row in events::latest_of(self.store.read(), &["message_set_aside"], ASIDE).await? {
            let payload: serde_json::Value = serde_json::from_str(&row.payload)?;
            let text = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
            aside.push(Aside { at: Timestamp(row.at), why: text("why"), body: text("body") });
        }
        Ok(Some(Engine { open: open.len() as u64, troubles, aside }))
    }
}
