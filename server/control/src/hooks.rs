//! Hooks on the forge: one for each repository that a service is connected to, with a key of its own. What there should be follows from
//! the services alone; this compares it with what was made, and with what is really there.
//!
//! Refuses to put back what a person took away: a hook that somebody deleted is shown as gone, with a way to mend it.

use std::collections::BTreeMap;

use domain::{
    Role, ServiceId, Timestamp,
    view::{Forge, Hook},
};
use entity::{forge_hook, service};
use secrecy::ExposeSecret;

use crate::{
    Actor, Control,
    error::{Error, Result},
    forge::{ForgeError, HookState, WantedHook},
    seal::new_token,
    store::{forge, services},
};

/// Hooks are looked at this often, in milliseconds.
const LOOK_MS: i64 = 5 * 60_000;

impl Control {
    /// Whether there is anybody on the forge to act as; settled when the server starts.
    pub fn acts_on_forge(&self) -> bool {
        self.ports.forge.acts_as().is_some()
    }

    /// Makes the hooks that are missing, looks at those that are there, removes those that nothing needs. Idempotent.
    pub async fn tend_hooks(&self) -> Result<()> {
        if !self.acts_on_forge() {
            return Ok(());
        }
        let mut wanted: BTreeMap<String, Vec<service::Model>> = BTreeMap::new();
        for row in services::all(self.store.read()).await? {
            if let Some(name) = self.ports.forge.full_name(&row.repository) {
                wanted.entry(name).or_default().push(row);
            }
        }
        for hook in forge::hooks(self.store.read()).await? {
            if !wanted.contains_key(&hook.repository) {
                self.drop_hook(hook).await?;
            }
        }
        for (repository, services) in wanted {
            let known = forge::hook(self.store.read(), &repository).await?;
            let hook = self.tend_hook(&repository, known, self.now()).await?;
            let notices = if hook.state == "right" { "hook" } else { "poll" };
            for service in services.into_iter().filter(|s| s.notices != notices) {
                services::set_notices(self.store.write(), &service.id, notices).await?;
            }
        }
        Ok(())
    }

    async fn tend_hook(
        &self,
        repository: &str,
        known: Option<forge_hook::Model>,
        now: Timestamp,
    ) -> Result<forge_hook::Model> {
        let mut row = match known {
            Some(row) => row,
            None => {
                let secret = self.sealer.seal("forge-hook", new_token()?.expose_secret())?;
                // Before the hook is made, so that its first delivery finds its key.
                let row = forge_hook::Model {
                    repository: repository.to_owned(),
                    hook_id: None,
                    secret,
                    state: "refused".into(),
                    problem: None,
                    checked_at: None,
                };
                forge::keep_hook(self.store.write(), row.clone()).await?;
                self.forget_keys();
                row
            }
        };
        // After a start everything is looked at anew, however short it was.
        let fresh = |at: i64| at >= self.started().0 && (0..LOOK_MS).contains(&(now.0 - at));
        if row.checked_at.is_some_and(fresh) {
            return Ok(row);
        }
        let asked = match row.hook_id {
            None => self.ports.forge.make_hook(repository, &self.wanted_hook(&row)?).await.map(|id| {
                row.hook_id = Some(id);
                HookState::Right
            }),
            Some(id) => match self.ports.forge.look_at_hook(repository, id, &self.hook_url()).await {
                Ok(HookState::Changed) => {
                    let mended = self.ports.forge.mend_hook(repository, id, &self.wanted_hook(&row)?).await;
                    mended.map(|()| HookState::Right)
                }
                seen => seen,
            },
        };
        (row.state, row.problem) = match asked {
            Ok(HookState::Right | HookState::Changed) => ("right".into(), None),
            Ok(HookState::Gone) => (
                "gone".into(),
                Some(
                    "somebody deleted the hook on GitHub; pushes are noticed by comparing branches meanwhile"
                        .into(),
                ),
            ),
            Err(ForgeError::Limited { .. } | ForgeError::Away(_)) if row.state == "right" => return Ok(row),
            Err(error) => ("refused".into(), Some(error.to_string())),
        };
        row.checked_at = Some(now.0);
        forge::keep_hook(self.store.write(), row.clone()).await?;
        self.nudge.changed(None);
        Ok(row)
    }

