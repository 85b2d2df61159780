//! What runs where, what ran before, and the way back to it.

use domain::{
    DeploymentId, EnvironmentName, Role, RunId, ServiceId,
    containers::TargetKind,
    plan::{LaunchPlan, Plan, Trigger},
    view::{Artifact, Commit, Deployment, EnvironmentRow, EnvironmentState, Page, Run},
};
use entity::service;
use futures::future::join_all;

use crate::{
    Actor, Control,
    error::{Error, Result},
    jobs::ecs_of,
    ports::PortError,
    runs::NewRun,
    store::{deployments, rows, services},
};

impl Control {
    /// Every service with what runs where.
    pub async fn environments(&self) -> Result<Vec<EnvironmentRow>> {
        let all = services::all(self.store.read()).await?;
        join_all(all.iter().map(|s| self.environment_row(s))).await.into_iter().collect()
    }

    pub(crate) async fn environment_row(&self, row: &service::Model) -> Result<EnvironmentRow> {
        let mut staging = self.environment_state(row, EnvironmentName::Staging).await?;
        let production = self.environment_state(row, EnvironmentName::Production).await?;
        if let (Some(ahead), Some(behind)) = (&staging.commit, &production.commit) {
            staging.ahead = Some(self.commits_between(&row.repository, &behind.sha, &ahead.sha).await);
        }
        Ok(EnvironmentRow { service: rows::service_ref(row)?, staging, production })
    }

    async fn environment_state(
        &self,
        row: &service::Model,
        environment: EnvironmentName,
    ) -> Result<EnvironmentState> {
        let settings = rows::settings(row)?;
        let live = self.live_in(&row.id, environment).await?;
        let used = environment == EnvironmentName::Production || settings.staging;
        let port = match environment {
            EnvironmentName::Production => row.production_port,
            EnvironmentName::Staging => row.staging_port,
        };
        let on_ecs = settings.target() == TargetKind::Ecs;
        let (mut health, mut health_reason) = ("none".to_owned(), None);
        if let Some(live) = &live {
            let place = ecs_of(&settings, environment).ok().flatten();
            let found = match (place, self.elsewhere(row).await?) {
                (Some(place), _) => match &self.ports.cloud {
                    Some(cloud) => cloud.deployed(&row.name, &place, &live.artifact).await,
                    None => Err(PortError::new("this server knows no AWS account to ask")),
                },
                (None, Some(host)) => {
                    Err(PortError::new(format!("it runs on {host}; a server there knows how it is")))
                }
                (None, None) => self.ports.host.deployed(&row.name, environment).await,
            };
            match found {
                Ok(found) if found.deployment.is_some_and(|d| d.to_string() != live.id) => {
                    (health, health_reason) =
                        ("unhealthy".into(), Some("something else runs here than was deployed".into()));
                }
                Ok(found) => (health, health_reason) = (found.health, found.reason),
                Err(e) => (health, health_reason) = ("unknown".into(), Some(e.to_string())),
            }
            if health == "none" {
                let why = health_reason.or_else(|| Some("its process is not running".into()));
                (health, health_reason) = ("stopped".into(), why);
            }
        }
        Ok(EnvironmentState {
            environment,
            used,
            artifact: live
                .as_ref()
                .map(|l| Artifact { digest: l.artifact.clone(), size: l.artifact_size as u64 }),
            commit: live.as_ref().map(|l| Commit {
                sha: l.commit_sha.clone(),
                message: l.commit_message.clone(),
                author: l.commit_author.clone(),
            }),
            since: live.as_ref().map(|l| domain::Timestamp(l.since)),
            run: live.as_ref().map(|l| l.run_id.parse()).transpose()?,
            health,
            health_reason,
            // What is on ECS has no port of this machine.
            port: (used && !on_ecs).then_some(port as u16),
            ahead: None,
        })
    }

