//! The keys with which a repository's hooks may be signed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use domain::Timestamp;
use secrecy::SecretString;

use crate::{
    Control,
    error::Result,
    store::{forge, services},
};

/// For how long keys are believed, in milliseconds: a flood of deliveries asks the database once.
const FRESH_MS: i64 = 5_000;

/// Keys by repository, as they were a moment ago.
#[derive(Default)]
pub struct Keys(Mutex<HashMap<String, (Timestamp, Vec<SecretString>)>>);

impl Control {
    /// What a forge's hook about one of these repositories may be signed with. Names come from a body that nobody has verified yet,
    /// so they choose among keys and do nothing else.
    pub async fn hook_keys(&self, repositories: &[String]) -> Result<Vec<SecretString>> {
        let mut keys: Vec<SecretString> = self.setup.forge_secret.iter().cloned().collect();
        for name in repositories {
            keys.extend(self.keys_of(&name.to_lowercase()).await?);
        }
        Ok(keys)
    }

    async fn keys_of(&self, repository: &str) -> Result<Vec<SecretString>> {
        let now = self.now();
        let known = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).get(repository).cloned();
        if let Some((at, keys)) = known
            && (0..FRESH_MS).contains(&(now.0 - at.0))
        {
            return Ok(keys);
        }
        let mut keys = Vec::new();
        if let Some(hook) = forge::hook(self.store.read(), repository).await? {
            keys.push(SecretString::from(self.sealer.open("forge-hook", &hook.secret)?));
        }
        for row in services::all(self.store.read()).await? {
            if self.ports.forge.full_name(&row.repository).as_deref() == Some(repository) {
                keys.push(SecretString::from(self.sealer.open("hook", &row.hook_secret)?));
            }
        }
        let mut kept = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Anybody can ask for any name: what is kept of it must not grow.
        if kept.len() > 1000 {
            kept.clear();
        }
        kept.insert(repository.to_owned(), (now, keys.clone()));
        Ok(keys)
    }

    /// Forgets keys that may have changed.
    pub(crate) fn forget_keys(&self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
