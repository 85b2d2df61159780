//! What is to be done next about an execution: it follows from the rows and the time alone.

use domain::{StageKind, Status, Timestamp, plan::Trigger, time::in_words};
use entity::{execution, run, stage};

use super::gate;
use crate::{engine::attempt::last_word, store::executions};

/// How long an execution may take to end by itself once its run is over, in milliseconds: what the machine still tells, and ECS to notice that a
/// task ended.
const ENDS_MS: i64 = 600_000;
/// How long a runner may take to end by itself once it was told to, in milliseconds.
const CANCEL_MS: i64 = 30_000;
/// What was not heard of for so long is looked at, in milliseconds.
const SILENT_MS: i64 = 120_000;
/// A task whose runner was not heard of for so long is ended, in milliseconds. One that is gone is told by the engine long before.
const HUNG_MS: i64 = 600_000;
/// How long after it may deploy to production an execution must have asked whether it may, in milliseconds.
const ASKS_MS: i64 = 300_000;
/// How long after a stage is ready its task must have come, in milliseconds: to find room and to fetch its image.
const COMES_MS: i64 = 900_000;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Start,
    /// Nothing was started and nothing needs to be.
    Forget,
    Stop(String),
    Answer(std::result::Result<(), String>),
    Look,
}

/// `since` is since when runners could tell that they live: what could not be told before is not held against anybody.
pub(super) fn step(
    execution: &execution::Model,
    run: &run::Model,
    stages: &[stage::Model],
    since: Timestamp,
    now: Timestamp,
) -> Step {
    let status: Status = run.status.parse().unwrap_or(Status::Idle);
    if execution.state == executions::WANTED {
        return if status.is_terminal() { Step::Forget } else { Step::Start };
    }
    if execution.name.is_none() {
        return Step::Start; // by a version that kept no names
    }
    let production = stages.iter().find(|row| row.kind == StageKind::DeployProduction.as_str());
    let decided = production.and_then(|row| match row.status.parse() {
        Ok(Status::AwaitingApproval) => None,
        Ok(Status::Idle) if row.ready_at.is_none() => None,
        Ok(Status::Failure | Status::Cancelled) => {
            Some(Err(row.reason.clone().unwrap_or_else(|| "nobody approved".into())))
        }
        _ => Some(Ok(())),
    });
    if let (true, Some(decided)) = (gate::asks(execution), decided) {
        return Step::Answer(decided);
    }
    if status.is_terminal() {
        let cancelled = status == Status::Cancelled && run.cancel_requested;
        let ended = run.ended_at.unwrap_or(now.0);
        if cancelled || now.0 - ended > ENDS_MS {
            return Step::Stop(run.reason.clone().unwrap_or_else(|| "the run is over".into()));
        }
        return Step::Nothing;
    }
    let busy = || stages.iter().filter(|row| row.status == Status::InProgress.as_str());
    let heard = busy().filter_map(last_word).max();
    let silent = |at: i64| now.0 - at.max(since.0);
    if run.cancel_requested && heard.is_none_or(|at| silent(at) > CANCEL_MS) {
        // Nobody is there who could end by himself.
        let by = run.cancel_by.clone().unwrap_or_default();
        return Step::Stop(format!("cancelled by {by}"));
    }
    if let Some(longest) = busy().filter_map(last_word).map(silent).max().filter(|silent| *silent > HUNG_MS) {
        return Step::Stop(format!("its task was not heard of for {}", in_words(longest)));
    }
    let heard = heard.unwrap_or_default().max(execution.seen_at);
    if now.0 - heard > SILENT_MS { Step::Look } else { Step::Nothing }
}

/// The first stage that is ready and has no task.
pub(super) fn waits(stages: &[stage::Model]) -> Option<&stage::Model> {
    stages.iter().find(|row| row.status == Status::Idle.as_str() && row.ready_at.is_some())
}

/// Why an execution that goes on does not get on, so far as that shows: it should long have asked at its gate (its message is lost, or its
/// queue is another), or no task has come for a stage.
pub(super) fn stuck(
    execution: &execution::Model,
    run: &run::Model,
    stages: &[stage::Model],
    now: Timestamp,
) -> Option<String> {
    let next = waits(stages)?;
    let (kind, waited) = (next.kind.parse::<StageKind>().ok()?, now.0 - next.ready_at?);
    let asks = kind == StageKind::DeployProduction && run.trigger != Trigger::Rollback.as_str();
    if asks && execution.gate_token.is_none() && waited > ASKS_MS {
        return Some(
            "it may deploy, but its execution never asked whether it may: if that does not change, cancel the run and run it again".into(),
        );
    }
    // A deploy's task may be there and stand in line.
    (kind.environment().is_none() && waited > COMES_MS).then(|| {
        let (kind, waited) = (kind.title(), in_words(waited));
        format!(
            "no task has come for {kind} in {waited}: look whether the cluster has room, and whether its machines reach this server"
        )
    })
}
