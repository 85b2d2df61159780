//! The work of a stage attempt, put together from its run's plan and its service's settings.
//!
//! Secrets are opened here and travel in the answer to a proven runner, nowhere else. Refuses to hand out work of a stage that
//! is not in progress.

use domain::{
    EnvironmentName, StageKind, Status,
    containers::{ContainerSettings, EcsService, TargetKind},
    plan::{LaunchPlan, Plan, Trigger},
    protocol::{
        ComposeWork, Container, DeployWork, GitLogin, ImageWork, Job, JobVariable, Launch, Registry,
        ToolchainImage, Work,
    },
    service::{Integration, ServiceSettings},
};
use entity::{run, service};
use secrecy::ExposeSecret;

use crate::{
    Control,
    error::{Error, Result},
    runner::Proven,
    store::{rows, runs, services},
    variables,
};

/// `SEAMLESS_URL_<NAME>`.
fn url_variable(name: &str, port: i32) -> JobVariable {
    let name = format!("SEAMLESS_URL_{}", name.to_ascii_uppercase().replace('-', "_"));
    JobVariable { name, value: format!("http://127.0.0.1:{port}"), secret: false }
}

/// The service on ECS that an environment is now, if it is one: what ran elsewhere once comes back to where it is deployed today.
pub(crate) fn ecs_of(settings: &ServiceSettings, environment: EnvironmentName) -> Result<Option<EcsService>> {
    let of = settings.environments.of(environment);
    if of.target.unwrap_or_else(|| settings.target()) != TargetKind::Ecs {
        return Ok(None);
    }
    let none = || {
        Error::Conflict(format!(
            "no service of ECS is picked for {environment}: do so in the service's settings"
        ))
    };
    of.ecs.clone().ok_or_else(none).map(Some)
}

