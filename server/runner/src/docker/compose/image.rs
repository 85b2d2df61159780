//! The images of the services under test: here or fetched, and the port on which each listens.
//!
//! Refuses to take anything but the digest that was named.

use std::collections::BTreeMap;

use domain::protocol::Launch;
use serde::Deserialize;

use super::super::{
    Docker, DockerError,
    stream::{Undone, ask},
};
use crate::{context::Context, reason::Failure};

/// The port of an image that exposes none, or several.
const USUAL: u16 = 8080;
/// How long fetching an image may go without an end; the stage's own limit is usually earlier.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(3600);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Seen {
    config: Option<Config>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
}

/// Makes sure that the daemon has a version's image; answers the port on which it listens.
pub(super) async fn ready(
    stage: &Context,
    docker: &Docker,
    launch: &Launch,
    role: &str,
) -> Result<u16, Failure> {
    let image = launch.artifact.as_str();
    let elsewhere = launch.container.as_ref().and_then(|container| container.settings.host.as_deref());
    let gone = |why: String| {
        if let Some(host) = elsewhere.filter(|_| !image.contains('@')) {
            return Failure::new(format!(
                "the image of {role} {} is with the Docker daemon at {host} alone: give Seamless a registry (SEAMLESS_REGISTRY), so that others can fetch it ({why})",
                launch.service
            ));
        }
        let commit = launch.commit.get(..7).unwrap_or(&launch.commit);
        Failure::new(format!(
            "the image of {role} {} ({commit}) is gone: start a run of {} to build it again ({why})",
            launch.service, launch.service
        ))
    };
    let question = ["image", "inspect", "--format", "{{json .}}", image];
    let seen = match ask(stage, docker, &question).await {
        // One that has a name before its digest was pushed somewhere.
        Err(Undone::Docker(DockerError::Missing(_))) if image.contains('@') => {
            stage.log.system(format!("fetching the image of {role} {}", launch.service));
            match fetch(stage, docker, launch).await {
                Ok(()) => ask(stage, docker, &question).await?,
                Err(Undone::Docker(error @ (DockerError::Missing(_) | DockerError::Other(_)))) => {
                    return Err(gone(error.to_string()));
                }
                Err(other) => return Err(other.into()),
            }
        }
        Err(Undone::Docker(DockerError::Missing(said))) => return Err(gone(said)),
        seen => seen?,
    };
    let seen: Seen = serde_json::from_str(&seen).map_err(|e| {
        Failure::new(format!("Docker describes the image {image} in a way nobody understands: {e}"))
    })?;
    let said = launch.container.as_ref().and_then(|container| container.port);
    Ok(said.or_else(|| only(&seen.config.unwrap_or_default())).unwrap_or(USUAL))
}

async fn fetch(stage: &Context, docker: &Docker, launch: &Launch) -> Result<(), Undone> {
    let registry = launch.container.as_ref().and_then(|container| container.registry.as_ref());
    let login = docker
        .logged_in(registry)
        .map_err(|e| DockerError::Other(format!("no folder for the registry's login: {e}")))?;
    let command = super::super::stream::call(stage, &login.docker, ["pull", "--quiet", &launch.artifact]);
    tokio::select! {
        done = docker.finish("pull", command, LONGEST) => Ok(done.map(drop)?),
        () = stage.ending.ended() => Err(Undone::Ended),
    }
}

/// What the image exposes, where that is one port; of several nobody knows which is the one.
fn only(config: &Config) -> Option<u16> {
    let mut ports =
        config.exposed_ports.iter().flatten().filter_map(|(port, _)| port.strip_suffix("/tcp")?.parse().ok());
    ports.next().filter(|_| ports.next().is_none())
}
