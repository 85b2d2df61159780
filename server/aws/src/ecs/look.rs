//! What there is on ECS: services to pick from, what one of them really runs, and one more that is made.
//!
//! For pages: asked once each, in bounded time, and what cannot be said is told. Refuses to change a service that is there.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, Compatibility, ContainerDefinition, DeploymentCircuitBreaker,
    DeploymentConfiguration, DeploymentRolloutState, LaunchType, LoadBalancer, NetworkConfiguration,
    NetworkMode, PortMapping, Service, ServiceConnectClientAlias, ServiceConnectConfiguration,
    ServiceConnectService, TaskDefinition,
};
use control::ports::{Cloud, Deployed, NewCloudService, PortError};
use domain::{
    containers::{EcsService, short_digest},
    view::CloudService,
};

use super::{
    revision,
    watch::{self, primary},
};
use crate::account::{Account, AwsError};

/// What a service runs that was made without an image, if it ran: it wants no tasks until the first deployment.
const NOTHING: &str = "public.ecr.aws/docker/library/busybox:stable";
/// For more services than this, it is not asked what they run.
const MOST: usize = 40;
/// How long a form waits for the list.
const LIST: Duration = Duration::from_secs(10);
/// How long it is believed what runs somewhere.
const FRESH: Duration = Duration::from_secs(10);

/// When something was found out, and what.
type Found = (Duration, Result<Deployed, PortError>);

/// Services on ECS, in one account and region.
#[derive(Debug)]
pub struct EcsCloud {
    account: Arc<Account>,
    /// What was found out a moment ago, good or bad: pages ask more often than things change.
    known: Mutex<HashMap<(EcsService, String), Found>>,
}

impl EcsCloud {
    /// Of an account.
    pub fn new(account: Arc<Account>) -> Self {
        Self { account, known: Mutex::default() }
    }

    async fn describe(&self, cluster: &str, services: &[String]) -> Result<Vec<Service>, AwsError> {
        let mut found = Vec::new();
        for some in services.chunks(10) {
            let asked = self.account.ask("ecs:DescribeServices", |aws| {
                aws.ecs.describe_services().cluster(cluster).set_services(Some(some.to_vec())).send()
            });
            found.extend(asked.await?.services.unwrap_or_default());
        }
        found.retain(|service| service.status() == Some("ACTIVE"));
        Ok(found)
    }

    async fn definition(&self, name: &str) -> Result<TaskDefinition, AwsError> {
        let asked = self.account.ask("ecs:DescribeTaskDefinition", |aws| {
            aws.ecs.describe_task_definition().task_definition(name).send()
        });
        let found = asked.await?.task_definition;
        found.ok_or_else(|| AwsError::new(format!("AWS says nothing about the task definition {name}")))
    }

    async fn one(&self, cluster: &str, service: &str) -> Result<Option<Service>, AwsError> {
        Ok(self.describe(cluster, &[service.to_owned()]).await?.into_iter().next())
    }

    async fn all(&self) -> Result<Vec<CloudService>, AwsError> {
        let asked = self.account.ask("ecs:ListClusters", |aws| async move {
            aws.ecs.list_clusters().max_results(100).send().await
        });
        let mut all = Vec::new();
        for cluster in asked.await?.cluster_arns.unwrap_or_default() {
            let asked = self.account.ask("ecs:ListServices", |aws| {
                aws.ecs.list_services().cluster(&cluster).max_results(100).send()
            });
            let arns = asked.await?.service_arns.unwrap_or_default();
            for service in self.describe(&cluster, &arns).await? {
                let containers = match service.task_definition().filter(|_| all.len() < MOST) {
                    Some(name) => self.definition(name).await?.container_definitions.unwrap_or_default(),
                    None => Vec::new(),
                };
                let count = |count: i32| u32::try_from(count).unwrap_or(0);
                all.push(CloudService {
                    cluster: cluster.rsplit('/').next().unwrap_or_default().into(),
                    service: service.service_name().unwrap_or_default().into(),
                    containers: containers.into_iter().filter_map(|c| Some((c.name?, c.image?))).collect(),
                    running: count(service.running_count()),
                    desired: count(service.desired_count()),
                });
            }
        }
        all.sort_by(|a, b| (&a.cluster, &a.service).cmp(&(&b.cluster, &b.service)));
        Ok(all)
    }

