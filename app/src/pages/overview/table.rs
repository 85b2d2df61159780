//! Services by environments: the last run as a seam, versions as nouns, health in a word.
//!
//! Refuses to redraw what did not change: a row is kept by its service and only its own facts move.

use domain::{
    ServiceId, Status,
    plan::Trigger,
    time::in_words,
    view::{EnvironmentState, Overview, OverviewRow, Run},
};
use leptos::prelude::*;

use super::Host;
use crate::{
    components::{Ahead, Clock, Icon, Seam, Sha, When, health},
    text::words,
};

/// The table.
#[component]
pub fn Table(data: RwSignal<Overview>) -> impl IntoView {
    let ids = move || data.with(|d| d.rows.iter().map(|r| r.service.id).collect::<Vec<_>>());
    view! {
        <div class="card board">
            <table>
                <caption class="vh">"Services and what runs in each environment"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Service"</th>
                        <th scope="col">"Last run"</th>
                        <th scope="col">"Staging"</th>
                        <th scope="col">"Production"</th>
                        <th scope="col"><span class="vh">"State"</span></th>
                    </tr>
                </thead>
                <tbody>
                    <For each=ids key=|id| *id let:id>
                        <Row id data/>
                    </For>
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn Row(id: ServiceId, data: RwSignal<Overview>) -> impl IntoView {
    let row = Memo::new(move |_| data.with(|d| d.rows.iter().find(|r| r.service.id == id).cloned()));
    let cell = move |show: fn(&OverviewRow) -> AnyView| move || row.with(|r| r.as_ref().map(show));
    view! {
        <tr>
            <th scope="row">{cell(name)}</th>
            <td>{cell(last_run)}</td>
            <td data-label="Staging">{cell(|r| environment(&r.staging, None))}</td>
            <td data-label="Production">{cell(|r| environment(&r.production, r.service.hold.as_ref().map(|h| h.by.clone())))}</td>
            <td class="state">{cell(state)}</td>
        </tr>
    }
    .into_any()
}

/// The end of a repository's address, enough to know it by.
fn short_address(repository: &str) -> String {
    let parts: Vec<&str> =
        repository.trim_end_matches('/').trim_end_matches(".git").rsplit('/').take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

fn name(row: &OverviewRow) -> AnyView {
    let s = &row.service;
    let mut about = vec![s.runtime.clone().unwrap_or_default(), short_address(&s.settings.repository)];
    if let Some(context) = &s.settings.context {
        about.push(context.clone());
    }
    about.retain(|a| !a.is_empty());
    view! {
        <a class="name" href=format!("/services/{}", s.id)>{s.settings.name.clone()}</a>
        <div class="dim small" title=s.settings.repository.clone()>{about.join(" · ")}</div>
    }
    .into_any()
}

fn last_run(row: &OverviewRow) -> AnyView {
    let Some(run) = row.last_run.clone() else {
        return view! { <span class="dim small">"Not run yet"</span> }.into_any();
    };
    let href = format!("/runs/{}", run.id);
    let signal = Signal::stored(run.clone());
    view! {
        <a class="plain" href=href><Seam run=signal/><div class="dim small">{progress(run)}</div></a>
    }
    .into_any()
}

/// Under the seam: what it is doing, or how long it took and when.
fn progress(run: Run) -> AnyView {
    let clock = Clock::expect();
    let running = run.stages.iter().find(|s| s.status == Status::InProgress).cloned();
    match (run.status, running) {
        (Status::InProgress, Some(stage)) => {
            let title = stage.kind.title();
            view! {
                {move || match (stage.started_at, stage.usual_ms) {
                    (Some(start), Some(usual)) => format!("{title} · {}", words::left(usual, clock.now().since(start))),
                    (Some(start), None) => format!("{title} · {}", in_words(clock.now().since(start))),
                    _ => title.to_owned(),
                }}
            }
            .into_any()
        }
        (Status::Idle | Status::InProgress, _) => {
            let place = run.stages.iter().find_map(|s| s.queue);
            place
                .map_or("Queued".to_owned(), |n| format!("Queued · {} in line", words::ordinal(n)))
                .into_any()
        }
        (_, _) => {
            let kind = if run.trigger == Trigger::Rollback { "Rollback · " } else { "" };
            let took = run.duration_ms.map(|ms| format!("{} · ", in_words(ms))).unwrap_or_default();
            let at = run.ended_at.or(run.started_at).unwrap_or(run.created_at);
            view! { {kind}{took}<When at/> }.into_any()
        }
    }
}

/// What runs somewhere, since when, and how it is.
pub fn environment(state: &EnvironmentState, held_by: Option<String>) -> AnyView {
    if !state.used {
        return view! { <span class="dim small">"Not used"</span> }.into_any();
    }
    let Some(commit) = state.commit.clone() else {
        return view! { <span class="dim small">"Nothing yet"</span> }.into_any();
    };
    let well = state.health == "healthy";
    let (colour, icon, word) = health(&state.health);
    let class = format!("health small {}", if colour.is_empty() { "dim" } else { colour });
    let word = match &state.health_reason {
        Some(reason) if !well => format!("{word}: {reason}"),
        None if state.health == "drifted" => format!("{word} by hand"),
        _ => word.to_owned(),
    };
    let host = use_context::<Host>().map_or_else(|| "localhost".into(), |h| h.0);
    let port = state.port.map(|p| view! { " · "<a class="port" href=format!("http://{host}:{p}/") rel="external noreferrer" title="Open it">{format!(":{p}")}</a> });
    view! {
        <div class="env">
            <div class="row"><Sha commit/>{state.ahead.map(|commits| view! { <Ahead commits/> })}</div>
            <div class=class>
                {(!well).then(|| view! { <Icon name=icon/> })}
                <span>
                    {word}
                    {state.since.filter(|_| well).map(|at| view! { " · "<When at short=true/> })}
                    {port}
                </span>
            </div>
            {held_by.map(|by| view! { <div class="wait small">{format!("on hold by {by}")}</div> })}
        </div>
    }
    .into_any()
}

fn state(row: &OverviewRow) -> AnyView {
    let Some(run) = &row.last_run else {
        return view! { <span class="st"><Icon name="clock"/>"New"</span> }.into_any();
    };
    let live = row.production.commit.as_ref().is_some_and(|c| c.sha == run.commit.sha);
    let (class, icon, word) = match (run.status, run.trigger) {
        (Status::AwaitingApproval, _) => {
            return view! { <a class="st wait" href=format!("/runs/{}", run.id)><Icon name="pause"/>"Approve"</a> }.into_any();
        }
        (Status::InProgress, _) => ("st run", "spin", "Running"),
        (Status::Success, Trigger::Rollback) => ("st", "back", "Rolled back"),
        (Status::Success, _) if live => ("st ok", "check", "Live"),
        (status, _) => {
            let (class, icon, word) = crate::components::look(status);
            return view! { <span class=format!("st {class}")><Icon name=icon/>{word}</span> }.into_any();
        }
    };
    view! { <span class=class><Icon name=icon/>{word}</span> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::short_address;

    #[test]
    fn addresses_are_short() {
        let short =
            ["https://example.org/acme/orders.git", "/srv/data/demo/orders.git", "acme/orders", "/x/"]
                .map(short_address);
        assert_eq!(short, ["acme/orders", "demo/orders", "acme/orders", "/x"]);
    }
}
