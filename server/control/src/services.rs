//! Services: connected, changed, held, forgotten.

use domain::{
    EnvironmentName, Role, ServiceId, StageKind, Status,
    problem::FieldError,
    service::ServiceSettings,
    view::{Daemon, Detected, Proposal, Service},
};
use entity::service;
use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    Actor, Control, detect,
    error::{Error, Result},
    seal::new_token,
    store::{
        events::{self, NewEvent},
        rows, runs, services,
    },
    variables,
};

impl Control {
    /// All services, by name.
    pub async fn services(&self) -> Result<Vec<Service>> {
        services::all(self.store.read()).await?.into_iter().map(rows::service).collect()
    }

    /// One service.
    pub async fn service(&self, id: ServiceId) -> Result<Service> {
        rows::service(services::get(self.store.read(), id).await?)
    }

    /// Looks into a repository, or one folder of it, and proposes settings, each with its reason.
    pub async fn detect(
        &self,
        actor: &Actor,
        repository: &str,
        branch: Option<&str>,
        folder: Option<&str>,
    ) -> Result<Detected> {
        // It reads what this machine may read.
        actor.must(Role::Owner)?;
        self.look_into(repository, branch, folder).await
    }

    async fn look_into(
        &self,
        repository: &str,
        branch: Option<&str>,
        folder: Option<&str>,
    ) -> Result<Detected> {
        let repository = repository.trim();
        if repository.is_empty() || repository.starts_with('-') {
            return Err(Error::field("repository", "give a path, a URL, or owner/name on GitHub"));
        }
        let git = &self.ports.git;
        let at = |e: crate::ports::GitError| match e {
            crate::ports::GitError::NoBranch { .. } => Error::field("branch", e.to_string()),
            e => Error::field("repository", e.to_string()),
        };
        let branch = match branch.map(str::trim).filter(|b| !b.is_empty()) {
            Some(branch) => branch.to_owned(),
            None => git.default_branch(repository).await.map_err(at)?,
        };
        let commit = git.resolve(repository, Some(&branch), None).await.map_err(at)?;
        let files = git.files(repository, &commit.sha).await.map_err(at)?;
        let read = git.read(repository, &commit.sha, &detect::wanted(&files)).await.map_err(at)?;
        let folder = folder.map(|f| f.trim().trim_matches('/')).filter(|f| !f.is_empty());
        if let Some(folder) = folder.filter(|f| !files.iter().any(|p| p.starts_with(&format!("{f}/")))) {
            return Err(Error::field("context", format!("there is no folder {folder:?} on {branch}")));
        }
        let mut found = detect::propose_in(&name_of(repository), folder, &files, &read);
        let mut folders = detect::folders(&files, &read);
        if !matches!(self.daemon().await, Daemon::Away(_)) {
            found.in_containers();
        }
        let mut settings = ServiceSettings::new(found.name, repository);
        settings.branch = Some(branch);
        settings.commands = found.commands;
        settings.health_path = found.health_path;
        settings.dockerfile = found.dockerfile;
        settings.context = found.context;
        folders.retain(|f| Some(f.as_str()) != settings.context.as_deref());
        if let Some(context) = settings.context.clone().filter(|_| !folders.is_empty()) {
            let why = format!("the repository holds other services: changes outside of {context} are theirs");
            let field = "triggers.paths".to_owned();
            found.proposals.push(Proposal { field, value: context.clone(), why });
            settings.triggers.paths = vec![context];
        }
        let target = self.usual_target(&settings).await;
        for environment in EnvironmentName::ALL {
            settings.environments.of_mut(environment).target = Some(target);
        }
        Ok(Detected { runtime: found.runtime, settings, proposals: found.proposals, commit, folders })
    }

    /// Connects a service. Everything is checked first, so that nothing half-made stays.
    pub async fn create_service(&self, actor: &Actor, settings: ServiceSettings) -> Result<Service> {
        self.create_from(actor, settings, None).await
    }

