//! What there is on ECS: clusters and services to pick from, and what one of them really runs.
//!
//! For pages: asked once each, in bounded time, and what cannot be said is told. Refuses to change a service that is there.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_ecs::types::{ContainerDefinition, DeploymentRolloutState, Service, TaskDefinition};
use control::ports::{Cloud, Deployed, NotMade, PortError};
use domain::{
    cloud::{CloudAccount, CloudContainer, CloudService, NewCloudService, UnlistedCluster},
    containers::{EcsService, short_digest},
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::{
    revision,
    watch::{self, primary},
};
use crate::account::{Account, AwsError};

/// For more services than this, it is not asked what they run.
const MOST: usize = 40;
/// How many questions of a list are asked at once.
const AT_ONCE: usize = 8;
/// How long a form waits for the list.
const LIST: Duration = Duration::from_secs(10);
/// After which the list goes without what services run.
const RUNS: Duration = Duration::from_secs(7);
/// How long it is believed what runs somewhere.
const FRESH: Duration = Duration::from_secs(10);

/// When something was found out, and what.
type Found = (Duration, Result<Deployed, PortError>);

/// Services on ECS, in one account and region.
#[derive(Debug)]
pub struct EcsCloud {
    pub(super) account: Arc<Account>,
    /// What was found out a moment ago, good or bad: pages ask more often than things change.
    known: Mutex<HashMap<(String, EcsService, String), Found>>,
}

impl EcsCloud {
    /// Of an account.
    pub fn new(account: Arc<Account>) -> Self {
        Self { account, known: Mutex::default() }
    }

    pub(super) async fn describe(
        &self,
        cluster: &str,
        services: &[String],
    ) -> Result<Vec<Service>, AwsError> {
        // Futures, not a closure: one over borrowed names cannot be sent between threads in a stream.
        let asked: Vec<_> = services
            .chunks(10)
            .map(|some| {
                self.account.ask("ecs:DescribeServices", |aws| {
                    aws.ecs.describe_services().cluster(cluster).set_services(Some(some.to_vec())).send()
                })
            })
            .collect();
        let pages: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let mut found: Vec<_> =
            pages.into_iter().flat_map(|page| page.services.unwrap_or_default()).collect();
        found.retain(|service| service.status() == Some("ACTIVE"));
        Ok(found)
    }

    pub(super) async fn definition(&self, name: &str) -> Result<TaskDefinition, AwsError> {
        let asked = self.account.ask("ecs:DescribeTaskDefinition", |aws| {
            aws.ecs.describe_task_definition().task_definition(name).send()
        });
        let found = asked.await?.task_definition;
        found.ok_or_else(|| AwsError::new(format!("AWS says nothing about the task definition {name}")))
    }

    pub(super) async fn one(&self, cluster: &str, service: &str) -> Result<Option<Service>, AwsError> {
        Ok(self.describe(cluster, &[service.to_owned()]).await?.into_iter().next())
    }

    async fn all(&self) -> Result<CloudAccount, AwsError> {
        let until = Instant::now() + RUNS;
        let clusters = self.clusters().await?;
        let name = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
        let listed = stream::iter(clusters.clone()).map(async |cluster: String| {
            let services = async || self.describe(&cluster, &self.services_of(&cluster).await?).await;
            (name(&cluster), services().await)
        });
        let listed: Vec<_> = listed.buffered(AT_ONCE).collect().await;
        let (mut found, mut unlisted) = (Vec::new(), Vec::new());
        for (cluster, services) in listed {
            match services {
                Ok(services) => found.extend(services.into_iter().map(|service| (cluster.clone(), service))),
                // Where none can be listed, there is nothing to pick from, and one reason.
                Err(error) if unlisted.len() + 1 == clusters.len() => return Err(error),
                Err(error) => unlisted.push(UnlistedCluster { cluster, reason: error.to_string() }),
            }
        }
        let services =
            stream::iter(found.into_iter().enumerate()).map(async |(index, (cluster, service))| {
                let asked = service.task_definition().filter(|_| index < MOST);
                CloudService {
                    cluster,
                    service: service.service_name().unwrap_or_default().into(),
                    containers: match asked {
                        Some(definition) => self.containers(definition, until).await,
                        None => Vec::new(),
                    },
                    running: u32::try_from(service.running_count()).unwrap_or(0),
                    desired: u32::try_from(service.desired_count()).unwrap_or(0),
                }
            });
        let mut account = CloudAccount {
            clusters: clusters.iter().map(|arn| name(arn)).collect(),
            services: services.buffered(AT_ONCE).collect().await,
            unlisted,
        };
        account.clusters.sort();
        account.services.sort_by(|a, b| (&a.cluster, &a.service).cmp(&(&b.cluster, &b.service)));
        Ok(account)
    }

    /// What a task definition runs; nothing where that is not to be had in time: a service can be picked without.
    async fn containers(&self, definition: &str, until: Instant) -> Vec<CloudContainer> {
        let found = match timeout_at(until, self.definition(definition)).await {
            Ok(Ok(found)) => found.container_definitions.unwrap_or_default(),
            Ok(Err(error)) => {
                tracing::warn!(definition, %error, "what a service runs cannot be listed");
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        let runs = |c: ContainerDefinition| Some(CloudContainer { name: c.name?, image: c.image? });
        found.into_iter().filter_map(runs).collect()
    }

    /// ARNs of all clusters, which come in pages.
    async fn clusters(&self) -> Result<Vec<String>, AwsError> {
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let asked = self.account.ask("ecs:ListClusters", |aws| {
                aws.ecs.list_clusters().max_results(100).set_next_token(next.clone()).send()
            });
            let page = asked.await?;
            all.extend(page.cluster_arns.unwrap_or_default());
            match page.next_token {
                Some(more) => next = Some(more),
                None => return Ok(all),
            }
        }
    }

    /// ARNs of all services of a cluster.
    async fn services_of(&self, cluster: &str) -> Result<Vec<String>, AwsError> {
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let asked = self.account.ask("ecs:ListServices", |aws| {
                let question = aws.ecs.list_services().cluster(cluster).max_results(100);
                question.set_next_token(next.clone()).send()
            });
            let page = asked.await?;
            all.extend(page.service_arns.unwrap_or_default());
            match page.next_token {
                Some(more) => next = Some(more),
                None => return Ok(all),
            }
        }
    }

    async fn really(&self, of: &str, place: &EcsService, artifact: &str) -> Result<Deployed, AwsError> {
        let say = |deployment, health: &str, reason: Option<String>| {
            Ok(Deployed { deployment, health: health.to_owned(), reason })
        };
        let Some(service) = self.one(&place.cluster, &place.service).await? else {
            return say(
                None,
                "none",
                Some(format!("{} is not in the cluster {} any more", place.service, place.cluster)),
            );
        };
        let Some(live) = primary(&service) else {
            return say(None, "none", Some("ECS works towards no deployment of it".into()));
        };
        let definition = self.definition(live.task_definition().unwrap_or_default()).await?;
        let name = watch::revision(live.task_definition());
        let own = revision::own(&definition, place.container.as_deref(), of, service.load_balancers()).ok();
        let deployment = own.and_then(revision::deployment_of);
        let image = own.and_then(|container| container.image()).unwrap_or_default();
        if image != artifact {
            let what = if image.contains('@') { short_digest(image) } else { image };
            return say(
                None,
                "drifted",
                Some(format!("{name} is live there, with the image {what}: somebody else deployed it")),
            );
        }
        let (running, wanted) = (service.running_count(), service.desired_count());
        if wanted == 0 {
            return say(deployment, "stopped", Some("it wants 0 tasks: raise its desired count".into()));
        }
        match live.rollout_state() {
            Some(DeploymentRolloutState::Failed) => {
                say(deployment, "unhealthy", live.rollout_state_reason().map(Into::into))
            }
            _ if running < wanted => {
                say(deployment, "unhealthy", Some(format!("{running} of {wanted} tasks run")))
            }
            _ => say(deployment, "healthy", None),
        }
    }
}

fn said(error: impl Display) -> PortError {
    PortError::new(error)
}

#[async_trait]
impl Cloud for EcsCloud {
    async fn account(&self) -> Result<CloudAccount, PortError> {
        match tokio::time::timeout(LIST, self.all()).await {
            Ok(found) => found.map_err(said),
            Err(_) => Err(said(format!("AWS has not listed its services within {} seconds", LIST.as_secs()))),
        }
    }

    async fn deployed(
        &self,
        service: &str,
        place: &EcsService,
        artifact: &str,
    ) -> Result<Deployed, PortError> {
        let key = (service.to_owned(), place.clone(), artifact.to_owned());
        let now = self.account.clock().now();
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, found)) = known().get(&key)
            && now - *at < FRESH
        {
            return found.clone();
        }
        let found = self.really(service, place, artifact).await.map_err(said);
        let mut known = known();
        known.retain(|_, (at, _)| now - *at < FRESH);
        known.insert(key, (now, found.clone()));
        found
    }

    async fn create(&self, wanted: &NewCloudService) -> Result<(), NotMade> {
        self.make(wanted).await
    }
}