    async fn drop_hook(&self, hook: forge_hook::Model) -> Result<()> {
        let removed = match hook.hook_id {
            Some(id) => self.ports.forge.remove_hook(&hook.repository, id).await,
            None => Ok(()),
        };
        match removed {
            // Asked again at the next look.
            Err(error @ (ForgeError::Limited { .. } | ForgeError::Away(_))) => {
                tracing::warn!(repository = hook.repository, %error, "a hook could not be removed yet");
                Ok(())
            }
            other => {
                if let Err(error) = other {
                    tracing::warn!(repository = hook.repository, %error, "a hook was left where it is");
                }
                forge::forget_hook(self.store.write(), &hook.repository).await?;
                self.forget_keys();
                Ok(())
            }
        }
    }

    fn wanted_hook(&self, row: &forge_hook::Model) -> Result<WantedHook> {
        let secret = self.sealer.open("forge-hook", &row.secret)?.into();
        Ok(WantedHook { url: self.hook_url(), secret })
    }

    fn hook_url(&self) -> String {
        format!("{}/hooks/github", self.setup.url)
    }

    /// What there is with the forge.
    pub async fn forge(&self) -> Result<Forge> {
        let (port, db) = (&self.ports.forge, self.store.read());
        let limit = port.limit();
        let at = |seconds: i64| Timestamp(seconds * 1000);
        Ok(Forge {
            site: port.site(),
            acts_as: port.acts_as().map(str::to_owned),
            requests_left: limit.left,
            resets_at: limit.reset.map(at),
            waits_until: limit.until.map(at).filter(|until| *until > self.now()),
            untold: forge::untold(db).await?,
            problem: forge::trouble(db).await?,
        })
    }

    /// The hook of a service's repository, as it was last seen; none where there is no forge.
    pub async fn hook_of(&self, service: ServiceId) -> Result<Option<Hook>> {
        let row = services::get(self.store.read(), service).await?;
        let Some(repository) = self.ports.forge.full_name(&row.repository) else { return Ok(None) };
        let site = self.ports.forge.site();
        let (state, problem, checked_at) = match forge::hook(self.store.read(), &repository).await? {
            Some(hook) => (hook.state, hook.problem, hook.checked_at.map(Timestamp)),
            None => ("none".into(), None, None),
        };
        Ok(Some(Hook {
            page: format!("{site}/{repository}"),
            repository,
            url: self.hook_url(),
            state,
            problem,
            checked_at,
            can_mend: self.acts_on_forge(),
        }))
    }

    /// Makes the hook of a service's repository anew, with a new key.
    pub async fn mend_hook(&self, actor: &Actor, service: ServiceId) -> Result<Hook> {
        actor.must(Role::Owner)?;
        let row = services::get(self.store.read(), service).await?;
        let repository = self
            .ports
            .forge
            .full_name(&row.repository)
            .ok_or_else(|| Error::Conflict(format!("{} is no repository on GitHub", row.repository)))?;
        if !self.acts_on_forge() {
            return Err(Error::Conflict(format!(
                "{}; see the guide's chapter GitHub",
                ForgeError::NoCredentials
            )));
        }
        if let Some(old) = forge::hook(self.store.read(), &repository).await? {
            if let Some(id) = old.hook_id {
                self.ports
                    .forge
                    .remove_hook(&repository, id)
                    .await
                    .map_err(|e| Error::Unavailable(e.to_string()))?;
            }
            forge::forget_hook(self.store.write(), &repository).await?;
        }
        self.tend_hook(&repository, None, self.now()).await?;
        self.tell(self.store.write(), &row, "hook_mended", serde_json::json!({ "by": actor.name })).await?;
        self.hook_of(service).await?.ok_or_else(|| Error::not_found("hook", service))
    }
}
