//! Commit statuses: one for the run, and one for each group of its stages that does anything.

use std::collections::BTreeMap;

use domain::{
    StageKind, Status,
    view::{Run, Stage},
};

use super::{Telling, Trouble};
use crate::{forge::CommitStatus, store::runs};

/// Stages that are told of together, in their order.
const GROUPS: [(&str, &[StageKind]); 4] = [
    ("checks", &[StageKind::Prepare, StageKind::CodeQuality, StageKind::UnitTest]),
    ("build", &[StageKind::Build, StageKind::IntegrationTest]),
    ("staging", &[StageKind::DeployStaging]),
    ("production", &[StageKind::DeployProduction]),
];

/// State and description by context, as they were told.
type Sent = BTreeMap<String, (String, String)>;

pub(super) async fn tell(telling: &mut Telling<'_>) -> Result<(), Trouble> {
    let (control, run) = (telling.control, &telling.run);
    // A newer run of the same commit speaks for it.
    let newest =
        runs::newest_of_commit(control.store.read(), &run.service.id.to_string(), &run.commit.sha).await?;
    if newest.is_some_and(|newest| newest.id != run.id.to_string()) || !telling.settings.github.statuses {
        return Ok(());
    }
    let mut sent: Sent = telling.sent()?;
    let (repository, sha) = (telling.repository.clone(), telling.run.commit.sha.clone());
    for status in statuses(&telling.run, &telling.link()) {
        let now = (status.state.to_owned(), status.description.clone());
        if sent.get(&status.context) == Some(&now) {
            continue;
        }
        control.ports.forge.tell_status(&repository, &sha, &status).await?;
        sent.insert(status.context, now);
        telling.keep(&sent).await?;
    }
    Ok(())
}

/// Everything that is to be said of a run as it stands: the groups in their order, then the run itself.
fn statuses(run: &Run, link: &str) -> Vec<CommitStatus> {
    let name = format!("seamless/{}", run.service.name);
    let mut all = Vec::new();
    for (group, kinds) in GROUPS {
        let stages: Vec<&Stage> = kinds.iter().filter_map(|kind| run.stage(*kind)).collect();
        if let Some((state, description)) = of_group(&stages) {
            let stage = stages.iter().find(|s| s.status == Status::Failure).or(stages.last());
            let url = stage.map_or(link.to_owned(), |s| format!("{link}?stage={}", s.kind));
            all.push(CommitStatus { context: format!("{name}/{group}"), state, description, url });
        }
    }
    let (state, description) = of_run(run);
    all.push(CommitStatus { context: name, state, description, url: link.to_owned() });
    all
}

/// None for a group that does nothing.
fn of_group(stages: &[&Stage]) -> Option<(&'static str, String)> {
    let any = |status: Status| stages.iter().find(|s| s.status == status);
    let ran = |s: &&&Stage| s.started_at.is_some();
    if stages.iter().all(|s| s.status == Status::Skipped) {
        return None;
    }
    if let Some(stage) = any(Status::Failure) {
        let why = stage.reason.as_deref().unwrap_or("it failed");
        return Some(("failure", format!("{}: {why}", stage.kind.title())));
    }
    if let Some(stage) = any(Status::Cancelled) {
        return Some(("error", stage.reason.clone().unwrap_or_else(|| "cancelled".into())));
    }
    if any(Status::AwaitingApproval).is_some() {
        return Some(("pending", "Waits for approval".into()));
    }
    if any(Status::InProgress).is_some() || (any(Status::Success).is_some() && any(Status::Idle).is_some()) {
        return Some(("pending", "In progress".into()));
    }
    if any(Status::Idle).is_some() {
        return Some(("pending", "Queued".into()));
    }
    let begun = stages.iter().filter(ran).filter_map(|s| s.started_at).min();
    let ended = stages.iter().filter(ran).filter_map(|s| s.ended_at).max();
    let took = begun.zip(ended).map(|(begun, ended)| format!(" in {}", span(ended.since(begun))));
    Some(("success", format!("Succeeded{}", took.unwrap_or_default())))
}

fn of_run(run: &Run) -> (&'static str, String) {
    let took = run.duration_ms.map(|ms| format!(" in {}", span(ms))).unwrap_or_default();
    let number = run.number;
    match run.status {
        Status::Idle => ("pending", format!("Run {number} is queued")),
        Status::InProgress => ("pending", format!("Run {number} is in progress")),
        Status::AwaitingApproval => ("pending", format!("Run {number} waits for approval")),
        Status::Success => ("success", format!("Run {number} succeeded{took}")),
        // A newer version is live already, or there was nothing to do.
        Status::Skipped => (
            "success",
            run.reason
                .clone()
                .map_or(format!("Run {number} had nothing to do"), |r| format!("Run {number}: {r}")),
        ),
        Status::Failure => {
            ("failure", format!("Run {number}{took}: {}", run.reason.as_deref().unwrap_or("failed")))
        }
        Status::Cancelled => {
            ("error", format!("Run {number}: {}", run.reason.as_deref().unwrap_or("cancelled")))
        }
    }
}

/// A duration as people say it.
pub(super) fn span(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
