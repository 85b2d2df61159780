//! One more service on ECS, with a task definition of its own.
//!
//! A service without an image wants no tasks: it is there to be picked, and its first deployment raises that to what was asked for. The
//! very same wish twice is one service, however close upon each other: its mark is a label of the container. Refuses to touch a service
//! that was not made of this wish, and to make anything beside the two: networks, balancers and roles are the account's.

use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, Compatibility, ContainerDefinition, DeploymentCircuitBreaker,
    DeploymentConfiguration, LaunchType, LoadBalancer, LogConfiguration, LogDriver, NetworkConfiguration,
    NetworkMode, PortMapping, Service, ServiceConnectClientAlias, ServiceConnectConfiguration,
    ServiceConnectService, TaskDefinition, TaskDefinitionStatus, builders::ContainerDefinitionBuilder,
};
use control::ports::{NotMade, PortError};
use domain::{cloud::NewCloudService, problem::FieldError};
use sha2::{Digest, Sha256};

use super::{EcsCloud, revision};
use crate::account::AwsError;

/// What a service runs that was made without an image, if it ran: it wants no tasks until the first deployment.
const NOTHING: &str = "public.ecr.aws/docker/library/busybox:stable";

impl From<AwsError> for NotMade {
    fn from(error: AwsError) -> Self {
        NotMade::Not(PortError::new(error))
    }
}

fn wrong(field: &str, message: String) -> NotMade {
    NotMade::Wrong(FieldError { field: field.into(), message })
}

/// What AWS refused, beside the field that it is about where its words tell.
fn refused(error: AwsError) -> NotMade {
    const FIELDS: [(&str, &[&str], &str); 8] = [
        ("cluster", &["clusternotfound", "cluster not found"], "choose a cluster of this account and region"),
        (
            "service",
            &["draining"],
            "the one of this name is still being deleted: wait until it is gone, or choose another name",
        ),
        (
            "target_group",
            &["targetgroup", "target group"],
            "it must be of type `ip`, belong to a load balancer, and be in the VPC of the subnets",
        ),
        (
            "connect_name",
            &["namespace", "service connect", "serviceconnect"],
            "give the cluster a default namespace, or leave this empty",
        ),
        (
            "security_groups",
            &["security group", "securitygroup", "invalidgroup"],
            "name security groups of the subnets' VPC",
        ),
        ("subnets", &["subnet"], "name subnets of this account and region, all of one VPC"),
        ("memory_mb", &["fargate configuration", "cpu", "memory"], "choose another size"),
        ("execution_role", &["role"], "it must be there, and trust ecs-tasks.amazonaws.com"),
    ];
    // Permissions and trouble are nothing that another value of a field would mend.
    let invalid = ["ClientException", "InvalidParameterException"].contains(&error.code.as_str())
        || error.code.ends_with("NotFoundException");
    let text = format!("{} {}", error.code, error.message).to_lowercase();
    let about = FIELDS.iter().find(|(_, words, _)| words.iter().any(|word| text.contains(word)));
    match about.filter(|_| invalid) {
        Some((field, _, remedy)) => {
            wrong(field, format!("{}; {remedy}", error.message.trim_end_matches('.')))
        }
        None => error.into(),
    }
}

