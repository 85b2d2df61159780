//! Services that are made: what of, what AWS refuses about them, and the same button pressed twice.

use control::ports::{Cloud, NotMade};
use domain::cloud::NewCloudService;
use serde_json::json;

use super::*;
use crate::ecs::EcsCloud;

const ROLE: &str = "arn:aws:iam::123456789012:role/start";

fn wanted() -> NewCloudService {
    let text = json!({
        "cluster": "main", "service": "stock", "port": 8080, "cpu": 256, "memory_mb": 512, "tasks": 2,
        "subnets": ["subnet-0a1b2c3d"], "security_groups": ["sg-0a1b2c3d"], "execution_role": ROLE,
    });
    serde_json::from_value(text).unwrap()
}

/// The field that is refused, and why.
fn wrong(made: Result<(), NotMade>) -> (String, String) {
    match made.unwrap_err() {
        NotMade::Wrong(problem) => (problem.field, problem.message),
        NotMade::Not(error) => panic!("no field: {error}"),
    }
}

async fn account() -> (Script, EcsCloud) {
    let mut world = world();
    let theirs = json!({ "subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED" });
    world.service["networkConfiguration"] = json!({ "awsvpcConfiguration": theirs });
    let options = json!({ "awslogs-group": "/ecs/shop", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "orders" });
    let logs = json!({ "logDriver": "awslogs", "options": options });
    world.definitions[0]["containerDefinitions"][0]["logConfiguration"] = logs;
    let script = Script::serve(world, |_, _| ()).await;
    let cloud = EcsCloud::new(script.account(|_| "KEY"));
    (script, cloud)
}

#[tokio::test]
async fn a_new_service_is_what_was_asked_for_and_runs_nothing_yet() {
    let (script, cloud) = account().await;
    let group = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/stock/6d0ecf831eec9f09";
    let wanted = NewCloudService {
        public_address: true,
        target_group: Some(group.into()),
        connect_name: Some("stock".into()),
        log_group: Some("/ecs/stock".into()),
        ..wanted()
    };
    cloud.create(&wanted).await.unwrap();
    script.world(|world| {
        let task = world.last("RegisterTaskDefinition");
        assert_eq!((&task["family"], &task["cpu"], &task["memory"]), (&json!("stock"), &json!("256"), &json!("512")));
        assert_eq!((&task["executionRoleArn"], &task["taskRoleArn"]), (&json!(ROLE), &json!(null)));
        let container = &task["containerDefinitions"][0];
        assert_eq!(container["portMappings"], json!([{ "containerPort": 8080, "name": "main" }]));
        assert_eq!(container["dockerLabels"]["seamless.tasks"], "2");
        let logs = json!({ "awslogs-group": "/ecs/stock", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "stock" });
        assert_eq!(container["logConfiguration"], json!({ "logDriver": "awslogs", "options": logs }));
        let created = &world.created;
        assert_eq!(
            (&created["desiredCount"], &created["launchType"]),
            (&json!(0), &json!("FARGATE")),
            "nothing runs before there is an image"
        );
        assert_eq!(
            created["networkConfiguration"]["awsvpcConfiguration"],
            json!({ "subnets": ["subnet-0a1b2c3d"], "securityGroups": ["sg-0a1b2c3d"], "assignPublicIp": "ENABLED" })
        );
        let balanced = json!([{ "targetGroupArn": group, "containerName": "stock", "containerPort": 8080 }]);
        assert_eq!(created["loadBalancers"], balanced);
        let named = &created["serviceConnectConfiguration"]["services"][0]["clientAliases"][0];
        assert_eq!(named, &json!({ "dnsName": "stock", "port": 8080 }));
        assert_eq!(created["deploymentConfiguration"]["deploymentCircuitBreaker"], json!({ "enable": true, "rollback": true }));
    });
}

