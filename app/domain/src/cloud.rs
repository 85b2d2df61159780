//! Services of a cloud: those an environment may be, and one that is not there yet, as a person asks for it.
//!
//! Refuses to know what an account has: shape and range are checked here, the rest is AWS's to say.

use serde::{Deserialize, Serialize};

use crate::problem::FieldError;

/// What an account has to pick from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CloudAccount {
    /// Names of its clusters, those without services among them.
    pub clusters: Vec<String>,
    /// The services in them.
    pub services: Vec<CloudService>,
    /// Clusters whose services could not be listed, each with why. They can be named all the same.
    pub unlisted: Vec<UnlistedCluster>,
}

/// A cluster whose services could not be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnlistedCluster {
    /// Its name.
    pub cluster: String,
    /// Why, with the remedy where there is one.
    pub reason: String,
}

/// A service of a cloud that an environment may be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CloudService {
    /// Its cluster's name.
    pub cluster: String,
    /// Its name.
    pub service: String,
    /// Its containers as it runs them now; empty where nobody was asked.
    pub containers: Vec<CloudContainer>,
    /// How many tasks run.
    pub running: u32,
    /// How many should.
    pub desired: u32,
}

/// A container of a service of a cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CloudContainer {
    /// Its name in the task definition.
    pub name: String,
    /// The image that it runs.
    pub image: String,
}

/// A service that is to be made on ECS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewCloudService {
    /// Name or ARN of its cluster.
    pub cluster: String,
    /// How it is called: letters, digits, hyphens and underscores. Its container and its task definition are called the same.
    pub service: String,
    /// What it runs at once. Without one it wants no tasks until the first deployment.
    #[serde(default)]
    pub image: Option<String>,
    /// Where its container listens.
    #[serde(default)]
    pub port: Option<u16>,
    /// CPU of a task in 1024ths of a core: 256 is a quarter.
    pub cpu: u32,
    /// Memory of a task in MiB.
    pub memory_mb: u32,
    /// How many tasks it is to have.
    #[serde(default = "one")]
    pub tasks: u32,
    /// A service of the same cluster of which network, launch type, execution role and logging are taken where they are not said here.
    #[serde(default)]
    pub like: Option<String>,
    /// Ids of subnets, such as `subnet-0a1b2c3d`. Needed without `like`.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Ids of security groups, such as `sg-0a1b2c3d`; the VPC's default one when there are none.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Whether its tasks get public addresses, as they need in subnets without a NAT gateway.
    #[serde(default)]
    pub public_address: bool,
    /// ARN of a load balancer's target group that sends to `port`.
    #[serde(default)]
    pub target_group: Option<String>,
    /// Its name in the cluster's default namespace of Service Connect, for `port`.
    #[serde(default)]
    pub connect_name: Option<String>,
    /// ARN of the role that fetches its image and reads its secrets. Needed without `like`.
    #[serde(default)]
    pub execution_role: Option<String>,
    /// ARN of the role that the service itself has of AWS; none when absent.
    #[serde(default)]
    pub task_role: Option<String>,
    /// The log group of CloudWatch that gets what its container prints: it must be there, and the execution role may write to it. When
    /// absent, what the container prints goes where that of `like` goes, and nowhere without it.
    #[serde(default)]
    pub log_group: Option<String>,
}

fn one() -> u32 {
    1
}

/// CPU units that Fargate has, each with the least and the most memory and the steps between, in MiB.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html>
pub const FARGATE: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2_048, 512),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];

/// An id as EC2 writes them: a prefix and 8 or 17 hexadecimal digits.
fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
}

/// An ARN of a service's resource, such as `role/` of `iam`.
fn is_arn(text: &str, service: &str, resource: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, of, _region, account, what) = (next(), next(), next(), next(), next(), next());
    arn == "arn"
        && partition.starts_with("aws")
        && of == service
        && account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && what.strip_prefix(resource).is_some_and(|name| !name.is_empty())
        && !text.contains(char::is_whitespace)
}

