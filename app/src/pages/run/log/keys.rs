//! The keyboard: every act has a key, as in a pager.
//!
//! Refuses keys that are meant for something else: a field that is typed in, a control that has the focus, or the browser.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::{Act, Panel, hands};

/// A key was pressed somewhere on the page.
pub(super) fn pressed(panel: Panel, event: &KeyboardEvent) {
    let key = event.key();
    let target = event.target().and_then(|t| t.dyn_into::<Element>().ok());
    let is = |selector: &str| target.as_ref().is_some_and(|t| t.closest(selector).is_ok_and(|f| f.is_some()));
    if event.ctrl_key() || event.meta_key() || event.alt_key() || event.default_prevented() {
        return;
    }
    let handled = if is(".find [name=q]") {
        in_field(panel, &key, event.shift_key())
    } else if is("input, textarea, select") {
        false
    } else if is("body") && (is(".log") || target.as_ref().is_some_and(|t| t.tag_name() == "BODY")) {
        in_log(panel, &key, event.shift_key(), is("button, a"))
    } else {
        false
    };
    if handled {
        event.prevent_default();
    }
}

fn in_field(panel: Panel, key: &str, shift: bool) -> bool {
    match key {
        "Enter" if shift => panel.act(Act::Previous),
        "Escape" => {
            if let Some(field) = hands::field() {
                field.set_value("");
                hands::find(panel.page, String::new(), false);
                focus(panel);
            }
        }
        _ => return false,
    }
    true
}

fn in_log(panel: Panel, key: &str, shift: bool, on_control: bool) -> bool {
    let page = panel.page;
    let Some(paper) = page.paper.get_value() else { return false };
    let by = |lines: f64| {
        if let Some(el) = panel.scroller.get_untracked() {
            let page = f64::from(el.client_height());
            let step = if lines.abs() > 1.0 { lines.signum() * page * 0.9 } else { lines * 20.0 };
            el.set_scroll_top(el.scroll_top() + step as i32);
        }
    };
    match key {
        "/" => {
            if let Some(field) = hands::field() {
                let _ = field.focus();
                field.select();
            }
        }
        "n" => panel.act(Act::Next),
        "N" => panel.act(Act::Previous),
        "g" | "Home" => {
            page.following.set(false);
            paper.stand(0);
        }
        "G" | "End" => paper.to_end(),
        "j" => by(1.0),
        "k" => by(-1.0),
        " " if on_control => return false,
        " " => by(if shift { -2.0 } else { 2.0 }),
        "PageDown" => by(2.0),
        "PageUp" => by(-2.0),
        "e" => panel.act(Act::Error),
        "f" => panel.act(Act::Follow),
        "z" => panel.act(Act::FoldAll),
        "l" | "L" => {
            let at = page.found.with_untracked(super::Found::current).unwrap_or(paper.at());
            let range = match page.chosen.get_untracked().filter(|_| shift) {
                Some((from, to)) => (from.min(at), to.max(at)),
                None => (at, at),
            };
            hands::choose(page, range, false);
        }
        "c" => panel.act(Act::Copy),
        "t" => hands::change(panel, true),
        "w" => hands::change(panel, false),
        "m" => panel.act(Act::Full),
        "d" => press(".follow a[download]"),
        "?" => press("#log-keys-button"),
        "Escape" if is_full() => panel.act(Act::Full),
        _ => return false,
    }
    true
}

fn is_full() -> bool {
    document().query_selector("#log.full:not(:has(:popover-open))").is_ok_and(|f| f.is_some())
}

fn press(selector: &str) {
    let found = document().query_selector(selector).ok().flatten();
    if let Some(el) = found.and_then(|el| el.dyn_into::<HtmlElement>().ok()) {
        el.click();
    }
}

fn focus(panel: Panel) {
    if let Some(el) = panel.scroller.get_untracked() {
        let _ = el.focus();
    }
}
