//! What is asked of ECS in the course of a deployment, each question by its name in IAM.
//!
//! Refuses to interpret answers beyond what is there and what is not.

use aws_sdk_ecs::{
    operation::register_task_definition::builders::RegisterTaskDefinitionInputBuilder,
    types::{
        ContainerInstance, DeploymentCircuitBreaker, DeploymentConfiguration, DesiredStatus, Service,
        ServiceDeploymentBrief, SortOrder, Tag, Task, TaskDefinition, TaskDefinitionField,
    },
};
use domain::containers::EcsService;
use runner::target::LogSink;

use crate::account::{Account, AwsError};

type Result<T> = std::result::Result<T, AwsError>;

/// Questions about one service, asked until they are answered.
#[derive(Clone, Copy)]
pub(super) struct Ecs<'a> {
    pub account: &'a Account,
    pub place: &'a EcsService,
    pub log: &'a LogSink,
}

impl Ecs<'_> {
    pub async fn service(&self) -> Result<Service> {
        let EcsService { cluster, service, .. } = self.place;
        let answer = self.account.insist(self.log, "ecs:DescribeServices", |aws| {
            aws.ecs.describe_services().cluster(cluster).services(service).send()
        });
        let answer = answer.await.map_err(|error| match error.is("ClusterNotFoundException") {
            true => AwsError { message: no_cluster(cluster), ..error },
            false => error,
        })?;
        let found = answer.services.unwrap_or_default().into_iter().next();
        found.filter(|found| found.status() != Some("INACTIVE")).ok_or_else(|| {
            AwsError::new(format!(
                "the cluster {cluster} has no service {service} (any more): pick another one in the service's settings, or create it there"
            ))
        })
    }

    pub async fn definition(&self, name: &str) -> Result<(TaskDefinition, Vec<Tag>)> {
        let answer = self.account.insist(self.log, "ecs:DescribeTaskDefinition", |aws| {
            let question = aws.ecs.describe_task_definition().task_definition(name);
            question.include(TaskDefinitionField::Tags).send()
        });
        let answer = answer.await?;
        let definition = answer.task_definition;
        let definition = definition
            .ok_or_else(|| AwsError::new(format!("AWS says nothing about the task definition {name}")))?;
        Ok((definition, answer.tags.unwrap_or_default()))
    }

    /// Revisions of a family, newest first, a hundred at most.
    pub async fn revisions(&self, family: &str) -> Result<Vec<String>> {
        let answer = self.account.insist(self.log, "ecs:ListTaskDefinitions", |aws| {
            aws.ecs
                .list_task_definitions()
                .family_prefix(family)
                .sort(SortOrder::Desc)
                .max_results(100)
                .send()
        });
        let of_family = |arn: &String| arn.contains(&format!("/{family}:"));
        Ok(answer.await?.task_definition_arns.unwrap_or_default().into_iter().filter(of_family).collect())
    }

    /// Answers the new revision's ARN.
    pub async fn register(&self, definition: &RegisterTaskDefinitionInputBuilder) -> Result<String> {
        let answer = self.account.insist(self.log, "ecs:RegisterTaskDefinition", |aws| {
            let definition = definition.clone();
            async move { definition.send_with(&aws.ecs).await }
        });
        let made = answer.await?.task_definition.and_then(|made| made.task_definition_arn);
        made.ok_or_else(|| AwsError::new("AWS registered a task definition and did not say which"))
    }

    /// Makes the service run a revision; the circuit breaker and going back are always on, everything else as it was.
    pub async fn update(&self, service: &Service, definition: &str, tasks: Option<i32>) -> Result<Service> {
        let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(true).build();
        let mut rules = service
            .deployment_configuration()
            .cloned()
            .unwrap_or_else(|| DeploymentConfiguration::builder().build());
        rules.deployment_circuit_breaker = Some(breaker);
        let answer = self.account.insist(self.log, "ecs:UpdateService", |aws| {
            let question = aws.ecs.update_service().cluster(&self.place.cluster).service(&self.place.service);
            question
                .task_definition(definition)
                .deployment_configuration(rules.clone())
                .set_desired_count(tasks)
                .send()
        });
        let updated = answer.await?.service;
        updated.ok_or_else(|| AwsError::new("AWS took the update and did not say what the service is now"))
    }

    /// Tasks of the service that stopped within the last hour or so.
    pub async fn stopped(&self) -> Result<Vec<String>> {
        let answer = self.account.insist(self.log, "ecs:ListTasks", |aws| {
            let question =
                aws.ecs.list_tasks().cluster(&self.place.cluster).service_name(&self.place.service);
            question.desired_status(DesiredStatus::Stopped).send()
        });
        Ok(answer.await?.task_arns.unwrap_or_default())
    }

    pub async fn tasks(&self, arns: &[String]) -> Result<Vec<Task>> {
        let mut found = Vec::new();
        for some in arns.chunks(100) {
            let answer = self.account.insist(self.log, "ecs:DescribeTasks", |aws| {
                aws.ecs.describe_tasks().cluster(&self.place.cluster).set_tasks(Some(some.to_vec())).send()
            });
            found.extend(answer.await?.tasks.unwrap_or_default());
        }
        Ok(found)
    }

    /// The cluster's machines, a hundred at most.
    pub async fn machines(&self) -> Result<Vec<ContainerInstance>> {
        let cluster = &self.place.cluster;
        let listed = self.account.insist(self.log, "ecs:ListContainerInstances", |aws| {
            aws.ecs.list_container_instances().cluster(cluster).max_results(100).send()
        });
        let arns = listed.await?.container_instance_arns.unwrap_or_default();
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.account.insist(self.log, "ecs:DescribeContainerInstances", |aws| {
            let question = aws.ecs.describe_container_instances().cluster(cluster);
            question.set_container_instances(Some(arns.clone())).send()
        });
        Ok(answer.await?.container_instances.unwrap_or_default())
    }

    /// How a deployment of this revision ended that is among the service's deployments no more, where ECS still knows.
    pub async fn past(&self, definition: &str) -> Result<Option<ServiceDeploymentBrief>> {
        let EcsService { cluster, service, .. } = self.place;
        let listed = self.account.insist(self.log, "ecs:ListServiceDeployments", |aws| {
            aws.ecs.list_service_deployments().cluster(cluster).service(service).max_results(20).send()
        });
        let past = listed.await?.service_deployments.unwrap_or_default();
        let targets: Vec<String> =
            past.iter().filter_map(|d| d.target_service_revision_arn.clone()).collect();
        if targets.is_empty() {
            return Ok(None);
        }
        let answer = self.account.insist(self.log, "ecs:DescribeServiceRevisions", |aws| {
            aws.ecs.describe_service_revisions().set_service_revision_arns(Some(targets.clone())).send()
        });
        let revisions = answer.await?.service_revisions.unwrap_or_default();
        let ours = revisions.into_iter().find(|r| r.task_definition() == Some(definition));
        let arn = ours.and_then(|revision| revision.service_revision_arn);
        Ok(past.into_iter().find(|d| arn.is_some() && d.target_service_revision_arn == arn))
    }
}

/// The words for a cluster that is not there.
pub(super) fn no_cluster(cluster: &str) -> String {
    format!(
        "there is no cluster {cluster} in this account and region: pick another one in the service's settings"
    )
}
