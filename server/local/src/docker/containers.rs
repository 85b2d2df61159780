//! What the daemon knows of deployed containers, and what is done with them besides making them.
//!
//! Found by their labels, known by their ids. Refuses to touch what carries no label of this instance's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use domain::EnvironmentName;
use runner::docker::{Docker, DockerError, labels};
use serde::Deserialize;

use super::Daemon;
use crate::keeper::state::Place;

/// How long the daemon may take to stop a container beyond its own grace.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id, all of it.
    pub id: String,
    /// Whether it runs, or is about to.
    pub runs: bool,
    /// The service it belongs to.
    pub service: String,
    /// The environment it was made for.
    pub environment: Option<EnvironmentName>,
}

/// A container as `docker inspect` shows it, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Seen {
    /// Its id.
    pub id: String,
    /// How it is.
    pub state: Condition,
    /// How often the daemon started it again.
    #[serde(default)]
    pub restart_count: u32,
    /// Where it is connected.
    pub network_settings: Networks,
}

/// How a container is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Condition {
    /// Whether its process runs.
    pub running: bool,
    /// Whether it is held.
    #[serde(default)]
    pub paused: bool,
    /// Whether it waits to be started again.
    #[serde(default)]
    pub restarting: bool,
    /// Whether the kernel ended it for want of memory.
    #[serde(default, rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Its process on its host.
    #[serde(default)]
    pub pid: i32,
    /// What it ended with.
    #[serde(default)]
    pub exit_code: i32,
    /// Why it could not be started.
    #[serde(default)]
    pub error: String,
    /// When it ended last, as the daemon writes it.
    #[serde(default)]
    pub finished_at: String,
}

impl Condition {
    /// How long ago it ended, when it does not run.
    pub fn stopped_for(&self) -> Option<Duration> {
        let ended: domain::Timestamp = self.finished_at.parse().ok().filter(|_| !self.running)?;
        Some(Duration::from_millis(runner::sink::now().since(ended) as u64))
    }
}

/// The networks of a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Networks {
    networks: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Clone, Deserialize)]
struct Endpoint {
    #[serde(default, rename = "IPAddress")]
    address: String,
}

impl Seen {
    /// Its address in its network, while it runs.
    pub fn inside(&self) -> Option<IpAddr> {
        self.network_settings.networks.values().find_map(|endpoint| endpoint.address.parse().ok())
    }
}

/// Looks at one, by id or name.
///
/// # Errors
/// `Missing` when it is gone.
pub async fn inspect(docker: &Docker, id: &str) -> Result<Seen, DockerError> {
    let seen: Vec<Seen> = docker.ask_json(&["container", "inspect", id]).await?;
    seen.into_iter().next().ok_or_else(|| DockerError::Missing(format!("No such container: {id}")))
}

/// All containers that carry these labels, running or not.
///
/// # Errors
/// When the daemon does not say.
pub async fn list(docker: &Docker, carried: &[(&str, &str)]) -> Result<Vec<Listed>, DockerError> {
    let format = format!(
        "{{{{.ID}}}}\t{{{{.State}}}}\t{{{{.Label \"{}\"}}}}\t{{{{.Label \"{}\"}}}}",
        labels::SERVICE,
        labels::ENVIRONMENT
    );
    let mut arguments = vec!["ps".to_owned(), "--all".into(), "--no-trunc".into(), "--format".into(), format];
    for (name, value) in carried {
        arguments.extend(["--filter".into(), format!("label={name}={value}")]);
    }
    // Only what was deployed; what a stage made belongs to its stage.
    arguments.extend(["--filter".into(), format!("label={}", labels::DEPLOYMENT)]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = docker.ask(&arguments).await?.stdout;
    let read = |line: &str| {
        let mut parts = line.split('\t');
        let (id, state) = (parts.next()?.to_owned(), parts.next()?);
        let runs = matches!(state, "running" | "restarting" | "paused");
        let service = parts.next().unwrap_or_default().to_owned();
        let environment = parts.next().and_then(|name| name.parse().ok());
        Some(Listed { id, runs, service, environment })
    };
    Ok(said.lines().filter_map(read).collect())
}

/// All containers of a place, running or not.
///
/// # Errors
/// When the daemon does not say.
pub async fn of_place(docker: &Docker, place: &Place) -> Result<Vec<Listed>, DockerError> {
    let instance = labels::instance(&place.data);
    let carried = [
        (labels::INSTANCE, instance.as_str()),
        (labels::SERVICE, place.service.as_str()),
        (labels::ENVIRONMENT, place.environment.as_str()),
    ];
    list(docker, &carried).await
}

/// Stops one for good: neither its policy nor a new start of the daemon brings it back. One that is gone is as good.
///
/// True when it had to be killed.
///
/// # Errors
/// When the daemon does not do it.
pub async fn park(docker: &Docker, id: &str, grace: Duration) -> Result<bool, DockerError> {
    let parked = async {
        docker.ask(&["update", "--restart", "no", id]).await?;
        let grace = grace.as_secs().to_string();
        let stop = docker.command(["stop", "--time", &grace, id]);
        docker.finish("stop", stop, PATIENCE).await?;
        Ok(inspect(docker, id).await?.state.exit_code == 137)
    };
    match parked.await {
        Err(DockerError::Missing(_)) => Ok(false),
        other => other,
    }
}

/// Removes one, running or not. One that is gone is as good.
///
/// # Errors
/// When the daemon does not do it.
pub async fn remove(docker: &Docker, id: &str) -> Result<(), DockerError> {
    match docker.ask(&["rm", "--force", "--volumes", id]).await {
        Err(DockerError::Missing(_)) => Ok(()),
        // Somebody else removes it just now.
        Err(DockerError::Other(said)) if said.contains("already in progress") => Ok(()),
        other => other.map(drop),
    }
}

/// Removes everything that was deployed of a place; true when all of it is gone. What a daemon does not remove now goes with a
/// later clean-up.
pub async fn remove_all(daemons: &BTreeSet<Daemon>, place: &Place) -> bool {
    let mut all = true;
    for daemon in daemons {
        let docker = daemon.docker();
        let removed = async {
            for one in of_place(&docker, place).await? {
                remove(&docker, &one.id).await?;
            }
            Ok::<_, DockerError>(())
        };
        if let Err(error) = removed.await {
            tracing::warn!(%error, service = place.service, "containers were not removed");
            all = false;
        }
    }
    all
}

/// The ports on which a container of this machine listens inside, each with whether others than itself reach it.
pub fn listening(pid: i32) -> Vec<(u16, bool)> {
    let mut found = BTreeMap::new();
    for (table, own) in [("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (Some(local), Some("0A")) = (fields.next(), fields.nth(1)) else { continue };
            let Some((address, port)) = local.split_once(':') else { continue };
            // 127.0.0.11 is Docker's own, for names.
            if let (Ok(port), false) = (u16::from_str_radix(port, 16), address == "0B00007F") {
                *found.entry(port).or_insert(false) |= address != own;
            }
        }
    }
    found.into_iter().collect()
}
