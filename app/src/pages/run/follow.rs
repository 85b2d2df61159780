//! Folding the run's stream into the page, and turning to the log that tells most.
//!
//! Refuses to guess a line: what the stream left out, the paper asks for when it is looked at.

use std::collections::VecDeque;

use domain::{
    StageKind,
    live::{LiveEvent, LogEvent},
};
use leptos::prelude::*;

use super::Page;
use crate::live::{self, Link};

/// Folds the stream into the page.
pub fn follow(page: Page, cursor: String, link: RwSignal<Link>) {
    let waiting: StoredValue<VecDeque<LogEvent>> = StoredValue::new(VecDeque::new());
    let scheduled = StoredValue::new(false);
    let flush = move || {
        let _ = scheduled.try_set_value(false);
        let events: Vec<_> = waiting.try_update_value(|w| w.drain(..).collect()).unwrap_or_default();
        if !events.is_empty() {
            fold(page, events);
        }
    };
    let path = page.run.with_untracked(|r| format!("/live/runs/{}", r.id));
    live::open(path, Some(cursor), link, move |event| match event {
        LiveEvent::Run(run) => {
            if page.run.with_untracked(|r| r.status) != run.status {
                count_again();
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

fn fold(page: Page, events: Vec<LogEvent>) {
    if let Some(kind) = turn(page, &events) {
        return show(page, kind);
    }
    push(page, events);
}

/// The log to turn to, when the shown one is over and nobody asked for a certain one.
fn turn(page: Page, events: &[LogEvent]) -> Option<StageKind> {
    let shown = page.log.get_untracked();
    let (wanders, renews) = (page.wanders.get_untracked(), page.renews.get_untracked());
    page.run.with_untracked(|run| {
        let of = |id| run.stages.iter().find(|s| s.id == id);
        let Some((stage, attempt)) = shown else { return of(events.first()?.stage).map(|s| s.kind) };
        let now = of(stage)?;
        let next = events.iter().rev().find_map(|e| {
            let newer = renews && e.stage == stage && e.attempt > attempt;
            let later = wanders && of(e.stage).is_some_and(|s| s.kind > now.kind) && now.status.lets_pass();
            (newer || later).then_some(e.stage)
        })?;
        of(next).map(|s| s.kind)
    })
}

/// Shows the log of a stage's newest attempt, from its end.
pub fn show(page: Page, kind: StageKind) {
    let Some(stage) = page.run.with_untracked(|r| r.stage(kind).cloned()) else { return };
    page.log.set(Some((stage.id, stage.attempt.max(1))));
    page.total.set(0);
    switch(page);
}

#[cfg(feature = "hydrate")]
fn push(page: Page, events: Vec<LogEvent>) {
    if let Some(paper) = page.paper.get_value() {
        paper.push(events);
    }
}

#[cfg(feature = "hydrate")]
use super::log::switch;

#[cfg(feature = "hydrate")]
fn count_again() {
    leptos::task::spawn_local(live::fetch::renew(&[crate::components::WAITING, crate::components::NOTICES]));
}

/// On the server nothing happens after the page was made.
#[cfg(not(feature = "hydrate"))]
mod still {
    use super::{LogEvent, Page};

    pub(super) fn push(_: Page, _: Vec<LogEvent>) {}
    pub(super) fn switch(_: Page) {}
    pub(super) fn count_again() {}
}
#[cfg(not(feature = "hydrate"))]
use still::{count_again, push, switch};