    async fn really(&self, place: &EcsService, artifact: &str) -> Result<Deployed, AwsError> {
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
        let Some(live) = primary(&service) else { return say(None, "none", None) };
        let definition = self.definition(live.task_definition().unwrap_or_default()).await?;
        let name = watch::revision(live.task_definition());
        let deployment = revision::deployment_of(&definition);
        let own = revision::own(&definition, place.container.as_deref(), "", service.load_balancers());
        let image = own.ok().and_then(|container| container.image()).unwrap_or_default();
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

    async fn make(&self, wanted: &NewCloudService) -> Result<(), AwsError> {
        let EcsService { cluster, service, .. } = &wanted.place;
        if self.one(cluster, service).await?.is_some() {
            return Err(AwsError::new(format!(
                "the cluster {cluster} has a service {service} already: pick it"
            )));
        }
        let like = match &wanted.like {
            Some(name) => Some(self.one(cluster, name).await?.ok_or_else(|| {
                AwsError::new(format!("the cluster {cluster} has no service {name} to take settings from"))
            })?),
            None => None,
        };
        let definition = match like.as_ref().and_then(|like| like.task_definition()) {
            Some(name) => Some(self.definition(name).await?),
            None => None,
        };
        let network = network(wanted, like.as_ref())?;
        let registered = self.account.ask("ecs:RegisterTaskDefinition", |aws| {
            let container = container(wanted);
            let mut question = aws
                .ecs
                .register_task_definition()
                .family(service)
                .cpu(wanted.cpu.to_string())
                .memory(wanted.memory.to_string())
                .container_definitions(container);
            question = match &definition {
                Some(base) => question
                    .set_execution_role_arn(base.execution_role_arn.clone())
                    .set_network_mode(base.network_mode.clone())
                    .set_runtime_platform(base.runtime_platform.clone())
                    .set_requires_compatibilities(base.requires_compatibilities.clone()),
                None => question
                    .network_mode(NetworkMode::Awsvpc)
                    .requires_compatibilities(Compatibility::Fargate),
            };
            question.send()
        });
        let arn =
            registered.await?.task_definition.and_then(|made| made.task_definition_arn).unwrap_or_default();
        let tasks = i32::try_from(wanted.tasks).unwrap_or(1);
        let made = self.account.ask("ecs:CreateService", |aws| {
            let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(true).build();
            let rules = DeploymentConfiguration::builder().deployment_circuit_breaker(breaker).build();
            let port = wanted.port.map(i32::from);
            let balanced = wanted.target_group.as_ref().map(|group| {
                let one = LoadBalancer::builder().target_group_arn(group).container_name(service);
                vec![one.set_container_port(port).build()]
            });
            let question = aws
                .ecs
                .create_service()
                .cluster(cluster)
                .service_name(service)
                .task_definition(&arn)
                .desired_count(if wanted.image.is_some() { tasks } else { 0 })
                .deployment_configuration(rules)
                .set_network_configuration(network.clone())
                .set_load_balancers(balanced)
                .set_service_connect_configuration(connect(wanted));
            match &like {
                Some(like) if !like.capacity_provider_strategy().is_empty() => {
                    question.set_capacity_provider_strategy(like.capacity_provider_strategy.clone())
                }
                Some(like) => question.set_launch_type(like.launch_type.clone()),
                None => question.launch_type(LaunchType::Fargate),
            }
            .send()
        });
        made.await.map(drop)
    }
}

/// The one container of a new service, called as it is.
fn container(wanted: &NewCloudService) -> ContainerDefinition {
    let name = &wanted.place.service;
    let container = ContainerDefinition::builder()
        .name(name)
        .image(wanted.image.as_deref().unwrap_or(NOTHING))
        .essential(true)
        .docker_labels(revision::TASKS, wanted.tasks.to_string());
    match wanted.port {
        Some(port) => {
            container.port_mappings(PortMapping::builder().name("main").container_port(port.into()).build())
        }
        None => container,
    }
    .build()
}

/// Subnets and security groups: those that were said, else the neighbour's.
fn network(
    wanted: &NewCloudService,
    like: Option<&Service>,
) -> Result<Option<NetworkConfiguration>, AwsError> {
    let theirs = like.and_then(|like| like.network_configuration()).and_then(|n| n.awsvpc_configuration());
    if wanted.subnets.is_empty() && wanted.security_groups.is_empty() {
        return match (like, theirs) {
            (Some(like), _) => Ok(like.network_configuration.clone()),
            (None, _) => {
                Err(AwsError::new("name subnets, or a service of the cluster whose network is taken"))
            }
        };
    }
    let or = |said: &[String], theirs: Option<&[String]>| match said {
        [] => theirs.unwrap_or_default().to_vec(),
        said => said.to_vec(),
    };
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(or(&wanted.subnets, theirs.map(|t| t.subnets()))))
        .set_security_groups(Some(or(&wanted.security_groups, theirs.map(|t| t.security_groups()))))
        .set_assign_public_ip(theirs.and_then(|t| t.assign_public_ip.clone()))
        .build()
        .map_err(|e| AwsError::new(e.to_string()))?;
    Ok(Some(NetworkConfiguration::builder().awsvpc_configuration(vpc).build()))
}

/// Its name among the cluster's services.
fn connect(wanted: &NewCloudService) -> Option<ServiceConnectConfiguration> {
    let (name, port) = (wanted.connect_name.as_ref()?, wanted.port?);
    let alias = ServiceConnectClientAlias::builder().dns_name(name).port(port.into()).build().ok()?;
    let service = ServiceConnectService::builder().port_name("main").client_aliases(alias).build().ok()?;
    Some(ServiceConnectConfiguration::builder().enabled(true).services(service).build())
}

fn said(error: impl Display) -> PortError {
    PortError::new(error)
}

#[async_trait]
impl Cloud for EcsCloud {
    async fn services(&self) -> Result<Vec<CloudService>, PortError> {
        match tokio::time::timeout(LIST, self.all()).await {
            Ok(found) => found.map_err(said),
            Err(_) => Err(said(format!("AWS has not listed its services within {} seconds", LIST.as_secs()))),
        }
    }

    async fn deployed(&self, place: &EcsService, artifact: &str) -> Result<Deployed, PortError> {
        let (key, now) = ((place.clone(), artifact.to_owned()), self.account.clock().now());
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, found)) = known().get(&key)
            && now - *at < FRESH
        {
            return found.clone();
        }
        let found = self.really(place, artifact).await.map_err(said);
        let mut known = known();
        known.retain(|_, (at, _)| now - *at < FRESH);
        known.insert(key, (now, found.clone()));
        found
    }

    async fn create(&self, wanted: &NewCloudService) -> Result<(), PortError> {
        self.make(wanted).await.map_err(said)
    }
}
