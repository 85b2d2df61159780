//! What waits for a person: approvals and failures, each with the next step as a button.
//!
//! Refuses to hide the reason: a failure shows its first failing line right here.

use domain::{
    Status,
    view::{Commit, Need, Overview, Run},
};
use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::Rerun,
    components::{Icon, Sha, Until, When},
    text::{ansi, line, words},
};

/// The cards.
#[component]
pub fn Needs(data: RwSignal<Overview>) -> impl IntoView {
    let some = Memo::new(move |_| data.with(|d| !d.needs.is_empty()));
    let needs = move || data.with(|d| d.needs.clone());
    move || {
        some.get().then(|| {
            view! {
                <section class="needs" aria-label="Needs you">
                    <For each=needs key=|n| (n.run.id, n.run.status, n.commits.len()) let:need>
                        <NeedCard need/>
                    </For>
                </section>
            }
        })
    }
}

/// One card.
#[component]
pub fn NeedCard(
    /// What waits.
    need: Need,
) -> impl IntoView {
    let Need { run, commits } = need;
    if run.status == Status::AwaitingApproval {
        view! { <Waits run commits/> }.into_any()
    } else {
        view! { <Failed run/> }.into_any()
    }
}

#[component]
fn Waits(run: Run, commits: Vec<Commit>) -> impl IntoView {
    let href = format!("/runs/{}", run.id);
    let approval = run.approval.clone();
    let title = if run.commit.message.is_empty() {
        format!("Run {}", run.number)
    } else {
        run.commit.message.clone()
    };
    view! {
        <article class="card need">
            <div class="row">
                <span class="st wait"><Icon name="pause"/>"Waits for approval"</span>
                <span class="dim right">{approval.as_ref().map(|a| view! { <When at=a.requested_at short=true/> })}</span>
            </div>
            <div>
                <b>{run.service.name.clone()}</b>" → production "
                {(!commits.is_empty()).then(|| view! { <span class="ahead">{words::count(commits.len(), "commit", "commits")}</span> })}
                <div class="sub">{title}" · "<Sha commit=run.commit.clone()/></div>
                {approval.as_ref().and_then(|a| a.note.clone()).map(|note| view! { <div class="dim">{note}</div> })}
            </div>
            <div class="row">
                <a class="btn primary" href=href>"Review"</a>
                {approval.map(|a| view! { <span class="dim">"Expires in "<Until at=a.expires_at/></span> })}
            </div>
        </article>
    }
    .into_any()
}

#[component]
fn Failed(run: Run) -> impl IntoView {
    let stage = run.failed_stage().cloned();
    let title = stage.as_ref().map_or("Failed".into(), |s| format!("{} failed", s.kind.title()));
    let error = stage.as_ref().and_then(|s| s.error.clone());
    let href = match (&stage, &error) {
        (Some(s), Some(e)) => {
            let from = e.seq.saturating_sub(200);
            let from = if from > 0 { format!("&from={from}") } else { String::new() };
            format!("/runs/{}?stage={}{from}#L{}", run.id, s.kind, line::number(e.seq))
        }
        (Some(s), None) => format!("/runs/{}?stage={}", run.id, s.kind),
        _ => format!("/runs/{}", run.id),
    };
    let open = if error.is_some() { "Open at the error" } else { "Open" };
    let reason = error
        .map(|e| ansi::plain(&e.text))
        .or_else(|| stage.as_ref().and_then(|s| s.reason.clone()))
        .or(run.reason.clone());
    let what = if run.commit.message.is_empty() {
        format!("run {}", run.number)
    } else {
        run.commit.message.clone()
    };
    let again = stage.as_ref().map_or("Rerun".into(), |s| format!("Rerun from {}", s.kind.title()));
    view! {
        <article class="card need bad">
            <div class="row">
                <span class="st bad"><Icon name="x"/>{title}</span>
                <span class="dim right">{run.ended_at.map(|at| view! { <When at short=true/> })}</span>
            </div>
            <div>
                <b>{run.service.name.clone()}</b>" · "{what}
                {reason.map(|r| view! { <div class="sub mono cut" title=r.clone()>{r.clone()}</div> })}
            </div>
            <div class="row">
                <a class="btn" href=href>{open}</a>
                <form method="post" action=Rerun::PATH>
                    <input type="hidden" name="run" value=run.id.to_string()/>
                    <input type="hidden" name="from" value="failed"/>
                    <button class="btn quiet">{again}</button>
                </form>
            </div>
        </article>
    }
    .into_any()
}
