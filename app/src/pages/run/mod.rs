//! The run page: what is being shipped, how far it is, and the log of one stage, live.
//!
//! Refuses to reload: the page arrives complete with a cursor, and the stream goes on from there.

mod actions;
mod approval;
mod aside;
mod graph;
mod head;
mod log;
mod search;

use std::collections::VecDeque;

use domain::{
    StageKind,
    live::{LiveEvent, LogEvent},
    view,
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

pub use head::title;

use super::id_in_address;
use crate::{
    api,
    components::{Clock, Crumbs, Failure, Icon, Loading, Nudge, Top},
    live::{self, Link, LogState},
};

/// Which part of the log the address asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
            attempt: q.get("attempt").and_then(|s| s.parse().ok()),
            from: q.get("from").and_then(|s| s.parse().ok()),
            search: q.get("q").unwrap_or_default(),
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
            let found = match (page.shown, asked.search.trim()) {
                (Some(stage), query) if !query.is_empty() => Some(api::log_search(stage, asked.attempt, query.to_owned()).await?),
                _ => None,
            };
            Ok::<_, api::ApiError>((page, found))
        },
    );
    view! {
        <Transition fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok((page, found)) => {
                        let asked = asked.get_untracked();
                        view! { <Whole page found asked/> }.into_any()
                    }
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

/// What the parts of the page share.
#[derive(Clone, Copy)]
pub struct Page {
    /// The run as it stands.
    pub run: RwSignal<view::Run>,
    /// The log that is shown.
    pub log: RwSignal<Option<LogState>>,
    /// Whether the log's end is shown and new lines may be added.
    pub at_end: bool,
}

impl Page {
    /// The stage whose log is shown.
    pub fn shown(self) -> Option<view::Stage> {
        let id = self.log.with(|l| l.as_ref().map(|l| l.stage))?;
        self.run.with(|r| r.stages.iter().find(|s| s.id == id).cloned())
    }
}

#[component]
fn Whole(page: view::RunPage, found: Option<view::LogMatches>, asked: Asked) -> impl IntoView {
    let view::RunPage { run, shown, log, commits, live, neighbours, now, cursor } = page;
    Clock::provide(now);
    let title = head::title(&run);
    let path = format!("/live/runs/{}", run.id);
    let steps = vec![("/".into(), "Overview".into()), (format!("/services/{}", run.service.id), run.service.name.clone())];
    let here = format!("Run {}", run.number);
    let (running, service) = (!run.status.is_terminal(), run.service.name.clone());

    let shown = shown.and_then(|id| run.stages.iter().find(|s| s.id == id));
    let attempt = asked.attempt.or(shown.map(|s| s.attempt)).unwrap_or(1);
    let state = shown.map(|s| LogState::new(s.id, attempt, &log.lines, log.next_seq));
    let at_end = log.next_seq >= log.total;
    let shared = Page { run: RwSignal::new(run), log: RwSignal::new(state), at_end };
    provide_context(shared);
    let link = RwSignal::new(Link::Quiet);
    if running || !log.complete {
        follow(shared, path, cursor, link, asked.stage.is_none());
    }
    let total = log.total;
    view! {
        <Title text=format!("{service} · run {}", shared.run.with_untracked(|r| r.number))/>
        <Top>
            <Crumbs steps here/>
            {move || (link.get() == Link::Lost).then(|| view! { <span class="lost" role="status"><Icon name="again"/>"Reconnecting"</span> })}
        </Top>
        <head::Head title/>
        <approval::ApprovalCard commits=commits.clone() live=live.clone()/>
        <graph::Graph/>
        <div class="work">
            <log::LogPanel total found search=asked.search/>
            <aside::Aside commits live neighbours/>
        </div>
    }
    .into_any()
}

/// Folds the stream into the page.
fn follow(page: Page, path: String, cursor: String, link: RwSignal<Link>, auto: bool) {
    let waiting: StoredValue<VecDeque<LogEvent>> = StoredValue::new(VecDeque::new());
    let scheduled = StoredValue::new(false);
    let flush = move || {
        let _ = scheduled.try_set_value(false);
        let events: Vec<_> = waiting.try_update_value(|w| w.drain(..).collect()).unwrap_or_default();
        advance(page, auto, &events);
        let _ = page.log.try_maybe_update(|log| (log.as_mut().is_some_and(|l| page.at_end && l.push(events)), ()));
    };
    live::open(path, cursor, link, move |event| match event {
        LiveEvent::Run(run) => {
            let before = page.run.with_untracked(|r| r.status);
            if before != run.status {
                Nudge::now();
            }
            page.run.set(*run);
        }
        LiveEvent::Stage(stage) => page.run.update(|run| {
            if let Some(mine) = run.stages.iter_mut().find(|s| s.id == stage.id) {
                *mine = *stage;
            }
        }),
        LiveEvent::Log(lines) => {
            waiting.update_value(|w| w.push_back(lines));
            // A burst is drawn once per frame's time, not once per message.
            if !scheduled.get_value() {
                scheduled.set_value(true);
                set_timeout(flush, std::time::Duration::from_millis(16));
            }
        }
        _ => {}
    });
}

/// Turns to the next stage's log when the shown one is over and nobody asked for a certain one.
fn advance(page: Page, auto: bool, events: &[LogEvent]) {
    let Some((shown, attempt)) = page.log.with_untracked(|l| l.as_ref().map(|l| (l.stage, l.attempt))) else {
        // Nothing was shown yet: the first line decides.
        if let Some(first) = events.first() {
            let next = first.lines.first().map_or(0, |l| l.seq);
            page.log.set(Some(LogState::new(first.stage, first.attempt, &[], next)));
        }
        return;
    };
    if !auto {
        return;
    }
    let fits = page.run.with_untracked(|run| {
        let of = |id| run.stages.iter().find(|s| s.id == id);
        let now = of(shown)?;
        events.iter().rev().find(|e| {
            let newer_attempt = e.stage == shown && e.attempt > attempt;
            let later = of(e.stage).is_some_and(|s| s.kind > now.kind) && now.status.lets_pass();
            newer_attempt || later
        })
    }
    .map(|e| (e.stage, e.attempt)));
    if let Some((stage, attempt)) = fits {
        let first = events.iter().find(|e| e.stage == stage && e.attempt == attempt);
        let next = first.and_then(|e| e.lines.first()).map_or(0, |l| l.seq);
        page.log.set(Some(LogState::new(stage, attempt, &[], next)));
    }
}


