//! Small nouns: a status, a version, a person, a distance between two environments.
//!
//! Refuse colour alone: every status has an icon and a word as well.

use domain::{
    Status,
    plan::Trigger,
    view::{Artifact, Means, Run},
};
use leptos::prelude::*;

use super::Icon;
use crate::text::{means, words};

/// Class, icon and word of a status.
pub fn look(status: Status) -> (&'static str, &'static str, &'static str) {
    match status {
        Status::Idle => ("", "clock", "Queued"),
        Status::InProgress => ("run", "spin", "In progress"),
        Status::AwaitingApproval => ("wait", "pause", "Waits for approval"),
        Status::Success => ("ok", "check", "Succeeded"),
        Status::Failure => ("bad", "x", "Failed"),
        Status::Cancelled => ("", "stop", "Cancelled"),
        Status::Skipped => ("", "skip", "Skipped"),
    }
}

/// The same for a run, where its trigger makes a difference.
fn look_of(run: &Run) -> (&'static str, &'static str, &'static str) {
    match (run.trigger, run.status) {
        (Trigger::Rollback, Status::Success) => ("ok", "back", "Rolled back"),
        (_, status) => look(status),
    }
}

/// A run's status: icon and word.
#[component]
pub fn StatusMark(
    /// The run.
    #[prop(into)]
    run: Signal<Run>,
) -> impl IntoView {
    view! { <span class=move || run.with(|r| format!("st {}", look_of(r).0))>{marks(run)}</span> }.into_any()
}

/// A run's status on its own ground, for the head of a page.
#[component]
pub fn StatusPill(
    /// The run.
    #[prop(into)]
    run: Signal<Run>,
) -> impl IntoView {
    view! { <span class=move || run.with(|r| format!("st pill {}", look_of(r).0))>{marks(run)}</span> }
        .into_any()
}

fn marks(run: Signal<Run>) -> impl IntoView {
    let icon = Signal::derive(move || run.with(|r| look_of(r).1));
    view! {
        <Icon name=icon/>
        {move || run.with(|r| look_of(r).2)}
    }
    .into_any()
}

/// A commit's chip; its message on hover.
#[component]
pub fn Sha(
    /// The commit.
    commit: domain::view::Commit,
) -> impl IntoView {
    let title = if commit.message.is_empty() {
        commit.sha.clone()
    } else {
        format!("{} · {}", commit.message, commit.sha)
    };
    view! { <span class="sha" title=title>{commit.short().to_owned()}</span> }.into_any()
}

/// Commits between two environments.
#[component]
pub fn Ahead(
    /// How many.
    commits: u32,
) -> impl IntoView {
    let title =
        format!("{} that production does not have", words::count(commits as usize, "commit", "commits"));
    (commits > 0).then(|| view! { <span class="ahead" title=title>{format!("{commits} ahead")}</span> })
}

/// A person's initials in a circle.
#[component]
pub fn Face(
    /// Their name.
    #[prop(into)]
    name: String,
) -> impl IntoView {
    view! { <b class="face" aria-hidden="true">{words::initials(&name)}</b> }.into_any()
}

/// An artifact by the first digits of its digest; all of it on hover.
#[component]
pub fn Digest(
    /// The artifact.
    artifact: Artifact,
) -> impl IntoView {
    let short = domain::containers::short_digest(&artifact.digest).to_owned();
    view! { <code title=artifact.digest>{short}</code> }.into_any()
}

/// What runs of a service use, and why that cannot be just now.
#[component]
pub fn Uses(
    /// What it is.
    means: Means,
) -> impl IntoView {
    let trouble = means::trouble(&means)
        .map(|why| view! { <span class="uses wait"><Icon name="warn"/><span>{why}</span></span> });
    view! { <span class="dim">{format!("runs {}", means::clause(&means))}</span>{trouble} }.into_any()
}

/// How what runs somewhere is: class, icon and word.
pub fn health(of: &str) -> (&'static str, &'static str, &'static str) {
    match of {
        "healthy" => ("", "check", "healthy"),
        "unhealthy" => ("bad", "x", "not healthy"),
        "stopped" => ("bad", "stop", "stopped"),
        "drifted" => ("wait", "warn", "changed"),
        _ => ("", "ask", "health unknown"),
    }
}
