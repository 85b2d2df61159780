//! Images: fetched when they are needed, and which are still there.
//!
//! Refuses to say that one is gone when nobody could be asked: a rollback then finds out by itself, and says why.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Mutex,
    time::{Duration, Instant},
};

use domain::protocol::Registry;
use futures::future::join_all;
use runner::docker::{Docker, DockerError, registry_host};
use serde::Deserialize;

/// How long fetching an image may take.
const FETCH: Duration = Duration::from_secs(30 * 60);
/// How long the registry may take to say whether it has an image.
const ASK: Duration = Duration::from_secs(10);
/// How long its answer is believed.
const FRESH: Duration = Duration::from_secs(60);

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
fn login(
    docker: &Docker,
    image: &str,
    registry: Option<&Registry>,
) -> Result<runner::docker::LoggedIn, DockerError> {
    let own = registry.filter(|registry| registry_host(&registry.address) == registry_host(image));
    docker
        .logged_in(own)
        .map_err(|e| DockerError::Other(format!("the registry's login could not be prepared: {e}")))
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// With the daemon.
    Here,
    /// In the registry.
    Registry,
    /// Nowhere.
    Gone,
    /// Nobody could be asked, and why.
    Unknown(String),
}

/// Where each of these images is, as a daemon that runs them would find it.
pub async fn locate(
    docker: &Docker,
    images: &[String],
    registry: Option<&Registry>,
) -> HashMap<String, Where> {
    let wanted: HashSet<&String> = images.iter().collect();
    if wanted.is_empty() {
        return HashMap::new();
    }
    let known = match known(docker).await {
        Ok(known) => known,
        Err(error) => {
            let why = error.to_string();
            return wanted.into_iter().map(|image| (image.clone(), Where::Unknown(why.clone()))).collect();
        }
    };
    let looked = wanted.into_iter().map(async |image| {
        let place = if known.contains(image.as_str()) {
            Where::Here
        } else if image.contains('@') {
            in_registry(docker, image, registry).await
        } else {
            Where::Gone
        };
        (image.clone(), place)
    });
    join_all(looked).await.into_iter().collect()
}

/// Every image of the daemon, by id and by digest: one question for all.
pub async fn known(docker: &Docker) -> Result<HashSet<String>, DockerError> {
    let format = "{{.ID}} {{.Repository}}@{{.Digest}}";
    let said = docker.ask(&["image", "ls", "--all", "--no-trunc", "--digests", "--format", format]).await?;
    Ok(said.stdout.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Asks the registry for the manifest alone; what it said is believed for a minute.
async fn in_registry(docker: &Docker, image: &str, registry: Option<&Registry>) -> Where {
    static SAID: Mutex<Option<HashMap<String, (Instant, Where)>>> = Mutex::new(None);
    let said = |image: &str| {
        let said = SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (at, place) = said.as_ref()?.get(image)?.clone();
        (at.elapsed() < FRESH).then_some(place)
    };
    if let Some(place) = said(image) {
        return place;
    }
    let asked = async {
        let with = login(docker, image, registry)?;
        let mut question = with.docker.command(["manifest", "inspect"]);
        if local(image) {
            // What Docker itself does with registries on the loopback address.
            question.arg("--insecure");
        }
        question.arg(image);
        with.docker.finish("manifest", question, ASK).await
    };
    let place = match asked.await {
        Ok(_) => Where::Registry,
        Err(DockerError::Missing(_)) => Where::Gone,
        Err(DockerError::Other(said)) if said.contains("no such manifest") || said.contains("not found") => {
            Where::Gone
        }
        Err(error) => Where::Unknown(error.to_string()),
    };
    let mut said = SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let said = said.get_or_insert_default();
    said.retain(|_, (at, _)| at.elapsed() < FRESH);
    said.insert(image.to_owned(), (Instant::now(), place.clone()));
    place
}

fn local(image: &str) -> bool {
    let host = registry_host(image);
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}
