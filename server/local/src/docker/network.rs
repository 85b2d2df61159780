//! The network of an instance's containers, and the address at which they reach this machine.
//!
//! A neighbour's stable port on the loopback address is of no use inside a container; keepers therefore open it on the
//! network's gateway too, and containers are told that address. Refuses to do so for daemons elsewhere.

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use runner::docker::{Docker, DockerError, labels};
use serde::{Deserialize, Serialize};

use super::Daemon;

/// The network, as keepers are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// This machine's address in it.
    pub gateway: IpAddr,
    /// Whose it is.
    #[serde(default)]
    pub daemon: Daemon,
}

/// The name of an instance's network.
pub fn name(data: &Path) -> String {
    format!("seamless-{}", labels::instance(data))
}

fn file(data: &Path) -> PathBuf {
    data.join("network.json")
}

/// The network that was made last, if any.
pub fn known(data: &Path) -> Option<Network> {
    serde_json::from_slice(&fs::read(file(data)).ok()?).ok()
}

fn remember(data: &Path, network: &Network) -> io::Result<()> {
    if known(data).as_ref() == Some(network) {
        return Ok(());
    }
    let mut beside = tempfile::NamedTempFile::new_in(data)?;
    beside.write_all(&serde_json::to_vec(network)?)?;
    beside.persist(file(data))?;
    Ok(())
}

/// Makes sure that the network of an instance's deployed containers is there.
///
/// # Errors
/// In words that a person can act on.
pub async fn ensure(daemon: &Daemon, data: &Path) -> Result<Network, DockerError> {
    let (docker, name) = (&daemon.docker(), name(data));
    let _one = turn(data).await.map_err(|e| {
        DockerError::Other(format!("{} cannot be locked: {e}", data.join("network.lock").display()))
    })?;
    let mut found = gateway(docker, &name).await;
    if matches!(&found, Err(DockerError::Other(said)) if said.contains("ambiguous")) {
        unite(docker, &name).await?;
        found = gateway(docker, &name).await;
    }
    let gateway = match found {
        Err(DockerError::Missing(_)) => {
            let label = format!("{}={}", labels::INSTANCE, labels::instance(data));
            let made =
                docker.ask(&["network", "create", "--driver", "bridge", "--label", &label, &name]).await;
            match made {
                // Somebody else may have been a moment earlier.
                Err(DockerError::Other(said)) if said.contains("already exists") => {}
                Err(DockerError::Other(said)) if said.contains("address pool") => {
                    return Err(DockerError::Other(format!(
                        "no network could be made for the containers: {said}; `docker network prune` removes unused ones"
                    )));
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
            gateway(docker, &name).await?
        }
        other => other?,
    };
    let network = Network { name, gateway, daemon: daemon.clone() };
    remember(data, &network)
        .map_err(|e| DockerError::Other(format!("the network could not be written down: {e}")))?;
    Ok(network)
}

/// Removes the network of an instance that has nothing deployed any more.
pub async fn forget(data: &Path) {
    if let Some(network) = known(data) {
        // Something may still be in it; whoever deploys next uses it again.
        let _ = network.daemon.docker().ask(&["network", "rm", &network.name]).await;
        let _ = fs::remove_file(file(data));
    }
}

/// One keeper at a time: asked for twice at once, Docker makes two networks of one name. Held until the file is closed.
async fn turn(data: &Path) -> io::Result<fs::File> {
    let path = data.join("network.lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = fs::File::create(path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(file)
    });
    locked.await.map_err(io::Error::other)?
}

/// Leaves one of several networks of a name; one that containers are in stays.
async fn unite(docker: &Docker, name: &str) -> Result<(), DockerError> {
    let filter = format!("name=^{name}$");
    let said = docker.ask(&["network", "ls", "--quiet", "--no-trunc", "--filter", &filter]).await?.stdout;
    let mut left = said.split_ascii_whitespace().count();
    for id in said.split_ascii_whitespace() {
        if left > 1 && docker.ask(&["network", "rm", id]).await.is_ok() {
            left -= 1;
        }
    }
    Ok(())
}

async fn gateway(docker: &Docker, name: &str) -> Result<IpAddr, DockerError> {
    let format = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
    let said = docker.ask(&["network", "inspect", "--format", format, name]).await?.stdout;
    // A bridge of Docker's with several subnets has its IPv4 one first.
    said.split_ascii_whitespace().find_map(|word| word.split('/').next()?.parse().ok()).ok_or_else(|| {
        DockerError::Other(format!(
            "the network {name} has no gateway: remove it (`docker network rm {name}`) and deploy again"
        ))
    })
}
