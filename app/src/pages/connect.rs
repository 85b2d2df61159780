//! Connecting a service in two steps: which repository, then what Seamless proposes to do with it.
//!
//! Refuses to keep a step in the browser: the second one is an address, so it survives a reload and needs no JavaScript.

use domain::{
    service::Commands,
    view::{Containers, Detected},
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::{
    refusal,
    service::form::{Fields, Why},
};
use crate::{
    api::{self, Answer, ApiError, CreateService},
    components::{Crumbs, Icon, Loading, Refused, Sha, Top},
    form::ServiceForm,
};

/// The connect page.
#[component]
pub fn ConnectPage() -> impl IntoView {
    let query = use_query_map();
    let asked = Memo::new(move |_| {
        let q = query.read();
        (
            q.get("repository").unwrap_or_default().trim().to_owned(),
            q.get("branch").unwrap_or_default().trim().to_owned(),
        )
    });
    let detected = Resource::new(
        move || asked.get(),
        |(repository, branch)| async move {
            match repository.is_empty() {
                true => None,
                false => Some(propose(repository, branch).await),
            }
        },
    );
    let steps = vec![("/".into(), "Overview".into())];
    view! {
        <Title text="Connect a service"/>
        <Top><Crumbs steps here="Connect a service"/></Top>
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                let (repository, branch) = asked.get_untracked();
                match detected.await {
                    Some(Ok((detected, here))) => view! { <Proposed detected here/> }.into_any(),
                    Some(Err(error)) => view! { <Which repository branch error=Some(error)/> }.into_any(),
                    None => view! { <Which repository branch error=None/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// What to do with a repository, and what this server has to do it with.
async fn propose(repository: String, branch: String) -> Answer<(Detected, Containers)> {
    let detected = api::detect(repository, Some(branch)).await?;
    Ok((detected, api::containers().await?))
}

#[component]
fn Which(repository: String, branch: String, error: Option<ApiError>) -> impl IntoView {
    let bad = error.as_ref().map(|_| "true");
    view! {
        <div class="well"><h1>"Which repository is it?"</h1><span class="sub">"Seamless looks at its files and proposes the rest"</span></div>
        <section class="card panel narrow">
            <form method="get" action="/services/new" class="fields">
                <div class="field">
                    <label for="repository">"Repository"</label>
                    <input id="repository" name="repository" class="code" value=repository required=true autocomplete="off" spellcheck="false" autocapitalize="off"
                        placeholder="/srv/git/orders.git or https://…" aria-describedby="repository-note" aria-invalid=bad/>
                    <span class="note" id="repository-note">"A path on the server's machine, or an address that Git can clone without a password"</span>
                </div>
                <div class="field">
                    <label for="branch">"Branch"</label>
                    <input id="branch" name="branch" class="code" value=branch autocomplete="off" spellcheck="false" autocapitalize="off" placeholder="its default" aria-describedby="branch-note"/>
                    <span class="note" id="branch-note">"Pushes to this branch are deployed"</span>
                </div>
                <Refused error/>
                <div class="row"><button class="btn primary"><Icon name="find"/>"Look at it"</button><a class="btn quiet" href="/">"Cancel"</a></div>
            </form>
        </section>
    }
    .into_any()
}

/// A runtime's name as people write it.
fn runtime_name(runtime: &str) -> &str {
    match runtime {
        "node" => "Node.js",
        "python" => "Python",
        "go" => "Go",
        "rust" => "Rust",
        "java" => "Java",
        "ruby" => "Ruby",
        "dotnet" => ".NET",
        "docker" => "Dockerfile",
        other => other,
    }
}

#[component]
fn Proposed(detected: Detected, here: Containers) -> impl IntoView {
    let error = refusal::<CreateService>();
    // A form that was refused comes back as it was typed.
    let typed = error.as_ref().and_then(|e| e.form.clone()).map(|f| *f);
    let Detected { runtime, settings, proposals, commit } = detected;
    let known = Commands::default() != settings.commands;
    let (title, remedy) = match (&runtime, known) {
        (Some(runtime), _) => (
            format!("This is a {} service.", runtime_name(runtime)),
            "Each proposal says why; change what you know better.",
        ),
        (None, true) => {
            ("Its files say this much.".to_owned(), "Each proposal says why; add what is missing.")
        }
        (None, false) => (
            "What it is could not be seen from its files.".to_owned(),
            "Say below how it is tested, built and started.",
        ),
    };
    let back = format!("Look at another repository instead of {}", settings.repository);
    let form = typed.unwrap_or_else(|| ServiceForm::of(&settings));
    view! {
        <div class="well"><h1>{title}</h1><span class="sub">{remedy}</span></div>
        <p class="facts"><span>"Looked at "<Sha commit=commit.clone()/>" "{commit.message}</span><a class="link" href="/services/new" title=back>"another repository"</a></p>
        <Refused error=error.clone()/>
        <form method="post" action=CreateService::PATH>
            <Fields form why=Why::new(proposals) wrong=error here/>
            <div class="submit card">
                <div class="check">
                    <input type="checkbox" id="run_now" name="run_now" checked=true/>
                    <label for="run_now">"Run it now"</label>
                    <span class="note">"The first run takes the newest commit through all stages"</span>
                </div>
                <span class="row right"><a class="btn quiet" href="/">"Cancel"</a><button class="btn primary">"Connect"</button></span>
            </div>
        </form>
    }
    .into_any()
}
