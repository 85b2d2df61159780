//! Reading runs and their logs; starting, deciding, cancelling and repeating them.
//!
//! Refuses to know when an action fits; `control` does, and its refusal comes back as a sentence.

use domain::{
    RunId, ServiceId, StageId, StageKind, Status,
    view::{LogMatches, Page, Run, RunPage},
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

/// Lines of a log that hold a text.
#[server(name = ReadLogSearch, prefix = "/fn", endpoint = "log_search")]
pub async fn log_search(stage: StageId, attempt: Option<u32>, query: String) -> Answer<LogMatches> {
    control()?.log_search(stage, attempt, &query, 500).await.map_err(refuse)
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