    /// The same, for what was kept as a draft: its secrets go along, and it is gone afterwards.
    pub async fn create_from(
        &self,
        actor: &Actor,
        settings: ServiceSettings,
        draft: Option<ServiceId>,
    ) -> Result<Service> {
        actor.must(Role::Owner)?;
        let kept = match draft {
            Some(draft) => Some(rows::settings(&self.draft_row(draft).await?)?),
            None => None,
        };
        let checked = self.check(settings, None, kept.as_ref()).await?;
        let id: ServiceId = self.new_id()?;
        let now = self.now();
        let pipeline = services::pipelines(self.store.read())
            .await?
            .into_iter()
            .next()
            .ok_or_else(|| Error::Conflict("there is no pipeline yet".into()))?;
        let mut row = service::Model {
            id: id.to_string(),
            pipeline_id: pipeline.id,
            name: checked.settings.name.clone(),
            settings: serde_json::to_string(&checked.settings)?,
            repository: checked.settings.repository.clone(),
            branch: checked.branch,
            runtime: checked.runtime,
            production_port: i32::from(checked.production),
            staging_port: i32::from(checked.staging),
            hook_secret: self.sealer.seal("hook", new_token()?.expose_secret())?,
            notices: "poll".into(),
            head: Some(checked.head),
            hold_reason: None,
            hold_by: None,
            hold_since: None,
            last_run: 0,
            folder: Some(self.setup.node.folder.clone()),
            draft: None,
            generation: 0,
            created_at: now.0,
            updated_at: now.0,
        };
        if self.hook(&row.id, &row.repository, true).await? {
            row.notices = "hook".into();
        }
        let tx = self.store.begin().await?;
        services::insert(&tx, row.clone()).await?;
        self.tell(&tx, &row, "service_created", json!({ "by": actor.name, "name": row.name })).await?;
        tx.commit().await?;
        self.forget_keys();
        if let Some(draft) = draft
            && let Err(error) = self.drop_draft(actor, draft).await
        {
            // The service is connected; what is left of the draft can be thrown away by hand.
            tracing::warn!(service = row.name, %error, "a draft stayed");
        }
        self.nudge.hooks();
        self.nudge.changed(None);
        rows::service(row)
    }

    /// A service for whoever is about to change it.
    pub async fn service_to_change(&self, actor: &Actor, id: ServiceId) -> Result<Service> {
        actor.must(Role::Owner)?;
        self.service(id).await
    }

    /// Changes a service's settings.
    pub async fn update_service(
        &self,
        actor: &Actor,
        id: ServiceId,
        settings: ServiceSettings,
    ) -> Result<Service> {
        actor.must(Role::Owner)?;
        let mut row = services::get(self.store.read(), id).await?;
        let checked = self.check(settings, Some(&row), None).await?;
        if checked.settings.name != row.name {
            let deployed = EnvironmentName::ALL;
            for environment in deployed {
                if self.live_in(&row.id, environment).await?.is_some() {
                    return Err(Error::field(
                        "name",
                        format!(
                            "{} is deployed under its name; connect it anew under the other one, then delete this",
                            row.name
                        ),
                    ));
                }
            }
        }
        let moved = checked.settings.repository != row.repository;
        if moved {
            self.unhook(&row).await;
        }
        row.name = checked.settings.name.clone();
        row.settings = serde_json::to_string(&checked.settings)?;
        row.repository = checked.settings.repository.clone();
        row.branch = checked.branch;
        row.runtime = checked.runtime.or(row.runtime);
        row.production_port = i32::from(checked.production);
        row.staging_port = i32::from(checked.staging);
        row.updated_at = self.now().0;
        if moved {
            row.notices =
                if self.hook(&row.id, &row.repository, true).await? { "hook" } else { "poll" }.into();
        }
        let tx = self.store.begin().await?;
        let row = services::update(&tx, row).await?;
        if moved {
            services::set_head(&tx, &row.id, &checked.head).await?;
        }
        self.tell(&tx, &row, "service_updated", json!({ "by": actor.name })).await?;
        tx.commit().await?;
        self.forget_keys();
        self.nudge.hooks();
        self.nudge.changed(None);
        rows::service(row)
    }

    /// Forgets a service: its hook, what is deployed of it, its runs and logs.
    pub async fn delete_service(&self, actor: &Actor, id: ServiceId) -> Result<()> {
        actor.must(Role::Owner)?;
        let row = services::get(self.store.read(), id).await?;
        if let Some(host) = self.elsewhere(&row).await? {
            return Err(Error::Conflict(format!(
                "{} runs on {host}: delete it through a server there, which can take down what is deployed",
                row.name
            )));
        }
        self.end_runs(actor, &row.id).await?;
        self.unhook(&row).await;
        self.ports.host.retire(&row.name).await?;
        let tx = self.store.begin().await?;
        services::delete(&tx, &row.id).await?;
        self.tell(&tx, &row, "service_deleted", json!({ "by": actor.name, "name": row.name })).await?;
        tx.commit().await?;
        self.forget_keys();
        self.nudge.hooks();
        self.nudge.changed(None);
        Ok(())
    }

