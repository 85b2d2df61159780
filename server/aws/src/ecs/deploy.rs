//! One deployment, from the task definition that is live to the verdict.
//!
//! The deployment's id is in the new revision, so that whoever asks a second time finds the first. Refuses to go on where somebody
//! else deploys to the same service: whose version it is then, only people know.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_ecs::types::{
    ContainerDefinition, DeploymentControllerType, DeploymentRolloutState, Service, ServiceDeploymentStatus,
    Tag, TaskDefinition,
};
use domain::{DeploymentId, containers::EcsService, protocol::DeployWork};
use runner::target::{LogSink, TargetError};
use tokio_util::sync::CancellationToken;

use super::{
    api::Ecs,
    capacity,
    patience::Patience,
    revision::{self, Wanted},
    secrets,
    watch::{self, Verdict, Watch, primary},
};
use crate::account::Account;

/// How often is looked, at first and later.
const LOOKS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));
/// What is looked for at first.
const AT_FIRST: Duration = Duration::from_secs(60);
/// How long undoing may take: the runner is ended when it takes longer.
const UNDO: Duration = Duration::from_secs(45);
/// How many older revisions are looked through for the one that is gone back to.
const OLDER: usize = 40;

/// What has to be put back when a deployment is to be undone.
#[derive(Debug, Clone)]
struct Before {
    /// What ran.
    definition: String,
    /// How many tasks were wanted, where that was changed.
    tasks: Option<i32>,
    /// What runs instead.
    ours: String,
}

struct Deploying<'a> {
    ecs: Ecs<'a>,
    work: &'a DeployWork,
    /// Set before anything is changed.
    before: Mutex<Option<Before>>,
}

/// Deploys, or finds that it was deployed; see [`runner::Target::deploy`].
pub(super) async fn deploy(
    account: &Account,
    place: &EcsService,
    work: &DeployWork,
    log: &LogSink,
    cancel: &CancellationToken,
) -> Result<(), TargetError> {
    let deploying = Deploying { ecs: Ecs { account, place, log }, work, before: Mutex::default() };
    let ended = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Ended::Undo("cancelled".into())),
        ended = deploying.run() => ended,
    };
    match ended {
        Ok(()) => {
            crate::ecr::mark(account, log, &work.launch.artifact, work.environment, work.deployment).await;
            Ok(())
        }
        Err(Ended::AsItIs(error)) => Err(error),
        Err(Ended::Undo(why)) => Err(deploying.undo(&why).await),
    }
}

/// How it ended without serving.
enum Ended {
    /// What there is stays.
    AsItIs(TargetError),
    /// What was before is to be put back.
    Undo(String),
}

impl<E: Into<TargetError>> From<E> for Ended {
    fn from(error: E) -> Self {
        Ended::AsItIs(error.into())
    }
}

fn refuse(words: impl Into<String>) -> Ended {
    Ended::AsItIs(TargetError::new(words))
}

/// What the service ran when it was last at rest, and would run again; not `ours`.
fn settled<'a>(service: &'a Service, ours: &str) -> Option<&'a str> {
    let mut done = service
        .deployments()
        .iter()
        .filter(|d| d.rollout_state() == Some(&DeploymentRolloutState::Completed));
    done.find_map(|d| d.task_definition().filter(|arn| *arn != ours))
}

