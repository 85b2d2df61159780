//! What a container is made with, and the words in which Docker's program is told so.
//!
//! Refuses to put the value of a variable where others could read it: neither arguments nor a file hold any.

use std::{collections::BTreeMap, io, net::IpAddr, process::Stdio, time::Duration};

use domain::{
    containers::Resources,
    protocol::{JobVariable, Launch},
};
use runner::docker::{Docker, DockerError};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::state::Place;
use crate::docker::{Daemon, images::Image, network::Network};

/// The port inside when nothing says another.
const USUAL_PORT: u16 = 8080;
/// How long making a container may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything a container is made with. What is equal is made equal.
#[derive(Debug, Clone, Serialize)]
pub struct Recipe {
    image: String,
    /// The start command, where the image's own is not used.
    pub command: Option<String>,
    variables: BTreeMap<String, String>,
    /// The port on which the service listens inside.
    pub inside: u16,
    resources: Resources,
    network: Option<String>,
    /// Whose it will be.
    pub daemon: Daemon,
    #[serde(skip)]
    /// The ports that the image exposes.
    pub exposed: Vec<u16>,
}

impl Recipe {
    /// For a launch, with the image as the daemon knows it.
    pub fn new(
        launch: &Launch,
        place: &Place,
        neighbours: &[JobVariable],
        image: &Image,
        network: Option<&Network>,
    ) -> Self {
        let container = launch.container.clone().unwrap_or_default();
        let inside = container.port.unwrap_or(match image.exposed[..] {
            [only] => only,
            _ => USUAL_PORT,
        });
        let mut variables: BTreeMap<String, String> =
            launch.variables.iter().map(|v| (v.name.clone(), v.value.clone())).collect();
        // Nobody inside reaches this machine's loopback address. Where there is no other, saying none is honest.
        if let Some(network) = network {
            let gateway = match network.gateway {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            };
            let moved = |url: &str| url.replace("//127.0.0.1:", &format!("//{gateway}:"));
            variables.extend(neighbours.iter().map(|v| (v.name.clone(), moved(&v.value))));
        }
        variables.insert("PORT".into(), inside.to_string());
        variables.insert("SEAMLESS_COMMIT".into(), launch.commit.clone());
        variables.insert("SEAMLESS_ENVIRONMENT".into(), place.environment.to_string());
        variables.insert("SEAMLESS_SERVICE".into(), launch.service.clone());
        let start = launch.start.trim();
        Self {
            image: launch.artifact.clone(),
            command: (!start.is_empty()).then(|| start.to_owned()),
            variables,
            inside,
            resources: container.settings.resources,
            network: network.map(|network| network.name.clone()),
            daemon: Daemon::of(&container.settings),
            exposed: image.exposed.clone(),
        }
    }