    /// Ends every run of a service that goes on.
    pub(crate) async fn end_runs(&self, actor: &Actor, service: &str) -> Result<()> {
        let open = runs::open(self.store.read()).await?;
        for run in open.iter().filter(|r| r.service_id == service) {
            match self.cancel(actor, run.id.parse()?).await {
                Ok(_) | Err(Error::Conflict(_)) => {}
                Err(e) => return Err(e),
            }
            for stage in runs::stages_of(self.store.read(), std::slice::from_ref(&run.id))
                .await?
                .remove(&run.id)
                .unwrap_or_default()
            {
                if stage.status == Status::InProgress.as_str() {
                    self.ports.launcher.kill(stage.id.parse()?, stage.attempt as u32).await?;
                }
            }
        }
        Ok(())
    }

    /// Stops automatic deploys to production.
    pub async fn hold(&self, actor: &Actor, id: ServiceId, reason: &str) -> Result<Service> {
        actor.must(Role::Deployer)?;
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(Error::field("reason", "say why, so that whoever comes next knows"));
        }
        let tx = self.store.begin().await?;
        let row = services::get(&tx, id).await?;
        let row = self.set_hold(&tx, row, actor, reason).await?;
        tx.commit().await?;
        self.nudge.changed(None);
        rows::service(row)
    }

    pub(crate) async fn set_hold<C: ConnectionTrait>(
        &self,
        db: &C,
        mut row: service::Model,
        actor: &Actor,
        reason: &str,
    ) -> Result<service::Model> {
        row.hold_reason = Some(reason.into());
        row.hold_by = Some(actor.name.clone());
        row.hold_since = Some(self.now().0);
        let row = services::update(db, row).await?;
        self.tell(db, &row, "hold_set", json!({ "by": actor.name, "reason": reason })).await?;
        Ok(row)
    }

    /// Resumes automatic deploys. Of the runs that only the hold stopped the newest goes on; older ones it supersedes.
    pub async fn resume(&self, actor: &Actor, id: ServiceId) -> Result<Service> {
        actor.must(Role::Deployer)?;
        let tx = self.store.begin().await?;
        let mut row = services::get(&tx, id).await?;
        if row.hold_since.is_none() {
            return Err(Error::Conflict(format!("automatic deploys of {} are not stopped", row.name)));
        }
        row.hold_reason = None;
        row.hold_by = None;
        row.hold_since = None;
        let row = services::update(&tx, row).await?;
        self.tell(&tx, &row, "hold_cleared", json!({ "by": actor.name })).await?;
        tx.commit().await?;
        self.release_held(actor, &row.id).await?;
        self.nudge.changed(None);
        rows::service(row)
    }

    async fn release_held(&self, actor: &Actor, service: &str) -> Result<()> {
        let mut waiting: Vec<_> = runs::open(self.store.read())
            .await?
            .into_iter()
            .filter(|r| r.service_id == service && r.status == Status::AwaitingApproval.as_str())
            .collect();
        waiting.sort_by_key(|r| std::cmp::Reverse(r.number));
        let mut newer: Option<String> = None;
        for run in waiting {
            let now = self.now();
            let name = format!("run {} ({})", run.number, run.commit_sha.get(..7).unwrap_or_default());
            let by = newer.clone();
            let released = self
                .change_run(&run.id, |state| {
                    let by_plan = state.plan.stage(StageKind::DeployProduction).is_some_and(|s| s.gate);
                    let waits = state.approval.as_ref().is_some_and(|a| a.state == "waiting");
                    if by_plan || !waits {
                        return Ok(false);
                    }
                    if let Some(by) = &by {
                        state.supersede(by, now)?;
                        return Ok(false);
                    }
                    state.decide(
                        "approved",
                        Some(&actor.name),
                        Some("automatic deploys resumed".into()),
                        now,
                    );
                    state.apply(StageKind::DeployProduction, domain::StageEvent::Approve, None, now)?;
                    Ok(true)
                })
                .await?;
            if released {
                newer = Some(name);
            }
        }
        Ok(())
    }

    pub(crate) async fn tell<C: ConnectionTrait>(
        &self,
        db: &C,
        row: &service::Model,
        kind: &'static str,
        payload: serde_json::Value,
    ) -> Result<()> {
        let event = NewEvent { run: None, service: Some(row.id.clone()), kind, payload };
        events::append(db, vec![event], self.now()).await
    }

    async fn hook(&self, id: &str, repository: &str, install: bool) -> Result<bool> {
        let Some(command) = &self.setup.hook_command else { return Ok(false) };
        let line = format!("{command} --service {id}");
        let done = if install {
            self.ports.git.install_hook(repository, &line).await
        } else {
            self.ports.git.remove_hook(repository, &line).await.map(|()| true)
        };
        done.map_err(|e| Error::field("repository", e.to_string()))
    }

    async fn unhook(&self, row: &service::Model) {
        // The repository may be gone; that must not keep anybody from forgetting the service.
        if let Err(error) = self.hook(&row.id, &row.repository, false).await {
            tracing::warn!(service = row.name, %error, "the hook could not be taken out");
        }
    }

    /// Everything about settings that needs the world: name and ports free, repository there, branch there.
    ///
    /// Secrets without a value are the service's own, or else those in `kept`.
    async fn check(
        &self,
        mut settings: ServiceSettings,
        own: Option<&service::Model>,
        kept: Option<&ServiceSettings>,
    ) -> Result<Checked> {
        settings.repository = settings.repository.trim().to_owned();
        let before = own.map(rows::settings).transpose()?;
        let unreachable = self.choose_target(&mut settings, before.as_ref()).await;
        let mut problems = settings.problems();
        problems.extend(unreachable);
        let others: Vec<_> = services::all(self.store.read())
            .await?
            .into_iter()
            .filter(|s| own.is_none_or(|o| o.id != s.id))
            .collect();
        let mut say =
            |field: &str, message: String| problems.push(FieldError { field: field.into(), message });
        if others.iter().any(|s| s.name == settings.name) {
            say("name", format!("there is a service {:?} already; choose another name", settings.name));
        }
        let mut taken: Vec<u16> =
            others.iter().flat_map(|s| [s.production_port as u16, s.staging_port as u16]).collect();
        let wanted = [
            ("port", EnvironmentName::Production, settings.port.or(settings.environments.production.port)),
            ("environments.staging.port", EnvironmentName::Staging, settings.environments.staging.port),
        ];
        let mut ports = Vec::new();
        for (field, environment, wanted) in wanted {
            let kept = own.map(|o| match environment {
                EnvironmentName::Production => o.production_port as u16,
                EnvironmentName::Staging => o.staging_port as u16,
            });
            let port = match wanted {
                Some(port) if taken.contains(&port) => {
                    let whose = others
                        .iter()
                        .find(|s| s.production_port as u16 == port || s.staging_port as u16 == port);
                    let whose = whose.map_or("the service's other environment".into(), |s| s.name.clone());
                    say(field, format!("port {port} belongs to {whose}; choose another, or leave it out"));
                    continue;
                }
                Some(port)
                    if kept != Some(port) && port >= 1024 && !self.ports.host.port_is_free(port).await =>
                {
                    say(
                        field,
                        format!(
                            "something on this machine listens on port {port} already; choose another, or leave it out"
                        ),
                    );
                    continue;
                }
                Some(port) => port,
                None => match kept {
                    Some(port) => port,
                    None => self.ports.host.free_port(environment, &taken).await?,
                },
            };
            taken.push(port);
            ports.push(port);
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let git = &self.ports.git;
        let unchanged = own.is_some_and(|o| {
            o.repository == settings.repository && settings.branch.as_ref() == Some(&o.branch)
        });
        let (branch, head, runtime) = if let (true, Some(own)) = (unchanged, own) {
            (own.branch.clone(), own.head.clone().unwrap_or_default(), None)
        } else {
            let found = self.look_into(&settings.repository, settings.branch.as_deref(), None).await?;
            let branch = found.settings.branch.unwrap_or_default();
            let head = git
                .head(&settings.repository, &branch)
                .await
                .map_err(|e| Error::field("repository", e.to_string()))?;
            (branch, head, found.runtime)
        };
        variables::seal(&self.sealer, &mut settings, before.as_ref().or(kept))?;
        settings.branch = Some(branch.clone());
        let [production, staging] = ports[..] else { return Err(Error::internal("two ports were expected")) };
        Ok(Checked { settings, branch, head, runtime, production, staging })
    }
}

struct Checked {
    settings: ServiceSettings,
    branch: String,
    head: String,
    runtime: Option<String>,
    production: u16,
    staging: u16,
}

/// A service's name from its repository's: the last part, in the letters that are allowed.
fn name_of(repository: &str) -> String {
    let last = repository
        .trim_end_matches('/')
        .trim_end_matches(".git")
        .rsplit(['/', ':'])
        .next()
        .unwrap_or_default();
    let mut name: String = last
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    name = name.trim_matches('-').to_owned();
    if name.is_empty() { "service".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn names_come_from_repositories() {
        for (repository, name) in [
            ("/srv/git/Orders.git", "orders"),
            ("git@example.org:acme/stock_api.git", "stock-api"),
            ("acme/web", "web"),
            ("/", "service"),
        ] {
            assert_eq!(name_of(repository), name);
        }
    }
}
