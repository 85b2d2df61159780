//! What ran where since when, with the way back to each that is still there.
//!
//! Refuses a button that cannot work: it says why not instead.

use domain::{
    DeploymentId, EnvironmentName, ServiceId,
    view::{Commit, Deployment, KeptImage},
};
use leptos::{prelude::*, server_fn::ServerFn};

use super::refusal;
use crate::{
    api::Rollback,
    components::{Digest, Hint, Icon, Refused, Sha, Took, When},
    text::words,
};

/// The deployments of both environments.
#[component]
pub fn Deployments(service: ServiceId, deployments: Vec<Deployment>) -> impl IntoView {
    let of = |wanted: EnvironmentName| {
        deployments.iter().filter(|d| d.environment == wanted).cloned().collect::<Vec<_>>()
    };
    let lists = [(EnvironmentName::Production, "Production"), (EnvironmentName::Staging, "Staging")]
        .map(|(environment, title)| (title, of(environment)))
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(title, list)| view! { <List title list service/> })
        .collect_view();
    let none = deployments.is_empty();
    view! {
        <section class="block" aria-label="Deployments">
            <h2>"Deployments"</h2>
            <Refused error={refusal::<Rollback>()}/>
            {none.then(|| view! {
                <Hint title="Nothing was deployed yet."><p class="sub">"Every version that reaches an environment will be here, with a way back to it."</p></Hint>
            })}
            {lists}
        </section>
    }
    .into_any()
}

#[component]
fn List(title: &'static str, list: Vec<Deployment>, service: ServiceId) -> impl IntoView {
    let rows = list.into_iter().map(|deployment| view! { <Row deployment service/> }).collect_view();
    view! { <section class="card deploys" aria-label=title><h3>{title}</h3><ol>{rows}</ol></section> }
        .into_any()
}

#[component]
fn Row(deployment: Deployment, service: ServiceId) -> impl IntoView {
    let d = deployment;
    let how = if d.rollback { "rolled back by" } else { "by" };
    let message =
        if d.commit.message.is_empty() { format!("Run {}", d.run_number) } else { d.commit.message.clone() };
    let end = if d.live {
        view! { <span class="st ok"><Icon name="check"/>"Live"</span> }.into_any()
    } else if d.can_roll_back {
        way_back(service, d.environment, d.id, &d.commit)
    } else {
        let why = d.why_not.clone().unwrap_or_else(|| "cannot be rolled back to".into());
        view! { <span class="dim small why">{why}</span> }.into_any()
    };
    view! {
        <li>
            <Sha commit=d.commit.clone()/>
            <span class="told">
                <span class="cut" title=message.clone()>{message.clone()}</span>
                <span class="dim small">
                    {how}" "<a class="link" href=format!("/runs/{}", d.run)>{format!("run {}", d.run_number)}</a>" · "<When at=d.since/>
                    {(!d.live).then(|| view! { " · for "<Took from=d.since to=d.until/> })}
                    " · "<Digest artifact=d.artifact.clone()/>{format!(" {}", words::size(d.artifact.size))}
                </span>
                {d.doubt.clone().filter(|_| d.can_roll_back).map(|doubt| view! { <span class="dim small">{doubt}</span> })}
            </span>
            <span class="end">{end}</span>
        </li>
    }
    .into_any()
}

/// The button that goes there.
fn way_back(service: ServiceId, environment: EnvironmentName, to: DeploymentId, commit: &Commit) -> AnyView {
    let rest = format!(" {environment} to {}", commit.short());
    view! {
        <form method="post" action=Rollback::PATH>
            <input type="hidden" name="service" value=service.to_string()/>
            <input type="hidden" name="environment" value=environment.as_str()/>
            <input type="hidden" name="deployment" value=to.to_string()/>
            <button class="btn"><Icon name="back"/><span>"Roll back"<span class="vh">{rest}</span></span></button>
        </form>
    }
    .into_any()
}

/// What ran before all that, of which the registry alone still knows.
#[component]
pub fn Kept(service: ServiceId, kept: Vec<KeptImage>) -> impl IntoView {
    if kept.is_empty() {
        return ().into_any();
    }
    let row = |one: KeptImage| {
        let commit = Commit { sha: one.commit, ..Commit::default() };
        let end = match one.why_not {
            Some(why) => view! { <span class="dim small why">{why}</span> }.into_any(),
            None => way_back(service, one.environment, one.deployment, &commit),
        };
        view! {
            <li>
                <Sha commit/>
                <span class="told">
                    <span>{format!("Ran in {}", one.environment)}</span>
                    <span class="dim small">"deployed "<When at=one.at/>" · "<Digest artifact=one.artifact.clone()/>{format!(" {}", words::size(one.artifact.size))}</span>
                </span>
                <span class="end">{end}</span>
            </li>
        }
    };
    let rows = kept.into_iter().map(row).collect_view();
    view! {
        <section class="block" aria-label="Kept in ECR">
            <h2>"Kept in ECR"</h2>
            <section class="card deploys" aria-label="Older versions">
                <h3>"Older than the records here"</h3>
                <ol>{rows}</ol>
            </section>
        </section>
    }
    .into_any()
}
