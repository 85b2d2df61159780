//! Deployments against the scripted API ([`script`]): each way to end, with its verdict and words. No test waits.

#![allow(clippy::unwrap_used)]

mod creates;
mod endings;
mod looks;
mod repositories;
mod requests;
mod script;
mod trouble;

use std::{sync::Arc, time::Duration};

use domain::{
    DeploymentId, EnvironmentName,
    containers::EcsService,
    protocol::{Container, DeployWork, JobVariable, Launch},
};
use runner::target::{LogSink, TargetError};
use script::{ACCOUNT, Script, World};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::account::Account;

pub(super) const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
pub(super) const SECRET: &str = "hunter2-hunter2";

/// A service with two tasks that run revision 1, at rest, with a sidecar beside its own container.
pub(super) fn world() -> World {
    let mut world = World::default();
    let first = world.register(json!({
        "family": "orders", "networkMode": "awsvpc", "cpu": "512", "memory": "1024",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "taskRoleArn": "arn:aws:iam::123456789012:role/orders",
        "volumes": [{ "name": "shared" }],
        "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
        "tags": [{ "key": "team", "value": "shop" }, { "key": "aws:cloudformation:stack-name", "value": "shop" }],
        "containerDefinitions": [
            { "name": "web", "image": "shop/orders:old", "cpu": 256, "essential": true,
              "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }],
              "environment": [{ "name": "MODE", "value": "theirs" }, { "name": "COLOUR", "value": "theirs" }],
              "healthCheck": { "command": ["CMD-SHELL", "true"], "interval": 10, "retries": 3, "startPeriod": 20, "timeout": 5 },
              "stopTimeout": 20 },
            { "name": "mesh", "image": "shop/mesh:7", "essential": true, "environment": [{ "name": "MODE", "value": "mesh" }] },
        ],
    }));
    world.service = json!({
        "serviceName": "orders", "status": "ACTIVE", "desiredCount": 2, "launchType": "FARGATE",
        "deploymentController": { "type": "ECS" },
        "deploymentConfiguration": { "maximumPercent": 150, "minimumHealthyPercent": 50 },
        "loadBalancers": [{ "containerName": "web", "containerPort": 8080, "targetGroupArn": "arn:tg" }],
        "healthCheckGracePeriodSeconds": 40, "taskDefinition": first, "events": [],
        "deployments": [{ "id": "ecs-svc/100", "status": "PRIMARY", "taskDefinition": first, "desiredCount": 2,
            "runningCount": 2, "pendingCount": 0, "failedTasks": 0, "rolloutState": "COMPLETED" }],
    });
    world.event("(service orders) has reached a steady state.");
    world
}

pub(super) fn place() -> EcsService {
    EcsService { cluster: "main".into(), service: "orders".into(), container: None }
}

pub(super) fn work(number: u128) -> DeployWork {
    let variable =
        |name: &str, value: &str, secret| JobVariable { name: name.into(), value: value.into(), secret };
    DeployWork {
        deployment: DeploymentId::from_parts(1, number),
        environment: EnvironmentName::Production,
        port: 4600,
        launch: Launch {
            service: "orders".into(),
            artifact: format!("123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/orders@{DIGEST}"),
            commit: "c0ffee".into(),
            start: String::new(),
            context: None,
            health_path: None,
            health_timeout_s: 60,
            variables: vec![variable("COLOUR", "blue", false), variable("TOKEN", SECRET, true)],
            container: Some(Container::default()),
        },
        neighbours: vec![variable("SEAMLESS_URL_STOCK", "http://127.0.0.1:1", false)],
        ecs: Some(place()),
        back_to: None,
        refused: None,
    }
}

/// A deployment, and what its log says.
pub(super) async fn deploys(account: &Arc<Account>, work: &DeployWork) -> (Result<(), String>, Vec<String>) {
    deploys_until(account, work, &CancellationToken::new()).await
}

pub(super) async fn deploys_until(
    account: &Arc<Account>,
    work: &DeployWork,
    cancel: &CancellationToken,
) -> (Result<(), String>, Vec<String>) {
    let log = LogSink::capture();
    let place = work.ecs.clone().unwrap();
    let ended = super::deploy::deploy(account, &place, work, &log, cancel);
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends by itself");
    (ended.map_err(|e: TargetError| e.message), log.lines().into_iter().map(|line| line.text).collect())
}

/// Deploys once in a world that goes on like this.
pub(super) async fn played(
    world: World,
    play: impl FnMut(&mut World, u64) + Send + 'static,
) -> (Script, Result<(), String>, Vec<String>) {
    let script = Script::serve(world, play).await;
    let (ended, log) = deploys(&script.account(|_| "KEY"), &work(9)).await;
    (script, ended, log)
}

/// What the service runs or works towards, as `orders:2`.
pub(super) fn runs(script: &Script) -> String {
    script.world(|world| {
        let arn = world.primary()["taskDefinition"].as_str().unwrap().to_owned();
        arn.rsplit('/').next().unwrap().to_owned()
    })
}

/// Half a minute until all is well.
pub(super) fn heals(world: &mut World, seconds: u64) {
    match seconds {
        0..10 => {}
        10..30 => world.running(1),
        _ => world.complete(),
    }
}

pub(super) fn revision(number: u32) -> Value {
    json!(format!("{ACCOUNT}:task-definition/orders:{number}"))
}
