//! The clean-up with Docker: containers that belong to nothing any more, images and build caches that are too old or too much.
//!
//! Silent and cheap where there is no daemon. Refuses to touch what carries no label of this server's (build caches carry none; they
//! are touched only where this server builds), what a keeper knows, and images that are named as needed or used by a container.

use std::{collections::BTreeSet, path::Path, time::Duration};

use control::ports::Keep;
use domain::Timestamp;
use runner::docker::{Docker, DockerError, labels};
use serde::Deserialize;

use super::{Daemon, containers, known, network};
use crate::{
    clean::{Limit, Limits},
    keeper::state::Place,
};

/// How long forgetting build caches may take.
const PRUNE: Duration = Duration::from_secs(15 * 60);
/// How long a daemon that owes something may take to answer.
const DEBT: Duration = Duration::from_secs(10);

/// Cleans up with every daemon that has, or had, anything of this server's.
pub async fn all(data: &Path, own: &Daemon, keep: &Keep, limits: &Limits) {
    let mut used: BTreeSet<Daemon> = keep.daemons.iter().map(Daemon::of).collect();
    for place in Place::all(data) {
        used.extend(place.load().map(|state| state.daemons()).unwrap_or_default());
    }
    // The server's own is looked at in any case.
    if let Err(error) = known::note(data, used.iter().filter(|daemon| *daemon != own), false) {
        tracing::error!(%error, "the daemons in use could not be written down");
    }
    let known = known::all(data).into_iter().map(|known| known.daemon);
    let daemons: BTreeSet<Daemon> = known.chain(used.iter().cloned()).chain([own.clone()]).collect();
    for daemon in daemons {
        let (docker, instance) = (daemon.docker(), labels::instance(data));
        let tidied = async {
            let stay = strays(&docker, data).await?;
            let images = images(&docker, &instance, &keep.artifacts, limits).await?;
            if daemon == *own && images {
                build_cache(&docker, limits.build_cache).await?;
            }
            Ok(stay || images)
        };
        match tidied.await {
            Ok(something) => settle(data, &daemon, !something && !used.contains(&daemon)),
            Err(error) => tell(&error),
        }
    }
}

/// Removes what services left that were deleted while their daemon was away.
pub async fn debts(data: &Path) {
    for known in known::all(data).into_iter().filter(|known| known.owes) {
        match tokio::time::timeout(DEBT, strays(&known.daemon.docker(), data)).await {
            Ok(Ok(_)) => settle(data, &known.daemon, false),
            Ok(Err(error)) => tell(&error),
            Err(_) => {}
        }
    }
}

fn settle(data: &Path, daemon: &Daemon, empty: bool) {
    if let Err(error) = known::settle(data, daemon, empty) {
        tracing::error!(%error, "the daemons in use could not be written down");
    }
}

/// No daemon is nothing to speak of: the next look finds it when it is back.
fn tell(error: &DockerError) {
    match error {
        DockerError::NoProgram | DockerError::Away { .. } => {
            tracing::debug!(%error, "no daemon to clean up with")
        }
        error => tracing::warn!(%error, "a clean-up with Docker did not get to its end"),
    }
}

/// Removes deployed containers that no keeper knows; true when others stay.
async fn strays(docker: &Docker, data: &Path) -> Result<bool, DockerError> {
    let instance = labels::instance(data);
    let listed = containers::list(docker, &[(labels::INSTANCE, &instance)]).await?;
    let mut stay = false;
    // Looked up after the list was made: a keeper writes down that it makes one before it makes it.
    for one in listed {
        if is_known(data, &one) {
            stay = true;
            continue;
        }
        tracing::info!(
            container = one.id,
            service = one.service,
            "removes a container that belongs to nothing any more"
        );
        containers::remove(docker, &one.id).await?;
    }
    if !stay && Place::all(data).is_empty() {
        // It may not be there, and something else may be in it.
        let _ = docker.ask(&["network", "rm", &network::name(data)]).await;
    }
    Ok(stay)
}

/// Whether a keeper knows a container, or may be about to.
fn is_known(data: &Path, one: &containers::Listed) -> bool {
    let Some(environment) = one.environment else { return true };
    if one.service.is_empty() || one.service.contains('/') {
        return true;
    }
    match Place::new(data, &one.service, environment).load() {
        Ok(state) => state.making.is_some() || state.containers().any(|boxed| boxed.container == one.id),
        Err(_) => true,
    }
}

