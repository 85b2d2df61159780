//! The commands of `seamless`. Those that talk to a server find it by `SEAMLESS_URL` and `SEAMLESS_TOKEN`, or through the data folder
//! when it runs on this machine.

pub mod client;
mod cloud;
mod database;
mod doctor;
mod hook;
mod watch;

use std::{net::IpAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use control::Actor;
use domain::{EnvironmentName, Role, ServiceId};
use secrecy::ExposeSecret;

use crate::{config::Config, serve};

/// Seamless: CI/CD for containerised microservices.
#[derive(Debug, Parser)]
#[command(name = "seamless", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the dashboard and the API, and run pipelines
    Serve {
        /// Bring three small services to play with, at the first start
        #[arg(long)]
        demo: bool,
    },
    /// Bring the database up to date without serving; `serve` does it by itself
    Migrate,
    /// Write everything the database holds into a file, while servers work
    Backup {
        /// The file to make
        file: PathBuf,
    },
    /// Put what a backup holds into the database that DATABASE_URL names; end every server first
    Restore {
        /// The backup
        file: PathBuf,
        /// Put it in the place of what the database holds
        #[arg(long)]
        replace: bool,
        /// Restore although this key does not open its secrets; they have to be entered again
        #[arg(long)]
        without_key: bool,
        /// Only read the file from end to end and say whether it is whole
        #[arg(long)]
        check: bool,
    },
    /// Move everything from the database that DATABASE_URL names to another one; end every server first
    Move {
        /// Where to: postgres://... or sqlite:PATH
        #[arg(long)]
        to: String,
        /// Put it in the place of what is there
        #[arg(long)]
        replace: bool,
    },
    /// Look whether everything is there that the settings ask for, and say what to mend
    Doctor,
    /// Seal every secret with a new key; end every server first
    RotateKey,
    /// Print a new one-time login link
    Login,
    /// API tokens
    Token {
        #[command(subcommand)]
        command: Token,
    },
    /// Print the key with which hooks for a service are signed
    HookSecret {
        /// The service's name
        service: String,
    },
    /// Connect a Git repository: look into it, propose settings, and start
    Connect {
        /// Path, URL, or owner/name on GitHub
        repository: String,
        /// The service's name; from the repository's when absent
        #[arg(long)]
        name: Option<String>,
        /// The branch; the repository's default when absent
        #[arg(long)]
        branch: Option<String>,
        /// Deploy to production without a person's approval
        #[arg(long)]
        auto_deploy: bool,
        /// Do not start a run now
        #[arg(long)]
        no_run: bool,
    },
    /// Start a run of a service
    Run {
        /// The service's name
        service: String,
        /// A commit
        #[arg(long)]
        commit: Option<String>,
        /// A branch
        #[arg(long)]
        branch: Option<String>,
        /// Follow it to its end; exits with 1 unless it succeeds
        #[arg(short, long)]
        follow: bool,
    },
    /// Print the logs of a run
    Logs {
        /// A run's id, SERVICE for its newest run, or SERVICE/NUMBER
        run: String,
        /// Go on until the run ends; exits with 1 unless it succeeds
        #[arg(short, long)]
        follow: bool,
        /// Only this stage, such as unit_test
        #[arg(long)]
        stage: Option<domain::StageKind>,
    },
    /// Let a run through to production
    Approve {
        /// A run's id, SERVICE for the one that waits, or SERVICE/NUMBER
        run: String,
        /// What to remember about it
        #[arg(short = 'm', long)]
        comment: Option<String>,
    },
    /// End a run that waits for approval
    Reject {
        /// A run's id, SERVICE for the one that waits, or SERVICE/NUMBER
        run: String,
        /// Why
        #[arg(short = 'm', long)]
        comment: Option<String>,
    },
    /// End a run and everything it started
    Cancel {
        /// A run's id, SERVICE for its newest run, or SERVICE/NUMBER
        run: String,
    },
    /// Deploy what ran before
    Rollback {
        /// The service's name
        service: String,
        /// Where
        #[arg(long, default_value = "production")]
        environment: EnvironmentName,
        /// A deployment's id or a commit; the one before the live one when absent
        #[arg(long)]
        to: Option<String>,
    },
    /// What runs where, and what is on its way
    Status {
        /// A run's id, SERVICE for its newest run, or SERVICE/NUMBER; everything when absent
        run: Option<String>,
    },
    /// Bring services here whose machine is gone for good, as after a restore on another machine
    Adopt,
    /// Print the state machine that runs pipelines on AWS, as Amazon States Language
    Asl(Box<cloud::AslArgs>),
    /// Print the CloudFormation template of everything that pipelines need in an AWS account
    Cloudformation,
    /// Tell the server of a push (called by a repository's post-receive hook)
    #[command(hide = true)]
    Hook {
        #[arg(long)]
        data: PathBuf,
        #[arg(long)]
        service: ServiceId,
    },
    /// Do one stage (called by the engine)
    #[command(hide = true)]
    Runner {
        /// Claim the stage first: started by an engine elsewhere, which tells what to do by the environment
        #[arg(long)]
        task: bool,
    },
    /// Keep one service's stable port (called by the process target)
    #[command(hide = true)]
    Keeper {
        #[arg(long)]
        data: PathBuf,
        #[arg(long)]
        service: String,
        #[arg(long)]
        environment: EnvironmentName,
        #[arg(long, default_value = "127.0.0.1")]
        address: IpAddr,
    },
}

