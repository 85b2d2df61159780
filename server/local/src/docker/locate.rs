//! Where images are, as a daemon that runs them would find them: one list of the daemon's own, then the registry for the rest.
//!
//! What was said is believed for a while, so that a page with many candidates costs a call or two of the docker program. Refuses
//! to call an image gone that nobody could be asked about.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use control::ports::Found;
use domain::protocol::Registry;
use futures::{StreamExt, stream};
use runner::docker::{Docker, DockerError};

use super::{Daemon, images::login};

/// How long a daemon may take to list its images.
const LIST: Duration = Duration::from_secs(5);
/// How long its list is believed.
const LISTED: Duration = Duration::from_secs(3);
/// How long the registry may take to say whether it has an image.
const ASK: Duration = Duration::from_secs(5);
/// How long all of its answers together may take; a page waits for them.
const ASK_ALL: Duration = Duration::from_secs(6);
/// How many questions it gets at a time.
const AT_ONCE: usize = 4;
/// How long it is believed that it has an image.
const HAS: Duration = Duration::from_secs(600);
/// How long it is believed that it has not.
const HAS_NOT: Duration = Duration::from_secs(30);

type List = Result<Arc<HashSet<String>>, String>;
type Slot = Arc<tokio::sync::Mutex<Option<(Instant, List)>>>;

/// Remembers what daemons and the registry said.
#[derive(Debug, Default)]
pub struct Finder {
    lists: Mutex<HashMap<Daemon, Slot>>,
    registry: Mutex<HashMap<String, (Instant, bool)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Finder {
    /// Where each of these images is.
    pub async fn find(
        &self,
        daemon: &Daemon,
        images: &[String],
        registry: Option<&Registry>,
    ) -> HashMap<String, Found> {
        let wanted: HashSet<&String> = images.iter().collect();
        if wanted.is_empty() {
            return HashMap::new();
        }
        let known = match self.list(daemon).await {
            Ok(known) => known,
            Err(why) => {
                return wanted.into_iter().map(|i| (i.clone(), Found::NoDaemon(why.clone()))).collect();
            }
        };
        let docker = daemon.docker();
        let (mut pushed, mut found) = (Vec::new(), HashMap::new());
        for image in wanted {
            if known.contains(image) {
                found.insert(image.clone(), Found::There);
            } else if image.contains('@') {
                pushed.push(image.clone());
            } else {
                found.insert(image.clone(), Found::Gone(format!(
                    "its image is not with the Docker daemon at {} any more, and no registry has it: run its commit again (with SEAMLESS_REGISTRY images are kept where every daemon finds them)",
                    docker.host()
                )));
            }
        }
        let asked = stream::iter(pushed.clone()).map(|image| self.pushed(&docker, image, registry));
        let asked = asked.buffer_unordered(AT_ONCE).take_until(tokio::time::sleep(ASK_ALL));
        found.extend(asked.collect::<Vec<_>>().await);
        for image in pushed {
            found.entry(image).or_insert_with(|| {
                Found::Unknown("its image is not with the Docker daemon, and the registry takes too long to say whether it has it".into())
            });
        }
        found
    }

    /// Every image of a daemon, by id and by digest: one question for all, however many ask at once.
    async fn list(&self, daemon: &Daemon) -> List {
        let slot = lock(&self.lists).entry(daemon.clone()).or_default().clone();
        let mut said = slot.lock().await;
        if let Some((at, list)) = said.as_ref()
            && at.elapsed() < LISTED
        {
            return list.clone();
        }
        let docker = daemon.docker();
        let format = "{{.ID}} {{.Repository}}@{{.Digest}}";
        let question =
            docker.command(["image", "ls", "--all", "--no-trunc", "--digests", "--format", format]);
        let list = match docker.finish("image", question, LIST).await {
            Ok(said) => Ok(Arc::new(said.stdout.split_ascii_whitespace().map(str::to_owned).collect())),
            Err(error) => Err(unreachable(error, &docker)),
        };
        *said = Some((Instant::now(), list.clone()));
        list
    }

    /// Whether the registry has an image that the daemon has not.
    async fn pushed(&self, docker: &Docker, image: String, registry: Option<&Registry>) -> (String, Found) {
        let there = match self.remembered(&image) {
            Some(there) => Ok(there),
            None => manifest(docker, &image, registry).await,
        };
        let found = match there {
            Ok(there) => {
                self.remember(&image, there);
                match there {
                    true => Found::There,
                    false => Found::Gone(format!(
                        "its image is gone, from the Docker daemon at {} and from the registry: run its commit again",
                        docker.host()
                    )),
                }
            }
            Err(error) => Found::Unknown(format!(
                "its image is not with the Docker daemon, and whether the registry has it could not be found out: {error}"
            )),
        };
        (image, found)
    }

    fn remembered(&self, image: &str) -> Option<bool> {
        let (at, there) = *lock(&self.registry).get(image)?;
        (at.elapsed() < believed(there)).then_some(there)
    }

    fn remember(&self, image: &str, there: bool) {
        let mut said = lock(&self.registry);
        said.retain(|_, (at, there)| at.elapsed() < believed(*there));
        said.entry(image.to_owned()).or_insert_with(|| (Instant::now(), there));
    }
}

fn believed(there: bool) -> Duration {
    if there { HAS } else { HAS_NOT }
}

/// Why nothing can be deployed with a daemon.
fn unreachable(error: DockerError, docker: &Docker) -> String {
    match error {
        DockerError::Away { host, said } => {
            format!("the Docker daemon at {host} does not answer: start it, then try again ({said})")
        }
        DockerError::Slow(seconds) => format!(
            "the Docker daemon at {} did not answer within {seconds} s: look at it, then try again",
            docker.host()
        ),
        other => other.to_string(),
    }
}

/// Asks the registry for the manifest alone. Not by `docker manifest inspect`, which says "no such manifest" also when it is not
/// let in.
async fn manifest(docker: &Docker, image: &str, registry: Option<&Registry>) -> Result<bool, DockerError> {
    let with = login(docker, image, registry)?;
    let question = with.docker.command(["buildx", "imagetools", "inspect", "--raw", image]);
    match with.docker.finish("buildx", question, ASK).await {
        Ok(_) => Ok(true),
        Err(DockerError::Missing(_)) => Ok(false),
        Err(DockerError::Other(said)) if said.ends_with(": not found") => Ok(false),
        Err(error) => Err(error),
    }
}
