//! What services run on: the target that is chosen where nobody chose, and whether containers can be used at all.
//!
//! Refuses to wait long for a daemon, or to ask it again for every page.

use std::time::Duration;

use domain::{
    EnvironmentName, Timestamp,
    containers::TargetKind,
    problem::FieldError,
    service::ServiceSettings,
    view::{Containers, Daemon, Means},
};
use tokio::sync::Mutex;

use crate::{Control, ports::Docker};

/// How long what a daemon said is believed, in milliseconds.
const FRESH_MS: i64 = 5_000;
/// Why a service that is to stay cannot be started by a stage's task.
const GONE: &str = "each stage is a task of its own (SEAMLESS_ENGINE is step-functions), and what it starts ends with it: choose `ecs`, and the service of ECS that each environment is";
/// How long a page waits for a daemon.
const PATIENCE: Duration = Duration::from_secs(3);

/// Something that is worth remembering for a moment. Whoever asks while it is being found out waits for that one answer.
#[derive(Debug)]
pub(crate) struct Brief<T>(Mutex<Option<(Timestamp, T)>>);

impl<T> Default for Brief<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Brief<T> {
    /// Something changed: it is found out anew when it is asked for.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }

    pub(crate) async fn get(&self, now: impl Fn() -> Timestamp, find: impl AsyncFnOnce() -> T) -> T {
        let mut kept = self.0.lock().await;
        match &*kept {
            Some((at, known)) if (0..FRESH_MS).contains(&(now().0 - at.0)) => known.clone(),
            _ => {
                let found = find().await;
                *kept = Some((now(), found.clone()));
                found
            }
        }
    }
}

impl Control {
    /// What this server has for containers.
    pub async fn containers(&self) -> Containers {
        let registry = self.setup.registry.as_ref().map(|r| r.address.clone());
        let (daemon, cloud) = (self.daemon().await, self.account().await);
        Containers { daemon, registry, cloud, ecs_alone: self.setup.tasks_elsewhere }
    }

    pub(crate) async fn daemon(&self) -> Daemon {
        if self.ports.executions.is_some() {
            return Daemon::Elsewhere;
        }
        let ask = async || match tokio::time::timeout(PATIENCE, self.ports.host.docker()).await {
            Ok(Docker::Answers { version, host }) => Daemon::Answers { version, host },
            Ok(Docker::Away(why)) => Daemon::Away(why),
            Err(_) => Daemon::Away(format!(
                "the Docker daemon has not answered within {} seconds; look at its log, or restart it",
                PATIENCE.as_secs()
            )),
        };
        self.daemon.get(|| self.now(), ask).await
    }

    /// What runs with these settings use.
    pub(crate) async fn means(&self, settings: &ServiceSettings, target: Option<TargetKind>) -> Means {
        let contained = target.is_some_and(TargetKind::takes_images);
        let needed = contained || settings.image.is_some();
        let daemon = if needed { Some(self.daemon().await) } else { None };
        let used = |e: &EnvironmentName| *e == EnvironmentName::Production || settings.staging;
        let host = |e: EnvironmentName| Some((e, settings.environments.of(e).container.host.clone()?));
        let elsewhere = EnvironmentName::ALL.into_iter().filter(used).filter_map(host);
        Means {
            target,
            image: settings.image.clone(),
            daemon,
            elsewhere: elsewhere.filter(|_| contained).collect(),
            trouble: match target {
                Some(TargetKind::Process | TargetKind::Docker) => {
                    self.ends_with_its_task().map(str::to_owned)
                }
                _ => None,
            },
        }
    }

    /// Why nothing but ECS can be deployed to, where that is so.
    pub(crate) fn ends_with_its_task(&self) -> Option<&'static str> {
        self.setup.tasks_elsewhere.then_some(GONE)
    }

    /// How a service is deployed where nobody said: to ECS where nothing else goes, else in containers where it has a Dockerfile and
    /// a daemon answers.
    pub async fn usual_target(&self, settings: &ServiceSettings) -> TargetKind {
        if self.setup.tasks_elsewhere && settings.commands.start.is_some() {
            return TargetKind::Ecs;
        }
        let has_dockerfile = settings.dockerfile.as_deref().is_some_and(|path| !path.trim().is_empty());
        match self.daemon().await {
            Daemon::Answers { .. } if has_dockerfile => TargetKind::Docker,
            Daemon::Elsewhere if has_dockerfile => TargetKind::Ecs,
            _ => TargetKind::Process,
        }
    }

    /// Makes sure that both environments have a target: what was said for either, what was kept, or the usual one. Says what
    /// is wrong when somebody now wants containers that cannot be.
    pub(crate) async fn choose_target(
        &self,
        settings: &mut ServiceSettings,
        before: Option<&ServiceSettings>,
    ) -> Option<FieldError> {
        let kept = before.and_then(|b| b.environments.production.target);
        let [staging, production] = EnvironmentName::ALL.map(|e| settings.environments.of(e).target);
        let target = match production.or(staging).or(kept) {
            Some(target) => target,
            None => self.usual_target(settings).await,
        };
        for environment in EnvironmentName::ALL {
            settings.environments.of_mut(environment).target.get_or_insert(target);
        }
        let message = match target {
            // Without a start command nothing is deployed, and all is well.
            TargetKind::Process if !self.setup.tasks_elsewhere || settings.commands.start.is_none() => {
                return None;
            }
            TargetKind::Process => GONE.into(),
            TargetKind::Docker if self.setup.tasks_elsewhere => GONE.into(),
            // What runs in containers already may be changed while the daemon is away.
            TargetKind::Docker | TargetKind::Ecs if kept == Some(target) => return None,
            // ECS fetches what is built here.
            TargetKind::Ecs if self.setup.registry.is_none() => {
                "ECS fetches images from a registry: set SEAMLESS_REGISTRY to one, such as ECR's address, and start the server anew".into()
            }
            // Images are built by the daemon beside the stages, wherever they run then.
            TargetKind::Docker | TargetKind::Ecs => match self.daemon().await {
                Daemon::Answers { .. } | Daemon::Elsewhere => return None,
                Daemon::Away(why) => format!("containers cannot be used yet: {why}"),
            },
        };
        Some(FieldError { field: "environments.production.target".into(), message })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn what_was_just_found_out_is_not_asked_again() {
        let (brief, asked, clock) = (Brief::default(), Cell::new(0), Cell::new(1_000));
        let get = async || {
            let find = async || {
                asked.set(asked.get() + 1);
                asked.get()
            };
            brief.get(|| Timestamp(clock.get()), find).await
        };
        assert_eq!((get().await, get().await), (1, 1));
        clock.set(1_000 + FRESH_MS);
        assert_eq!(get().await, 2, "it may have changed by now");
        clock.set(0);
        assert_eq!(get().await, 3, "a clock that was set back makes nothing fresh");
    }
}
