//! Who may do what: the machine, the hosts, the start of a task, each kind of stage, and the server. `docs/aws.md` lists the stages' rights.

use domain::StageKind;
use serde_json::{Value, json};

use super::{Resources, sub};

/// The logical id of a kind of stage's role.
pub(super) fn of_stage(kind: StageKind) -> String {
    format!("{kind:?}Role")
}

pub(super) fn add(resources: &mut Resources) {
    let machine = role("states", &[], machine());
    resources.insert("MachineRole".into(), machine);
    let managed = |names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| sub(&format!("arn:${{AWS::Partition}}:iam::aws:policy/{name}"))).collect()
    };
    let host = managed(&["service-role/AmazonEC2ContainerServiceforEC2Role", "AmazonSSMManagedInstanceCore"]);
    resources.insert("HostRole".into(), role("ec2", &host, vec![]));
    let start = managed(&["service-role/AmazonECSTaskExecutionRolePolicy"]);
    resources.insert("StartRole".into(), role("ecs-tasks", &start, vec![]));
    for kind in StageKind::ALL {
        resources.insert(of_stage(kind), role("ecs-tasks", &[], stage(kind)));
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": server() });
    let properties =
        json!({ "Description": "What the Seamless server does in this account", "PolicyDocument": policy });
    resources.insert(
        "ServerPolicy".into(),
        json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": properties }),
    );
    let policy = json!({ "Version": "2012-10-17", "Statement": maker() });
    let properties = json!({
        "Description": "What the Seamless server needs besides to make services on ECS from its form",
        "PolicyDocument": policy,
    });
    resources
        .insert("MakerPolicy".into(), json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": properties }));
}

fn role(service: &str, managed: &[Value], statements: Vec<Value>) -> Value {
    let mut trust = json!({
        "Effect": "Allow",
        "Principal": { "Service": format!("{service}.amazonaws.com") },
        "Action": "sts:AssumeRole",
    });
    if service != "ec2" {
        trust["Condition"] = json!({ "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } });
    }
    let mut properties =
        json!({ "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [trust] } });
    if !managed.is_empty() {
        properties["ManagedPolicyArns"] = json!(managed);
    }
    if !statements.is_empty() {
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        properties["Policies"] = json!([{ "PolicyName": "seamless", "PolicyDocument": document }]);
    }
    json!({ "Type": "AWS::IAM::Role", "Properties": properties })
}

fn allow(actions: &[&str], resource: Value) -> Value {
    json!({ "Effect": "Allow", "Action": actions, "Resource": resource })
}

fn arn(of: &str) -> Value {
    json!({ "Fn::GetAtt": [of, "Arn"] })
}

/// Roles may be handed to tasks and to nothing else.
fn pass(roles: Value) -> Value {
    let mut pass = allow(&["iam:PassRole"], roles);
    pass["Condition"] = json!({ "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } });
    pass
}

fn machine() -> Vec<Value> {
    let here = "${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}";
    let mut run =
        allow(&["ecs:RunTask"], sub(&format!("arn:{here}:task-definition/${{AWS::StackName}}-stage:*")));
    run["Condition"] = json!({ "ArnEquals": { "ecs:cluster": arn("Cluster") } });
    let passed: Vec<Value> =
        StageKind::ALL.map(|kind| arn(&of_stage(kind))).into_iter().chain([arn("StartRole")]).collect();
    // Step Functions hears of tasks through this rule of its own (https://docs.aws.amazon.com/step-functions/latest/dg/ecs-iam.html).
    let rule = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/StepFunctionsGetEventsForECSTaskRule";
    let logs = [
        "logs:CreateLogDelivery",
        "logs:GetLogDelivery",
        "logs:UpdateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:DescribeResourcePolicies",
        "logs:DescribeLogGroups",
    ];
    vec![
        run,
        allow(&["ecs:StopTask", "ecs:DescribeTasks"], sub(&format!("arn:{here}:task/${{Cluster}}/*"))),
        pass(json!(passed)),
        allow(&["events:PutTargets", "events:PutRule", "events:DescribeRule"], sub(rule)),
        allow(&["sqs:SendMessage"], arn("Queue")),
        allow(&["sns:Publish"], json!({ "Ref": "Topic" })),
        // CloudWatch knows no narrower right for the delivery of logs.
        allow(&logs, json!("*")),
    ]
}

/// What a login for images may do, which the server makes for each job that needs one.
const IMAGES: [&str; 14] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:CreateRepository",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetLifecyclePolicy",
    "ecr:InitiateLayerUpload",
    "ecr:ListTagsForResource",
    "ecr:PutImage",
    "ecr:PutLifecyclePolicy",
    "ecr:TagResource",
    "ecr:UploadLayerPart",
];

fn images() -> Value {
    sub("arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${Repositories}*")
}

/// What a stage's own work needs; that it talks to the server needs no right, and for images the server hands it a login.
fn stage(kind: StageKind) -> Vec<Value> {
    if kind.environment().is_none() {
        return vec![];
    }
    let of = |service: &str, what: &str| {
        sub(&format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{what}"))
    };
    vec![
        // To tag what was deployed.
        allow(&["ecr:BatchGetImage", "ecr:PutImage"], images()),
        allow(&["ecs:DescribeServices", "ecs:UpdateService"], of("ecs", "service/*")),
        allow(&["ecs:DescribeTasks"], of("ecs", "task/*")),
        allow(&["ecs:DescribeContainerInstances"], of("ecs", "container-instance/*")),
        allow(&["ecs:ListContainerInstances"], of("ecs", "cluster/*")),
        allow(&["ecs:TagResource"], of("ecs", "task-definition/*")),
        // None of these can be narrowed to a resource.
        allow(
            &[
                "ecs:DescribeServiceRevisions",
                "ecs:DescribeTaskDefinition",
                "ecs:ListServiceDeployments",
                "ecs:ListTaskDefinitions",
                "ecs:ListTasks",
                "ecs:RegisterTaskDefinition",
            ],
            json!("*"),
        ),
        allow(
            &["secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"],
            of("secretsmanager", "secret:seamless/*"),
        ),
        pass(sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*")),
    ]
}

/// What the server does: start, stop, answer and look at executions, hear the queue, tell who subscribed, log in to where images are, and look at what runs.
fn server() -> Vec<Value> {
    let executions =
        "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${Machine.Name}:*";
    vec![
        allow(
            &[
                "states:StartExecution",
                "states:DescribeStateMachine",
                "states:DescribeStateMachineAlias",
                "states:SendTaskSuccess",
                "states:SendTaskFailure",
            ],
            // The versions and aliases of it too.
            json!([{ "Ref": "Machine" }, sub("${Machine}:*")]),
        ),
        allow(
            &["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"],
            sub(executions),
        ),
        allow(
            &[
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
            ],
            arn("Queue"),
        ),
        // Notifications: a topic for each pipeline, with the prefix that `SEAMLESS_TOPIC_PREFIX` has by itself.
        allow(
            &[
                "sns:CreateTopic",
                "sns:TagResource",
                "sns:Publish",
                "sns:Subscribe",
                "sns:ListSubscriptionsByTopic",
            ],
            sub("arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:seamless-*"),
        ),
        // None of these can be narrowed to a resource.
        allow(
            &["sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"],
            json!("*"),
        ),
        allow(&["ecr:GetAuthorizationToken"], json!("*")),
        allow(&IMAGES, images()),
        // For `seamless doctor`.
        allow(&["servicequotas:GetServiceQuota"], json!("*")),
        // Looking needs no narrower right: which clusters and services there are is picked from the whole account.
        allow(
            &["ecs:ListClusters", "ecs:ListServices", "ecs:DescribeServices", "ecs:DescribeTaskDefinition"],
            json!("*"),
        ),
    ]
}

/// What making a service takes. By itself, since it hands roles to tasks: whoever wants services to be picked only leaves it away.
fn maker() -> Vec<Value> {
    let here = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:service/*";
    vec![
        allow(&["ecs:CreateService"], sub(here)),
        // It knows no narrower right.
        allow(&["ecs:RegisterTaskDefinition"], json!("*")),
        pass(sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*")),
    ]
}