impl Control {
    /// The work of a stage attempt.
    pub async fn job(&self, proven: &Proven) -> Result<Job> {
        let db = self.store.read();
        let row = runs::stage(db, proven.stage).await?;
        if row.status != Status::InProgress.as_str() {
            return Err(Error::Conflict(format!("this stage is {}: there is nothing to do", row.status)));
        }
        let run = runs::get(db, row.run_id.parse()?).await?;
        let service = services::by_id(db, &run.service_id).await?;
        let settings = rows::settings(&service)?;
        let plan: Plan = serde_json::from_str(&run.plan)?;
        let kind: StageKind = row.kind.parse()?;
        let planned = plan.stage(kind).ok_or_else(|| Error::internal("a stage that is not in its plan"))?;
        let command = planned.command.clone();
        let work = match kind {
            StageKind::Prepare => Work::Prepare {
                repository: self.ports.forge.address(&service.repository),
                login: self.git_login(&service.repository).await,
                reference: match run.pull_request {
                    Some(number) => format!("refs/pull/{number}/head"),
                    None => format!("refs/heads/{}", run.branch),
                },
                command,
            },
            StageKind::CodeQuality | StageKind::UnitTest => {
                Work::Command { command: command.unwrap_or_default() }
            }
            StageKind::Build => {
                let image = plan.launch.as_ref().filter(|l| l.target.takes_images());
                let image = match image {
                    Some(_) => Some(self.image_work(&settings, &service).await?),
                    None => None,
                };
                Work::Build { command, bundle: plan.launch.is_some(), image }
            }
            StageKind::IntegrationTest => {
                let environment = None;
                let candidate = self.launch(&run, &service, plan.launch.as_ref(), environment).await?;
                let neighbours = self.neighbours(&service).await?;
                let composed = plan.launch.as_ref().is_some_and(|l| l.target.takes_images());
                let compose = match settings.integration.as_ref().filter(|_| composed) {
                    Some(integration) => Some(self.compose_work(&service, integration).await?),
                    None => None,
                };
                Work::Integrate { command: command.unwrap_or_default(), candidate, neighbours, compose }
            }
            StageKind::DeployStaging | StageKind::DeployProduction => {
                let environment = kind.environment().unwrap_or(EnvironmentName::Production);
                let launch = self.launch(&run, &service, plan.launch.as_ref(), Some(environment)).await?;
                let deployment = row
                    .deployment_id
                    .as_deref()
                    .ok_or_else(|| Error::internal("a deploy stage without a deployment id"))?
                    .parse()?;
                let (production, others) =
                    (environment == EnvironmentName::Production, services::all(db).await?);
                let neighbours = others
                    .iter()
                    .filter(|s| s.pipeline_id == service.pipeline_id && s.id != service.id)
                    .map(|s| {
                        url_variable(&s.name, if production { s.production_port } else { s.staging_port })
                    })
                    .collect();
                let port = if production { service.production_port } else { service.staging_port } as u16;
                let back_to = run.rollback_to.as_deref().map(str::parse).transpose()?;
                let (ecs, refused) = match ecs_of(&settings, environment) {
                    Ok(None) => (None, self.ends_with_its_task().map(str::to_owned)),
                    Ok(place) => (place, None),
                    Err(why) => (None, Some(why.to_string())),
                };
                Work::Deploy(DeployWork {
                    deployment,
                    environment,
                    port,
                    launch,
                    neighbours,
                    ecs,
                    back_to,
                    refused,
                })
            }
        };
        // From here on the runner may have begun: what never got its job has done nothing and may be replaced freely.
        runs::heartbeat(self.store.write(), proven.stage, proven.attempt, self.now()).await?;
        Ok(Job {
            run: run.id.parse()?,
            run_number: run.number,
            stage: proven.stage,
            attempt: proven.attempt,
            kind,
            service: service.name.clone(),
            branch: run.branch.clone(),
            commit: run.commit_sha.clone(),
            context: settings.context.clone(),
            timeout_s: planned.timeout_s,
            variables: variables::open(&self.sealer, &settings, kind.environment())?
                .into_iter()
                // What strangers propose runs without secrets.
                .filter(|variable| run.fork.is_none() || !variable.secret)
                .collect(),
            aside: run.fork.is_some() || run.trigger == Trigger::Trial.as_str(),
            toolchain: settings
                .image
                .clone()
                .map(|image| ToolchainImage { image, settings: settings.toolchain }),
            log: self.setup.log,
            work,
        })
    }

    /// What Git may log in with at a repository's host; nothing where nobody can say.
    async fn git_login(&self, repository: &str) -> Option<GitLogin> {
        let forge = &self.ports.forge;
        let name = forge.full_name(repository).filter(|_| forge.acts_as().is_some())?;
        match forge.login(&name).await {
            Ok(login) => Some(GitLogin {
                site: login.site,
                username: login.username,
                password: login.password.expose_secret().to_owned(),
            }),
            Err(error) => {
                // It may be readable by anybody; if it is not, Git says so in the stage's log.
                tracing::warn!(repository = name, %error, "no password for Git");
                None
            }
        }
    }

    async fn launch(
        &self,
        run: &run::Model,
        service: &service::Model,
        plan: Option<&LaunchPlan>,
        environment: Option<EnvironmentName>,
    ) -> Result<Launch> {
        let artifact =
            run.artifact.clone().ok_or_else(|| Error::Conflict("this run has no artifact".into()))?;
        let plan = plan.cloned().ok_or_else(|| Error::Conflict("this run has no start command".into()))?;
        self.launch_of(service, artifact, run.commit_sha.clone(), plan, environment).await
    }

