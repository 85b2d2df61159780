//! Integration tests in containers: the candidate's image beside its neighbours, in a network of the run's own.
//!
//! With a Compose file, its test service is the test; without one, Seamless makes one and runs the integration command in it.
//! How services that are processes take part stands in docs/adr/0008-a-test-network-of-its-own.md. Whatever happens, everything
//! is taken down. Refuses to publish anything beyond this host, and to share anything with another run.

mod ask;
mod events;
mod find;
mod health;
mod image;
mod made;
mod member;
mod mixed;
mod notes;
mod project;
mod relay;
mod resolve;
mod safe;
mod service;
mod shared;

use domain::protocol::{ComposeWork, Launch};

use self::{
    member::Member,
    project::{Died, Project},
};
use super::{Docker, DockerError};
use crate::{context::Context, reason::Failure, target::Target};

/// Does an integration test in which at least one version is an image.
pub(crate) async fn perform(
    stage: &Context,
    target: &dyn Target,
    command: &str,
    candidate: &Launch,
    neighbours: &[Launch],
    compose: Option<&ComposeWork>,
) -> Result<(), Failure> {
    let docker = Docker::here();
    match compose {
        Some(work) if candidate.container.is_some() => {
            if !command.trim().is_empty() {
                stage.log.system(
                    "the integration command is not run: the Compose file's test service is the test",
                );
            }
            let mut project = Project::new(stage, docker);
            let elsewhere = stage.data.run(stage.job.run).join(format!("compose.{}", stage.job.attempt));
            let result = tokio::select! {
                result = by_file(stage, &mut project, &elsewhere, candidate, neighbours, work) => result,
                () = stage.ending.ended() => Err(Failure::new("ended")),
            };
            project.take_down().await;
            let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(elsewhere)).await;
            result
        }
        _ => mixed::perform(stage, docker, target, command, candidate, neighbours).await,
    }
}

/// The test that a Compose file describes.
async fn by_file(
    stage: &Context,
    project: &mut Project<'_>,
    elsewhere: &std::path::Path,
    candidate: &Launch,
    neighbours: &[Launch],
    work: &ComposeWork,
) -> Result<(), Failure> {
    let checkout = find::checkout(stage, work, elsewhere).await?;
    let file = find::file(&checkout, stage.job.context.as_deref(), work)?;
    stage.log.system(format!("testing with {}", file.display()));
    let resolved = resolve::resolve(stage, &project.docker, &project.name, &checkout, &file).await?;
    let knows = |name: &str| resolved.get("services").is_some_and(|services| services.get(name).is_some());
    let own = Member {
        name: work.service.clone(),
        launch: candidate,
        port: image::ready(stage, &project.docker, candidate, "the candidate").await?,
    };
    let mut others = Vec::new();
    for launch in neighbours.iter().filter(|launch| knows(&launch.service) && launch.service != own.name) {
        if launch.container.is_none() {
            stage.log.system(format!(
                "{} is deployed as files, not as an image: it takes part as the Compose file has it",
                launch.service
            ));
            continue;
        }
        let port = image::ready(stage, &project.docker, launch, "its neighbour").await?;
        others.push(Member { name: launch.service.clone(), launch, port });
    }
    let test = work.test_service.as_str();
    let told = resolve::said(stage);
    let labels = project.labels();
    let wanted = safe::Wanted {
        project: &project.name,
        labels: &labels,
        candidate: &own,
        neighbours: &others,
        test,
        told: &told,
        checkout: &checkout,
    };
    let safe = safe::make(resolved, &wanted)?;
    safe.notes.iter().for_each(|note| stage.log.system(note));
    for member in std::iter::once(&own).chain(&others) {
        versions(stage, member);
    }
    project.open(&safe.project)?;
    if !safe.built.is_empty() {
        project.build(&safe.built).await?;
    }
    let mut verdict = None;
    let mut dead = Vec::new();
    // The test may be over while Compose still waits for others: its end is the verdict all the same.
    let up = project.run(&["up", "--detach", "--no-build"], |died| {
        if died.service == test {
            verdict = Some(died.code);
        } else {
            tell(stage, died);
            dead.push(died.clone());
        }
        verdict.is_some()
    });
    let up = up.await;
    if let (Err(error), None) = (&up, verdict) {
        return Err(not_up(project, error, &dead).await);
    }
    let code = match verdict {
        Some(code) => code,
        None => loop {
            let died = project.died().await?;
            if died.service == test {
                break died.code;
            }
            tell(stage, &died);
        },
    };
    project.settle().await;
    if code == 0 {
        return Ok(());
    }
    Err(Failure {
        reason: format!("the test service `{test}` exited with {code}{}", killed(code)),
        error: project.error_of(test),
        exit_code: Some(code),
    })
}

fn versions(stage: &Context, member: &Member<'_>) {
    let (launch, commit) = (member.launch, member.launch.commit.get(..7).unwrap_or(&member.launch.commit));
    let digest = domain::containers::short_digest(&launch.artifact);
    stage.log.system(format!(
        "{} is {} {commit}, image {digest}, port {}",
        member.name, launch.service, member.port
    ));
}

/// One of the others has ended: perhaps that was its task, perhaps not.
fn tell(stage: &Context, died: &Died) {
    let Died { service, code } = died;
    stage.log.system(format!("{service} ended with exit code {code}{}", killed(*code)));
}

fn killed(code: i32) -> &'static str {
    match code {
        137 => " (killed: perhaps out of memory)",
        139 => " (signal 11, SIGSEGV)",
        143 => " (signal 15, SIGTERM)",
        _ => "",
    }
}

/// Why Compose could not bring it all up.
async fn not_up(project: &mut Project<'_>, error: &DockerError, dead: &[Died]) -> Failure {
    // Whatever Compose made of it: a daemon that no longer answers is the reason.
    if let Err(away @ DockerError::Away { .. }) = project.docker.version().await {
        return Failure::new(events::went_away(&away));
    }
    let said = match error {
        DockerError::Other(said) | DockerError::Missing(said) | DockerError::RegistryAway(said) => said,
        other => return Failure::new(other.to_string()),
    };
    project.settle().await;
    let made = project.made().await.unwrap_or_default();
    // `dependency failed to start: container seamless-…-db-1 is unhealthy`
    let culprit = made.keys().find(|name| said.contains(&format!("{}-{name}-", project.name)));
    let Some(culprit) = culprit else {
        return Failure::new(format!("the Compose project could not be started: {}", pools(said)));
    };
    let error = project.error_of(culprit);
    let ended = dead.iter().find(|died| died.service == *culprit);
    let reason = match ended {
        Some(died) => format!(
            "the service `{culprit}`, which others wait for, ended with exit code {}{}",
            died.code,
            killed(died.code)
        ),
        None if said.contains("unhealthy") => {
            let check = project.last_check(&made[culprit]).await;
            format!("the service `{culprit}`, which others wait for, never became healthy: {check}")
        }
        None => format!("the service `{culprit}` could not be started: {}", pools(said)),
    };
    Failure { reason, error, exit_code: ended.map(|died| died.code) }
}

/// Docker's words where they need a remedy.
fn pools(said: &str) -> String {
    if said.contains("non-overlapping IPv4 address pool") || said.contains("all predefined address pools") {
        return format!(
            "Docker has no addresses left for another network: run fewer tests at a time, remove networks that nobody uses (`docker network prune`), or give it more (default-address-pools in daemon.json) ({said})"
        );
    }
    said.to_owned()
}
