//! Beside the log: what this run changes against what is live, and what it is tested with.
//!
//! Refuses to repeat the head; only facts that help to judge the run stand here.

use domain::{
    StageKind, Status,
    view::{Commit, Deployment, EnvironmentRow, EnvironmentState},
};
use leptos::prelude::*;

use super::Page;
use crate::{
    components::{Digest, Sha, When},
    text::words,
};

/// The boxes.
#[component]
pub fn Aside(
    commits: Vec<Commit>,
    live: Option<Deployment>,
    neighbours: Vec<EnvironmentRow>,
) -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let shown = commits.len().min(10);
    let more = commits.len() - shown;
    let none = commits.is_empty();
    let list = commits
        .into_iter()
        .take(shown)
        .map(|c| {
            let message = c.message.clone();
            view! { <li><Sha commit=c/><span>{message}</span></li> }
        })
        .collect_view();
    let artifact = Memo::new(move |_| run.with(|r| r.artifact.clone()));
    let service = run.with_untracked(|r| r.service.clone());
    let tested: Vec<(String, EnvironmentState)> = neighbours
        .into_iter()
        .filter(|row| row.service.id != service.id)
        .filter_map(|row| {
            let name = row.service.name;
            [row.staging, row.production].into_iter().find(|e| e.commit.is_some()).map(|e| (name, e))
        })
        .collect();
    let tested = (!tested.is_empty()).then(|| {
        let rows = tested.into_iter().map(|(name, state)| view! {
            <li>{state.commit.map(|commit| view! { <Sha commit/> })}<span>{name}" "<span class="dim">{state.environment.as_str()}</span></span></li>
        }).collect_view();
        // Before the stage that needs them they are a promise; afterwards they may have changed.
        let ahead = move || {
            let of = |r: &domain::view::Run| r.stage(StageKind::IntegrationTest).map(|s| s.status);
            run.with(|r| matches!(of(r), Some(Status::Idle | Status::InProgress)))
        };
        let title = move || if ahead() { "Will be tested with" } else { "Its neighbours now" };
        view! { <section class="card box"><h2>{title}</h2><ul>{rows}</ul></section> }
    });
    view! {
        <aside class="aside" aria-label="About this run">
            <section class="card box">
                <h2>"Since what is live"</h2>
                {none.then(|| view! { <p class="dim">{if live.is_some() { "No commit lies between." } else { "Nothing is live yet." }}</p> })}
                <ul class="commits">{list}</ul>
                {(more > 0).then(|| view! { <p class="dim">{format!("and {} more", words::count(more, "commit", "commits"))}</p> })}
                <dl>
                    {live.map(|d| view! { <dt>"Live now"</dt><dd><Sha commit=d.commit/>" since "<When at=d.since/></dd> })}
                    {move || artifact.get().map(|a| view! {
                        <dt>"Artifact"</dt>
                        <dd><Digest artifact=a.clone()/><span class="dim">" "{words::size(a.size)}</span></dd>
                    })}
                    <dt>"Service"</dt>
                    <dd><a class="link" href=format!("/services/{}", service.id)>{service.name.clone()}</a></dd>
                </dl>
            </section>
            {tested}
        </aside>
    }
    .into_any()
}