impl Deploying<'_> {
    async fn run(&self) -> Result<(), Ended> {
        let Deploying { ecs, work, .. } = self;
        let artifact = &work.launch.artifact;
        if !artifact.contains("@sha256:") {
            return Err(refuse(
                "this image is only with the daemon that built it, where ECS cannot fetch it: set SEAMLESS_REGISTRY to where images go, and build it again",
            ));
        }
        let service = ecs.service().await?;
        let controller = service.deployment_controller().map(|c| c.r#type());
        if let Some(other) = controller.filter(|c| **c != DeploymentControllerType::Ecs) {
            return Err(refuse(format!(
                "the service {} is deployed by {other}, not by ECS itself: Seamless cannot follow that; make a service with the deployment controller ECS",
                ecs.place.service
            )));
        }
        let Some(live) = primary(&service) else {
            return Err(refuse(
                "the service has no deployment that something could follow; look at it in the ECS console",
            ));
        };
        let live_name = live.task_definition().or(service.task_definition()).unwrap_or_default();
        let (definition, tags) = ecs.definition(live_name).await?;
        if self.deployment_of(&service, &definition) == Some(work.deployment) {
            let id = live.id().unwrap_or_default().to_owned();
            ecs.log.system(format!(
                "{} is this deployment already: following it",
                watch::revision(Some(live_name))
            ));
            if let Some(other) = settled(&service, live_name) {
                self.remember(other, None, live_name);
            }
            return self.follow(&id, &service, &definition, None).await;
        }
        if live.rollout_state() == Some(&DeploymentRolloutState::InProgress) {
            let now = watch::revision(Some(live_name));
            ecs.log.system(format!("a deployment of {now} goes on there; this one takes its place"));
        }
        let made = self.made_before(&service, &definition).await?;
        let container = self.container(&service, &definition)?;
        let tasks = self.tasks(&service, container)?;
        let (ours, definition) = match made {
            Some(made) => made,
            None => self.register(&service, &definition, &tags).await?,
        };
        let before = settled(&service, "").unwrap_or(live_name).to_owned();
        self.remember(&before, tasks.map(|_| service.desired_count()), &ours);
        let mut watch = Watch::new("", &service);
        let updated = ecs.update(&service, &ours, tasks).await?;
        let Some(mine) = primary(&updated).filter(|d| d.task_definition() == Some(&ours)) else {
            let now = primary(&updated).and_then(|d| d.task_definition());
            return Err(refuse(format!(
                "somebody else deployed {} to the same service at the same moment",
                watch::revision(now)
            )));
        };
        let id = mine.id().unwrap_or_default().to_owned();
        watch.follow(&id);
        ecs.log.system(format!(
            "{} takes the place of {} in {}/{} ({id})",
            watch::revision(Some(&ours)),
            watch::revision(Some(&before)),
            ecs.place.cluster.rsplit('/').next().unwrap_or_default(),
            ecs.place.service
        ));
        let known = |arn: Option<&str>| service.deployments().iter().any(|d| d.task_definition() == arn);
        let mut others = updated.deployments().iter().filter(|d| d.task_definition() != Some(&ours));
        if let Some(other) = others.find(|d| !known(d.task_definition())) {
            let other = watch::revision(other.task_definition());
            ecs.log.system(format!(
                "warning: {other} was deployed by somebody else a moment ago, and is replaced"
            ));
        }
        self.follow(&id, &updated, &definition, Some(watch)).await
    }

    fn remember(&self, definition: &str, tasks: Option<i32>, ours: &str) {
        let before = Before { definition: definition.into(), tasks, ours: ours.into() };
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    }

    fn container<'d>(
        &self,
        service: &Service,
        definition: &'d TaskDefinition,
    ) -> Result<&'d ContainerDefinition, Ended> {
        let said = self.ecs.place.container.as_deref();
        revision::own(definition, said, &self.work.launch.service, service.load_balancers()).map_err(refuse)
    }

    /// The deployment that our container of a revision is of.
    fn deployment_of(&self, service: &Service, definition: &TaskDefinition) -> Option<DeploymentId> {
        self.container(service, definition).ok().and_then(revision::deployment_of)
    }

    /// How many tasks are to be wanted, where that has to change: a service that was created without an image wants none yet.
    fn tasks(&self, service: &Service, container: &ContainerDefinition) -> Result<Option<i32>, Ended> {
        if service.desired_count() > 0 {
            return Ok(None);
        }
        let label = container.docker_labels().and_then(|labels| labels.get(revision::TASKS));
        let tasks = label.and_then(|count| count.parse().ok()).filter(|count| *count > 0);
        tasks.map(Some).ok_or_else(|| {
            refuse(format!(
                "the service {} wants 0 tasks, so nothing of this version would run: raise its desired count, then deploy again",
                self.ecs.place.service
            ))
        })
    }

    /// The revision that an earlier try at this deployment made, unless ECS has judged it already.
    async fn made_before(
        &self,
        service: &Service,
        live: &TaskDefinition,
    ) -> Result<Option<(String, TaskDefinition)>, Ended> {
        let ecs = &self.ecs;
        let family = live.family().unwrap_or_default();
        let (newest, _) = ecs.definition(family).await?;
        if self.deployment_of(service, &newest) != Some(self.work.deployment) {
            return Ok(None);
        }
        let arn = newest.task_definition_arn().unwrap_or_default().to_owned();
        let name = watch::revision(Some(&arn)).to_owned();
        if let Some(known) = service.deployments().iter().find(|d| d.task_definition() == Some(&arn)) {
            let why = known.rollout_state_reason().unwrap_or("something else took its place");
            return Err(refuse(format!("{name} was this deployment and serves no more: {why}")));
        }
        match ecs.past(&arn).await {
            Ok(Some(past)) => {
                let status = past.status().map_or("unknown", ServiceDeploymentStatus::as_str).to_lowercase();
                let why = past.status_reason().unwrap_or("ECS gives no reason").trim_end_matches('.');
                return Err(refuse(format!(
                    "{name} was this deployment; ECS says it is {}: {why}",
                    status.replace('_', " ")
                )));
            }
            Ok(None) => {}
            Err(error) => ecs.log.system(format!("what became of an earlier try cannot be asked: {error}")),
        }
        ecs.log.system(format!("{name} was made for this deployment by an earlier try"));
        Ok(Some((arn, newest)))
    }

    /// Makes the revision that is to run.
    async fn register(
        &self,
        service: &Service,
        live: &TaskDefinition,
        tags: &[Tag],
    ) -> Result<(String, TaskDefinition), Ended> {
        let Deploying { ecs, work, .. } = self;
        let older = self.gone_back_to(service, live).await?;
        let (base, tags) = older.as_ref().map_or((live, tags), |(base, tags)| (base, tags));
        let container = self.container(service, base)?.name().unwrap_or_default();
        let name = secrets::name(ecs.place, container);
        let secrets =
            secrets::keep(ecs.account, ecs.log, &name, work.deployment, &work.launch.variables).await?;
        if !secrets.is_empty() && base.execution_role_arn().is_none() {
            return Err(refuse(format!(
                "the task definition has no execution role, so ECS cannot read the service's secrets: give {} one that may secretsmanager:GetSecretValue",
                base.family().unwrap_or_default()
            )));
        }
        let next = revision::next(base, tags, container, &Wanted { work, secrets: &secrets });
        let arn = ecs.register(&next).await?;
        let digest = domain::containers::short_digest(&work.launch.artifact);
        ecs.log.system(format!(
            "made {} with the image {digest} in its container {container}",
            watch::revision(Some(&arn))
        ));
        Ok((arn, base.clone()))
    }

    /// For a rollback: the revision that ran then, so that its configuration comes back with its image.
    async fn gone_back_to(
        &self,
        service: &Service,
        live: &TaskDefinition,
    ) -> Result<Option<(TaskDefinition, Vec<Tag>)>, Ended> {
        let Some(then) = self.work.back_to else { return Ok(None) };
        let mut found = None;
        for arn in self.ecs.revisions(live.family().unwrap_or_default()).await?.iter().take(OLDER) {
            let one = self.ecs.definition(arn).await?;
            match (self.deployment_of(service, &one.0) == Some(then), &found) {
                // Somebody may have made another one from it, which carries the same id: the oldest is ours.
                (true, _) => found = Some(one),
                (false, Some(_)) => break,
                (false, None) => {}
            }
        }
        let arn = found.as_ref().and_then(|(definition, _)| definition.task_definition_arn());
        self.ecs.log.system(match arn {
            Some(_) => format!("going back to what {} was", watch::revision(arn)),
            None => "the task definition of that deployment is gone: the image of then goes into the task definition of now"
                .to_owned(),
        });
        Ok(found)
    }

    async fn follow(
        &self,
        id: &str,
        service: &Service,
        definition: &TaskDefinition,
        watch: Option<Watch>,
    ) -> Result<(), Ended> {
        let Deploying { ecs, work, .. } = self;
        let clock = ecs.account.clock();
        let mut watch = watch.unwrap_or_else(|| Watch::new(id, service));
        let patience = Patience::of(service, definition, work.launch.health_timeout_s);
        let minutes = patience.limit.as_secs().div_ceil(60);
        ecs.log.system(format!("waiting for {minutes} minutes at most: {}", patience.why));
        let begun = clock.now();
        let mut look_at = Some(service.clone());
        loop {
            let service = match look_at.take() {
                Some(service) => service,
                None => ecs.service().await?,
            };
            let stopped = ecs.tasks(&watch.unknown(&ecs.stopped().await?)).await?;
            let seen = watch.look(&service, &stopped);
            for line in seen.lines {
                ecs.log.system(line);
            }
            match seen.verdict {
                Some(Verdict::Serves) => return Ok(()),
                Some(Verdict::GivenUp(why) | Verdict::Replaced(why)) => return Err(refuse(why)),
                Some(Verdict::Hopeless(why)) => return Err(Ended::Undo(why)),
                None => {}
            }
            if seen.no_place.is_some()
                && capacity::fixed(&service)
                && let Some(why) = capacity::never(definition, &ecs.machines().await?)
            {
                return Err(Ended::Undo(why));
            }
            let passed = clock.now() - begun;
            if passed >= patience.limit {
                let trouble =
                    watch.trouble().map(|t| format!("; the last that went wrong: {t}")).unwrap_or_default();
                return Err(Ended::Undo(format!(
                    "it was not healthy within {minutes} minutes, which is what its health settings come to{trouble}"
                )));
            }
            clock.sleep(if passed < AT_FIRST { LOOKS.0 } else { LOOKS.1 }).await;
        }
    }

    /// Puts back what was before, unless somebody else has deployed something since; answers the whole reason.
    async fn undo(&self, why: &str) -> TargetError {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(Before { definition, tasks, ours }) = before else { return TargetError::new(why) };
        let name = watch::revision(Some(&definition)).to_owned();
        let put_back = async {
            let service = self.ecs.service().await?;
            if primary(&service).and_then(|d| d.task_definition()) != Some(&ours) {
                return Ok(false);
            }
            self.ecs.log.system(format!("{why}: putting {name} back"));
            self.ecs.update(&service, &definition, tasks).await.map(|_| true)
        };
        let undone = tokio::time::timeout(UNDO, put_back).await;
        TargetError::new(match undone {
            Ok(Ok(true)) => format!("{why}; {name} was put back"),
            Ok(Ok(false)) => why.to_owned(),
            Ok(Err(error)) => format!("{why}; {name} could not be put back: {error}"),
            Err(_) => format!(
                "{why}; AWS has not taken {name} back within {} seconds: look at the service",
                UNDO.as_secs()
            ),
        })
    }
}
