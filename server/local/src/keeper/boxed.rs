//! Deploying a container: image, network, the container itself; what is kept for a rollback, and what must go.
//!
//! Written down before it is made: whatever happens, whoever comes next finds every container and knows whether it may stay.

use std::{sync::Arc, time::Duration};

use domain::protocol::DeployWork;
use runner::docker::DockerError;
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    container::Container,
    deploy::{GRACE, KEPT, Talk, short},
    recipe::Recipe,
    state::{Boxed, Place, mark},
    version::Version,
    wire::{End, Request, ask},
};
use crate::docker::{Daemon, containers, images, network};

/// How soon a sweep that a daemon did not let finish is tried again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Shared {
    /// A container that runs and does not serve yet.
    pub(super) async fn boxed(
        self: &Arc<Self>,
        work: &DeployWork,
        talk: &Talk,
        cancel: &CancellationToken,
    ) -> Result<Version, End> {
        let recipe = tokio::select! {
            recipe = self.recipe(work, talk) => recipe.map_err(|e| End::Failed(e.to_string()))?,
            () = cancel.cancelled() => return Err(End::Cancelled),
        };
        let (log, commit) = (self.place.log(work.deployment), short(&work.launch.commit));
        let daemon = work.launch.container.as_ref().map(|c| Daemon::of(&c.settings)).unwrap_or_default();
        let state = self.state();
        let same = |kept: &&Boxed| kept.config == recipe.config() && kept.daemon == daemon;
        if let Some(kept) = state.kept.iter().find(same) {
            // A kept container that is left running is stopped again by whoever sweeps.
            self.intend(Some(daemon.clone())).await?;
            match Container::again(Box::new(kept.clone()), &mark(work.deployment), log.clone()).await {
                Ok(mut container) => {
                    container.find_around().await;
                    talk.say(format!("Starting the kept container of {commit} again: {}", kept.name));
                    return Ok(Version::Container(container));
                }
                Err(error) => talk.say(format!(
                    "The kept container of {commit} does not start ({error}); making a new one."
                )),
            }
        }
        self.intend(Some(daemon)).await?;
        let mut made =
            Container::make(&self.place, work.deployment, &recipe, log).await.map_err(End::Failed)?;
        made.find_around().await;
        talk.say(format!(
            "Starting {commit} as container {} on {}:{} (port {} inside)",
            made.boxed.name, made.boxed.address.host, made.boxed.address.port, made.boxed.inside
        ));
        Ok(Version::Container(made))
    }

    async fn recipe(&self, work: &DeployWork, talk: &Talk) -> Result<Recipe, DockerError> {
        let container = work.launch.container.clone().unwrap_or_default();
        let daemon = Daemon::of(&container.settings);
        let docker = daemon.docker();
        let image =
            images::fetch(&docker, &work.launch.artifact, container.registry.as_ref(), |line| talk.say(line));
        let image = image.await?;
        let network = if daemon.is_here() {
            let network = network::ensure(&daemon, &self.place.data).await?;
            self.tell_neighbours().await;
            Some(network)
        } else {
            if !work.neighbours.is_empty() {
                talk.say("The containers' host is another machine: neighbours' addresses (SEAMLESS_URL_…) are not handed over.");
            }
            None
        };
        Ok(Recipe::new(&work.launch, &self.place, &work.neighbours, &image, network.as_ref()))
    }

    /// Keepers of all services open their port on the network at once, not at their next look.
    async fn tell_neighbours(&self) {
        let others = Place::all(&self.place.data);
        let others = others.into_iter().filter(|place| place.folder() != self.place.folder());
        let asked =
            others.map(async |place| drop(ask(&place, &Request::Status, Duration::from_secs(2)).await));
        futures::future::join_all(asked).await;
    }

    async fn intend(&self, making: Option<Daemon>) -> Result<(), End> {
        let written = self.change(|state| state.making = making).await;
        written.map_err(|e| {
            End::Failed(format!("the deploy could not be written down, so it was not begun: {e}"))
        })
    }

    /// Lets go of kept containers that newer ones have aged out, or that were stopped too long ago. One whose daemon is away
    /// stays until it can be removed.
    pub(super) async fn age_out(&self, oldest: Option<Duration>) {
        let state = self.state();
        let most = if state.live.as_ref().is_some_and(|l| l.work.launch.container.is_some()) {
            KEPT - 1
        } else {
            KEPT
        };
        let mut gone = Vec::new();
        for (index, boxed) in state.kept.into_iter().enumerate() {
            let docker = boxed.daemon.docker();
            let too_old = async || match (oldest, containers::inspect(&docker, &boxed.container).await) {
                (Some(oldest), Ok(seen)) => seen.state.stopped_for().is_some_and(|for_| for_ >= oldest),
                (Some(_), Err(DockerError::Missing(_))) => true,
                _ => false,
            };
            if index < most && (oldest.is_none() || !too_old().await) {
                continue;
            }
            match containers::remove(&docker, &boxed.container).await {
                Ok(()) => gone.push(boxed.container),
                Err(error) => tracing::warn!(%error, "an old container stays for now"),
            }
        }
        if !gone.is_empty()
            && let Err(error) = self.change(|s| s.kept.retain(|kept| !gone.contains(&kept.container))).await
        {
            tracing::error!(%error, "the state could not be written");
        }
    }

    /// Removes and stops what must not be there, now or as soon as its daemon answers. The caller has the turn.
    pub(super) async fn sweep_soon(self: &Arc<Self>) {
        let Err(error) = self.sweep().await else { return };
        tracing::warn!(%error, "what is left over is removed later");
        let shared = self.clone();
        tokio::spawn(async move {
            let mut pause = AGAIN.0;
            loop {
                tokio::select! {
                    () = shared.closing.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(AGAIN.1);
                let _turn = shared.turn.lock().await;
                if shared.sweep().await.is_ok() {
                    return;
                }
            }
        });
    }

    async fn sweep(&self) -> Result<(), DockerError> {
        let state = self.state();
        let live = state.live.as_ref().and_then(|live| live.started.as_ref()?.container());
        for daemon in state.daemons() {
            let docker = daemon.docker();
            for one in containers::of_place(&docker, &self.place).await? {
                if live.is_some_and(|live| live.container == one.id) {
                    continue;
                }
                if state.kept.iter().any(|kept| kept.container == one.id) {
                    if one.runs {
                        containers::park(&docker, &one.id, GRACE).await?;
                    }
                } else {
                    tracing::info!(container = one.id, "removes what did not become live");
                    containers::remove(&docker, &one.id).await?;
                }
            }
        }
        if state.making.is_some()
            && let Err(error) = self.change(|state| state.making = None).await
        {
            return Err(DockerError::Other(format!("the state could not be written: {error}")));
        }
        Ok(())
    }
}
