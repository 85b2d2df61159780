//! Watches a live container: asks after its health, and notices what was done to it by hand.
//!
//! Refuses to undo what a person did: a container that was stopped or removed by hand stays so until somebody deploys. One that
//! crashed is started again by its daemon, as its policy says.

use domain::containers::RestartPolicy;
use runner::docker::DockerError;
use tokio::time::{Duration, Instant, sleep};

use super::{
    container::Container,
    health::{Ill, check},
    output::Tail,
    supervise::{PULSE, Seen, Watcher, words},
    upstream::Upstream,
    version::Version,
};
use crate::docker::containers::{self, Condition};

/// How often the daemon is asked although all seems well.
const CLOSELY: Duration = Duration::from_secs(30);

/// Looks for as long as it is live; then hands it over.
pub async fn watch(watcher: &Watcher, running: Option<Version>) -> Option<Version> {
    let Some(Version::Container(mut container)) = running else {
        watcher.see(Seen {
            health: "drifted",
            reason: Some("nobody knows its container any more: deploy it again".into()),
            started: None,
        });
        watcher.stop.cancelled().await;
        return None;
    };
    let mut closely = None::<Instant>;
    let mut settled = false;
    let mut met = Met { ran: true, lost: false };
    loop {
        if !settled {
            settled = settle(watcher, &container).await;
        }
        let health = check(&container.boxed.address, watcher.work.launch.health_path.as_deref()).await;
        if health.is_err() || closely.is_none_or(|last| last.elapsed() > CLOSELY) || !container.is_heard() {
            closely = Some(Instant::now());
            let seen = look(watcher, &mut container, health, &mut met).await;
            watcher.see(seen);
        } else {
            watcher.see(Seen::healthy(super::state::Started::Container(container.boxed.clone())));
        }
        watcher.turn_over();
        tokio::select! {
            () = watcher.stop.cancelled() => return Some(Version::Container(container)),
            () = sleep(PULSE) => {}
            // Its log ends when it does.
            () = container.quiet(), if container.is_heard() => {}
        }
    }
}

/// How the container was when its daemon last answered, and whether the daemon was away since.
struct Met {
    ran: bool,
    lost: bool,
}

/// Makes sure of its policy once: a keeper or a daemon may have died between the switch and that. One that only its policy keeps
/// down after the machine went down is started. False when the daemon could not be asked.
async fn settle(watcher: &Watcher, container: &Container) -> bool {
    let policy = policy(watcher);
    match container.settle(policy).await {
        Ok(()) | Err(DockerError::Missing(_)) => {}
        Err(_) => return false,
    }
    let Ok(seen) = containers::inspect(&container.docker, &container.boxed.container).await else {
        return true;
    };
    let by_itself = matches!(policy, RestartPolicy::Always | RestartPolicy::UnlessStopped);
    if !by_itself && !seen.state.running && container.boxed.daemon.is_here() && went_down(&seen.state) {
        tracing::info!("starts the container that went down with the machine");
        if let Err(error) = container.docker.ask(&["start", &container.boxed.container]).await {
            tracing::warn!(%error, "it does not start");
        }
    }
    true
}

fn policy(watcher: &Watcher) -> RestartPolicy {
    watcher.work.launch.container.as_ref().map(|c| c.settings.restart).unwrap_or_default()
}

/// Whether a container ended with the machine or its daemon rather than by itself or by hand: before this boot, or unseen.
fn went_down(state: &Condition) -> bool {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok());
    let ended = state.finished_at.parse::<domain::Timestamp>().ok().map(|at| at.0 / 1000);
    state.exit_code == 255 || boot.zip(ended).is_some_and(|(boot, ended)| ended < boot)
}

async fn look(watcher: &Watcher, container: &mut Container, health: Result<(), Ill>, met: &mut Met) -> Seen {
    let started = || super::state::Started::Container(container.boxed.clone());
    let ill =
        |health: &'static str, why: String| Seen { health, reason: Some(why), started: Some(started()) };
    let name = container.boxed.name.clone();
    let seen = match containers::inspect(&container.docker, &container.boxed.container).await {
        Ok(seen) => seen,
        Err(DockerError::Missing(_)) => {
            let other = containers::inspect(&container.docker, &name).await.is_ok();
            return ill(
                "drifted",
                match other {
                    true => format!(
                        "its container was replaced by hand, by another of the name {name}: deploy or roll back to put it right"
                    ),
                    false => format!(
                        "its container {name} was removed by hand: deploy or roll back to bring the service back"
                    ),
                },
            );
        }
        Err(error) => {
            met.lost |= met.ran;
            return match health {
                Ok(()) => ill("unknown", format!("it answers, but nobody would start it again: {error}")),
                Err(_) => ill("unhealthy", error.to_string()),
            };
        }
    };
    let state = &seen.state;
    met.ran = state.running;
    // Some releases of Docker take what their own crash stopped for stopped by hand. It was not: nobody could.
    if std::mem::take(&mut met.lost) && !state.running && policy(watcher) != RestartPolicy::Never {
        tracing::info!("starts the container that went down with its daemon");
        match container.docker.ask(&["start", &container.boxed.container]).await {
            Ok(_) => met.ran = true,
            Err(error) => tracing::warn!(%error, "it does not start"),
        }
        return ill(
            "unhealthy",
            "its Docker daemon went down and took it along; it is being started again".into(),
        );
    }
    let last = || {
        let mut tail = Tail::near_end(watcher.shared.place.log(watcher.work.deployment));
        tail.look(true);
        tail.last().map(str::to_owned)
    };
    let how = match state.oom_killed {
        true => "was killed because it took more memory than it may".to_owned(),
        false => format!("exited with {}", state.exit_code),
    };
    if state.paused {
        return ill(
            "drifted",
            format!("its container was paused by hand: `docker unpause {name}` lets it go on"),
        );
    }
    if state.restarting {
        note_restarts(watcher, seen.restart_count).await;
        return ill("unhealthy", format!("{}; Docker starts it again", words(&how, last().as_deref())));
    }
    if !state.running {
        if !state.error.is_empty() {
            return ill(
                "stopped",
                format!(
                    "its container could not be started: {}; `docker start {name}` tries again",
                    state.error
                ),
            );
        }
        return match policy(watcher) {
            RestartPolicy::Always | RestartPolicy::UnlessStopped => ill(
                "drifted",
                format!(
                    "its container was stopped by hand: `docker start {name}` starts it, and so does a new deploy"
                ),
            ),
            RestartPolicy::OnFailure | RestartPolicy::Never => ill(
                "stopped",
                format!(
                    "{}; its restart policy leaves it so: `docker start {name}` starts it, and so does a new deploy",
                    words(&how, last().as_deref())
                ),
            ),
        };
    }
    note_restarts(watcher, seen.restart_count).await;
    if !container.is_heard() {
        container.listen();
    }
    if container.note_inside(seen.inside()) {
        let boxed = super::state::Started::Container(container.boxed.clone());
        watcher.shared.remember_started(boxed).await;
        watcher.shared.front.point(Ok(Upstream::new(container.boxed.address.clone())));
    }
    match health {
        Ok(()) => Seen::healthy(super::state::Started::Container(container.boxed.clone())),
        Err(ill) => {
            let why = container.ill(&watcher.work.launch, &ill, None).await;
            Seen::unhealthy(why, super::state::Started::Container(container.boxed.clone()))
        }
    }
}

async fn note_restarts(watcher: &Watcher, count: u32) {
    if watcher.shared.state().live.is_some_and(|live| live.restarts != count) {
        watcher.shared.note(|live| live.restarts = count).await;
    }
}
