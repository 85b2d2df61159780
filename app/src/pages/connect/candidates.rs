//! The first step: a repository on GitHub, or any other; and what was left half-way.
//!
//! Refuses to need GitHub: an address or a path is always enough.

use domain::view::{Candidate, Candidates, Draft};
use leptos::{prelude::*, server_fn::ServerFn};

use super::Asked;
use crate::{
    api::{ApiError, DropDraft},
    components::{Icon, Refused, When},
    pages::refusal,
    text::words,
};

#[component]
pub(super) fn Which(
    asked: Asked,
    list: Candidates,
    drafts: Vec<Draft>,
    error: Option<ApiError>,
) -> impl IntoView {
    let Asked { repository, branch, find, .. } = asked;
    view! {
        <div class="well"><h1>"Which repository is it?"</h1><span class="sub">"Seamless looks at its files and proposes the rest"</span></div>
        <div class="stack">
            <Refused error={refusal::<DropDraft>()}/>
            {(!drafts.is_empty()).then(|| view! { <Drafts drafts/> })}
            <OnForge list find/>
            <Other repository branch error/>
        </div>
    }
    .into_any()
}

#[component]
fn Drafts(drafts: Vec<Draft>) -> impl IntoView {
    let rows = drafts
        .into_iter()
        .map(|draft| {
            let id = draft.id.to_string();
            let tried = match draft.trial.as_ref().map(|run| run.status) {
                None => "not tried yet",
                Some(domain::Status::Success) => "its trial succeeded",
                Some(domain::Status::Failure) => "its trial failed",
                Some(domain::Status::Cancelled) => "its trial was cancelled",
                Some(_) => "its trial goes on",
            };
            view! {
                <li>
                    <span class="told">
                        <b>{draft.settings.name.clone()}</b>
                        <span class="dim small">{draft.settings.repository.clone()}" · "{tried}" · kept by "{draft.by.clone()}", "<When at=draft.updated_at/></span>
                    </span>
                    <span class="end row">
                        <form method="post" action=DropDraft::PATH>
                            <input type="hidden" name="draft" value=id.clone()/>
                            <button class="btn quiet">"Throw away"</button>
                        </form>
                        <a class="btn" href=format!("/services/new?draft={id}")>"Go on"</a>
                    </span>
                </li>
            }
        })
        .collect_view();
    view! { <section class="card deploys picks" aria-label="Left half-way"><h2>"Left half-way"</h2><ol>{rows}</ol></section> }
        .into_any()
}

#[component]
fn OnForge(list: Candidates, find: String) -> impl IntoView {
    let Candidates { items, found, of, page, pages, more, public_only, site, problem } = list;
    let host = site.split("://").nth(1).unwrap_or(&site).to_owned();
    if let Some(problem) = problem {
        return view! {
            <section class="card panel" aria-label="On GitHub">
                <h2>"On GitHub"</h2>
                <p class="sub">{words::sentence(&problem)}". With a token or an app for "{host}" your repositories are listed here; the settings page and the guide's chapter GitHub say how. Without one, give an address below."</p>
            </section>
        }
        .into_any();
    }
    let asked = words::in_address(&find);
    let turn = |to: usize, label: &'static str| {
        view! { <a class="btn" href=format!("/services/new?find={asked}&page={to}")>{label}</a> }
    };
    let (back, on) =
        ((page > 1).then(|| turn(page - 1, "Before")), (page < pages).then(|| turn(page + 1, "More")));
    let said = match (find.is_empty(), found) {
        (_, 0) if of == 0 => {
            "None that you can administer. Ask an owner, or give an address below.".to_owned()
        }
        (_, 0) => format!(
            "None of {} has these words. Only repositories that you can administer are here.",
            words::thousands(of as u64)
        ),
        (true, n) => format!(
            "{} that you can administer, the last pushed to first",
            words::count(n, "repository", "repositories")
        ),
        (false, n) => {
            format!("{} of {}", words::thousands(n as u64), words::count(of, "repository", "repositories"))
        }
    };
    let rest = more.then(|| {
        format!(
            " Of more than {} only these were looked through: give owner/name below for others.",
            words::thousands(of as u64)
        )
    });
    let rows = items.into_iter().map(|candidate| view! { <Row candidate/> }).collect_view();
    view! {
        <section class="card deploys picks" aria-label="On GitHub">
            <form class="row wrap seek" method="get" action="/services/new" role="search">
                <label for="find">"On "{host}</label>
                <input id="find" name="find" value=find placeholder="Part of a name" autocomplete="off" spellcheck="false"/>
                <button class="btn"><Icon name="find"/>"Find"</button>
            </form>
            <p class="sub count">{said}{rest}</p>
            {public_only.then(|| view! {
                <form class="row wrap seek" method="post" action="/login/github">
                    <input type="hidden" name="wanted" value="repositories"/>
                    <input type="hidden" name="next" value="/services/new"/>
                    <button class="btn">"Show private ones as well"</button>
                    <span class="dim small">"GitHub asks you for the scope repo; it has no smaller one that lists them. Used for this list alone"</span>
                </form>
            })}
            <ol>{rows}</ol>
            {(pages > 1).then(|| view! { <div class="row turn">{back}<span class="dim small">{format!("page {page} of {pages}")}</span>{on}</div> })}
        </section>
    }
    .into_any()
}

#[component]
fn Row(candidate: Candidate) -> impl IntoView {
    let c = candidate;
    let href = format!("/services/new?repository={}", words::in_address(&c.full_name));
    let names: Vec<String> = c.services.iter().map(|s| s.name.clone()).collect();
    let connected = (!names.is_empty()).then(|| format!(" · connected as {}", names.join(", ")));
    let label = if names.is_empty() { "Choose" } else { "Add another" };
    view! {
        <li>
            <span class="told">
                <b class="cut">{c.full_name.clone()}</b>
                {(!c.description.is_empty()).then(|| view! { <span class="sub cut">{c.description.clone()}</span> })}
                <span class="dim small">
                    {if c.private { "private" } else { "public" }}{(!c.default_branch.is_empty()).then(|| format!(" · {}", c.default_branch))}
                    {c.pushed_at.map(|at| view! { " · last push "<When at/> })}
                    {connected}
                </span>
            </span>
            <span class="end"><a class="btn" href=href>{label}<span class="vh">" "{c.full_name}</span></a></span>
        </li>
    }
    .into_any()
}

#[component]
fn Other(repository: String, branch: String, error: Option<ApiError>) -> impl IntoView {
    let bad = error.as_ref().map(|_| "true");
    view! {
        <section class="card panel narrow">
            <h2>"Any other repository"</h2>
            <form method="get" action="/services/new" class="fields">
                <div class="field">
                    <label for="repository">"Repository"</label>
                    <input id="repository" name="repository" class="code" value=repository required=true autocomplete="off" spellcheck="false" autocapitalize="off"
                        placeholder="/srv/git/orders.git or https://…" aria-describedby="repository-note" aria-invalid=bad/>
                    <span class="note" id="repository-note">"A path on the server's machine, owner/name on GitHub, or an address that Git can clone without a password"</span>
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
