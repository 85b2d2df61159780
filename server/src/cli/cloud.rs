//! What Seamless needs in an AWS account, printed to be read or given to CloudFormation. Asks AWS for nothing.

use std::io::Write;

use aws::asl::{MachineSettings, Network, Patience, machine};
use clap::Args;
use domain::StageKind;

/// What the state machine is made for. Everything has a placeholder, so that it can be looked at without an account.
#[derive(Debug, Args)]
pub struct AslArgs {
    /// aws, aws-cn or aws-us-gov
    #[arg(long, default_value = "aws")]
    partition: String,
    /// The cluster in which stages run, by name or ARN
    #[arg(long, default_value = "seamless")]
    cluster: String,
    /// The family of the stages' task definition
    #[arg(long, default_value = "seamless-stage")]
    task_definition: String,
    /// The capacity provider that places stages
    #[arg(long, default_value = "seamless")]
    capacity_provider: String,
    /// A subnet for tasks with a network interface of their own (awsvpc); once for each, none where they share their host's
    #[arg(long = "subnet", value_name = "ID")]
    subnets: Vec<String>,
    /// A security group of such tasks; once for each
    #[arg(long = "security-group", value_name = "ID", requires = "subnets")]
    security_groups: Vec<String>,
    /// The role that a kind of stage works with, such as build=arn:aws:iam::123456789012:role/build; once for each
    #[arg(long = "task-role", value_name = "STAGE=ARN", value_parser = task_role)]
    task_roles: Vec<(StageKind, String)>,
    /// The queue in which the server listens
    #[arg(long, default_value = "https://sqs.eu-central-1.amazonaws.com/123456789012/seamless")]
    queue_url: String,
    /// The topic on which ends of runs are published
    #[arg(long, default_value = "arn:aws:sns:eu-central-1:123456789012:seamless")]
    topic_arn: String,
}

fn task_role(text: &str) -> Result<(StageKind, String), String> {
    let (kind, role) = text.split_once('=').ok_or("write it as STAGE=ARN")?;
    let kind: StageKind = kind.parse().map_err(|error| format!("{error}"))?;
    Ok((kind, role.to_owned()))
}

/// `seamless asl`.
pub fn asl(args: AslArgs) -> anyhow::Result<i32> {
    let network = if args.subnets.is_empty() {
        Network::Host
    } else {
        Network::Awsvpc { subnets: args.subnets, security_groups: args.security_groups }
    };
    let machine = machine(&MachineSettings {
        partition: args.partition,
        cluster: args.cluster,
        task_definition: args.task_definition,
        capacity_provider: args.capacity_provider,
        network,
        task_roles: args.task_roles.into_iter().collect(),
        queue_url: args.queue_url,
        topic_arn: args.topic_arn,
        patience: Patience::default(),
    });
    print(&serde_json::to_string_pretty(&machine)?)
}

/// `seamless cloudformation`, without blanks: CloudFormation takes 51,200 bytes from a file.
pub fn cloudformation() -> anyhow::Result<i32> {
    print(&serde_json::to_string(&aws::cloudformation::template())?)
}

/// Where a reader went away before the end, as `head` does, there is nothing to complain about.
fn print(text: &str) -> anyhow::Result<i32> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(0),
    }
}
