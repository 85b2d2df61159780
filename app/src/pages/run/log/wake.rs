//! The panel wakes: the paper takes over what the server drew, at the line that the address, a failure or the end asks for.

use domain::{Status, view::LogLine};
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{EventTarget, HtmlElement, KeyboardEvent};

use super::{
    super::{
        Asked, Page,
        paper::{Log, Paper, Tells, line_of},
    },
    Found, Panel, hands, keys,
};

/// The log that the page shows, as the paper knows it.
fn log_of(page: Page) -> Option<Log> {
    let (stage, attempt) = page.log.get_untracked()?;
    let known = untrack(move || page.shown())?;
    let current = known.attempt == attempt;
    Some(Log {
        stage,
        attempt,
        start: known.started_at.filter(|_| current),
        error: known.error.filter(|_| current).map(|e| e.seq),
    })
}

/// Shows the log that the page says now, from its end, or from where it failed.
pub fn switch(page: Page) {
    let Some(paper) = page.paper.get_value() else { return };
    let log = log_of(page);
    let known = untrack(move || page.shown());
    let total = known.as_ref().filter(|s| s.attempt == page.attempt()).map_or(0, |s| s.lines);
    page.found.set(Found::default());
    page.chosen.set(None);
    paper.open(log, total, Vec::new());
    page.following.set(known.is_none_or(|s| !s.status.is_terminal()));
    match log.and_then(|l| l.error) {
        Some(error) => paper.go(error),
        None => paper.to_end(),
    }
    paper.learn();
}

/// The lines that an address names: `#L120`, `#L120-L140`.
fn named() -> Option<(u64, u64)> {
    let hash = window().location().hash().ok()?;
    let mut ends = hash.strip_prefix("#L")?.split("-L").map(|n| n.parse::<u64>().ok()?.checked_sub(1));
    let first = ends.next()??;
    let last = ends.next().unwrap_or(Some(first))?;
    Some((first.min(last), first.max(last)))
}

/// The first line in view, if the page was scrolled before it woke.
fn seen(el: &HtmlElement) -> Option<u64> {
    if el.scroll_top() == 0 {
        return None;
    }
    let view = el.get_bounding_client_rect();
    let at = document().element_from_point((view.left() + 8.0) as f32, (view.top() + 8.0) as f32)?;
    line_of(&at)
}

impl Panel {
    pub(super) fn behave(self, lines: Vec<LogLine>, asked: Asked) {
        let Panel { page, scroller } = self;
        let begun = StoredValue::new(Some((lines, asked)));
        Effect::new(move |_| {
            let Some(el) = scroller.get() else { return };
            let Some((lines, asked)) = begun.try_update_value(Option::take).flatten() else { return };
            let el: HtmlElement = el.unchecked_into();
            let seen = seen(&el);
            let tells = Tells { total: page.total, following: page.following, chosen: page.chosen };
            let Some(paper) = Paper::new(el.clone(), tells) else { return };
            page.paper.set_value(Some(paper.clone()));
            hands::recall(&el);
            paper.open(log_of(page), page.total.get_untracked(), lines);
            self.stand(&paper, seen, &asked);
            self.listen(&el);
        });
        // What is learnt of the stage while one watches: when it began, which line to look at first.
        Effect::new(move |_| {
            let stage = page.shown();
            if let (Some(paper), Some(stage)) = (page.paper.get_value(), stage)
                && stage.attempt == page.attempt()
            {
                paper.know(stage.started_at, stage.error.map(|e| e.seq));
            }
        });
        Effect::new(move |before: Option<bool>| {
            let follows = page.following.get();
            if let Some(paper) = page.paper.get_value().filter(|_| follows && before == Some(false)) {
                paper.to_end();
            }
            follows
        });
    }

    fn stand(self, paper: &Paper, seen: Option<u64>, asked: &Asked) {
        let page = self.page;
        let failed = untrack(move || page.shown()).filter(|s| s.status == Status::Failure);
        let error = paper.log().and_then(|l| l.error).filter(|_| failed.is_some());
        match (named(), seen, error, asked.from) {
            (Some(range), ..) => {
                paper.choose(Some(range));
                paper.go(range.0);
            }
            (None, Some(seq), ..) => paper.stand(seq),
            (None, None, _, Some(from)) => paper.stand(from),
            (None, None, Some(error), None) if asked.search.is_empty() => paper.go(error),
            _ => paper.to_end(),
        }
        if !asked.search.is_empty() {
            hands::find(page, asked.search.clone(), asked.regex);
        }
    }

    fn listen(self, el: &HtmlElement) {
        let page = self.page;
        let scrolled = move |_: JsValue| {
            if let Some(paper) = page.paper.get_value() {
                let over = untrack(move || page.shown()).is_some_and(|s| s.status.is_terminal());
                paper.scrolled(!over);
            }
        };
        let pressed = move |event: JsValue| {
            if let Some(event) = event.dyn_ref::<KeyboardEvent>() {
                keys::pressed(self, event);
            }
        };
        let resized = move |_: JsValue| {
            if let Some(paper) = page.paper.get_value() {
                paper.measure();
            }
        };
        let named = move |_: JsValue| {
            if let (Some(paper), Some(range)) = (page.paper.get_value(), named()) {
                paper.choose(Some(range));
                paper.go(range.0);
            }
        };
        let mut kept = Vec::new();
        let mut on = |target: &EventTarget, name: &'static str, run: Box<dyn Fn(JsValue)>| {
            let closure = Closure::<dyn Fn(JsValue)>::new(run);
            let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
            kept.push((target.clone(), name, closure));
        };
        on(el, "scroll", Box::new(scrolled));
        on(&document(), "keydown", Box::new(pressed));
        on(&window(), "resize", Box::new(resized));
        on(&window(), "hashchange", Box::new(named));
        let kept = StoredValue::new_local(kept);
        on_cleanup(move || {
            let _ = kept.try_with_value(|kept| {
                for (target, name, closure) in kept {
                    let _ =
                        target.remove_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
                }
            });
        });
    }
}
