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
mod search;

use domain::{StageKind, view};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

pub use head::title;

use super::{id_in_address, refusal};
use crate::{
    api::{self, ApiError, Cancel, Decide, Rerun},
    components::{Clock, Crumbs, Failure, Loading, Top},
    live::{Link, LogState, Lost},
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
        }
    })
}

/// The run page.
#[component]
pub fn RunPage() -> impl IntoView {
    let id = id_in_address();
    let asked = asked();
    let data = Resource::new(
        move || (id.get(), asked.get()),
        |(id, asked)| async move {
            let page = api::run_page(id?, asked.stage, asked.attempt, asked.from).await?;
            let found = match page.shown {
                Some(stage) if !asked.search.is_empty() => {
                    Some(api::log_search(stage, asked.attempt, asked.search).await?)
                }
                _ => None,
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
fn Whole(page: view::RunPage, found: Option<view::LogMatches>, asked: Asked) -> impl IntoView {
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
        <Live page found asked refused/>
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
    /// The log that is shown.
    pub log: RwSignal<Option<LogState>>,
    /// Whether the log's end is shown and new lines may be added.
    pub at_end: RwSignal<bool>,
    /// Lines the log had when it was read.
    pub total: RwSignal<u64>,
    /// Whether the page may turn to the log of another stage by itself.
    pub wanders: RwSignal<bool>,
    /// The same for a newer attempt of the shown stage.
    pub renews: RwSignal<bool>,
    /// A log that is on its way.
    pub awaited: StoredValue<follow::Awaited>,
}

impl Page {
    /// The stage whose log is shown.
    pub fn shown(self) -> Option<view::Stage> {
        let id = self.log.with(|l| l.as_ref().map(|l| l.stage))?;
        self.run.with(|r| r.stages.iter().find(|s| s.id == id).cloned())
    }

    /// Takes a log as the server sent it.
    fn take_log(
        self,
        run: &view::Run,
        shown: Option<domain::StageId>,
        attempt: Option<u32>,
        log: &view::LogPage,
    ) {
        let stage = shown.and_then(|id| run.stages.iter().find(|s| s.id == id));
        let state =
            stage.map(|s| LogState::new(s.id, attempt.unwrap_or(s.attempt), &log.lines, log.next_seq));
        self.total.set(log.total);
        self.at_end.set(log.next_seq >= log.total);
        self.log.set(state);
    }
}

/// The run page, as it lives in the browser.
#[island]
fn Live(
    /// What the page began with.
    page: view::RunPage,
    /// What a search found.
    found: Option<view::LogMatches>,
    /// What the address asks for.
    asked: Asked,
    /// What the page's forms could not do.
    refused: Refusals,
) -> impl IntoView {
    let view::RunPage { run, shown, log, commits, live, neighbours, means, now, cursor } = page;
    Clock::provide(now);
    let link = RwSignal::new(Link::Quiet);
    let follows = !run.status.is_terminal() || !log.complete;
    let shared = Page {
        run: RwSignal::new(run.clone()),
        log: RwSignal::new(None),
        at_end: RwSignal::new(true),
        total: RwSignal::new(0),
        wanders: RwSignal::new(asked.stage.is_none()),
        renews: RwSignal::new(asked.attempt.is_none()),
        awaited: StoredValue::default(),
    };
    shared.take_log(&run, shown, asked.attempt, &log);
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
            <log::LogPanel found search=asked.search/>
            <aside::Aside commits live neighbours/>
        </div>
    }
}