    /// Identity of all of it.
    pub fn config(&self) -> String {
        hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// Its arguments, and what the program must be told besides: variables as a list on standard input, and those that a list
    /// cannot hold in its own environment.
    pub fn create(&self, name: &str, labelled: &[(&str, String)], publish: &str) -> Result<Create, String> {
        let mut arguments: Vec<String> = [
            "create",
            "--name",
            name,
            "--init",
            "--security-opt",
            "no-new-privileges",
            "--restart",
            "no",
            "--log-driver",
            "local",
            "--log-opt",
            "max-size=10m",
            "--log-opt",
            "max-file=2",
            "--pull",
            "never",
            "--env-file",
            "/dev/stdin",
        ]
        .map(str::to_owned)
        .into();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        for (label, value) in labelled {
            add("--label", format!("{label}={value}"));
        }
        if let Some(network) = &self.network {
            add("--network", network.clone());
        }
        if let Some(memory) = self.resources.memory_mb {
            add("--memory", format!("{memory}m"));
            // Without it as much again in swap.
            add("--memory-swap", format!("{memory}m"));
        }
        if let Some(millis) = self.resources.cpu_millis {
            add("--cpus", format!("{}.{:03}", millis / 1000, millis % 1000));
        }
        add("--publish", format!("{publish}:{}", self.inside));
        let (mut list, mut environment) = (String::new(), Vec::new());
        for (name, value) in &self.variables {
            // Lines of the list end where a value's do, and are at most 64 KiB.
            if !value.contains(['\n', '\r']) && value.len() < 60_000 {
                list.push_str(&format!("{name}={value}\n"));
            } else if means_something(name) {
                return Err(format!(
                    "the variable {name} has several lines, which Docker's own program cannot hand on: give it one line, or another name"
                ));
            } else {
                add("--env", name.clone());
                environment.push((name.clone(), value.clone()));
            }
        }
        arguments.push(self.image.clone());
        if let Some(command) = &self.command {
            arguments.extend(["sh".into(), "-c".into(), command.clone()]);
        }
        Ok(Create { arguments, list, environment })
    }
}

/// A container to be created.
pub struct Create {
    arguments: Vec<String>,
    list: String,
    environment: Vec<(String, String)>,
}

/// Whether Docker's program, or what starts it, would take a variable for its own.
fn means_something(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["DOCKER", "LD_", "GO", "SSL_CERT", "SSH_", "XDG_", "BUILDKIT", "OTEL_"]
        .iter()
        .any(|own| upper.starts_with(own))
        || upper.ends_with("_PROXY")
        || matches!(upper.as_str(), "PATH" | "HOME" | "TMPDIR")
}

impl Create {
    /// Creates it, and gives its id.
    ///
    /// # Errors
    /// In words that a person can act on.
    pub async fn run(self, docker: &Docker) -> Result<String, DockerError> {
        let mut command = docker.command(&self.arguments);
        command.envs(self.environment).stdin(Stdio::piped());
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => DockerError::NoProgram,
            _ => DockerError::Other(format!("`docker create` could not be run: {e}")),
        };
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without reading; its own words say why.
            let _ = stdin.write_all(self.list.as_bytes()).await;
        }
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .map_err(|_| DockerError::Slow(PATIENCE.as_secs()))?
            .map_err(failed)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(DockerError::read("create", &docker.host(), &said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;

    use domain::EnvironmentName;

    fn launch() -> Launch {
        Launch {
            service: "orders".into(),
            artifact: "r/orders@sha256:ab".into(),
            commit: "cd".into(),
            start: String::new(),
            context: None,
            health_path: None,
            health_timeout_s: 1,
            variables: vec![
                JobVariable { name: "TOKEN".into(), value: "hunter22".into(), secret: true },
                JobVariable { name: "KEY".into(), value: "two\nlines".into(), secret: true },
            ],
            container: Some(domain::protocol::Container::default()),
        }
    }

    fn recipe(launch: &Launch, exposed: &[u16]) -> Recipe {
        let place = Place::new(Path::new("/d"), "orders", EnvironmentName::Staging);
        let network =
            Network { name: "seamless-1".into(), gateway: [172, 18, 0, 1].into(), daemon: Daemon::default() };
        let url = JobVariable {
            name: "SEAMLESS_URL_STOCK".into(),
            value: "http://127.0.0.1:4101".into(),
            secret: false,
        };
        Recipe::new(launch, &place, &[url], &Image { exposed: exposed.into() }, Some(&network))
    }

    #[test]
    fn no_value_is_an_argument() {
        let made = recipe(&launch(), &[3000]).create("n", &[], "127.0.0.1:20000").unwrap();
        let all = made.arguments.join(" ");
        assert!(!all.contains("hunter22") && !all.contains("lines"), "{all}");
        assert!(all.contains("--publish 127.0.0.1:20000:3000") && all.contains("--env KEY"), "{all}");
        assert!(made.list.contains("TOKEN=hunter22\n") && made.list.contains("PORT=3000\n"), "{}", made.list);
        assert!(made.list.contains("SEAMLESS_URL_STOCK=http://172.18.0.1:4101\n"), "{}", made.list);
        assert_eq!(made.environment, [("KEY".to_owned(), "two\nlines".to_owned())]);
        let mut odd = launch();
        odd.variables[1].name = "HTTPS_PROXY".into();
        assert!(recipe(&odd, &[]).create("n", &[], "p").is_err());
    }

    #[test]
    fn the_port_is_said_or_exposed_or_usual() {
        let mut l = launch();
        assert_eq!(
            (recipe(&l, &[]).inside, recipe(&l, &[1, 2]).inside, recipe(&l, &[3]).inside),
            (8080, 8080, 3)
        );
        l.container.as_mut().unwrap().port = Some(9);
        assert_eq!(recipe(&l, &[3]).inside, 9);
    }

    #[test]
    fn whatever_is_made_differently_has_another_config() {
        let same = recipe(&launch(), &[]).config();
        assert_eq!(same, recipe(&launch(), &[]).config());
        let mut other = launch();
        other.variables[0].value.push('3');
        assert_ne!(same, recipe(&other, &[]).config());
        let mut other = launch();
        other.container.as_mut().unwrap().settings.resources.memory_mb = Some(64);
        assert_ne!(same, recipe(&other, &[]).config());
    }
}
