//! Whether a task that found no place can ever find one.
//!
//! Only a cluster whose machines nobody adds to is judged: with a capacity provider, or on Fargate, a place may come. Refuses to
//! judge by what is free now: other tasks end.

use aws_sdk_ecs::types::{ContainerInstance, LaunchType, Service, TaskDefinition};

/// Whether only the machines that are there count.
pub(super) fn fixed(service: &Service) -> bool {
    service.capacity_provider_strategy().is_empty() && service.launch_type() == Some(&LaunchType::Ec2)
}

/// What one task needs: CPU units and MiB.
fn needs(definition: &TaskDefinition) -> (i64, i64) {
    let said = |value: Option<&str>| value.and_then(|v| v.trim().parse::<i64>().ok());
    let containers = definition.container_definitions();
    let cpu = said(definition.cpu()).unwrap_or_else(|| containers.iter().map(|c| i64::from(c.cpu())).sum());
    let memory = said(definition.memory()).unwrap_or_else(|| {
        containers.iter().map(|c| i64::from(c.memory_reservation().or(c.memory()).unwrap_or(0))).sum()
    });
    (cpu, memory)
}

/// Why no machine will ever hold it, if so.
pub(super) fn never(definition: &TaskDefinition, machines: &[ContainerInstance]) -> Option<String> {
    if machines.is_empty() {
        return Some(
            "the cluster has no container instances, and no capacity provider that would add some".into(),
        );
    }
    let (cpu, memory) = needs(definition);
    let has = |machine: &ContainerInstance, name: &str| {
        let found = machine.registered_resources().iter().find(|r| r.name() == Some(name));
        found.map_or(0, |r| i64::from(r.integer_value()))
    };
    let most = |name: &str| machines.iter().map(|m| has(m, name)).max().unwrap_or(0);
    let fits = machines.iter().any(|m| has(m, "CPU") >= cpu && has(m, "MEMORY") >= memory);
    (!fits).then(|| {
        format!(
            "no container instance of the cluster could ever hold the task: it wants {cpu} CPU units and {memory} MiB, the largest have {} and {}; lower what the task definition wants, or add larger machines",
            most("CPU"),
            most("MEMORY")
        )
    })
}