#[derive(Debug, Subcommand)]
enum Token {
    /// Make one; it is printed this once
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do: viewer, developer, deployer or owner
        #[arg(long, default_value = "owner")]
        role: Role,
        /// After how many days it ends; without, it does not end by itself
        #[arg(long)]
        days: Option<u32>,
    },
}

/// Runs the command; the answer is the process's exit code.
pub fn main() -> anyhow::Result<i32> {
    let cli = Cli::parse();
    // Everything but the server is one small task: one thread keeps runners and keepers small and quick to start.
    let mut builder = match &cli.command {
        Command::Serve { .. } => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let code = runtime.block_on(run(cli.command));
    // A thread that still bundles for a run that was cancelled must not hold the process, and with it the runner's lock.
    runtime.shutdown_background();
    code
}

async fn run(command: Command) -> anyhow::Result<i32> {
    match command {
        Command::Serve { demo } => {
            serve::serve(Config::from_env()?, demo).await?;
            Ok(0)
        }
        Command::Runner { task } => {
            // The launcher states it; a runner that nobody launched has no folder to work in.
            let data = std::env::var_os("SEAMLESS_DATA").map(PathBuf::from).unwrap_or_default();
            let target = local::ProcessTarget::new(local::Keepers::of_this_program(&data)?);
            let target = std::sync::Arc::new(aws::ecs::EcsTarget::new(std::sync::Arc::new(target)));
            Ok(if task { runner::task(target).await } else { runner::run(target).await })
        }
        Command::Keeper { data, service, environment, address } => {
            local::keeper::main(local::KeeperArgs { data, service, environment, address }).await?;
            Ok(0)
        }
        Command::Hook { data, service } => {
            hook::main(&data, service).await;
            // Whatever happened here, the push was received: it must not look refused.
            Ok(0)
        }
        Command::Migrate => database::migrate(&Config::from_env()?).await,
        Command::Backup { file } => database::backup(&Config::from_env()?, &file).await,
        Command::Restore { file, check: true, .. } => database::check(&Config::from_env()?, &file).await,
        Command::Restore { file, replace, without_key, .. } => {
            database::restore(&Config::from_env()?, &file, replace, without_key).await
        }
        Command::Doctor => doctor::doctor(&Config::from_env()?).await,
        Command::RotateKey => database::rotate_key(Config::from_env()?).await,
        Command::Move { to, replace } => database::move_to(&Config::from_env()?, &to, replace).await,
        Command::Adopt => {
            let adopted = serve::control(&Config::from_env()?).await?.adopt().await?;
            match &adopted[..] {
                [] => println!("Every service is at home in a data folder that a server works in."),
                names => println!(
                    "At home in this data folder now: {}. Deploy them here by a run or a rollback.",
                    names.join(", ")
                ),
            }
            Ok(0)
        }
        Command::Asl(args) => cloud::asl(*args),
        Command::Cloudformation => cloud::cloudformation(),
        Command::Login => {
            let config = Config::from_env()?;
            let link = serve::control(&config).await?.new_login_link().await?;
            println!("Log in once, within 15 minutes: {}/login/{}", config.url, link.expose_secret());
            Ok(0)
        }
        Command::Token { command: Token::Create { name, role, days } } => {
            let control = serve::control(&Config::from_env()?).await?;
            let token = control.new_api_token(&Actor::named("admin"), &name, role, days).await?;
            println!("API token {name:?}, shown this once: {}", token.expose_secret());
            Ok(0)
        }
        Command::HookSecret { service } => {
            let control = serve::control(&Config::from_env()?).await?;
            let found = control.services().await?.into_iter().find(|s| s.settings.name == service);
            let found = found.ok_or_else(|| anyhow::anyhow!("there is no service {service:?}"))?;
            println!("{}", control.hook_secret(found.id).await?);
            Ok(0)
        }
        Command::Connect { repository, name, branch, auto_deploy, no_run } => {
            watch::connect(&repository, name, branch, auto_deploy, !no_run).await
        }
        Command::Run { service, commit, branch, follow } => {
            watch::start(&service, commit, branch, follow).await
        }
        Command::Logs { run, follow, stage } => watch::logs(&run, follow, stage).await,
        Command::Approve { run, comment } => watch::decide(&run, "approve", comment).await,
        Command::Reject { run, comment } => watch::decide(&run, "reject", comment).await,
        Command::Cancel { run } => watch::cancel(&run).await,
        Command::Rollback { service, environment, to } => watch::rollback(&service, environment, to).await,
        Command::Status { run } => watch::status(run).await,
    }
}
