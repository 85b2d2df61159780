//! The seam: one line through all stages; how far it is sewn is how far the run is.
//!
//! Refuses a bare spinner: a running stage shows its progress against its usual time.

use domain::{
    StageKind, Status,
    view::{Run, Stage},
};
use leptos::prelude::*;

use super::Clock;

/// Percent of its usual time that a stage has run; 50 when nobody knows.
pub fn progress(stage: &Stage, now: domain::Timestamp) -> i64 {
    match (stage.started_at, stage.usual_ms) {
        (Some(start), Some(usual)) if usual > 0 => (now.since(start) * 100 / usual).clamp(4, 96),
        _ => 50,
    }
}

/// Whether it kept those after it from running.
pub fn ended_badly(stage: &Stage) -> bool {
    matches!(stage.status, Status::Failure | Status::Cancelled)
}

/// What the seam says to those who do not see it.
fn label(run: &Run) -> String {
    let done = run.stages.iter().filter(|s| s.status.lets_pass()).count();
    let all = run.stages.len();
    let at = |status: Status| run.stages.iter().find(|s| s.status == status).map(|s| s.kind.title());
    match run.status {
        Status::Success => "All stages done".into(),
        Status::Failure => format!("{} failed", at(Status::Failure).unwrap_or("The run")),
        Status::AwaitingApproval => format!("{done} of {all} stages done, waits for approval"),
        Status::InProgress => format!(
            "{done} of {all} stages done, {} in progress",
            at(Status::InProgress).unwrap_or("next stage")
        ),
        Status::Cancelled => format!("Cancelled after {done} of {all} stages"),
        Status::Idle | Status::Skipped => "Not started".into(),
    }
}

/// A run as a strip of seven.
#[component]
pub fn Seam(
    /// The run.
    #[prop(into)]
    run: Signal<Run>,
) -> impl IntoView {
    let clock = Clock::expect();
    let stitches = StageKind::ALL.map(|kind| {
        let class = move || {
            run.with(|r| match r.stage(kind).map(|s| s.status) {
                // What a failure kept from running was not left out on purpose.
                Some(Status::Skipped) if r.stages.iter().any(|s| s.kind < kind && ended_badly(s)) => "",
                None | Some(Status::Skipped) => "skip",
                Some(Status::Success) => "ok",
                Some(Status::Failure) => "bad",
                Some(Status::InProgress) => "run",
                Some(Status::AwaitingApproval) => "wait",
                Some(Status::Cancelled) => "cut",
                Some(Status::Idle) => "",
            })
        };
        let style = move || {
            let stage = run.with(|r| r.stage(kind).filter(|s| s.status == Status::InProgress).cloned());
            stage.map(|s| format!("--at:{}%", progress(&s, clock.now())))
        };
        view! { <i class=class style=style></i> }
    });
    view! {
        <span class="seam" role="img" aria-label=move || run.with(label)>
            {stitches.into_iter().collect_view()}
        </span>
    }
    .into_any()
}
