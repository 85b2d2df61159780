//! The stages as one line with a pair in it; each node leads to its log.
//!
//! Refuses to move: the shape is the plan's, only what a node says changes.

use domain::{StageKind, Status, time::in_words, view::Stage};
use leptos::prelude::*;

use super::{Page, follow::show};
use crate::{
    components::{Clock, Icon, ended_badly, look},
    text::words,
};

/// The graph.
#[component]
pub fn Graph() -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let kinds: Vec<StageKind> = run.with_untracked(|r| r.stages.iter().map(|s| s.kind).collect());
    let pair = [StageKind::CodeQuality, StageKind::UnitTest];
    let paired = pair.iter().all(|k| kinds.contains(k));
    let mut steps: Vec<Vec<StageKind>> = Vec::new();
    for kind in kinds {
        match steps.last_mut() {
            Some(last) if paired && kind == StageKind::UnitTest => last.push(kind),
            _ => steps.push(vec![kind]),
        }
    }
    let count = steps.len();
    let items = steps
        .into_iter()
        .enumerate()
        .map(|(i, kinds)| {
            let thread = (i + 1 < count).then(|| thread(kinds.clone()));
            let nodes = kinds.iter().map(|&kind| view! { <Node kind/> }).collect_view();
            let class = if kinds.len() > 1 { "step pair" } else { "step" };
            view! { <li class=class>{nodes}</li>{thread} }
        })
        .collect_view();
    view! { <section class="card graph" aria-label="Stages"><ol>{items}</ol></section> }.into_any()
}

/// The line to the next stage: sewn when everything before it is done.
fn thread(kinds: Vec<StageKind>) -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let class = move || {
        run.with(|r| {
            let of = |k: &StageKind| r.stage(*k).map_or(Status::Idle, |s| s.status);
            let broken = r.stages.iter().any(|s| ended_badly(s) && kinds.iter().all(|k| s.kind < *k));
            if broken {
                "thread"
            } else if kinds.iter().all(|k| of(k).lets_pass()) {
                "thread ok"
            } else if kinds.iter().any(|k| of(k) == Status::Failure) {
                "thread bad"
            } else if kinds.iter().any(|k| of(k) == Status::InProgress) {
                "thread run"
            } else {
                "thread"
            }
        })
    };
    view! { <li class=class aria-hidden="true"></li> }.into_any()
}

/// What the graph calls a stage.
fn name(kind: StageKind) -> &'static str {
    match kind {
        StageKind::DeployStaging => "Staging",
        StageKind::DeployProduction => "Production",
        other => other.title(),
    }
}

#[component]
fn Node(kind: StageKind) -> impl IntoView {
    let page = expect_context::<Page>();
    let stage = Memo::new(move |_| page.run.with(|r| r.stage(kind).cloned()));
    let gate = page.run.with_untracked(|r| r.plan.stage(kind).is_some_and(|p| p.gate));
    let status = Memo::new(move |_| stage.with(|s| s.as_ref().map_or(Status::Idle, |s| s.status)));
    // What a failure kept from running was not left out on purpose.
    let stopped =
        Memo::new(move |_| page.run.with(|r| r.stages.iter().any(|s| s.kind < kind && ended_badly(s))));
    let later = move || status.get() == Status::Idle;
    let here = move || page.shown().is_some_and(|s| s.kind == kind).then_some("step");
    let class = move || match status.get() {
        Status::Idle => "node later",
        Status::Skipped => "node skipped",
        Status::Failure => "node failed",
        _ => "node",
    };
    let mark = move || format!("st {}", look(status.get()).0);
    let icon = Signal::derive(move || if later() && gate { "pause" } else { look(status.get()).1 });
    let clock = Clock::expect();
    let says = move || match (status.get(), stopped.get()) {
        (Status::Skipped, true) => "not run".to_owned(),
        _ => stage.with(|s| s.as_ref().map(|s| says(s, gate, clock)).unwrap_or_default()),
    };
    let at = move || {
        let running = status.get() == Status::InProgress;
        stage.with(|s| s.as_ref().filter(|_| running).map(|s| crate::components::progress(s, clock.now())))
    };
    let title = move || stage.with(|s| s.as_ref().and_then(|s| s.reason.clone()));
    let href = format!("/runs/{}?stage={kind}#log", page.run.with_untracked(|r| r.id));
    // A plain click turns to the stage's log in place; everything else is the browser's own.
    let click = move |event: leptos::ev::MouseEvent| {
        if event.button() == 0 && !event.meta_key() && !event.ctrl_key() && !event.shift_key() {
            event.prevent_default();
            page.wanders.set(false);
            page.renews.set(true);
            show(page, kind);
            remember(&format!("?stage={kind}"));
        }
    };
    let bare = move || (later() && !gate) || (status.get() == Status::Skipped && stopped.get());
    view! {
        <a class=class href=href aria-current=here title=title on:click=click>
            <b>{name(kind)}</b>
            <span class=mark>
                {move || (!bare()).then(|| view! { <Icon name=icon/> })}
                <span class="num">{says}</span>
            </span>
            {move || at().map(|percent| view! { <span class="bar"><i style=format!("--at:{percent}%")></i></span> })}
        </a>
    }
    .into_any()
}

/// Puts what is shown into the address, so that a reload and a copied link show it again.
#[cfg(feature = "hydrate")]
fn remember(query: &str) {
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(query));
    }
}

#[cfg(not(feature = "hydrate"))]
fn remember(_: &str) {}

/// The line under a stage's name.
fn says(stage: &Stage, gate: bool, clock: Clock) -> String {
    let took = stage.duration_ms.map(in_words);
    let retry = if stage.attempt > 1 { format!(" · attempt {}", stage.attempt) } else { String::new() };
    match stage.status {
        Status::Idle => match (stage.queue, gate, stage.usual_ms) {
            (Some(place), ..) => format!("{} in line", words::ordinal(place)),
            (None, true, _) => "after approval".into(),
            (None, false, Some(usual)) => format!("usually {}", in_words(usual)),
            (None, false, None) => "to come".into(),
        },
        Status::InProgress => {
            let gone = stage.started_at.map_or(0, |at| clock.now().since(at));
            match stage.usual_ms {
                Some(usual) if usual >= 1000 => {
                    format!("{} of about {}{retry}", in_words(gone / 1000 * 1000), in_words(usual))
                }
                _ => format!("{}{retry}", in_words(gone / 1000 * 1000)),
            }
        }
        Status::AwaitingApproval => "waits for you".into(),
        Status::Success => took.map_or("done".into(), |t| format!("{t}{retry}")),
        Status::Failure => took.map_or("failed".into(), |t| format!("failed after {t}{retry}")),
        Status::Cancelled => "cancelled".into(),
        Status::Skipped => "skipped".into(),
    }
}