#[tokio::test]
async fn what_is_not_said_is_a_neighbours() {
    let (script, cloud) = account().await;
    let like = |name: &str| NewCloudService {
        like: Some(name.into()),
        subnets: vec![],
        security_groups: vec![],
        execution_role: None,
        image: Some("shop/stock:1".into()),
        ..wanted()
    };
    assert_eq!(wrong(cloud.create(&like("nobody")).await).0, "like");
    cloud.create(&like("orders")).await.unwrap();
    script.world(|world| {
        let created = &world.created;
        assert_eq!(created["networkConfiguration"]["awsvpcConfiguration"]["subnets"], json!(["subnet-1"]));
        assert_eq!(created["desiredCount"], 2, "there is an image to run");
        let theirs = world.definition("orders").unwrap()["executionRoleArn"].clone();
        let task = world.last("RegisterTaskDefinition");
        assert_eq!(task["executionRoleArn"], theirs);
        let logs = json!({ "awslogs-group": "/ecs/shop", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "stock" });
        assert_eq!(task["containerDefinitions"][0]["logConfiguration"]["options"], logs);
    });
}

#[tokio::test]
async fn the_same_twice_is_one_and_another_of_the_name_is_refused() {
    let (script, cloud) = account().await;
    let (one, two) = tokio::join!(cloud_create(&cloud), cloud_create(&cloud));
    assert_eq!((one, two), (Ok(()), Ok(())), "pressed twice");
    assert_eq!(cloud.create(&wanted()).await, Ok(()), "and once more later");
    let other = NewCloudService { tasks: 3, ..wanted() };
    let (field, why) = wrong(cloud.create(&other).await);
    assert_eq!(field, "service");
    assert!(why.starts_with("the cluster main has a service stock already"), "{why}");
    let there = NewCloudService { service: "orders".into(), ..wanted() };
    assert_eq!(wrong(cloud.create(&there).await).0, "service");
    script.world(|world| {
        let made = world.calls.iter().filter(|(name, _)| name == "CreateService").count();
        assert!(made <= 2, "one was made, and at most one was refused: {made}");
    });
}

async fn cloud_create(cloud: &EcsCloud) -> Result<(), NotMade> {
    cloud.create(&wanted()).await
}

#[tokio::test]
async fn what_aws_refuses_stands_beside_its_field() {
    let (script, cloud) = account().await;
    for (action, code, message, field) in [
        // Before one is registered: what an earlier try left is used afterwards.
        ("RegisterTaskDefinition", "ClientException", "Role is not valid", "execution_role"),
        (
            "RegisterTaskDefinition",
            "ClientException",
            "No Fargate configuration exists for given values: 256 CPU, 512 memory.",
            "memory_mb",
        ),
        (
            "CreateService",
            "InvalidParameterException",
            "Error retrieving subnet information for [subnet-0a1b2c3d]: The subnet ID 'subnet-0a1b2c3d' does not exist (ErrorCode: InvalidSubnetID.NotFound)",
            "subnets",
        ),
        (
            "CreateService",
            "InvalidParameterException",
            "Error retrieving security group information for [sg-0a1b2c3d]: The security group 'sg-0a1b2c3d' does not exist (ErrorCode: InvalidGroup.NotFound)",
            "security_groups",
        ),
        (
            "CreateService",
            "InvalidParameterException",
            "The target group with targetGroupArn arn:x does not have an associated load balancer.",
            "target_group",
        ),
        (
            "CreateService",
            "NamespaceNotFoundException",
            "The specified namespace wasn't found.",
            "connect_name",
        ),
        (
            "CreateService",
            "InvalidParameterException",
            "Unable to Start a service that is still Draining.",
            "service",
        ),
        ("DescribeServices", "ClusterNotFoundException", "Cluster not found.", "cluster"),
    ] {
        script.refuse(move |asked, _, _| (asked == action).then(|| (400, code, message.into())));
        let (of, why) = wrong(cloud.create(&wanted()).await);
        assert_eq!(of, field, "{message}");
        assert!(why.contains(message.trim_end_matches('.')) && why.contains("; "), "{why}");
    }
    let known = script.world(|world| world.count_of("RegisterTaskDefinition"));
    script.refuse(|asked, _, _| {
        let denied = "User: x is not authorized to perform: ecs:CreateService because of subnet-0a1b2c3d";
        (asked == "CreateService").then(|| (400, "AccessDeniedException", denied.into()))
    });
    let NotMade::Not(error) = cloud.create(&wanted()).await.unwrap_err() else { panic!("no field mends it") };
    assert!(error.0.contains("AWS refuses ecs:CreateService") && error.0.contains("docs/aws.md"), "{error}");
    let registered = script.world(|world| world.count_of("RegisterTaskDefinition"));
    assert_eq!(registered, known, "a definition that an earlier try left is used");
}
