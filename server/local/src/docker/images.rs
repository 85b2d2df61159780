//! Images: fetched when they are needed.
//!
//! Refuses to fetch what is known by this host's daemon alone: no registry has it.

use std::{collections::BTreeMap, time::Duration};

use domain::protocol::Registry;
use runner::docker::{Docker, DockerError, registry_host};
use serde::Deserialize;

/// How long fetching an image may take.
const FETCH: Duration = Duration::from_secs(30 * 60);

/// What of an image matters to whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The TCP ports it exposes.
    pub exposed: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
}

async fn inspect(docker: &Docker, image: &str) -> Result<Image, DockerError> {
    let config: Option<Config> =
        docker.ask_json(&["image", "inspect", "--format", "{{json .Config}}", image]).await?;
    let ports = config.and_then(|config| config.exposed_ports).unwrap_or_default();
    let tcp = |port: &String| match port.split_once('/') {
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
        None => port.parse().ok(),
    };
    Ok(Image { exposed: ports.keys().filter_map(tcp).collect() })
}

/// Makes sure that the daemon has an image, by its digest; `say` is told when it is fetched.
///
/// # Errors
/// In words that a person can act on.
pub async fn fetch(
    docker: &Docker,
    image: &str,
    registry: Option<&Registry>,
    say: impl Fn(String),
) -> Result<Image, DockerError> {
    match inspect(docker, image).await {
        Err(DockerError::Missing(_)) => {}
        found => return found,
    }
    if !image.contains('@') {
        return Err(DockerError::Missing(format!(
            "the image {image} is not with the daemon at {}: it was removed, or built by another daemon and never pushed. Run the commit again; with SEAMLESS_REGISTRY images are kept where every daemon can fetch them",
            docker.host()
        )));
    }
    say(format!("Fetching {image}"));
    let with = login(docker, image, registry)?;
    let pull = with.docker.command(["pull", "--quiet", image]);
    match with.docker.finish("pull", pull, FETCH).await {
        Err(DockerError::Missing(_)) => Err(DockerError::Missing(format!(
            "the image {image} is gone, from the daemon and from the registry: run its commit again"
        ))),
        Err(DockerError::Other(said)) if said.contains("not found") => Err(DockerError::Missing(format!(
            "the image {image} is gone, from the daemon and from the registry ({said}): run its commit again"
        ))),
        Err(error) => Err(error),
        Ok(_) => inspect(docker, image).await,
    }
}

/// The registry's login, for its own images only.
///
/// # Errors
/// When it cannot be prepared.
pub fn login(
    docker: &Docker,
    image: &str,
    registry: Option<&Registry>,
) -> Result<runner::docker::LoggedIn, DockerError> {
    let own = registry.filter(|registry| registry_host(&registry.address) == registry_host(image));
    docker
        .logged_in(own)
        .map_err(|e| DockerError::Other(format!("the registry's login could not be prepared: {e}")))
}
