//! Where stages run: the cluster, its hosts, and what a stage's task is.
//!
//! A stage talks to its host's Docker daemon about folders, so the file system has the same path on the host and in the stage: the hosts
//! mount it, and the task mounts the host's folder. It also asks what Docker publishes on the host's loopback address, as candidates of
//! integration tests are, so a stage shares its host's network.

use serde_json::{Value, json};

use super::{Resources, sub};
use crate::asl::CONTAINER;

/// The family of the stages' task definition.
pub(super) fn family() -> Value {
    sub("${AWS::StackName}-stage")
}

/// What a host does at its first start. It joins the cluster last: without its file system it would take stages that find nothing of what
/// came before them. What images and their builds leave on its disk goes by a timer, since a busy host may never be replaced.
const USER_DATA: &str = "#!/bin/bash
set -eu
trap 'shutdown -h now' ERR
dnf install -y amazon-efs-utils
mkdir -p ${Folder}
echo '${FileSystem}:/ ${Folder} efs _netdev,tls 0 0' >>/etc/fstab
mount ${Folder}
cat >/etc/systemd/system/seamless-prune.service <<END
[Service]
Type=oneshot
ExecStart=/usr/bin/docker image prune --all --force --filter until=72h
ExecStart=/usr/bin/docker builder prune --force --keep-storage 20GB
END
cat >/etc/systemd/system/seamless-prune.timer <<END
[Timer]
OnUnitActiveSec=6h
OnBootSec=1h
[Install]
WantedBy=timers.target
END
systemctl enable --now seamless-prune.timer
cat >>/etc/ecs/ecs.config <<END
ECS_CLUSTER=${Cluster}
ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
ECS_CONTAINER_STOP_TIMEOUT=120s
ECS_ENABLE_TASK_IAM_ROLE=true
ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true
END
";

pub(super) fn add(resources: &mut Resources) {
    let mut add = |name: &str, kind: &str, properties: Value| {
        resources.insert(name.into(), json!({ "Type": kind, "Properties": properties }));
    };
    add("Cluster", "AWS::ECS::Cluster", json!({}));
    let everywhere = json!({ "IpProtocol": "-1", "CidrIp": "0.0.0.0/0" });
    let group = json!({
        "GroupDescription": "Seamless: hosts and stages; nothing comes in",
        "VpcId": { "Ref": "Vpc" },
        "SecurityGroupEgress": [everywhere],
    });
    add("SecurityGroup", "AWS::EC2::SecurityGroup", group);
    let files = json!({
        "GroupId": { "Ref": "FileSystemSecurityGroup" },
        "SourceSecurityGroupId": { "Ref": "SecurityGroup" },
        "IpProtocol": "tcp",
        "FromPort": 2049,
        "ToPort": 2049,
    });
    add("FilesFromHosts", "AWS::EC2::SecurityGroupIngress", files);

    add("HostProfile", "AWS::IAM::InstanceProfile", json!({ "Roles": [{ "Ref": "HostRole" }] }));
    let host = json!({
        "ImageId": { "Ref": "HostImage" },
        "InstanceType": { "Ref": "InstanceType" },
        "IamInstanceProfile": { "Arn": { "Fn::GetAtt": ["HostProfile", "Arn"] } },
        "SecurityGroupIds": [{ "Ref": "SecurityGroup" }],
        "MetadataOptions": { "HttpTokens": "required", "HttpPutResponseHopLimit": 1 },
        "BlockDeviceMappings": [{
            "DeviceName": "/dev/xvda",
            "Ebs": { "VolumeSize": { "Ref": "DiskSize" }, "VolumeType": "gp3", "Encrypted": true },
        }],
        "UserData": { "Fn::Base64": sub(USER_DATA) },
    });
    add("Host", "AWS::EC2::LaunchTemplate", json!({ "LaunchTemplateData": host }));
    let template = json!({
        "LaunchTemplateId": { "Ref": "Host" },
        "Version": { "Fn::GetAtt": ["Host", "LatestVersionNumber"] },
    });
    let hosts = json!({
        "MinSize": "0",
        "MaxSize": { "Ref": "MaximumHosts" },
        "NewInstancesProtectedFromScaleIn": true,
        "VPCZoneIdentifier": [{ "Ref": "SubnetA" }, { "Ref": "SubnetB" }],
        "MixedInstancesPolicy": {
            "LaunchTemplate": { "LaunchTemplateSpecification": template },
            "InstancesDistribution": {
                "OnDemandPercentageAboveBaseCapacity": { "Ref": "OnDemandPercentage" },
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
        },
    });
    add("Hosts", "AWS::AutoScaling::AutoScalingGroup", hosts);
    let provider = json!({
        "AutoScalingGroupProvider": {
            "AutoScalingGroupArn": { "Fn::GetAtt": ["Hosts", "AutoScalingGroupARN"] },
            "ManagedScaling": { "Status": "ENABLED", "TargetCapacity": 100 },
            "ManagedTerminationProtection": "ENABLED",
            "ManagedDraining": "ENABLED",
        },
    });
    add("CapacityProvider", "AWS::ECS::CapacityProvider", provider);
    let association = json!({
        "Cluster": { "Ref": "Cluster" },
        "CapacityProviders": [{ "Ref": "CapacityProvider" }],
        "DefaultCapacityProviderStrategy": [{ "CapacityProvider": { "Ref": "CapacityProvider" }, "Weight": 1 }],
    });
    add("ClusterCapacity", "AWS::ECS::ClusterCapacityProviderAssociations", association);
    add("Stage", "AWS::ECS::TaskDefinition", stage());
}

fn stage() -> Value {
    let socket = "/var/run/docker.sock";
    let volume = |name: &str, path: Value| json!({ "Name": name, "Host": { "SourcePath": path } });
    let mount =
        |name: &str, path: Value| json!({ "SourceVolume": name, "ContainerPath": path, "ReadOnly": false });
    let folder = json!({ "Ref": "Folder" });
    let container = json!({
        "Name": CONTAINER,
        "Image": { "Ref": "Image" },
        "Essential": true,
        "EntryPoint": ["seamless", "runner", "--task"],
        "Environment": [{ "Name": "SEAMLESS_DATA", "Value": folder }],
        "StopTimeout": 120,
        "MountPoints": [mount("files", folder.clone()), mount("docker", json!(socket))],
        "LinuxParameters": { "InitProcessEnabled": true },
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {
                "awslogs-group": { "Ref": "StageLogs" },
                "awslogs-region": { "Ref": "AWS::Region" },
                "awslogs-stream-prefix": "stage",
            },
        },
    });
    json!({
        "Family": family(),
        "RequiresCompatibilities": ["EC2"],
        "NetworkMode": "host",
        // Of a stage that sets nothing else; each start states its own.
        "Cpu": "1024",
        "Memory": "2048",
        "ExecutionRoleArn": { "Fn::GetAtt": ["StartRole", "Arn"] },
        "Volumes": [volume("files", folder), volume("docker", json!(socket))],
        "ContainerDefinitions": [container],
        "Tags": [{ "Key": "seamless", "Value": { "Ref": "AWS::StackName" } }],
    })
}
