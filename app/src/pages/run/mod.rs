//! The run page: what is being shipped, how far it is, and the log of one stage, live.
//!
//! Refuses to reload: the page arrives complete with a cursor, and the stream goes on from there.

mod actions;
mod approval;
mod aside;
mod follow;
mod graph;
mod head;
mod log;
mod paper;

use domain::{StageId, StageKind, view};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

pub use head::title;

use super::{id_in_address, refusal};
use crate::{
    api::{self, ApiError, Cancel, Decide, Rerun},
    components::{Clock, Crumbs, Failure, Loading, Top},
    live::{Link, Lost},
};

/// Which part of the log the address asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// A stage, if it names one.
    pub stage: Option<StageKind>,
    /// An attempt, if it names one.
    pub attempt: Option<u32>,
    /// The first line, if it names one.
    pub from: Option<u64>,
    /// What to search for.
    pub search: String,
    /// Whether that is a regular expression.
    pub regex: bool,
    /// From which line on matches are listed.
    pub hits: Option<u64>,
}

fn asked() -> Memo<Asked> {
    let query = use_query_map();
    Memo::new(move |_| {
        let q = query.read();
        Asked {
            stage: q.get("stage").and_then(|s| s.parse().ok()),
            attempt: q.get("attempt").and_then(|s| s.parse().ok()).filter(|a| *a > 0),
            from: q.get("from").and_then(|s| s.parse().ok()),
            search: q.get("q").unwrap_or_default().trim().to_owned(),
            regex: q.get("regex").is_some_and(|r| r == "true"),
            hits: q.get("hits").and_then(|s| s.parse().ok()),
        }
    })
}

/// Matches on a page without JavaScript.
const LISTED: u64 = 500;
/// Lines that the browser is given to begin with; it asks for others when they are looked at.
const BEGUN_WITH: usize = 200;

/// The run page.
#[component]
pub fn RunPage() -> impl IntoView {
    let id = id_in_address();
    let asked = asked();
    let data = Resource::new(
        move || (id.get(), asked.get()),
        |(id, asked)| async move {
            let page = api::run_page(id?, asked.stage, asked.attempt, asked.from).await?;
            let found = match page.shown.filter(|_| !asked.search.is_empty()) {
                Some(stage) => {
                    let Asked { attempt, search, regex, hits, .. } = asked;
                    Some(api::log_search(stage, attempt, search, regex, hits, None, LISTED).await)
                }
                None => None,
            };
            Ok::<_, ApiError>((page, found))
        },
    );
    view! {
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok((page, found)) => view! { <Whole page found asked=asked.get_untracked()/> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Whole(
    mut page: view::RunPage,
    found: Option<api::Answer<view::LogMatches>>,
    asked: Asked,
) -> impl IntoView {
    #[cfg(feature = "ssr")]
    provide_context(log::Still::new(&page, found, &asked));
    #[cfg(not(feature = "ssr"))]
    let _ = found;
    // The rest of what the server has drawn is not sent a second time as data.
    let lines = &mut page.log.lines;
    let spare = lines.len().saturating_sub(BEGUN_WITH);
    if asked.from.is_none() {
        lines.drain(..spare);
    } else {
        lines.truncate(BEGUN_WITH);
    }
    let run = page.run.clone();
    let title = format!("{} · run {}", run.service.name, run.number);
    let steps = vec![
        ("/".into(), "Overview".into()),
        (format!("/services/{}", run.service.id), run.service.name.clone()),
    ];
    let refused =
        Refusals { act: refusal::<Cancel>().or_else(refusal::<Rerun>), decide: refusal::<Decide>() };
    view! {
        <Title text=title/>
        <Top><Crumbs steps here=format!("Run {}", run.number)/></Top>
        <Live page asked refused/>
    }
    .into_any()
}

/// What the page's forms could not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// Cancel and rerun.
    pub act: Option<ApiError>,
    /// Approve and reject.
    pub decide: Option<ApiError>,
}

/// What the parts of the page share.
#[derive(Clone, Copy)]
pub struct Page {
    /// The run as it stands.
    pub run: RwSignal<view::Run>,
    /// The log that is shown: of which stage and attempt.
    pub log: RwSignal<Option<(StageId, u32)>>,
    /// Lines it has, as far as is known.
    pub total: RwSignal<u64>,
    /// Whether its end is followed.
    pub following: RwSignal<bool>,
    /// The lines that the address names.
    pub chosen: RwSignal<Option<(u64, u64)>>,
    /// What a search found.
    pub found: RwSignal<log::Found>,
    /// Whether the page may turn to the log of another stage by itself.
    pub wanders: RwSignal<bool>,
    /// The same for a newer attempt of the shown stage.
    pub renews: RwSignal<bool>,
    /// What the log stands on, once the page is awake.
    #[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
    pub paper: paper::Held,
}

impl Page {
    /// The stage whose log is shown.
    pub fn shown(self) -> Option<view::Stage> {
        let (id, _) = self.log.get()?;
        self.run.with(|r| r.stages.iter().find(|s| s.id == id).cloned())
    }

    /// The attempt whose log is shown.
    pub fn attempt(self) -> u32 {
        self.log.get_untracked().map_or(1, |(_, attempt)| attempt.max(1))
    }
}

/// The run page, as it lives in the browser.
#[island]
fn Live(
    /// What the page began with.
    page: view::RunPage,
    /// What the address asks for.
    asked: Asked,
    /// What the page's forms could not do.
    refused: Refusals,
) -> impl IntoView {
    let view::RunPage { run, shown, log, commits, live, neighbours, means, now, cursor } = page;
    Clock::provide(now);
    let link = RwSignal::new(Link::Quiet);
    let follows = !run.status.is_terminal() || !log.complete;
    let stage = shown.and_then(|id| run.stages.iter().find(|s| s.id == id));
    // A stage that has not begun is followed from its first line on.
    let over = stage.is_some_and(|s| s.status.is_terminal());
    let shared = Page {
        run: RwSignal::new(run.clone()),
        log: RwSignal::new(stage.map(|s| (s.id, asked.attempt.unwrap_or(s.attempt).max(1)))),
        total: RwSignal::new(log.total.max(log.next_seq)),
        following: RwSignal::new(!over && asked.from.is_none() && asked.search.is_empty()),
        chosen: RwSignal::new(None),
        found: RwSignal::default(),
        wanders: RwSignal::new(asked.stage.is_none()),
        renews: RwSignal::new(asked.attempt.is_none()),
        paper: paper::held(),
    };
    provide_context(shared);
    if follows {
        follow::follow(shared, cursor, link);
    }
    let Refusals { act, decide } = refused;
    view! {
        <Lost link/>
        <head::Head title=title(&run) refused=act means/>
        <approval::ApprovalCard commits=commits.clone() live=live.clone() refused=decide/>
        <graph::Graph/>
        <div class="work">
            <log::LogPanel lines=log.lines asked/>
            <aside::Aside commits live neighbours/>
        </div>
    }
}
