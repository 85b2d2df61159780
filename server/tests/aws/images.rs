//! Images that tasks build, deployed by tasks to services on ECS.

use domain::{StageKind, view::Run};
use serde_json::{Value, json};
use testkit::{
    Repository, Store,
    aws::Aws,
    docker::{Daemon, Registry},
};

use crate::{Driven, SECRET};

/// Images that tasks build are deployed by tasks to services on ECS, whose rollouts are over at once in the stand-in.
#[tokio::test]
async fn services_on_ecs_are_deployed_by_tasks() {
    const NAME: &str = "aws::images::services_on_ecs_are_deployed_by_tasks";
    let Some(daemon) = Daemon::find(NAME) else { return };
    let Some(registry) = Registry::start(NAME) else { return };
    let Some(aws) = Aws::find(NAME).await else { return };
    let more = vec![
        ("SEAMLESS_REGISTRY", registry.address.clone()),
        ("SEAMLESS_REGISTRY_USERNAME", "ci".to_owned()),
        ("SEAMLESS_REGISTRY_PASSWORD", "right-password".to_owned()),
    ];
    let driven = Driven::start_with(&aws, "ecs", Store::Sqlite, more).await;
    // Tasks have a file system of their own, as EFS is, and none of the server's.
    let own = tempfile::tempdir().unwrap();
    driven.tasks_have(own.path());
    let (server, api) = (&driven.server, &driven.server.api);
    // The service, as somebody made it before there was a Seamless.
    let ecs = async |operation: &str, body: Value| {
        aws.call(&format!("AmazonEC2ContainerServiceV20141113.{operation}"), &body).await.unwrap()
    };
    ecs("CreateCluster", json!({ "clusterName": "shop" })).await;
    let log = json!({ "name": "log", "image": "log:1", "memory": 64, "essential": false });
    let own = json!({ "name": "orders", "image": "placeholder", "memory": 256, "portMappings": [{ "containerPort": 7070 }] });
    let definition = json!({
        "family": "orders", "containerDefinitions": [log, own],
        "executionRoleArn": "arn:aws:iam::000000000000:role/orders",
    });
    ecs("RegisterTaskDefinition", definition).await;
    let place =
        json!({ "cluster": "shop", "serviceName": "orders", "taskDefinition": "orders", "desiredCount": 2 });
    ecs("CreateService", place).await;
    let live = async || {
        let services = ecs("DescribeServices", json!({ "cluster": "shop", "services": ["orders"] })).await;
        let named = services["services"][0]["taskDefinition"].clone();
        let definition = ecs("DescribeTaskDefinition", json!({ "taskDefinition": named })).await;
        let containers = definition["taskDefinition"]["containerDefinitions"].as_array().unwrap().clone();
        assert_eq!(containers.iter().filter(|container| container["image"] == "log:1").count(), 1);
        containers.into_iter().find(|container| container["name"] == "orders").unwrap()
    };

    let repository = Repository::empty(&server.repositories(), "orders");
    let dockerfile = |version: u32| format!("FROM {}\nENV VERSION={version}\n", daemon.served());
    repository.change(&[("Dockerfile", &dockerfile(1))], "Start");
    let ecs_service = json!({ "target": "ecs", "ecs": { "cluster": "shop", "service": "orders" } });
    let service = api
        .connect(&json!({
            "name": "orders", "repository": repository.path(), "branch": "main", "dockerfile": "Dockerfile",
            "auto_deploy": true, "staging": false, "environments": { "production": ecs_service },
            "variables": { "API_KEY": { "value": SECRET, "secret": true }, "REGION": { "value": "eu" } },
        }))
        .await;
    let mut images = Vec::new();
    for version in 1..=2 {
        let run = match version {
            1 => api.start(&service).await.id,
            _ => {
                api.run_of(&service, &repository.change(&[("Dockerfile", &dockerfile(version))], "Next"))
                    .await
                    .id
            }
        };
        let run = api.succeeded(run).await;
        let container = live().await;
        let image = container["image"].as_str().unwrap().to_owned();
        assert!(image.starts_with(&registry.address) && image.contains("@sha256:"), "{image}");
        let named = |list: &str, name: &str| {
            container[list].as_array().unwrap().iter().find(|one| one["name"] == name).cloned()
        };
        assert_eq!(named("environment", "REGION").unwrap()["value"], "eu");
        assert!(
            named("environment", "API_KEY").is_none() && named("secrets", "API_KEY").is_some(),
            "{container}"
        );
        assert!(!images.contains(&image), "each version is an image of its own");
        images.push(image);
        let log = api
            .get(&format!("/stages/{}/log.txt", run.stage(StageKind::DeployProduction).unwrap().id))
            .await
            .text;
        assert!(log.contains("orders"), "{log}");
    }
    let first = api.deployments(&service, "production").await.pop().unwrap();
    let back = json!({ "environment": "production", "deployment": first.id });
    let back: Run = api.post(&format!("/services/{}/rollback", service.id), back).await.to(202);
    api.succeeded(back.id).await;
    assert_eq!(live().await["image"], images[0], "what ran before runs again");
    driven.executions_are_over().await;
    assert_eq!(driven.sent("UpdateService").len(), 3, "each deployed once");
    let everything = aws.requests().into_iter().filter(|request| request["service"] != "secretsmanager");
    assert!(everything.map(|request| request.to_string()).all(|request| !request.contains(SECRET)));
    assert!(!aws.task_logs().contains(SECRET));
}
