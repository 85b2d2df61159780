//! What a person does with the log: search, step, choose, copy, fold, fill the window.
//!
//! Refuses to lose where one is: whatever is switched, the line that is looked at stays in view.

use domain::view::LogPage;
use leptos::{ev, prelude::*, server_fn::ServerFn};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, HtmlElement, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};

use super::{super::Page, Act, Found, Panel, finder::Step};
use crate::{
    api::{LogHits, ReadLog, ReadLogHits},
    live::fetch,
    text::{ansi, line, words},
};

use super::super::paper::line_of;

/// Where the browser keeps how somebody likes their logs.
const KEPT: &str = "seamless-log";
/// Lines that are copied at once.
const MOST_COPIED: u64 = 10_000;

fn element<T: JsCast>(selector: &str) -> Option<T> {
    document().query_selector(selector).ok()??.dyn_into().ok()
}

/// The element's value of a kind, beginning the search at what was clicked.
fn clicked(event: &ev::MouseEvent, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok()?
}

impl Panel {
    pub(super) fn act(self, act: Act) {
        let page = self.page;
        let Some(paper) = page.paper.get_value() else { return };
        match act {
            Act::Next => step(page, true),
            Act::Previous => step(page, false),
            Act::Error => match paper.log().and_then(|l| l.error) {
                Some(seq) => choose(page, (seq, seq), true),
                None => first_error(page),
            },
            Act::Follow => page.following.update(|f| *f = !*f),
            Act::FoldAll => paper.toggle_all(),
            Act::Copy => copy(page),
            Act::Full => {
                if let Some(log) = element::<Element>("#log") {
                    let full = log.class_list().toggle("full").unwrap_or(false);
                    if let Some(button) = element::<HtmlElement>(".full-screen") {
                        button.set_inner_text(if full { "Leave full screen" } else { "Full screen" });
                    }
                    paper.measure();
                }
            }
            Act::Measure => {
                keep();
                paper.measure();
            }
        }
    }

    pub(super) fn click(self, event: &ev::MouseEvent) {
        let page = self.page;
        let Some(paper) = page.paper.get_value() else { return };
        if let Some(button) = clicked(event, ".tog") {
            if let Some(first) = button.get_attribute("data-fold").and_then(|f| f.parse().ok()) {
                paper.toggle(first);
            }
            return;
        }
        let Some(link) = clicked(event, "a[href*='#L']") else { return };
        let href = link.get_attribute("href").unwrap_or_default();
        let elsewhere = href.contains("attempt=") && !href.contains(&format!("attempt={}&", page.attempt()));
        let seq = href.rsplit("#L").next().and_then(|n| n.parse::<u64>().ok()?.checked_sub(1));
        let Some(seq) = seq.filter(|_| !elsewhere && !event.ctrl_key() && !event.meta_key()) else { return };
        event.prevent_default();
        let inside = line_of(&link).is_some();
        match page.chosen.get_untracked().filter(|_| event.shift_key()) {
            Some((from, to)) => choose(page, if seq < from { (seq, to) } else { (from, seq) }, false),
            None => choose(page, (seq, seq), !inside),
        }
    }

    pub(super) fn submit(self, event: &ev::SubmitEvent) {
        event.prevent_default();
        let Some(field) = field() else { return };
        let regex = element::<HtmlInputElement>(".find [name=regex]").is_some_and(|r| r.checked());
        let same =
            self.page.found.with_untracked(|f| f.query == field.value() && f.regex == regex && f.total > 0);
        if same {
            step(self.page, true);
        } else {
            find(self.page, field.value(), regex);
        }
    }
}

/// The search field.
pub(super) fn field() -> Option<HtmlInputElement> {
    element(".find [name=q]")
}

/// Names lines in the address and marks them.
pub(super) fn choose(page: Page, range: (u64, u64), go: bool) {
    let Some(paper) = page.paper.get_value() else { return };
    paper.choose(Some(range));
    if go {
        paper.go(range.0);
    }
    let Some(stage) = untrack(move || page.shown()) else { return };
    let (from, to) = (line::number(range.0), line::number(range.1));
    let to = if to > from { format!("-L{to}") } else { String::new() };
    let address = format!("?stage={}&attempt={}#L{from}{to}", stage.kind, page.attempt());
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&address));
    }
}

/// Searches the whole log. `:120` goes to line 120.
pub(super) fn find(page: Page, query: String, regex: bool) {
    let Some(paper) = page.paper.get_value() else { return };
    if let Some(n) = query.strip_prefix(':').and_then(|n| n.trim().parse::<u64>().ok()) {
        let seq = n.saturating_sub(1).min(paper.total().saturating_sub(1));
        return choose(page, (seq, seq), true);
    }
    paper.mark(Vec::new(), None);
    let waits = !query.trim().is_empty();
    page.found.set(Found { query, regex, waits, ..Found::default() });
    if waits {
        ask(page, Step::From(0), true);
    }
}

fn step(page: Page, forward: bool) {
    let Some(paper) = page.paper.get_value() else { return };
    let to = page.found.with_untracked(|f| f.step(forward, paper.total()));
    match to {
        Step::Here(at) => {
            page.found.update(|f| f.at = at);
            show(page);
        }
        Step::None => {}
        other => ask(page, other, false),
    }
}

/// Marks what was found and goes to the match one is at.
fn show(page: Page) {
    let Some(paper) = page.paper.get_value() else { return };
    let (seqs, current) = page.found.with_untracked(|f| (f.seqs.clone(), f.current()));
    if let Some(seq) = current {
        paper.go(seq);
    }
    paper.mark(seqs, current);
}

