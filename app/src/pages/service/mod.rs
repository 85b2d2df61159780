//! One service: what runs where, its runs, what ran before and how to go back, and its settings.
//!
//! Refuses a roll back without saying what it would bring back.

mod deployments;
pub mod form;
mod hold;
mod hook;
mod settings;

use domain::{ServiceId, view};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_meta::Title;

pub use settings::ServiceSettingsPage;

use super::{
    id_in_address,
    overview::{Host, environment, host},
    refusal,
    runs::RunTable,
};
use crate::{
    api::{self, StartRun},
    components::{Clock, Crumbs, Failure, Hint, Icon, Loading, Refused, Top, Uses},
    live::{Fresh, REGION},
};

/// The service page.
#[component]
pub fn ServicePage() -> impl IntoView {
    let id = id_in_address::<ServiceId>();
    let data = Resource::new(move || id.get(), |id| async move { api::service_page(id?).await });
    view! {
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok(page) => view! { <Whole page/> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Whole(page: view::ServicePage) -> impl IntoView {
    let view::ServicePage { service, environments, runs, deployments, kept, means, hook, now, cursor } = page;
    Clock::provide(now);
    provide_context(Host(host()));
    let mine = service.id;
    let name = service.settings.name.clone();
    let steps = vec![("/".into(), "Overview".into())];
    let title = match environments.production.health.as_str() {
        "healthy" => format!("{name} is well."),
        "unhealthy" => format!("{name} is not well in production."),
        "stopped" => format!("{name} is stopped in production."),
        "drifted" => format!("{name} was changed in production, and not from here."),
        "unknown" => format!("How {name} is in production cannot be seen."),
        _ if environments.production.commit.is_none() => format!("{name} is not in production yet."),
        _ => name.clone(),
    };
    let about =
        [service.runtime.clone(), Some(service.settings.repository.clone()), service.settings.branch.clone()];
    let about: Vec<String> = about.into_iter().flatten().collect();
    let notices = match service.notices.as_str() {
        "hook" if hook.is_some() => "told by GitHub",
        "hook" => "told by a Git hook",
        _ => "noticed by comparing branches",
    };
    let settings = format!("/services/{}/settings", service.id);
    let all = format!("/runs?service={}", service.id);
    let held = service.hold.as_ref().map(|h| h.by.clone());
    let none = runs.is_empty();
    let boxes = [(&environments.staging, "Staging", None), (&environments.production, "Production", held)]
        .map(|(state, name, held)| {
            let run = state
                .run
                .map(|run| view! { <a class="link small" href=format!("/runs/{run}")>"its run"</a> });
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
            <Fresh cursor=Some(cursor) service=Some(mine)/>
        </Top>
        <div id=REGION>
        <header class="headline">
            <div>
                <h1>{title}</h1>
                <p class="facts"><span>{about.join(" · ")}</span><span class="dim">"pushes are "{notices}</span><Uses means/></p>
            </div>
            <div class="acts">
                <form method="post" action=StartRun::PATH>
                    <input type="hidden" name="service" value=service.id.to_string()/>
                    <button class="btn primary"><Icon name="up"/>"Run the newest commit"</button>
                </form>
                <a class="btn" href=settings><Icon name="gear"/>"Settings"</a>
                <Refused error={refusal::<StartRun>()}/>
            </div>
        </header>
        <hook::HookPanel service=mine hook/>
        <hold::HoldPanel service/>
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
        <deployments::Kept service=mine kept/>
        </div>
    }
    .into_any()
}
