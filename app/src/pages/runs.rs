//! All runs, newest first, by status and by service.
//!
//! Refuses to load more than one page at a time; the next one is a link.

use domain::{
    RunId, ServiceId, Status,
    view::{Page, Run},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, Dated},
    components::{Clock, Failure, Hint, Loading, Seam, Sha, StatusMark, Took, Top, When},
    live::{Fresh, REGION},
};

/// What the address asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    status: Option<Status>,
    before: Option<RunId>,
    service: Option<ServiceId>,
    find: String,
}

impl Asked {
    fn address(&self, status: Option<Status>, before: Option<&str>) -> String {
        let parts = [
            status.map(|s| format!("status={s}")),
            self.service.map(|s| format!("service={s}")),
            before.map(|b| format!("before={b}")),
        ];
        let query = parts.into_iter().flatten().collect::<Vec<_>>().join("&");
        if query.is_empty() { "/runs".into() } else { format!("/runs?{query}") }
    }
}

/// What was asked, what was found, and the name of the service it is about.
type Found = (Asked, Option<String>, Dated<Page<Run>>);

async fn load(mut asked: Asked) -> Result<Found, api::ApiError> {
    let mut name = None;
    if asked.service.is_some() || !asked.find.is_empty() {
        let services = api::nav().await?.services;
        let wanted = asked.find.trim().to_lowercase();
        let id = asked.service.map(|s| s.to_string());
        let hit = services
            .iter()
            .find(|(i, n)| Some(i) == id.as_ref() || *n == wanted)
            .or_else(|| services.iter().find(|(_, n)| !wanted.is_empty() && n.contains(&wanted)));
        match hit {
            Some((i, n)) => {
                asked.service = i.parse().ok();
                name = Some(n.clone());
            }
            None => {
                return Err(api::ApiError::new(
                    404,
                    format!("No service is called {:?}.", asked.find.trim()),
                ));
            }
        }
    }
    let runs = api::runs(asked.service, asked.status, asked.before).await?;
    Ok((asked, name, runs))
}

/// The list of runs.
#[component]
pub fn RunsPage() -> impl IntoView {
    let query = use_query_map();
    let asked = Memo::new(move |_| {
        let q = query.read();
        Asked {
            status: q.get("status").and_then(|s| s.parse().ok()),
            before: q.get("before").and_then(|s| s.parse().ok()),
            service: q.get("service").and_then(|s| s.parse().ok()),
            find: q.get("find").unwrap_or_default(),
        }
    });
    let data = Resource::new(move || asked.get(), load);
    view! {
        <Title text="Runs"/>
        <Top>"Runs"<Fresh/></Top>
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok((asked, name, runs)) => view! { <div id=REGION><List asked name runs/></div> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

const FILTERS: [(Option<Status>, &str); 7] = [
    (None, "All"),
    (Some(Status::InProgress), "Running"),
    (Some(Status::Idle), "Queued"),
    (Some(Status::AwaitingApproval), "Waiting"),
    (Some(Status::Failure), "Failed"),
    (Some(Status::Success), "Succeeded"),
    (Some(Status::Cancelled), "Cancelled"),
];

#[component]
fn List(asked: Asked, name: Option<String>, runs: Dated<Page<Run>>) -> impl IntoView {
    Clock::provide(runs.now);
    let Page { items, next } = runs.value;
    let filters = FILTERS
        .map(|(status, word)| {
            let on = status == asked.status;
            view! { <a class="chip" class:on=on aria-current=on.then_some("true") href=asked.address(status, None)>{word}</a> }
        })
        .into_iter()
        .collect_view();
    let title = name.clone().map_or("Runs".to_owned(), |n| format!("Runs of {n}"));
    let none = items.is_empty();
    let filtered = asked.status.is_some() || asked.before.is_some();
    let all = asked.service.is_some().then(|| view! { <a class="link" href="/runs">"of every service"</a> });
    let older = next
        .map(|next| view! { <a class="btn" href=asked.address(asked.status, Some(&next))>"Older runs"</a> });
    let newest = asked
        .before
        .is_some()
        .then(|| view! { <a class="btn quiet" href=asked.address(asked.status, None)>"Newest"</a> });
    view! {
        <div class="well"><h1>{title}</h1><span class="sub">{all}</span></div>
        <nav class="filters" aria-label="Filter by status">{filters}</nav>
        {if none {
            view! {
                <Hint title=if filtered { "No run is like that." } else { "No run yet." }>
                    <p class="sub">{if filtered { "Choose another filter." } else { "A push to a connected service starts one; so does the button on its page." }}</p>
                </Hint>
            }.into_any()
        } else {
            view! { <RunTable runs=items/> }.into_any()
        }}
        <div class="pages">{newest}{older}</div>
    }
    .into_any()
}

/// Runs as rows.
#[component]
pub fn RunTable(
    /// The runs.
    runs: Vec<Run>,
    /// Without the service's name, on its own page.
    #[prop(optional)]
    of_one: bool,
) -> impl IntoView {
    let rows = runs.into_iter().map(|run| view! { <RunRow run of_one/> }).collect_view();
    view! {
        <div class="card list">
            <table class="runs">
                <caption class="vh">"Runs"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Run"</th>
                        <th scope="col">"Stages"</th>
                        <th scope="col">"Version"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"When"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn RunRow(run: Run, of_one: bool) -> impl IntoView {
    let href = format!("/runs/{}", run.id);
    let title = super::run::title(&run);
    let about = if of_one {
        format!("Run {}", run.number)
    } else {
        format!("{} · run {}", run.service.name, run.number)
    };
    let signal = Signal::stored(run.clone());
    let began = run.started_at;
    view! {
        <tr>
            <th scope="row">
                <a class="name" href=href>{title}</a>
                <div class="dim small">{about}</div>
            </th>
            <td><Seam run=signal/></td>
            <td><span class="row tight"><Sha commit=run.commit.clone()/><span class="dim small">{run.branch.clone()}</span></span></td>
            <td><StatusMark run=signal/></td>
            <td class="nowrap">
                <When at=run.created_at/>
                {began.map(|from| view! { <div class="dim small"><Took from to=run.ended_at/></div> })}
            </td>
        </tr>
    }
    .into_any()
}
