//! The handle: what the page asks of the paper, and what the paper asks of the server.

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

use domain::{
    StageId, Timestamp,
    live::LogEvent,
    outline::Outline,
    view::{LogLine, LogPage},
};
use leptos::{prelude::*, server_fn::ServerFn};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

use super::{draw::Inner, place::ROW, rows::Rows};
use crate::{
    api::{ReadLog, ReadLogOutline},
    live::{Lines, fetch},
};

/// Which log, and how the page shows where it is.
#[derive(Clone, Copy)]
pub struct Log {
    /// The stage.
    pub stage: StageId,
    /// The attempt.
    pub attempt: u32,
    /// When the attempt began, if the page knows; else the first line tells.
    pub start: Option<Timestamp>,
    /// The line to look at first.
    pub error: Option<u64>,
}

/// What the rest of the page is told.
#[derive(Clone, Copy)]
pub struct Tells {
    /// How many lines there are.
    pub total: RwSignal<u64>,
    /// Whether the end is followed.
    pub following: RwSignal<bool>,
    /// The lines that the address names.
    pub chosen: RwSignal<Option<(u64, u64)>>,
}

/// A handle; cheap to clone.
#[derive(Clone)]
pub struct Paper(Rc<RefCell<Inner>>);

impl Paper {
    /// Takes over what the server drew.
    pub fn new(scroller: HtmlElement, tells: Tells) -> Option<Self> {
        let roll: HtmlElement = scroller.query_selector(".roll").ok()??.dyn_into().ok()?;
        let sheet: HtmlElement = roll.first_element_child()?.dyn_into().ok()?;
        Some(Self(Rc::new(RefCell::new(Inner {
            log: None,
            tells,
            scroller,
            roll,
            sheet,
            lines: Lines::default(),
            outline: None,
            folded: BTreeSet::new(),
            touched: BTreeSet::new(),
            rows: Rows::default(),
            leaves: VecDeque::new(),
            version: 0,
            hits: Vec::new(),
            current: None,
            anchor: (0, 0.0, 0.0),
            top: 0.0,
            row: ROW,
            seen: 0.0,
            asking: false,
            settling: 0,
        }))))
    }

    /// Shows a log of which some lines are here already.
    pub fn open(&self, log: Option<Log>, total: u64, lines: Vec<LogLine>) {
        {
            let mut inner = self.0.borrow_mut();
            inner.log = log;
            inner.lines = Lines::of(total);
            inner.lines.put(lines);
            inner.outline = None;
            (inner.folded, inner.touched) = (BTreeSet::new(), BTreeSet::new());
            (inner.hits, inner.current) = (Vec::new(), None);
            inner.anchor = (0, 0.0, 0.0);
            inner.sheet.set_inner_html("");
            inner.leaves.clear();
            let _ = inner.scroller.class_list().add_1("paper");
            inner.recount();
        }
        // Of a log that has not begun nothing can be asked.
        if total > 0
            && let Some(log) = log
        {
            self.ask_for_outline();
            if log.start.is_none() {
                self.learn();
            }
        }
    }

    /// How many lines there are.
    pub fn total(&self) -> u64 {
        self.0.borrow().lines.total()
    }

    /// The line at the upper edge.
    pub fn at(&self) -> u64 {
        self.0.borrow().anchor.0
    }

    /// What is known of the log.
    pub fn log(&self) -> Option<Log> {
        self.0.borrow().log
    }

    /// The stage has said more about itself.
    pub fn know(&self, start: Option<Timestamp>, error: Option<u64>) {
        let mut inner = self.0.borrow_mut();
        let Some(log) = &mut inner.log else { return };
        let before = (log.start, log.error);
        log.start = start.or(log.start);
        log.error = error.or(log.error);
        if before != (log.start, log.error) {
            inner.redraw();
        }
    }

    /// Adds what the stream brought, and goes along if the end is followed.
    pub fn push(&self, events: Vec<LogEvent>) {
        {
            let mut inner = self.0.borrow_mut();
            let mut fresh = false;
            for event in events {
                let ours = inner.log.is_some_and(|l| l.stage == event.stage && l.attempt == event.attempt);
                if ours {
                    if let Some(outline) = &mut inner.outline {
                        event.lines.iter().for_each(|l| outline.see(l.seq, l.stream, &l.text));
                    }
                    fresh |= inner.lines.push(event);
                }
            }
            if !fresh {
                return;
            }
            inner.recount();
            let near = inner.anchor.0;
            if inner.tells.following.get_untracked() && !inner.is_pulled() {
                inner.show_end();
                let total = inner.lines.total();
                inner.lines.keep_near(total);
            } else {
                inner.draw(None);
                inner.lines.keep_near(near);
            }
        }
        self.ask();
    }

    /// Goes to the end.
    pub fn to_end(&self) {
        self.0.borrow_mut().show_end();
        self.ask();
    }

    /// Goes to a line: unfolds what it is in and puts it into the middle of what is seen.
    pub fn go(&self, seq: u64) {
        {
            let mut inner = self.0.borrow_mut();
            inner.tells.following.set(false);
            inner.unfold_around(seq);
            let half = (inner.middle() / ROW) as u64;
            let row = inner.rows.row(seq).saturating_sub(half);
            inner.draw(Some((row, 0.0, true)));
        }
        self.ask();
    }

    /// Puts a line at the upper edge.
    pub fn stand(&self, seq: u64) {
        {
            let mut inner = self.0.borrow_mut();
            inner.tells.following.set(false);
            let row = inner.rows.row(seq);
            inner.draw(Some((row, 0.0, true)));
        }
        self.ask();
    }

