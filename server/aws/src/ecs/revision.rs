//! The next revision of a task definition: the one that is there, with another image and other variables in one container.
//!
//! Everything else is handed back as it came (roles, volumes, sidecars, limits, tags), without what only AWS writes. Refuses to
//! put a secret into it: those are references ([`super::secrets`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_ecs::{
    operation::register_task_definition::builders::RegisterTaskDefinitionInputBuilder,
    types::{ContainerDefinition, KeyValuePair, LoadBalancer, Secret, Tag, TaskDefinition},
};
use domain::{DeploymentId, protocol::DeployWork};

/// The variable by which a revision is known to be a deployment's.
pub(super) const DEPLOYMENT: &str = "SEAMLESS_DEPLOYMENT";
/// The label with the names of the variables that are ours, so that one that is taken away here goes there as well.
const VARIABLES: &str = "seamless.variables";
/// The label with how many tasks a service is to have that was created before it had an image.
pub(super) const TASKS: &str = "seamless.tasks";
/// The label of what a service was made of here, until its first deployment: the same asked for twice is known by it.
pub(super) const MADE: &str = "seamless.made";

/// Which of the containers is the service's: the one that was said, the only one, the one with the service's name, the only one
/// that a load balancer sends to, or the only essential one.
pub(super) fn own<'a>(
    definition: &'a TaskDefinition,
    said: Option<&str>,
    service: &str,
    balancers: &[LoadBalancer],
) -> Result<&'a ContainerDefinition, String> {
    let all = definition.container_definitions();
    let named = |name: &str| all.iter().find(|c| c.name() == Some(name));
    let names = || all.iter().filter_map(|c| c.name()).collect::<Vec<_>>().join(", ");
    if let Some(said) = said {
        let family = definition.family().unwrap_or("the task definition");
        return named(said).ok_or_else(|| format!("{family} has no container {said:?}; it has: {}", names()));
    }
    let behind: BTreeSet<&str> = balancers.iter().filter_map(|b| b.container_name()).collect();
    let essential: Vec<_> = all.iter().filter(|c| c.essential().unwrap_or(true)).collect();
    match (all, &behind.iter().collect::<Vec<_>>()[..], &essential[..]) {
        ([one], _, _) => Some(one),
        (_, _, _) if named(service).is_some() => named(service),
        (_, [one], _) => named(one),
        (_, _, [one]) => Some(*one),
        _ => None,
    }
    .ok_or_else(|| {
        format!(
            "the task has several containers ({}): say in the service's settings which one is this service's",
            names()
        )
    })
}

/// The deployment that a service's container is of. Another container of the same task may be another service's, by another deployment.
pub(super) fn deployment_of(own: &ContainerDefinition) -> Option<DeploymentId> {
    own.environment().iter().filter(|v| v.name() == Some(DEPLOYMENT)).find_map(|v| v.value()?.parse().ok())
}

/// What the service's container is to have that it may not have now.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub work: &'a DeployWork,
    /// Name of each secret variable, and where ECS reads it.
    pub secrets: &'a BTreeMap<String, String>,
}

impl Wanted<'_> {
    /// Its plain variables, ours among them.
    fn plain(&self) -> BTreeMap<&str, String> {
        let (work, launch) = (self.work, &self.work.launch);
        let given = launch.variables.iter().filter(|v| !v.secret).map(|v| (&*v.name, v.value.clone()));
        let port = launch.container.as_ref().and_then(|c| c.port).map(|port| ("PORT", port.to_string()));
        let ours = [
            ("SEAMLESS_COMMIT", launch.commit.clone()),
            ("SEAMLESS_ENVIRONMENT", work.environment.to_string()),
            ("SEAMLESS_SERVICE", launch.service.clone()),
            (DEPLOYMENT, work.deployment.to_string()),
        ];
        port.into_iter().chain(given).chain(ours).collect()
    }

    /// The container as it is to be.
    fn container(&self, live: &ContainerDefinition) -> ContainerDefinition {
        let plain = self.plain();
        let mut labels: HashMap<String, String> = live.docker_labels().cloned().unwrap_or_default();
        let before = labels.remove(VARIABLES).unwrap_or_default();
        labels.remove(TASKS);
        labels.remove(MADE);
        let now: BTreeSet<&str> =
            plain.keys().copied().chain(self.secrets.keys().map(String::as_str)).collect();
        labels.insert(VARIABLES.into(), now.iter().copied().collect::<Vec<_>>().join(" "));
        let ours: BTreeSet<&str> = before.split_whitespace().chain(now).collect();
        let theirs = live.environment().iter().filter(|v| !ours.contains(v.name().unwrap_or_default()));
        let environment = theirs.cloned().chain(
            plain.iter().map(|(name, value)| KeyValuePair::builder().name(*name).value(value).build()),
        );
        let kept = live.secrets().iter().filter(|s| !ours.contains(s.name())).cloned();
        let secrets = kept.chain(
            self.secrets
                .iter()
                .filter_map(|(name, from)| Secret::builder().name(name).value_from(from).build().ok()),
        );
        let mut container = live.clone();
        container.image = Some(self.work.launch.artifact.clone());
        container.environment = Some(environment.collect());
        container.secrets = Some(secrets.collect());
        container.docker_labels = Some(labels);
        let start = self.work.launch.start.trim();
        if !start.is_empty() {
            container.entry_point = Some(Vec::new());
            container.command = Some(vec!["sh".into(), "-c".into(), start.into()]);
        }
        container
    }
}

/// The revision that follows `base`, with `container` as wanted.
pub(super) fn next(
    base: &TaskDefinition,
    tags: &[Tag],
    container: &str,
    wanted: &Wanted<'_>,
) -> RegisterTaskDefinitionInputBuilder {
    let containers = base
        .container_definitions()
        .iter()
        .map(|live| if live.name() == Some(container) { wanted.container(live) } else { live.clone() })
        .collect();
    // Names with `aws:` are AWS's own, and refused from anybody else.
    let tags: Vec<Tag> =
        tags.iter().filter(|t| !t.key().unwrap_or("aws:").starts_with("aws:")).cloned().collect();
    copy(base).set_container_definitions(Some(containers)).set_tags((!tags.is_empty()).then_some(tags))
}

/// Everything of a task definition that may be said when one is registered; inference accelerators may be no more.
pub(super) fn copy(base: &TaskDefinition) -> RegisterTaskDefinitionInputBuilder {
    let base = base.clone();
    RegisterTaskDefinitionInputBuilder::default()
        .set_family(base.family)
        .set_task_role_arn(base.task_role_arn)
        .set_execution_role_arn(base.execution_role_arn)
        .set_network_mode(base.network_mode)
        .set_container_definitions(base.container_definitions)
        .set_volumes(base.volumes)
        .set_placement_constraints(base.placement_constraints)
        .set_requires_compatibilities(base.requires_compatibilities)
        .set_cpu(base.cpu)
        .set_memory(base.memory)
        .set_pid_mode(base.pid_mode)
        .set_ipc_mode(base.ipc_mode)
        .set_proxy_configuration(base.proxy_configuration)
        .set_ephemeral_storage(base.ephemeral_storage)
        .set_runtime_platform(base.runtime_platform)
        .set_enable_fault_injection(base.enable_fault_injection)
}
