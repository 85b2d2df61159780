//! Reading runs and their logs; starting, deciding, cancelling and repeating them.
//!
//! Refuses to know when an action fits; `control` does, and its refusal comes back as a sentence.

use domain::{
    RunId, ServiceId, StageId, StageKind, Status,
    outline::Outline,
    view::{LogMatches, LogPage, Page, Run, RunPage},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Answer, Dated};

#[cfg(feature = "ssr")]
use super::server::{actor, control, dated, filled, refuse};

/// What a person says to a run that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Approve,
    /// Do not.
    Reject,
}

/// From where a run is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RerunFrom {
    /// All of it.
    Start,
    /// From the stage that failed.
    Failed,
}

/// A page of runs.
#[server(name = ReadRuns, prefix = "/fn", endpoint = "runs")]
pub async fn runs(
    service: Option<ServiceId>,
    status: Option<Status>,
    before: Option<RunId>,
) -> Answer<Dated<Page<Run>>> {
    control()?.runs(service, status, before, 30).await.map(dated).map_err(refuse)
}

/// The run page, with the end of a stage's log or the part from `from` on.
#[server(name = ReadRunPage, prefix = "/fn", endpoint = "run_page")]
pub async fn run_page(
    run: RunId,
    stage: Option<StageKind>,
    attempt: Option<u32>,
    from: Option<u64>,
) -> Answer<RunPage> {
    control()?.run_page(run, stage, attempt, from).await.map_err(refuse)
}

/// Lines of a log.
#[server(name = ReadLog, prefix = "/fn", endpoint = "log")]
pub async fn log(stage: StageId, attempt: u32, from: u64, limit: u64) -> Answer<LogPage> {
    control()?.log_page(stage, Some(attempt), from, limit).await.map_err(refuse)
}

/// Lines of a log in which something is found: the first ones from a line on, or the last ones before a line. With nothing to look for,
/// the lines that say what went wrong.
#[server(name = ReadLogSearch, prefix = "/fn", endpoint = "log_search")]
pub async fn log_search(
    stage: StageId,
    attempt: Option<u32>,
    query: String,
    regex: bool,
    from: Option<u64>,
    before: Option<u64>,
    limit: u64,
) -> Answer<LogMatches> {
    use control::logs::{Part, Search};
    let search = match query.is_empty() {
        true => Search::errors(),
        false => Search { regex, ..Search::text(query) },
    };
    let part = before.map_or(Part::From(from.unwrap_or(0)), Part::Before);
    control()?.log_search(stage, attempt, &search, part, limit.min(5_000)).await.map_err(refuse)
}

/// Numbers of the lines in which something is found, from a line on or before a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHits {
    /// The lines, in order.
    pub seqs: Vec<u64>,
    /// How many match before the first one here.
    pub earlier: u64,
    /// How many match in all.
    pub total: u64,
    /// Where to go on; none at the end.
    pub next: Option<u64>,
}

/// The same search, for a browser that has the lines already or will ask for them.
#[server(name = ReadLogHits, prefix = "/fn", endpoint = "log_hits")]
pub async fn log_hits(
    stage: StageId,
    attempt: u32,
    query: String,
    regex: bool,
    from: Option<u64>,
    before: Option<u64>,
) -> Answer<LogHits> {
    let found = log_search(stage, Some(attempt), query, regex, from, before, 5_000).await?;
    let seqs = found.matches.iter().map(|m| m.seq).collect();
    Ok(LogHits { seqs, earlier: found.earlier, total: found.total, next: found.next })
}

/// The parts of a log that can be folded.
#[server(name = ReadLogOutline, prefix = "/fn", endpoint = "log_outline")]
pub async fn log_outline(stage: StageId, attempt: u32) -> Answer<Outline> {
    control()?.log_outline(stage, Some(attempt)).await.map_err(refuse)
}

/// Approves or rejects.
#[server(prefix = "/fn", endpoint = "decide")]
pub async fn decide(run: RunId, decision: Decision, comment: Option<String>) -> Answer<Run> {
    let (control, actor, comment) = (control()?, actor()?, filled(comment));
    match decision {
        Decision::Approve => control.approve(&actor, run, comment).await,
        Decision::Reject => control.reject(&actor, run, comment).await,
    }
    .map_err(refuse)
}

/// Cancels.
#[server(prefix = "/fn", endpoint = "cancel")]
pub async fn cancel(run: RunId) -> Answer<Run> {
    control()?.cancel(&actor()?, run).await.map_err(refuse)
}

/// Repeats, and goes to the new run.
#[server(prefix = "/fn", endpoint = "rerun")]
pub async fn rerun(run: RunId, from: RerunFrom) -> Answer<Run> {
    let from = match from {
        RerunFrom::Start => control::Rerun::Start,
        RerunFrom::Failed => control::Rerun::Failed,
    };
    let new = control()?.rerun(&actor()?, run, from).await.map_err(refuse)?;
    leptos_axum::redirect(&format!("/runs/{}", new.id));
    Ok(new)
}

/// Starts a run by hand, and goes to it.
#[server(prefix = "/fn", endpoint = "start_run")]
pub async fn start_run(service: ServiceId) -> Answer<Run> {
    let new = control()?.start_run(&actor()?, service, None, None).await.map_err(refuse)?;
    leptos_axum::redirect(&format!("/runs/{}", new.id));
    Ok(new)
}