/// An image as `docker image inspect` shows it, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Metadata {
    last_tag_time: Option<String>,
}

impl Image {
    /// How long ago it was made, or tagged by a build that took it again. One that does not know counts as new.
    fn age(&self, now: Timestamp) -> Duration {
        let told = [&self.created, &self.metadata.last_tag_time];
        let moments = told.into_iter().flatten().filter_map(|text| text.parse::<Timestamp>().ok());
        let touched = moments.filter(|moment| moment.0 > 0).max().unwrap_or(now);
        Duration::from_millis(now.since(touched) as u64)
    }

    fn digests(&self) -> &[String] {
        self.repo_digests.as_deref().unwrap_or_default()
    }

    fn is_among(&self, artifacts: &[String]) -> bool {
        artifacts.iter().any(|kept| *kept == self.id || self.digests().contains(kept))
    }

    /// What it is called; it goes with the last of its names, unless something uses it.
    fn names(&self) -> Vec<&str> {
        let tags = self.repo_tags.as_deref().unwrap_or_default();
        let names = if tags.is_empty() { self.digests() } else { tags };
        if names.is_empty() { vec![&self.id] } else { names.iter().map(String::as_str).collect() }
    }
}

/// Removes images that are too old or too much; true when others stay.
async fn images(
    docker: &Docker,
    instance: &str,
    keep: &[String],
    limits: &Limits,
) -> Result<bool, DockerError> {
    let filter = format!("label={}={instance}", labels::INSTANCE);
    let listed = docker.ask(&["image", "ls", "--quiet", "--no-trunc", "--filter", &filter]).await?.stdout;
    let ids: BTreeSet<&str> = listed.split_ascii_whitespace().collect();
    if ids.is_empty() {
        return Ok(false);
    }
    let inspect = ["image", "inspect"].into_iter().chain(ids).collect::<Vec<_>>();
    let mut images: Vec<Image> = docker.ask_json(&inspect).await?;
    let used = used(docker, &filter).await?;
    let now = runner::sink::now();
    images.sort_by_key(|image| image.age(now));
    let (mut sum, mut stay) = (0u64, false);
    for image in images {
        let age = image.age(now);
        sum = sum.saturating_add(image.size);
        let too_much = age > limits.images.age || sum > limits.images.bytes;
        if !too_much || age < limits.untouchable || image.is_among(keep) || used.contains(&image.id) {
            stay = true;
            continue;
        }
        // Not by force: what a container uses that carries no label of ours stays as well.
        let remove: Vec<&str> = ["image", "rm"].into_iter().chain(image.names()).collect();
        match docker.ask(&remove).await {
            Ok(_) => {
                sum -= image.size.min(sum);
                tracing::info!(image = image.id, bytes = image.size, "removed");
            }
            Err(DockerError::Missing(_)) => {}
            Err(error @ DockerError::Away { .. }) => return Err(error),
            Err(error) => {
                stay = true;
                tracing::debug!(image = image.id, %error, "stays");
            }
        }
    }
    Ok(stay)
}

/// The images of containers that carry a label.
async fn used(docker: &Docker, filter: &str) -> Result<BTreeSet<String>, DockerError> {
    let listed = docker.ask(&["ps", "--all", "--quiet", "--no-trunc", "--filter", filter]).await?.stdout;
    let mut inspect = vec!["container", "inspect", "--format", "{{.Image}}"];
    inspect.extend(listed.split_ascii_whitespace());
    if inspect.len() == 4 {
        return Ok(BTreeSet::new());
    }
    Ok(docker.ask(&inspect).await?.stdout.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Forgets what builds have not used for long, then what is too much.
async fn build_cache(docker: &Docker, limit: Limit) -> Result<(), DockerError> {
    let (age, bytes) = (format!("until={}s", limit.age.as_secs()), limit.bytes.to_string());
    for how in [["--filter", &age], ["--keep-storage", &bytes]] {
        let prune = docker.command(["builder", "prune", "--force"].into_iter().chain(how));
        docker.finish("builder", prune, PRUNE).await?;
    }
    Ok(())
}
