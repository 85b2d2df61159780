//! Folding the run's stream into the page, and turning to the log that tells most.
//!
//! Refuses to guess a line: where lines are missing, the server is asked for the log again.

use std::collections::VecDeque;

use domain::{
    StageKind,
    live::{LiveEvent, LogEvent},
};
use leptos::prelude::*;

use super::Page;
use crate::live::{self, Link, Pushed};

/// A log that is on its way, and what arrived meanwhile.
#[derive(Debug, Default)]
// A server never asks, so there nothing is awaited.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
pub struct Awaited {
    /// Counts the questions.
    number: u32,
    /// Whether an answer is still to come.
    waiting: bool,
    /// Lines that arrived since the question.
    kept: Vec<LogEvent>,
}

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
    if page.awaited.with_value(|a| a.waiting) {
        page.awaited.update_value(|a| a.kept.extend(events));
        return;
    }
    if let Some((kind, attempt)) = turn(page, &events) {
        show(page, kind, attempt);
        return;
    }
    if !page.at_end.get_untracked() {
        return;
    }
    let mut pushed = Pushed::Nothing;
    let _ = page.log.try_maybe_update(|log| {
        pushed = log.as_mut().map_or(Pushed::Nothing, |l| l.push(events));
        (pushed == Pushed::Lines, ())
    });
    if pushed == Pushed::Hole
        && let Some(stage) = untrack(move || page.shown())
    {
        show(page, stage.kind, None);
    }
}

/// The log to turn to, when the shown one is over and nobody asked for a certain one.
fn turn(page: Page, events: &[LogEvent]) -> Option<(StageKind, Option<u32>)> {
    let shown = page.log.with_untracked(|l| l.as_ref().map(|l| (l.stage, l.attempt)));
    let (wanders, renews) = (page.wanders.get_untracked(), page.renews.get_untracked());
    page.run.with_untracked(|run| {
        let of = |id| run.stages.iter().find(|s| s.id == id);
        let Some((stage, attempt)) = shown else { return of(events.first()?.stage).map(|s| (s.kind, None)) };
        let now = of(stage)?;
        let next = events.iter().rev().find_map(|e| {
            let newer = renews && e.stage == stage && e.attempt > attempt;
            let later = wanders && of(e.stage).is_some_and(|s| s.kind > now.kind) && now.status.lets_pass();
            (newer || later).then_some(e.stage)
        })?;
        of(next).map(|s| (s.kind, None))
    })
}

/// Shows the log of a stage, from its end.
///
/// The run is not taken from the answer: the stream may have told of newer things while it was on its way. Lines that arrive
/// meanwhile are kept and added, so that there is no hole. Of several questions only the last one's answer counts.
#[cfg(feature = "hydrate")]
pub fn show(page: Page, kind: StageKind, attempt: Option<u32>) {
    use domain::view::RunPage;
    use leptos::server_fn::ServerFn;
    let id = page.run.with_untracked(|r| r.id);
    let attempt_field = attempt.map(|a| format!("&attempt={a}")).unwrap_or_default();
    page.awaited.update_value(|a| {
        a.number += 1;
        a.waiting = true;
    });
    let mine = page.awaited.with_value(|a| a.number);
    leptos::task::spawn_local(async move {
        let form = format!("run={id}&stage={kind}{attempt_field}");
        let fresh = live::fetch::function::<RunPage>(crate::api::ReadRunPage::PATH, &form).await;
        if page.awaited.try_with_value(|a| a.number) != Some(mine) {
            return;
        }
        let kept = page.awaited.try_update_value(|a| {
            a.waiting = false;
            std::mem::take(&mut a.kept)
        });
        if let Some(fresh) = fresh {
            page.take_log(&fresh.run, fresh.shown, attempt, &fresh.log);
            fold(page, kept.unwrap_or_default());
        }
    });
}

/// Shows the log of a stage, from its end. On the server nothing happens after the page was made.
#[cfg(not(feature = "hydrate"))]
pub fn show(page: Page, kind: StageKind, attempt: Option<u32>) {
    let _ = (page, kind, attempt);
}

#[cfg(feature = "hydrate")]
fn count_again() {
    leptos::task::spawn_local(live::fetch::renew(&[crate::components::WAITING]));
}

#[cfg(not(feature = "hydrate"))]
fn count_again() {}
