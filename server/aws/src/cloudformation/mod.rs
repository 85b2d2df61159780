//! What an account needs before Seamless can run pipelines in it, as a CloudFormation template: the queue and the topic, the state machine
//! (as [`crate::asl`] renders it), the cluster with its hosts, the stages' task definition, and a role for each kind of stage.
//!
//! Pure: a template out, with everything that differs between accounts as a parameter. Refuses to hold a secret, and to make what belongs to
//! a network: VPC, subnets and file system are there already.

mod compute;
mod messages;
mod roles;

use std::collections::BTreeMap;

use domain::StageKind;
use serde_json::{Map, Value, json};

use crate::asl::{MachineSettings, Network, Patience, machine};

/// Logical ids by what they name, and what makes them.
type Resources = Map<String, Value>;

/// The template.
pub fn template() -> Value {
    let mut resources = Resources::new();
    messages::add(&mut resources);
    roles::add(&mut resources);
    compute::add(&mut resources);
    resources.insert("Machine".into(), state_machine());
    resources.insert("MachineVersion".into(), version());
    resources.insert("MachineAlias".into(), alias());
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Seamless: pipelines on Step Functions and ECS. Made by `seamless cloudformation`.",
        "Parameters": parameters(),
        "Resources": resources,
        "Outputs": outputs(),
    })
}

fn parameters() -> Value {
    let parameter = |kind: &str, text: &str| json!({ "Type": kind, "Description": text });
    let with = |kind: &str, text: &str, default: Value| json!({ "Type": kind, "Description": text, "Default": default });
    let machine_image = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id";
    json!({
        "Vpc": parameter("AWS::EC2::VPC::Id", "The network in which hosts and their stages run"),
        "SubnetA": parameter("AWS::EC2::Subnet::Id", "A subnet with a way to the Internet: by NAT, or public and with public addresses for what starts in it"),
        "SubnetB": parameter("AWS::EC2::Subnet::Id", "Another, in another availability zone"),
        "FileSystem": parameter("String", "Id of the EFS file system with workspaces and caches (fs-...)"),
        "FileSystemSecurityGroup": parameter("AWS::EC2::SecurityGroup::Id", "The security group of its mount targets; hosts are let in"),
        "Image": parameter("String", "The image with seamless, git and the Docker CLI with Compose"),
        "Folder": with("String", "Where the file system is mounted, on hosts and in stages alike", json!("/var/lib/seamless")),
        "Repositories": with("String", "What names of repositories in ECR begin with", json!("seamless/")),
        "HostImage": with("AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "The hosts' machine image", json!(machine_image)),
        "InstanceType": with("String", "The hosts' type", json!("m7i.large")),
        "DiskSize": with("Number", "Each host's disk, in GiB: for images and what their builds keep", json!(100)),
        "MaximumHosts": with("Number", "How many hosts there may be", json!(10)),
        "OnDemandPercentage": with("Number", "How many of a hundred hosts are no Spot instances; stages on one that is reclaimed are run again", json!(100)),
    })
}

/// The machine, with its names filled in by CloudFormation.
fn state_machine() -> Value {
    let from = |name: &str| format!("${{{name}}}");
    let task_roles: BTreeMap<_, _> =
        StageKind::ALL.into_iter().map(|kind| (kind, from(&roles::of_stage(kind)))).collect();
    let mut substitutions = json!({
        "Partition": { "Ref": "AWS::Partition" },
        "Cluster": { "Fn::GetAtt": ["Cluster", "Arn"] },
        "Family": compute::family(),
        "CapacityProvider": { "Ref": "CapacityProvider" },
        "Queue": { "Ref": "Queue" },
        "Topic": { "Ref": "Topic" },
    });
    for kind in StageKind::ALL {
        let role = roles::of_stage(kind);
        substitutions[&role] = json!({ "Fn::GetAtt": [role, "Arn"] });
    }
    let settings = MachineSettings {
        partition: from("Partition"),
        cluster: from("Cluster"),
        task_definition: from("Family"),
        capacity_provider: from("CapacityProvider"),
        network: Network::Host,
        task_roles,
        queue_url: from("Queue"),
        topic_arn: from("Topic"),
        patience: Patience::default(),
    };
    json!({
        "Type": "AWS::StepFunctions::StateMachine",
        // It takes partitions other than `aws` and timeouts that are computed for mistakes; a test has it look at the definition without.
        "Metadata": { "cfn-lint": { "config": { "ignore_checks": ["E3601"] } } },
        "Properties": {
            "StateMachineType": "STANDARD",
            "RoleArn": { "Fn::GetAtt": ["MachineRole", "Arn"] },
            "Definition": machine(&settings),
            "DefinitionSubstitutions": substitutions,
            // What executions are given holds one-time tickets, so no log has it.
            "LoggingConfiguration": {
                "Level": "ERROR",
                "IncludeExecutionData": false,
                "Destinations": [{ "CloudWatchLogsLogGroup": { "LogGroupArn": { "Fn::GetAtt": ["MachineLogs", "Arn"] } } }],
            },
        },
    })
}

/// Each definition is kept as a version, so that one can go back to it; executions keep theirs whatever comes after.
fn version() -> Value {
    json!({
        "Type": "AWS::StepFunctions::StateMachineVersion",
        "UpdateReplacePolicy": "Retain",
        "DeletionPolicy": "Delete",
        "Properties": {
            "StateMachineArn": { "Ref": "Machine" },
            "StateMachineRevisionId": { "Fn::GetAtt": ["Machine", "StateMachineRevisionId"] },
        },
    })
}

/// What the server starts: the version that holds.
fn alias() -> Value {
    let deployment = json!({ "StateMachineVersionArn": { "Ref": "MachineVersion" }, "Type": "ALL_AT_ONCE" });
    json!({
        "Type": "AWS::StepFunctions::StateMachineAlias",
        "Properties": { "Name": "live", "DeploymentPreference": deployment },
    })
}

fn outputs() -> Value {
    let output = |text: &str, value: Value| json!({ "Description": text, "Value": value });
    json!({
        "MachineArn": output("The state machine, by the alias of the version that holds", json!({ "Ref": "MachineAlias" })),
        "QueueUrl": output("Where the server listens", json!({ "Ref": "Queue" })),
        "DeadLettersUrl": output("What it could not make sense of", json!({ "Ref": "DeadLetters" })),
        "TopicArn": output("Where ends of runs are published", json!({ "Ref": "Topic" })),
        "ClusterName": output("The cluster in which stages run", json!({ "Ref": "Cluster" })),
        "MakerPolicyArn": output("Attach it as well where services on ECS are to be made from a form", json!({ "Ref": "MakerPolicy" })),
        "ServerPolicyArn": output("Attach it to the role that the server works with", json!({ "Ref": "ServerPolicy" })),
    })
}

/// A text with names in it.
fn sub(text: &str) -> Value {
    json!({ "Fn::Sub": text })
}

#[cfg(test)]
mod tests;