    /// Marks what a search found, and the line one is at.
    pub fn mark(&self, hits: Vec<u64>, current: Option<u64>) {
        let mut inner = self.0.borrow_mut();
        (inner.hits, inner.current) = (hits, current);
        inner.redraw();
    }

    /// Marks the lines that the address names.
    pub fn choose(&self, range: Option<(u64, u64)>) {
        let mut inner = self.0.borrow_mut();
        inner.tells.chosen.set(range);
        inner.redraw();
    }

    /// Folds or unfolds one part.
    pub fn toggle(&self, first: u64) {
        {
            let mut inner = self.0.borrow_mut();
            inner.touched.insert(first);
            if !inner.folded.remove(&first) {
                inner.folded.insert(first);
            }
            inner.fold();
        }
        self.ask();
    }

    /// Folds every part, or unfolds all when any is folded.
    pub fn toggle_all(&self) {
        {
            let mut inner = self.0.borrow_mut();
            let all: BTreeSet<u64> = inner.sections().iter().map(|s| s.first).collect();
            inner.folded = if inner.folded.is_empty() { all.clone() } else { BTreeSet::new() };
            inner.touched = all;
            inner.fold();
        }
        self.ask();
    }

    /// Lines are as high as they are now: the panel, the wrapping or the letters have changed.
    pub fn measure(&self) {
        {
            let mut inner = self.0.borrow_mut();
            if inner.tells.following.get_untracked() {
                inner.show_end();
            } else {
                inner.draw(None);
                inner.settle();
            }
        }
        self.ask();
    }

    /// Somebody scrolled, or the browser did. `grows` says whether lines may still come.
    pub fn scrolled(&self, grows: bool) {
        let mine = {
            let mut inner = self.0.borrow_mut();
            let top = f64::from(inner.scroller.scroll_top());
            let pulled = inner.is_pulled();
            inner.seen = top;
            inner.look(top);
            if pulled {
                inner.tells.following.set(false);
            } else if grows && inner.is_at_end() {
                inner.tells.following.set(true);
            }
            inner.settling += 1;
            inner.settling
        };
        self.ask();
        let paper = self.clone();
        let rest = move || {
            let mut inner = paper.0.borrow_mut();
            if inner.settling == mine {
                inner.settle();
                let near = inner.anchor.0;
                inner.lines.keep_near(near);
            }
        };
        set_timeout(rest, std::time::Duration::from_millis(160));
    }

    /// Asks the server for lines that are to be seen and not here, one question at a time.
    fn ask(&self) {
        let (log, from, limit) = {
            let mut inner = self.0.borrow_mut();
            let Some(log) = inner.log.filter(|_| !inner.asking) else { return };
            let Some((from, limit)) = inner.lines.missing(inner.wanted()) else { return };
            inner.asking = true;
            (log, from, limit)
        };
        let paper = self.clone();
        leptos::task::spawn_local(async move {
            let form = format!("stage={}&attempt={}&from={from}&limit={limit}", log.stage, log.attempt);
            let answer = fetch::function::<LogPage>(ReadLog::PATH, &form).await;
            let had = answer.is_some();
            {
                let mut inner = paper.0.borrow_mut();
                inner.asking = false;
                if let Some(page) = answer.filter(|_| inner.is_of(log)) {
                    inner.lines.grow(page.total);
                    inner.lines.put(page.lines);
                    inner.recount();
                    if inner.tells.following.get_untracked() { inner.show_end() } else { inner.draw(None) }
                }
            }
            if had {
                paper.ask();
            } else {
                // The server is away; what is missing is asked for until it is back.
                set_timeout(move || paper.ask(), std::time::Duration::from_secs(2));
            }
        });
    }

    /// Asks how many lines there are, and when the first was printed; whoever looked at the end does so afterwards.
    pub fn learn(&self) {
        let Some(log) = self.log() else { return };
        let paper = self.clone();
        leptos::task::spawn_local(async move {
            let form = format!("stage={}&attempt={}&from=0&limit=1", log.stage, log.attempt);
            let Some(page) = fetch::function::<LogPage>(ReadLog::PATH, &form).await else { return };
            {
                let mut inner = paper.0.borrow_mut();
                if !inner.is_of(log) {
                    return;
                }
                inner.begin(page.lines.first().map(|l| l.at));
                if page.total <= inner.lines.total() {
                    return;
                }
                let ended = inner.is_at_end();
                inner.lines.grow(page.total);
                inner.recount();
                if ended { inner.show_end() } else { inner.draw(None) }
            }
            paper.ask();
            paper.ask_for_outline();
        });
    }

    fn ask_for_outline(&self) {
        let Some(log) = self.log() else { return };
        let paper = self.clone();
        leptos::task::spawn_local(async move {
            let form = format!("stage={}&attempt={}", log.stage, log.attempt);
            let Some(mut outline) = fetch::function::<Outline>(ReadLogOutline::PATH, &form).await else {
                return;
            };
            let mut inner = paper.0.borrow_mut();
            if inner.is_of(log) {
                // Lines that came while it was on its way.
                let missed = outline.next..inner.lines.total();
                for line in missed.map_while(|seq| inner.lines.get(seq)) {
                    outline.see(line.seq, line.stream, &line.text);
                }
                inner.outline = Some(outline);
                inner.fold();
            }
        });
    }
}

/// The line that an element of the paper belongs to.
pub fn line_of(el: &Element) -> Option<u64> {
    let id = el.closest(".ln").ok()??.id();
    id.strip_prefix('L')?.parse::<u64>().ok()?.checked_sub(1)
}
