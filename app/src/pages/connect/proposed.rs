//! The second step: what is proposed for a repository, and why; with it the way to its other branches and folders.
//!
//! Refuses to switch anything on: that takes the button that says so.

use domain::{
    ServiceId,
    service::Commands,
    view::{Containers, Detected},
};
use leptos::{prelude::*, server_fn::ServerFn};

use super::on_ecs::Picked;
use crate::{
    api::{ApiError, CreateService, KeepDraft},
    components::{Icon, Refused, Sha},
    form::ServiceForm,
    pages::{
        came_back, refusal,
        service::form::{Fields, Why},
    },
    text::words,
};

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
pub(super) fn Proposed(detected: Detected, here: Containers, after: String) -> impl IntoView {
    let Detected { runtime, settings, proposals, commit, folders } = detected;
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
    let several = !folders.is_empty();
    let connected = (!after.is_empty())
        .then(|| view! { <p class="notice saved" role="status"><Icon name="check"/><span>{after}" is connected. Here is the next service of the same repository."</span></p> });
    let branch = settings.branch.clone().unwrap_or_default();
    let folder = settings.context.clone().unwrap_or_default();
    let repository = settings.repository.clone();
    view! {
        {connected}
        <div class="well"><h1>{title}</h1><span class="sub">{remedy}</span></div>
        <p class="facts"><span>"Looked at "<Sha commit=commit.clone()/>" "{commit.message}</span><a class="link" href="/services/new" title=back>"another repository"</a></p>
        <Elsewhere repository branch folder folders/>
        <Form form=ServiceForm::of(&settings) why=Why::new(proposals) here several/>
    }
    .into_any()
}

/// The same repository, looked at again: another branch, another folder.
#[component]
fn Elsewhere(repository: String, branch: String, folder: String, folders: Vec<String>) -> impl IntoView {
    let address = format!(
        "/services/new?repository={}&branch={}&folder=",
        words::in_address(&repository),
        words::in_address(&branch)
    );
    let links = folders
        .iter()
        .map(|f| view! { <li><a class="link" href=format!("{address}{}", words::in_address(f))><code>{f.clone()}</code></a></li> })
        .collect_view();
    let here = if folder.is_empty() { "the whole repository".to_owned() } else { folder.clone() };
    view! {
        <details class="card panel elsewhere" open=!folders.is_empty()>
            <summary>"Another branch or folder"</summary>
            {(!folders.is_empty()).then(|| view! {
                <p class="sub">"This is about "<b>{here}</b>". These folders look like services as well; each is connected by itself, with its own path filter:"</p>
                <ul class="row wrap">{links}</ul>
            })}
            <form method="get" action="/services/new" class="fields three">
                <input type="hidden" name="repository" value=repository/>
                <div class="field">
                    <label for="look-branch">"Look at branch"</label>
                    <input id="look-branch" name="branch" class="code" value=branch autocomplete="off" spellcheck="false" autocapitalize="off"/>
                </div>
                <div class="field">
                    <label for="look-folder">"In folder"</label>
                    <input id="look-folder" name="folder" class="code" value=folder placeholder="found by itself" autocomplete="off" spellcheck="false" autocapitalize="off"/>
                </div>
                <div class="row"><button class="btn"><Icon name="find"/>"Look again"</button></div>
            </form>
        </details>
    }
    .into_any()
}

/// The fields of the service, and what can be done with them.
#[component]
pub(super) fn Form(
    form: ServiceForm,
    why: Why,
    here: Containers,
    /// Whether the repository holds other services.
    several: bool,
    /// The draft that holds them.
    #[prop(optional)]
    draft: Option<ServiceId>,
) -> impl IntoView {
    let error: Option<ApiError> = refusal::<CreateService>().or_else(refusal::<KeepDraft>);
    let back = came_back().filter(|_| error.is_none());
    // A form that was refused comes back as it was typed.
    let typed = error.as_ref().and_then(|e| e.form.clone()).map(|typed| *typed);
    let form = typed.or_else(|| back.as_ref().map(|back| back.form.clone())).unwrap_or(form);
    view! {
        <Refused error=error.clone()/>
        {back.map(|purpose| view! { <Picked purpose/> })}
        <form method="post" action=CreateService::PATH>
            // What Enter in a field does, whatever button comes first.
            <button class="vh" tabindex="-1" aria-hidden="true" formaction=KeepDraft::PATH>"Keep for later"</button>
            {draft.map(|id| view! { <input type="hidden" name="draft" value=id.to_string()/> })}
            <Fields form why wrong=error here/>
            <div class="submit card">
                <div class="check">
                    <input type="checkbox" id="run_now" name="run_now" checked=true/>
                    <label for="run_now">"Run it now"</label>
                    <span class="note">"The first run takes the newest commit through all stages"</span>
                </div>
                <span class="row wrap right">
                    <button class="btn quiet" formaction=KeepDraft::PATH>"Keep for later"</button>
                    <button class="btn" formaction=KeepDraft::PATH name="and_try" value="yes" title="Prepare, Code Quality and Unit Test on the newest commit; nothing is switched on"><Icon name="again"/>"Try the commands"</button>
                    {several.then(|| view! { <button class="btn" name="another" value="yes">"Connect, then another"</button> })}
                    <button class="btn primary">"Connect"</button>
                </span>
            </div>
        </form>
    }
    .into_any()
}
