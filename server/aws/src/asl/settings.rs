//! What a definition is made for: one account's cluster, queue and roles.

use std::collections::BTreeMap;

use domain::StageKind;

/// Everything in a definition that differs between installations. No field is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSettings {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// Name or ARN of the ECS cluster in which stages run.
    pub cluster: String,
    /// Family of the stages' task definition; its newest active revision is taken. Its container is called [`super::CONTAINER`].
    pub task_definition: String,
    /// The capacity provider that places stages.
    pub capacity_provider: String,
    /// The network mode of the task definition.
    pub network: Network,
    /// ARNs of the roles that a kind of stage works with; a kind without one has the task definition's.
    pub task_roles: BTreeMap<StageKind, String>,
    /// Where everything goes that the server must hear.
    pub queue_url: String,
    /// Where ends of runs are published.
    pub topic_arn: String,
    /// How patient starting is.
    pub patience: Patience,
}

/// How a task is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Through its host (network modes `bridge` and `host`).
    Host,
    /// By a network interface of its own (network mode `awsvpc`).
    Awsvpc {
        /// Ids of subnets.
        subnets: Vec<String>,
        /// Ids of security groups.
        security_groups: Vec<String>,
    },
}

/// How long and how often a start is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Seconds until the first new try, at most; it doubles from there, and each pause is a random part of it.
    pub first: u32,
    /// The longest pause in seconds.
    pub longest: u32,
    /// New tries of a start that was refused, throttled or found no room.
    pub starts: u32,
}

impl Default for Patience {
    /// About five minutes in all, on average.
    fn default() -> Self {
        Self { first: 5, longest: 120, starts: 8 }
    }
}