fn mib(mib: u32) -> String {
    if mib.is_multiple_of(1_024) { format!("{} GiB", mib / 1_024) } else { format!("{mib} MiB") }
}

impl NewCloudService {
    /// What is wrong with its shape, each with its field and a remedy.
    pub fn problems(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut say = |field: &str, message: String| found.push(FieldError { field: field.into(), message });
        if self.cluster.is_empty() || self.cluster.contains(char::is_whitespace) {
            say("cluster", "name a cluster of the account".into());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.service.is_empty() || self.service.len() > 255 || !self.service.chars().all(plain) {
            say("service", "give letters, digits, hyphens and underscores, such as `orders`".into());
        }
        let reference = |image: &str| !image.starts_with('-') && !image.contains(char::is_whitespace);
        if self.image.as_deref().is_some_and(|image| image.is_empty() || !reference(image)) {
            say("image", "give an image such as `registry.example.org/orders:1`, or leave it out".into());
        }
        if self.port == Some(0) {
            say("port", "give a port from 1 to 65535".into());
        }
        let sent = [
            (self.target_group.is_some(), "a load balancer sends"),
            (self.connect_name.is_some(), "Service Connect sends"),
        ];
        if let (None, Some((_, who))) = (self.port, sent.into_iter().find(|(said, _)| *said)) {
            say("port", format!("say the port of the container that {who} to"));
        }
        if !(1..=5_000).contains(&self.tasks) {
            say("tasks", "give 1 to 5000 tasks".into());
        }
        match FARGATE.iter().find(|(cpu, ..)| *cpu == self.cpu) {
            // On machines of one's own any size goes that one of them has.
            _ if self.like.is_some() => {
                if !(128..=196_608).contains(&self.cpu) {
                    say("cpu", "give 128 to 196608, which are an eighth of a core to 192 cores".into());
                }
                if self.memory_mb < 6 {
                    say("memory_mb", "give 6 MiB or more".into());
                }
            }
            None => say("cpu", "Fargate has 256, 512, 1024, 2048, 4096, 8192 and 16384: choose one".into()),
            Some((_, least, most, step)) => {
                let fits = (*least..=*most).contains(&self.memory_mb) && self.memory_mb.is_multiple_of(*step);
                if !fits {
                    let (cores, least, most) = (f64::from(self.cpu) / 1_024.0, mib(*least), mib(*most));
                    let cores = if cores == 1.0 { "1 core goes".into() } else { format!("{cores} cores go") };
                    let step = mib(*step);
                    say("memory_mb", format!("on Fargate {cores} with {least} to {most} in steps of {step}"));
                }
            }
        }
        if self.like.as_deref().is_some_and(|name| name.is_empty() || !name.chars().all(plain)) {
            say("like", "name a service of the same cluster, or leave it out".into());
        }
        let bad = |ids: &[String], prefix: &str| ids.iter().find(|id| !is_id(id, prefix)).cloned();
        if let Some(id) = bad(&self.subnets, "subnet-") {
            say("subnets", format!("{id:?} is no subnet's id; they look like `subnet-0a1b2c3d4e5f67890`"));
        } else if self.subnets.is_empty() && self.like.is_none() {
            say(
                "subnets",
                "name one or more, such as `subnet-0a1b2c3d4e5f67890`, or a service whose network it gets"
                    .into(),
            );
        } else if self.subnets.len() > 16 {
            say("subnets", "ECS takes 16 at most".into());
        }
        if let Some(id) = bad(&self.security_groups, "sg-") {
            say(
                "security_groups",
                format!("{id:?} is no security group's id; they look like `sg-0a1b2c3d4e5f67890`"),
            );
        } else if self.security_groups.len() > 5 {
            say("security_groups", "ECS takes 5 at most".into());
        }
        let arn = |said: &Option<String>, service, resource| {
            said.as_deref().is_some_and(|text| !is_arn(text, service, resource))
        };
        if arn(&self.target_group, "elasticloadbalancing", "targetgroup/") {
            say("target_group", "give the target group's ARN: `arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`".into());
        }
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let ends = |text: &str| text.starts_with(['-', '.']) || text.ends_with(['-', '.']);
        if self
            .connect_name
            .as_deref()
            .is_some_and(|text| text.is_empty() || text.len() > 127 || !text.chars().all(name) || ends(text))
        {
            say(
                "connect_name",
                "give a name as in addresses: lower-case letters, digits, hyphens and dots".into(),
            );
        }
        const ROLE: &str = "give the role's ARN: `arn:aws:iam::ACCOUNT:role/NAME`";
        if arn(&self.execution_role, "iam", "role/") {
            say("execution_role", ROLE.into());
        } else if self.execution_role.is_none() && self.like.is_none() {
            say("execution_role", "name the role that fetches its image and reads its secrets, often `ecsTaskExecutionRole`, by its ARN".into());
        }
        if arn(&self.task_role, "iam", "role/") {
            say("task_role", ROLE.into());
        }
        // https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
        let group = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
        if self
            .log_group
            .as_deref()
            .is_some_and(|name| !(1..=512).contains(&name.len()) || !name.chars().all(group))
        {
            say("log_group", "give the name of a log group, such as `/ecs/orders`, or leave it out".into());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn wanted() -> NewCloudService {
        serde_json::from_str(
            r#"{ "cluster": "main", "service": "stock", "port": 8080, "cpu": 256, "memory_mb": 512,
                "subnets": ["subnet-0a1b2c3d", "subnet-0a1b2c3d4e5f67890"], "security_groups": ["sg-0a1b2c3d"],
                "target_group": "arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:targetgroup/stock/6d0ecf831eec9f09",
                "connect_name": "stock", "execution_role": "arn:aws:iam::123456789012:role/service/start" }"#,
        )
        .unwrap()
    }

    fn fields(of: &NewCloudService) -> Vec<String> {
        of.problems().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn what_can_be_is_let_through() {
        assert_eq!(wanted().problems(), []);
        let bare = NewCloudService {
            subnets: vec![],
            security_groups: vec![],
            execution_role: None,
            like: Some("orders".into()),
            cpu: 300,
            memory_mb: 700,
            ..wanted()
        };
        assert_eq!(bare.problems(), [], "its neighbour has what it does not say, and may be on machines");
    }

    #[test]
    fn what_cannot_be_is_named_with_a_remedy() {
        let wrong = NewCloudService {
            cluster: String::new(),
            service: "stock/2".into(),
            image: Some("-x".into()),
            port: None,
            cpu: 257,
            tasks: 0,
            subnets: vec!["subnet-XYZ".into()],
            security_groups: vec!["default".into()],
            target_group: Some("stock".into()),
            connect_name: Some("Stock".into()),
            execution_role: Some("ecsTaskExecutionRole".into()),
            task_role: Some("arn:aws:iam::1:role/x".into()),
            log_group: Some("arn:aws:logs:eu-central-1:123456789012:log-group:orders".into()),
            ..wanted()
        };
        assert_eq!(
            fields(&wrong),
            [
                "cluster",
                "service",
                "image",
                "port",
                "tasks",
                "cpu",
                "subnets",
                "security_groups",
                "target_group",
                "connect_name",
                "execution_role",
                "task_role",
                "log_group"
            ]
        );
        let alone = NewCloudService { subnets: vec![], execution_role: None, ..wanted() };
        assert_eq!(fields(&alone), ["subnets", "execution_role"]);
        let much = NewCloudService { memory_mb: 4_096, ..wanted() };
        assert_eq!(
            much.problems()[0].message,
            "on Fargate 0.25 cores go with 512 MiB to 2 GiB in steps of 512 MiB"
        );
        for (cpu, least, most, step) in FARGATE {
            for memory_mb in [least, most, least + step] {
                assert_eq!(NewCloudService { cpu, memory_mb, ..wanted() }.problems(), []);
            }
        }
    }
}
