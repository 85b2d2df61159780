//! One service: what runs where, its runs, what ran before and how to go back, and its settings.
//!
//! Refuses a roll back without saying what it would bring back.

mod deployments;
pub mod form;
mod hold;
mod settings;

use std::time::Duration;

use domain::{ServiceId, live::LiveEvent, view};
use leptos::{form::ActionForm, prelude::*};
use leptos_meta::Title;

pub use settings::ServiceSettingsPage;

use super::{id_in_address, overview::environment, refusal, runs::RunTable};
use crate::{
    api::{self, StartRun},
    components::{Clock, Crumbs, Failure, Hint, Icon, Loading, Refused, Top},
    live::{self, Link},
};

/// The service page.
#[component]
pub fn ServicePage() -> impl IntoView {
    let id = id_in_address::<ServiceId>();
    let again = Trigger::new();
    let data = Resource::new(
        move || {
            again.track();
            id.get()
        },
        |id| async move { api::service_page(id?).await },
    );
    view! {
        <Transition fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok(page) => view! { <Whole page again/> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Whole(page: view::ServicePage, again: Trigger) -> impl IntoView {
    let view::ServicePage { service, environments, runs, deployments, now, cursor } = page;
    Clock::provide(now);
    let link = RwSignal::new(Link::Quiet);
    let mine = service.id;
    // The page is made anew when one of its runs moved, once the events have settled.
    let ask = leptos::leptos_dom::helpers::debounce(Duration::from_millis(300), move |()| again.notify());
    let ask = StoredValue::new_local(ask);
    live::open("/live/overview".into(), cursor, link, move |event| {
        let ours = match &event {
            LiveEvent::Run(run) => run.service.id == mine,
            LiveEvent::Changed => true,
            _ => false,
        };
        if ours {
            ask.try_update_value(|ask| ask(()));
        }
    });
    let start = ServerAction::<StartRun>::new();
    let name = service.settings.name.clone();
    let steps = vec![("/".into(), "Overview".into())];
    let title = match environments.production.health.as_str() {
        "healthy" => format!("{name} is well."),
        "unhealthy" => format!("{name} is not well in production."),
        "stopped" => format!("{name} is stopped in production."),
        _ if environments.production.commit.is_none() => format!("{name} is not in production yet."),
        _ => name.clone(),
    };
    let about = [service.runtime.clone(), Some(service.settings.repository.clone()), service.settings.branch.clone()];
    let about: Vec<String> = about.into_iter().flatten().collect();
    let notices = if service.notices == "hook" { "told by a Git hook" } else { "noticed by comparing branches" };
    let settings = format!("/services/{}/settings", service.id);
    let all = format!("/runs?service={}", service.id);
    let held = service.hold.as_ref().map(|h| h.by.clone());
    let none = runs.is_empty();
    let busy = move || start.pending().get();
    let boxes = [(&environments.staging, "Staging", None), (&environments.production, "Production", held)]
        .map(|(state, name, held)| {
            let run = state.run.map(|run| view! { <a class="link small" href=format!("/runs/{run}")>"its run"</a> });
            let message = state.commit.as_ref().map(|c| c.message.clone()).filter(|m| !m.is_empty());
            view! {
                <section class="card place">
                    <h2>{name}</h2>
                    {environment(state, held)}
                    {message.map(|m| view! { <p class="sub cut" title=m.clone()>{m.clone()}</p> })}
                    {run}
                </section>
            }
        })
        .into_iter()
        .collect_view();
    view! {
        <Title text=name.clone()/>
        <Top>
            <Crumbs steps here=name/>
            {move || (link.get() == Link::Lost).then(|| view! { <span class="lost" role="status"><Icon name="again"/>"Reconnecting"</span> })}
        </Top>
        <header class="headline">
            <div>
                <h1>{title}</h1>
                <p class="facts"><span>{about.join(" · ")}</span><span class="dim">"pushes are "{notices}</span></p>
            </div>
            <div class="acts">
                <ActionForm action=start>
                    <input type="hidden" name="service" value=service.id.to_string()/>
                    <button class="btn primary" disabled=busy><Icon name="up"/>"Run the newest commit"</button>
                </ActionForm>
                <a class="btn" href=settings><Icon name="gear"/>"Settings"</a>
                <Refused error=refusal(start)/>
            </div>
        </header>
        <hold::HoldPanel service again/>
        <div class="places">{boxes}</div>
        <section class="block" aria-label="Runs">
            <div class="row"><h2>"Runs"</h2><a class="link right" href=all>"All of its runs"</a></div>
            {if none {
                view! { <Hint title="No run yet."><p class="sub">"Push a commit, or run the newest one with the button above."</p></Hint> }.into_any()
            } else {
                view! { <RunTable runs of_one=true/> }.into_any()
            }}
        </section>
        <deployments::Deployments service=mine deployments/>
    }
    .into_any()
}