    /// How an artifact of a service is started: as it was planned then, with the variables and limits of today.
    async fn launch_of(
        &self,
        service: &service::Model,
        artifact: String,
        commit: String,
        plan: LaunchPlan,
        environment: Option<EnvironmentName>,
    ) -> Result<Launch> {
        let settings = rows::settings(service)?;
        let registry = match plan.target.takes_images() {
            true => self.registry(&service.name, false).await,
            false => None,
        };
        let container = plan.target.takes_images().then(|| Container {
            port: plan.container_port,
            // A candidate under test takes no more than it will in production, but nowhere else than here.
            settings: match environment {
                Some(environment) => settings.environments.of(environment).container.clone(),
                None => ContainerSettings {
                    resources: settings.environments.production.container.resources,
                    ..ContainerSettings::default()
                },
            },
            registry,
        });
        Ok(Launch {
            service: service.name.clone(),
            artifact,
            commit,
            start: plan.start,
            context: plan.context,
            health_path: plan.health_path,
            health_timeout_s: plan.health_timeout_s,
            variables: variables::open(&self.sealer, &settings, environment)?,
            container,
        })
    }

    /// Where images of a service are kept, as runners are told. Where logins hold for a while, this is a new one.
    pub(crate) async fn registry(&self, service: &str, push: bool) -> Option<Registry> {
        let registry = self.setup.registry.as_ref()?;
        let (login, warning, refused) = match (&registry.login, &self.ports.images) {
            (Some(login), _) => (Some(login.clone()), None, None),
            (None, Some(images)) => match images.login(service, push).await {
                Ok(login) => (Some((login.username, login.password)), login.warning, None),
                Err(error) => (None, None, Some(error.to_string())),
            },
            (None, None) => (None, None, None),
        };
        Some(Registry {
            address: registry.address.clone(),
            username: login.as_ref().map(|(name, _)| name.clone()),
            password: login.as_ref().map(|(_, password)| password.expose_secret().to_owned()),
            refused,
            warning,
        })
    }

    async fn image_work(&self, settings: &ServiceSettings, service: &service::Model) -> Result<ImageWork> {
        Ok(ImageWork {
            dockerfile: settings
                .dockerfile
                .clone()
                .ok_or_else(|| Error::Conflict("this service names no Dockerfile any more".into()))?,
            arguments: settings.build.arguments.clone(),
            secrets: settings.build.secrets.clone(),
            source: service.repository.clone(),
            registry: self.registry(&service.name, true).await,
        })
    }

    async fn compose_work(&self, service: &service::Model, integration: &Integration) -> Result<ComposeWork> {
        let elsewhere = integration.repository.as_ref().filter(|other| **other != service.repository);
        let repository = match elsewhere {
            Some(address) => {
                let commit = self.ports.git.resolve(address, None, None).await;
                let commit = commit
                    .map_err(|e| Error::Conflict(format!("the repository of the integration tests: {e}")))?;
                Some((self.ports.forge.address(address), commit.sha))
            }
            None => None,
        };
        let login = match elsewhere {
            Some(address) => self.git_login(address).await,
            None => None,
        };
        Ok(ComposeWork {
            repository,
            login,
            file: integration.compose_file.clone(),
            service: integration.service.clone().unwrap_or_else(|| service.name.clone()),
            test_service: integration.test_service.clone().unwrap_or_else(|| "test".into()),
        })
    }

    /// The deployed versions of the pipeline's other services: staging's where there is one, else production's.
    async fn neighbours(&self, own: &service::Model) -> Result<Vec<Launch>> {
        let mut found = Vec::new();
        for other in services::all(self.store.read()).await? {
            if other.id == own.id || other.pipeline_id != own.pipeline_id {
                continue;
            }
            let mut live = self.live_in(&other.id, EnvironmentName::Staging).await?;
            if live.is_none() {
                live = self.live_in(&other.id, EnvironmentName::Production).await?;
            }
            let Some(live) = live else { continue };
            let environment: EnvironmentName = live.environment.parse()?;
            let plan: LaunchPlan = serde_json::from_str(&live.launch)?;
            found
                .push(self.launch_of(&other, live.artifact, live.commit_sha, plan, Some(environment)).await?);
        }
        Ok(found)
    }
}