/// Has the server search. `first` says that nothing was found yet: then the match nearest to what is looked at counts.
fn ask(page: Page, to: Step, first: bool) {
    let Some(paper) = page.paper.get_value() else { return };
    let (Some(log), Found { query, regex, .. }) = (paper.log(), page.found.get_untracked()) else { return };
    let part = match to {
        Step::Before(line) => format!("before={line}"),
        Step::From(line) => format!("from={line}"),
        _ => return,
    };
    leptos::task::spawn_local(async move {
        let form = format!(
            "stage={}&attempt={}&query={}&regex={regex}&{part}",
            log.stage,
            log.attempt,
            words::in_address(&query)
        );
        let answer = fetch::answer::<LogHits>(ReadLogHits::PATH, &form).await;
        // Somebody has gone on meanwhile.
        if page.found.try_with_untracked(|f| f.query == query && f.regex == regex) != Some(true) {
            return;
        }
        let hits = match answer {
            Ok(hits) => hits,
            Err(note) => return page.found.update(|f| (f.note, f.waits) = (note, false)),
        };
        let near = if first && !page.following.get_untracked() { paper.at() } else { 0 };
        if first && hits.next.is_some() && hits.seqs.last().is_some_and(|last| *last < near) {
            return ask(page, Step::From(near), false);
        }
        page.found.update(|f| {
            let last = hits.seqs.len().saturating_sub(1);
            f.at = match to {
                Step::Before(_) => last,
                _ if first => hits.seqs.partition_point(|s| *s < near).min(last),
                _ => 0,
            };
            (f.seqs, f.earlier, f.total, f.next) = (hits.seqs, hits.earlier, hits.total, hits.next);
            (f.waits, f.note) = (false, String::new());
        });
        show(page);
    });
}

/// Goes to the first line that says what went wrong, where the stage itself named none.
fn first_error(page: Page) {
    let Some(log) = page.paper.get_value().and_then(|p| p.log()) else { return };
    leptos::task::spawn_local(async move {
        let form = format!("stage={}&attempt={}&query=&regex=false&from=0", log.stage, log.attempt);
        match fetch::answer::<LogHits>(ReadLogHits::PATH, &form).await.map(|h| h.seqs.first().copied()) {
            Ok(Some(seq)) => choose(page, (seq, seq), true),
            Ok(None) => note(page, "No line says what went wrong"),
            Err(why) => note(page, &why),
        }
    });
}

/// Says something beside the search.
fn note(page: Page, text: &str) {
    page.found.update(|f| text.clone_into(&mut f.note));
}

/// Copies the chosen lines, or the whole of a log that is not long: text alone, without numbers and colours.
fn copy(page: Page) {
    let Some(paper) = page.paper.get_value() else { return };
    let Some(log) = paper.log() else { return };
    let (from, to) = page.chosen.get_untracked().unwrap_or((0, paper.total().saturating_sub(1)));
    let count = to - from + 1;
    if count > MOST_COPIED {
        return note(page, "Choose up to 10,000 lines to copy, or download the log");
    }
    leptos::task::spawn_local(async move {
        let form = format!("stage={}&attempt={}&from={from}&limit={count}", log.stage, log.attempt);
        let done = match fetch::function::<LogPage>(ReadLog::PATH, &form).await {
            Some(part) => {
                let text: Vec<String> = part.lines.iter().map(|l| ansi::plain(&l.text)).collect();
                to_clipboard(&(text.join("\n") + "\n")).await
            }
            None => false,
        };
        let lines = words::count(count as usize, "line", "lines");
        note(page, &if done { format!("Copied {lines}") } else { "Could not be copied".to_owned() });
    });
}

async fn to_clipboard(text: &str) -> bool {
    if window().is_secure_context() {
        let written = JsFuture::from(window().navigator().clipboard().write_text(text)).await;
        if written.is_ok() {
            return true;
        }
    }
    // Where a page is not served securely, browsers only know the old way.
    let copied = || {
        let area: HtmlTextAreaElement = document().create_element("textarea").ok()?.dyn_into().ok()?;
        area.set_value(text);
        document().body()?.append_child(&area).ok()?;
        area.select();
        let done = document().dyn_into::<web_sys::HtmlDocument>().ok()?.exec_command("copy").ok();
        area.remove();
        done
    };
    copied().unwrap_or(false)
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok()?
}

/// Remembers how lines look.
fn keep() {
    let times = element::<HtmlSelectElement>(".logbar .times").map(|s| s.value()).unwrap_or_default();
    let wrap = element::<HtmlInputElement>(".wrap-lines").is_none_or(|w| w.checked());
    if let Some(storage) = storage() {
        let _ = storage.set_item(KEPT, &format!("{times} {wrap}"));
    }
}

/// Has lines look as they did last time.
pub(super) fn recall(_: &HtmlElement) {
    let Some(kept) = storage().and_then(|s| s.get_item(KEPT).ok()?) else { return };
    let Some((times, wrap)) = kept.split_once(' ') else { return };
    if let Some(select) = element::<HtmlSelectElement>(".logbar .times") {
        select.set_value(times);
    }
    if let Some(field) = element::<HtmlInputElement>(".wrap-lines") {
        field.set_checked(wrap != "false");
    }
}

/// The next way of showing times, and whether lines are wrapped, by a key.
pub(super) fn change(panel: Panel, times: bool) {
    if times {
        if let Some(select) = element::<HtmlSelectElement>(".logbar .times") {
            select.set_selected_index((select.selected_index() + 1) % 3);
        }
    } else if let Some(field) = element::<HtmlInputElement>(".wrap-lines") {
        field.set_checked(!field.checked());
    }
    panel.act(Act::Measure);
}