    /// How many commits `to` has that `from` has not; 0 when that cannot be told.
    async fn commits_between(&self, repository: &str, from: &str, to: &str) -> u32 {
        if from == to {
            return 0;
        }
        let key = (repository.to_owned(), from.to_owned(), to.to_owned());
        if let Some(known) = self.ahead.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key) {
            return *known;
        }
        let Ok(commits) = self.ports.git.log(repository, Some(from), to, 1000).await else { return 0 };
        let count = commits.len() as u32;
        let mut known = self.ahead.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() > 2000 {
            known.clear();
        }
        known.insert(key, count);
        count
    }

    /// A service's deployments, newest first, each with whether one can go back to it.
    pub async fn deployments(
        &self,
        service: ServiceId,
        environment: Option<EnvironmentName>,
        before: Option<DeploymentId>,
        limit: u64,
    ) -> Result<Page<Deployment>> {
        let row = services::get(self.store.read(), service).await?;
        let found = deployments::list(self.store.read(), service, environment, before, limit).await?;
        let next = (found.len() as u64 == limit).then(|| found.last().map(|d| d.id.clone())).flatten();
        let ready = self.readiness(&row, &found).await?;
        let items = found
            .into_iter()
            .zip(ready)
            .map(|(row, ready)| rows::deployment(row, ready))
            .collect::<Result<_>>()?;
        Ok(Page { items, next })
    }

    /// Deploys what ran before: the same deploy stage with an older artifact. Automatic deploys to production stop until a person
    /// resumes them, so that the next push does not put the bad version back.
    pub async fn rollback(
        &self,
        actor: &Actor,
        service: ServiceId,
        environment: EnvironmentName,
        to: DeploymentId,
    ) -> Result<Run> {
        actor.must(Role::Deployer)?;
        let row = services::get(self.store.read(), service).await?;
        let target = match deployments::get(self.store.read(), to).await {
            // Its record may have gone with its run while its image is still there.
            Err(gone @ Error::NotFound { .. }) => self.kept_deployment(&row, to).await?.ok_or(gone)?,
            found => found?,
        };
        if target.service_id != row.id || target.environment != environment.as_str() {
            return Err(Error::field(
                "deployment",
                format!("{to} is no deployment of {} to {environment}", row.name),
            ));
        }
        let ready = self.readiness(&row, std::slice::from_ref(&target)).await?;
        if let Some(why) = ready.into_iter().find_map(|ready| ready.why_not) {
            return Err(Error::Conflict(format!(
                "cannot roll back to {}: {why}",
                target.commit_sha.get(..7).unwrap_or_default()
            )));
        }
        let settings = rows::settings(&row)?;
        let mut plan = Plan::make(&settings, Trigger::Rollback, Some(environment));
        plan.launch = Some(serde_json::from_str::<LaunchPlan>(&target.launch)?);
        let cause = format!("rollback:{}", self.new_id::<RunId>()?);
        let tx = self.store.begin().await?;
        let mut fresh = services::get(&tx, service).await?;
        if environment == EnvironmentName::Production {
            let short = target.commit_sha.get(..7).unwrap_or_default();
            fresh = self.set_hold(&tx, fresh, actor, &format!("rolled back to {short}")).await?;
        }
        let id = self
            .insert_run(
                &tx,
                NewRun {
                    service: &fresh,
                    trigger: Trigger::Rollback,
                    commit: Commit {
                        sha: target.commit_sha.clone(),
                        message: target.commit_message.clone(),
                        author: target.commit_author.clone(),
                    },
                    branch: row.branch.clone(),
                    pull_request: None,
                    fork: None,
                    cause,
                    requested_by: Some(actor.name.clone()),
                    plan,
                    artifact: Some((target.artifact.clone(), target.artifact_size)),
                    rerun_of: None,
                    rollback_to: Some(target.id.clone()),
                },
            )
            .await?;
        tx.commit().await?;
        self.nudge.changed(Some(id));
        self.nudge.dispatch();
        self.run(id).await
    }
}
