//! What must not be in a stage's log, for the second look at it: a runner masks before anything leaves it, and the server looks once more,
//! in case it was an old one, a faulty one, or somebody's own.
//!
//! Knows every secret the stage's service has in any environment, those of its neighbours where they are started beside it, and the
//! passwords of repository and registry. What commands asked for comes with every batch. Put together once for each attempt; a secret
//! that is changed while a stage runs is looked for from the next attempt on.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use domain::{EnvironmentName, StageId, StageKind, protocol::password_in};
use lines::{added, mask::Masks};
use secrecy::ExposeSecret;

use crate::{
    Control,
    error::{Error, Result},
    runner::Proven,
    store::{rows, runs, services},
    variables,
};

/// So many attempts are remembered.
const MOST: usize = 512;

/// What is looked for, by attempt.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<(StageId, u32), Entry>>);

struct Entry {
    secrets: BTreeSet<String>,
    own: Masks,
    /// What commands asked for, and everything together.
    added: Vec<String>,
    all: Masks,
}

impl Known {
    fn get(&self, of: (StageId, u32), added: &[String]) -> Option<Masks> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get_mut(&of)?;
        if entry.added != added {
            entry.added = added.to_vec();
            entry.all = entry.own.with(added.iter().map(String::as_str));
        }
        Some(entry.all.clone())
    }

    fn put(&self, of: (StageId, u32), secrets: BTreeSet<String>) {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Stages of one service look for the same: what was made for one serves all.
        let same = lock().values().find(|entry| entry.secrets == secrets).map(|entry| entry.own.clone());
        let own = same.unwrap_or_else(|| Masks::new(secrets.iter().map(String::as_str)));
        let mut known = lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(of, Entry { secrets, all: own.clone(), own, added: Vec::new() });
    }

    /// This attempt is over.
    pub(crate) fn forget(&self, of: (StageId, u32)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&of);
    }
}

impl Control {
    /// What must not be in the log of this attempt; `added` is what its commands asked for.
    pub(crate) async fn masks(&self, proven: &Proven, added: &[String]) -> Result<Masks> {
        if added.len() > added::MOST || added.iter().map(String::len).sum::<usize>() > added::MOST_BYTES {
            return Err(Error::field("masks", "are more than a stage may ask for"));
        }
        let of = (proven.stage, proven.attempt);
        if let Some(known) = self.known.get(of, added) {
            return Ok(known);
        }
        let secrets = self.secrets_of(proven.stage).await?;
        self.known.put(of, secrets);
        self.known.get(of, added).ok_or_else(|| Error::internal("masks that were put are gone"))
    }

    async fn secrets_of(&self, stage: StageId) -> Result<BTreeSet<String>> {
        let db = self.store.read();
        let row = runs::stage(db, stage).await?;
        let own = services::by_id(db, &row.service_id).await?;
        let mut secrets = BTreeSet::new();
        let together = row.kind == StageKind::IntegrationTest.as_str();
        let others = if together { services::all(db).await? } else { Vec::new() };
        let others = others.into_iter().filter(|s| s.pipeline_id == own.pipeline_id && s.id != own.id);
        for service in others.chain([own.clone()]) {
            let settings = rows::settings(&service)?;
            for environment in [None, Some(EnvironmentName::Staging), Some(EnvironmentName::Production)] {
                match variables::open(&self.sealer, &settings, environment) {
                    Ok(opened) => secrets.extend(opened.into_iter().filter(|v| v.secret).map(|v| v.value)),
                    // What nobody can read any more was given to nobody; a stage must not be kept from ending by it.
                    Err(error) => tracing::warn!(
                        service = service.name,
                        error = &error as &dyn std::error::Error,
                        "secrets cannot be opened, and are not looked for"
                    ),
                }
            }
        }
        let settings = rows::settings(&own)?;
        let integration = settings.integration.as_ref().and_then(|i| i.repository.as_deref());
        let addresses = [Some(own.repository.as_str()), integration].into_iter().flatten();
        secrets.extend(addresses.filter_map(password_in).map(str::to_owned));
        let login = self.setup.registry.as_ref().and_then(|r| r.login.as_ref());
        secrets.extend(login.map(|(_, password)| password.expose_secret().to_owned()));
        Ok(secrets)
    }
}
