//! The head of the run page: the commit's message as title, the facts below, the actions beside.
//!
//! Refuses to name a run by its number alone; the number is in the address line above.

use domain::{
    Status, Timestamp,
    plan::Trigger,
    view::{Means, Run, Stage},
};
use leptos::prelude::*;

use super::{Page, actions::Actions};
use crate::{
    api::ApiError,
    components::{Clock, Face, Icon, Sha, StatusPill, Took, Uses, When},
    text::words,
};

/// What a run is called.
pub fn title(run: &Run) -> String {
    match (run.trigger, run.commit.message.as_str()) {
        (Trigger::Rollback, "") => format!("Roll back to {}", run.commit.short()),
        (Trigger::Rollback, message) => format!("Roll back to “{message}”"),
        (_, "") => format!("{} at {}", run.branch, run.commit.short()),
        (_, message) => message.to_owned(),
    }
}

/// What is left of the longest way through the stages that are still to come; none when nobody knows.
fn left(run: &Run, now: Timestamp) -> Option<i64> {
    let rest = |s: &Stage| -> Option<i64> {
        match s.status {
            Status::Idle => s.usual_ms,
            Status::InProgress => Some((s.usual_ms? - now.since(s.started_at?)).max(1000)),
            _ => Some(0),
        }
    };
    use domain::StageKind::{CodeQuality, UnitTest};
    let mut sum = 0;
    for stage in run.stages.iter().filter(|s| s.kind != CodeQuality) {
        let beside = if stage.kind == UnitTest { run.stage(CodeQuality).map(&rest) } else { None };
        sum += rest(stage)?.max(beside.unwrap_or(Some(0))?);
    }
    (sum > 0).then_some(sum)
}

#[component]
fn Cause(run: Run) -> impl IntoView {
    let commit = run.commit.clone();
    let by = run.requested_by.clone();
    let author = if commit.author.is_empty() { "Somebody".to_owned() } else { commit.author.clone() };
    let number = run.pull_request.as_ref().map(|p| format!("#{}", p.number)).unwrap_or_default();
    let fork = run.pull_request.as_ref().and_then(|p| p.fork.as_ref());
    let from = fork.map(|fork| format!(" from {fork}, without secrets")).unwrap_or_default();
    let (who, verb, rest) = match run.trigger {
        Trigger::Push => (author, "pushed", format!("to {}", run.branch)),
        Trigger::PullRequestOpened => (author, "proposed", format!("in pull request {number}{from}")),
        Trigger::PullRequestSynchronized => (author, "added", format!("to pull request {number}{from}")),
        Trigger::Manual => (by.unwrap_or(author), "started", format!("of {}", run.branch)),
        Trigger::Rollback => (by.unwrap_or(author), "went back to", String::new()),
        Trigger::Trial => (by.unwrap_or(author), "tries", format!("of {}", run.branch)),
    };
    view! { <span class="cause"><Face name=who.clone()/><span>{who}" "{verb}" "<Sha commit/>" "{rest}</span></span> }.into_any()
}

/// Title, facts and actions.
#[component]
pub fn Head(title: String, refused: Option<ApiError>, means: Means) -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let clock = Clock::expect();
    let first = run.get_untracked();
    let started = Memo::new(move |_| run.with(|r| (r.started_at, r.ended_at, r.created_at)));
    let status = Memo::new(move |_| run.with(|r| r.status));
    let queue =
        move || run.with(|r| r.stages.iter().find_map(|s| s.queue.filter(|_| s.status == Status::Idle)));
    let times = move || match (started.get(), status.get()) {
        ((Some(from), Some(to), _), _) => {
            view! { "took "<Took from to=Some(to)/>" · ended "<When at=to/> }.into_any()
        }
        ((Some(at), None, _), _) => view! { "started "<When at/> }.into_any(),
        ((None, _, at), Status::Idle) => {
            let place = queue().map(|n| format!(", {} in line for a free slot", words::ordinal(n)));
            view! { "asked for "<When at/>{place} }.into_any()
        }
        ((None, _, at), _) => view! { "created "<When at/> }.into_any(),
    };
    let about = move || {
        let busy = status.get() == Status::InProgress;
        let millis = run.with(|r| left(r, clock.now())).filter(|_| busy);
        millis.map(|ms| format!(" · about {} left", domain::time::in_words(ms)))
    };
    // Of a run that goes on it is what keeps it from doing so.
    let reason = move || run.with(|r| r.reason.clone().filter(|_| r.status != Status::Success));
    let again = first.rerun_of.map(
        |id| view! { <span class="dim">"repeats "<a href=format!("/runs/{id}")>"an earlier run"</a></span> },
    );
    let here = first.execution.is_none();
    let elsewhere = first.execution.clone().map(|page| {
        view! { <span class="dim">"runs on AWS: "<a href=page rel="external">"its execution"</a></span> }
    });
    // Once it is over, it no longer says what will be used.
    let uses = move || (here && !status.get().is_terminal()).then(|| view! { <Uses means=means.clone()/> });
    view! {
        <header class="headline">
            <div>
                <h1>{title}</h1>
                <div class="facts">
                    <StatusPill run/>
                    <Cause run=first/>
                    <span class="dim">{times}{about}</span>
                    {uses}
                    {again}
                    {elsewhere}
                </div>
                {move || reason().map(|r| view! { <p class="reason"><Icon name="warn"/><span>{r}</span></p> })}
            </div>
            <Actions refused/>
        </header>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(stages: &[(&str, &str, Option<i64>)]) -> Run {
        let stages: Vec<_> = stages
            .iter()
            .map(|(kind, status, usual)| {
                serde_json::json!({"id": "01JGQ5Y3X8V4T6R2N9M7K1H0FA", "kind": kind, "status": status, "reason": null, "attempt": 1,
                    "started_at": "1970-01-01T00:00:00.000Z", "ended_at": null, "duration_ms": null, "usual_ms": usual, "lines": 0, "error": null, "queue": null})
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "id": "01JGQ5Y3X8V4T6R2N9M7K1H0FA", "number": 1, "service": {"id": "01JGQ5Y3X8V4T6R2N9M7K1H0FA", "name": "orders"}, "status": "in_progress",
            "reason": null, "trigger": "push", "requested_by": null, "branch": "main", "commit": {"sha": "0123456789", "message": "", "author": ""},
            "pull_request": null, "plan": {"stages": [], "launch": null}, "stages": stages, "approval": null, "artifact": null, "rerun_of": null,
            "created_at": "1970-01-01T00:00:00.000Z", "started_at": null, "ended_at": null, "duration_ms": null
        }))
        .unwrap()
    }

    #[test]
    fn the_longer_of_the_pair_counts() {
        let stages = [
            ("prepare", "success", Some(5)),
            ("code_quality", "idle", Some(9_000)),
            ("unit_test", "in_progress", Some(8_000)),
            ("build", "idle", Some(1_000)),
        ];
        assert_eq!(left(&run(&stages), Timestamp(3_000)), Some(10_000));
        assert_eq!(left(&run(&[("build", "idle", None)]), Timestamp(0)), None, "unknown stays unsaid");
        assert_eq!(title(&run(&[])), "main at 0123456");
    }
}