/// By which a service is known that was made of this wish.
fn mark(wanted: &NewCloudService) -> String {
    let told = serde_json::to_vec(wanted).unwrap_or_default();
    Sha256::digest(told).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn has_mark(definition: &TaskDefinition, mark: &str) -> bool {
    let labels = definition.container_definitions().iter().filter_map(|container| container.docker_labels());
    labels.filter_map(|labels| labels.get(revision::MADE)).any(|of| of == mark)
}

impl EcsCloud {
    pub(super) async fn make(&self, wanted: &NewCloudService) -> Result<(), NotMade> {
        let (NewCloudService { cluster, service, .. }, mark) = (wanted, mark(wanted));
        if self.is_there(wanted, &mark).await? {
            return Ok(());
        }
        let like = match &wanted.like {
            Some(name) => Some(self.one(cluster, name).await?.ok_or_else(|| {
                wrong(
                    "like",
                    format!("the cluster {cluster} has no service {name}: choose another one, or none"),
                )
            })?),
            None => None,
        };
        let definition = match like.as_ref().and_then(|like| like.task_definition()) {
            Some(name) => Some(self.definition(name).await?),
            None => None,
        };
        let network = network(wanted, like.as_ref())?;
        let definition = self.defined(wanted, definition.as_ref(), &mark).await?;
        let made = self.account.ask("ecs:CreateService", |aws| {
            let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(true).build();
            let rules = DeploymentConfiguration::builder().deployment_circuit_breaker(breaker).build();
            let port = wanted.port.map(i32::from);
            let balanced = wanted.target_group.as_ref().map(|group| {
                let one = LoadBalancer::builder().target_group_arn(group).container_name(service);
                vec![one.set_container_port(port).build()]
            });
            let tasks = i32::try_from(wanted.tasks).unwrap_or(1);
            let question = aws
                .ecs
                .create_service()
                .cluster(cluster)
                .service_name(service)
                .task_definition(&definition)
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
        match made.await {
            Ok(_) => Ok(()),
            // Somebody else was quicker; perhaps it was the same button.
            Err(error) if error.message.contains("idempotent") && self.is_there(wanted, &mark).await? => {
                Ok(())
            }
            Err(error) => Err(refused(error)),
        }
    }

    /// Whether what is wanted is there; one that is another's in its place is refused.
    async fn is_there(&self, wanted: &NewCloudService, mark: &str) -> Result<bool, NotMade> {
        let NewCloudService { cluster, service, .. } = wanted;
        let Some(there) = self.one(cluster, service).await.map_err(refused)? else { return Ok(false) };
        let definition = self.definition(there.task_definition().unwrap_or_default()).await?;
        match has_mark(&definition, mark) {
            true => Ok(true),
            false => {
                let cluster = cluster.rsplit('/').next().unwrap_or_default();
                Err(wrong(
                    "service",
                    format!(
                        "the cluster {cluster} has a service {service} already: pick it, or choose another name"
                    ),
                ))
            }
        }
    }

    /// The task definition's ARN: one that an earlier try at the same left, or a new one.
    async fn defined(
        &self,
        wanted: &NewCloudService,
        base: Option<&TaskDefinition>,
        mark: &str,
    ) -> Result<String, NotMade> {
        if let Ok(newest) = self.definition(&wanted.service).await
            && newest.status() == Some(&TaskDefinitionStatus::Active)
            && has_mark(&newest, mark)
        {
            return Ok(newest.task_definition_arn.unwrap_or_default());
        }
        let registered = self.account.ask("ecs:RegisterTaskDefinition", |aws| {
            let region = aws.ecs.config().region().map(ToString::to_string);
            let logs = logging(wanted, base, &region.unwrap_or_default());
            let question = aws
                .ecs
                .register_task_definition()
                .family(&wanted.service)
                .cpu(wanted.cpu.to_string())
                .memory(wanted.memory_mb.to_string())
                .container_definitions(container(wanted, mark).set_log_configuration(logs).build())
                .set_task_role_arn(wanted.task_role.clone());
            let role = wanted.execution_role.clone();
            let question = match base {
                Some(base) => question
                    .set_execution_role_arn(role.or_else(|| base.execution_role_arn.clone()))
                    .set_network_mode(base.network_mode.clone())
                    .set_runtime_platform(base.runtime_platform.clone())
                    .set_requires_compatibilities(base.requires_compatibilities.clone()),
                None => question
                    .set_execution_role_arn(role)
                    .network_mode(NetworkMode::Awsvpc)
                    .requires_compatibilities(Compatibility::Fargate),
            };
            question.send()
        });
        let made = registered.await.map_err(refused)?.task_definition;
        Ok(made.and_then(|made| made.task_definition_arn).unwrap_or_default())
    }
}

/// The one container of a new service, called as it is.
fn container(wanted: &NewCloudService, mark: &str) -> ContainerDefinitionBuilder {
    let container = ContainerDefinition::builder()
        .name(&wanted.service)
        .image(wanted.image.as_deref().unwrap_or(NOTHING))
        .essential(true)
        .docker_labels(revision::TASKS, wanted.tasks.to_string())
        .docker_labels(revision::MADE, mark);
    match wanted.port {
        Some(port) => {
            container.port_mappings(PortMapping::builder().name("main").container_port(port.into()).build())
        }
        None => container,
    }
}

/// Where its container's lines go: into the log group that was said, else where the neighbour's go, each service under its own prefix.
fn logging(
    wanted: &NewCloudService,
    base: Option<&TaskDefinition>,
    region: &str,
) -> Option<LogConfiguration> {
    let prefix = ("awslogs-stream-prefix".to_owned(), wanted.service.clone());
    if let Some(group) = &wanted.log_group {
        let options =
            [("awslogs-group".into(), group.clone()), ("awslogs-region".into(), region.into()), prefix];
        let logs = LogConfiguration::builder().log_driver(LogDriver::Awslogs);
        return logs.set_options(Some(options.into())).build().ok();
    }
    let theirs = base?.container_definitions().iter().find_map(|container| container.log_configuration())?;
    match theirs.log_driver {
        LogDriver::Awslogs => {
            let mut logs = theirs.clone();
            logs.options.get_or_insert_default().extend([prefix]);
            Some(logs)
        }
        // Needs a container beside it that routes.
        LogDriver::Awsfirelens => None,
        _ => Some(theirs.clone()),
    }
}

/// Subnets and security groups: those that were said, else the neighbour's.
fn network(
    wanted: &NewCloudService,
    like: Option<&Service>,
) -> Result<Option<NetworkConfiguration>, NotMade> {
    let theirs = like.and_then(|like| like.network_configuration()).and_then(|n| n.awsvpc_configuration());
    if theirs.is_none() && wanted.subnets.is_empty() {
        // A neighbour in its host's network has none to give, and needs none.
        return Ok(None);
    }
    let or = |said: &[String], theirs: Option<&[String]>| match said {
        [] => theirs.unwrap_or_default().to_vec(),
        said => said.to_vec(),
    };
    let public = match wanted.public_address {
        true => Some(AssignPublicIp::Enabled),
        false => theirs.and_then(|theirs| theirs.assign_public_ip.clone()),
    };
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(or(&wanted.subnets, theirs.map(|t| t.subnets()))))
        .set_security_groups(Some(or(&wanted.security_groups, theirs.map(|t| t.security_groups()))))
        .set_assign_public_ip(public)
        .build()
        .map_err(|error| wrong("subnets", error.to_string()))?;
    Ok(Some(NetworkConfiguration::builder().awsvpc_configuration(vpc).build()))
}

/// Its name among the cluster's services.
fn connect(wanted: &NewCloudService) -> Option<ServiceConnectConfiguration> {
    let (name, port) = (wanted.connect_name.as_ref()?, wanted.port?);
    let alias = ServiceConnectClientAlias::builder().dns_name(name).port(port.into()).build().ok()?;
    let service = ServiceConnectService::builder().port_name("main").client_aliases(alias).build().ok()?;
    Some(ServiceConnectConfiguration::builder().enabled(true).services(service).build())
}
