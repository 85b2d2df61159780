//! Services that are still being connected: kept where one left off, tried before anything is switched on.
//!
//! A draft is a row among the services which nothing but this knows: it has no hook, no ports and no name of its own, no push starts a
//! run of it, and it is in no list. A trial is a run like any other, of its checks alone; it is told to nobody, keeps nothing for other
//! runs, and goes with its draft.
//!
//! Refuses to judge whether a name or a port is free; that is asked when the service is connected.

use domain::{
    Role, ServiceId, Timestamp,
    plan::{Plan, Trigger},
    service::ServiceSettings,
    view::{Draft, Run},
};
use entity::service;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    Actor, Control,
    error::{Error, Result},
    runs::NewRun,
    seal::new_token,
    store::{rows, runs, services},
    variables,
};

impl Control {
    /// All drafts, the newest first.
    pub async fn drafts(&self, actor: &Actor) -> Result<Vec<Draft>> {
        actor.must(Role::Owner)?;
        self.with_trials(services::drafts(self.store.read()).await?).await
    }

    /// One draft.
    pub async fn draft(&self, actor: &Actor, id: ServiceId) -> Result<Draft> {
        actor.must(Role::Owner)?;
        let found = self.with_trials(vec![self.draft_row(id).await?]).await?;
        found.into_iter().next().ok_or_else(|| Error::not_found("draft", id))
    }

    async fn with_trials(&self, found: Vec<service::Model>) -> Result<Vec<Draft>> {
        let tx = self.store.snapshot().await?;
        let trials = runs::newest_of(&tx, &found).await?;
        let mut trials = self.views(&tx, trials, false).await?;
        tx.commit().await?;
        let mut drafts = Vec::with_capacity(found.len());
        for row in found {
            let id: ServiceId = row.id.parse()?;
            let trial = trials.iter().position(|run| run.service.id == id).map(|at| trials.swap_remove(at));
            drafts.push(Draft {
                id,
                settings: rows::shown(&row)?,
                by: row.draft.unwrap_or_default(),
                updated_at: Timestamp(row.updated_at),
                trial,
            });
        }
        Ok(drafts)
    }

    /// Whether a service is still being connected.
    pub async fn is_draft(&self, id: ServiceId) -> bool {
        self.draft_row(id).await.is_ok()
    }

    pub(crate) async fn draft_row(&self, id: ServiceId) -> Result<service::Model> {
        let row = services::by_id(self.store.read(), &id.to_string()).await?;
        if row.draft.is_none() {
            return Err(Error::not_found("draft", id));
        }
        Ok(row)
    }

    /// Keeps what was filled in so far, as a new draft or in the place of an older one.
    pub async fn keep_draft(
        &self,
        actor: &Actor,
        id: Option<ServiceId>,
        mut settings: ServiceSettings,
    ) -> Result<ServiceId> {
        actor.must(Role::Owner)?;
        settings.repository = settings.repository.trim().to_owned();
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let old = match id {
            Some(id) => Some(self.draft_row(id).await?),
            None => None,
        };
        let before = old.as_ref().map(rows::settings).transpose()?;
        variables::seal(&self.sealer, &mut settings, before.as_ref())?;
        let branch = match &settings.branch {
            Some(branch) => branch.clone(),
            None => {
                let found = self.ports.git.default_branch(&settings.repository).await;
                found.map_err(|e| Error::field("repository", e.to_string()))?
            }
        };
        let now = self.now().0;
        let text = serde_json::to_string(&settings)?;
        let by = Some(actor.name.clone());
        if let Some(old) = old {
            let row = service::Model {
                settings: text,
                repository: settings.repository,
                branch,
                draft: by,
                updated_at: now,
                ..old
            };
            return Ok(services::update(self.store.write(), row).await?.id.parse()?);
        }
        let id: ServiceId = self.new_id()?;
        let pipelines = services::pipelines(self.store.read()).await?;
        let pipeline = pipelines.into_iter().next();
        let row = service::Model {
            id: id.to_string(),
            pipeline_id: pipeline.ok_or_else(|| Error::Conflict("there is no pipeline yet".into()))?.id,
            // Nobody else's, and nothing is ever deployed under it.
            name: format!("draft-{}", id.to_string().to_lowercase()),
            settings: text,
            repository: settings.repository,
            branch,
            runtime: None,
            production_port: 0,
            staging_port: 0,
            hook_secret: self.sealer.seal("hook", new_token()?.expose_secret())?,
            notices: "none".into(),
            head: None,
            hold_reason: None,
            hold_by: None,
            hold_since: None,
            last_run: 0,
            folder: Some(self.setup.node.folder.clone()),
            draft: by,
            generation: 0,
            created_at: now,
            updated_at: now,
        };
        services::insert(self.store.write(), row).await?;
        Ok(id)
    }

    /// Runs a draft's checks on its branch's newest commit. What was tried before and still goes on is ended.
    pub async fn try_draft(&self, actor: &Actor, id: ServiceId) -> Result<Run> {
        actor.must(Role::Owner)?;
        let row = self.draft_row(id).await?;
        let found = self.ports.git.resolve(&row.repository, Some(&row.branch), None).await;
        let commit = found.map_err(|e| match e {
            crate::ports::GitError::NoBranch { .. } => Error::field("branch", e.to_string()),
            e => Error::field("repository", e.to_string()),
        })?;
        self.end_runs(actor, &row.id).await?;
        let settings = rows::settings(&row)?;
        let cause = format!("trial:{}", self.new_id::<domain::RunId>()?);
        let tx = self.store.begin().await?;
        let new = NewRun {
            service: &row,
            trigger: Trigger::Trial,
            commit,
            branch: row.branch.clone(),
            pull_request: None,
            fork: None,
            cause,
            requested_by: Some(actor.name.clone()),
            plan: Plan::make(&settings, Trigger::Trial, None),
            artifact: None,
            rerun_of: None,
            rollback_to: None,
        };
        let run = self.insert_run(&tx, new).await?;
        tx.commit().await?;
        self.nudge.changed(Some(run));
        self.nudge.dispatch();
        self.run(run).await
    }

    /// Throws a draft away, and what was tried of it.
    pub async fn drop_draft(&self, actor: &Actor, id: ServiceId) -> Result<()> {
        actor.must(Role::Owner)?;
        let row = self.draft_row(id).await?;
        self.end_runs(actor, &row.id).await?;
        let tx = self.store.begin().await?;
        services::delete(&tx, &row.id).await?;
        self.tell(&tx, &row, "draft_deleted", json!({ "by": actor.name })).await?;
        tx.commit().await?;
        self.nudge.changed(None);
        Ok(())
    }
}
