//! Drawing: leaves of rows in a sheet that is moved through the scrolled height.

use std::collections::{BTreeSet, VecDeque};

use domain::{
    Timestamp,
    outline::{Outline, Section},
};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use super::{
    place::{Place, ROW},
    rows::{Rows, folded_at_first},
    sheet::{Log, Tells},
};
use crate::{live::Lines, text::line};

/// Rows of a leaf.
const LEAF: u64 = 50;
/// Rows that are drawn beyond what is seen, on both sides.
const BEYOND: u64 = 60;
/// Leaves that stay, on both sides, though they are farther away.
const STAY: u64 = 8;
/// Nearer to the end than this counts as being there.
const NEAR: f64 = 24.0;

pub(super) struct Leaf {
    pub(super) first: u64,
    pub(super) el: HtmlElement,
    /// Rows, rows whose line is here, and the version of what marks them.
    pub(super) stamp: (u64, u64, u32),
}

pub(super) struct Inner {
    pub(super) log: Option<Log>,
    pub(super) tells: Tells,
    pub(super) scroller: HtmlElement,
    pub(super) roll: HtmlElement,
    pub(super) sheet: HtmlElement,
    pub(super) lines: Lines,
    pub(super) outline: Option<Outline>,
    pub(super) folded: BTreeSet<u64>,
    /// Parts that a person folded or unfolded: they stay so.
    pub(super) touched: BTreeSet<u64>,
    pub(super) rows: Rows,
    pub(super) leaves: VecDeque<Leaf>,
    pub(super) version: u32,
    pub(super) hits: Vec<u64>,
    pub(super) current: Option<u64>,
    /// The line at the upper edge, how many pixels of it are above, and where it lies in the sheet.
    pub(super) anchor: (u64, f64, f64),
    /// Where the sheet lies.
    pub(super) top: f64,
    /// Average height of a row.
    pub(super) row: f64,
    pub(super) seen: f64,
    pub(super) asking: bool,
    pub(super) settling: u32,
}

impl Inner {
    pub(super) fn is_of(&self, log: Log) -> bool {
        self.log.is_some_and(|l| l.stage == log.stage && l.attempt == log.attempt)
    }

    pub(super) fn view(&self) -> f64 {
        f64::from(self.scroller.client_height())
    }

    /// The middle of what the window shows of the panel, from the panel's upper edge. A panel that is as good as out of sight is brought in.
    pub(super) fn middle(&self) -> f64 {
        let window = window().inner_height().ok().and_then(|h| h.as_f64()).unwrap_or(f64::MAX);
        let seen = || {
            let top = self.scroller.get_bounding_client_rect().top();
            ((-top).max(0.0), (window - top).min(self.view()))
        };
        let (mut from, mut to) = seen();
        if to - from < 8.0 * ROW {
            self.scroller.scroll_into_view();
            (from, to) = seen();
        }
        f64::midpoint(from, to).max(0.0)
    }

    pub(super) fn place(&self) -> Place {
        Place { rows: self.rows.count(), view: self.view(), row: self.row }
    }

    pub(super) fn sections(&self) -> &[Section] {
        self.outline.as_ref().map_or(&[], |o| &o.sections)
    }

    /// Which rows there are, after lines came or something was folded.
    pub(super) fn recount(&mut self) {
        let (error, touched) = (self.log.and_then(|l| l.error), &self.touched);
        let holds_error = |s: &Section| error.is_some_and(|e| s.first < e && e < s.end.unwrap_or(u64::MAX));
        let by_itself: Vec<u64> = self
            .sections()
            .iter()
            .filter(|s| folded_at_first(s) && !touched.contains(&s.first) && !holds_error(s))
            .map(|s| s.first)
            .collect();
        self.folded.extend(by_itself);
        let total = self.lines.total();
        self.rows = Rows::new(total, self.sections(), &self.folded);
        if self.tells.total.get_untracked() != total {
            self.tells.total.set(total);
        }
    }

    pub(super) fn fold(&mut self) {
        self.recount();
        self.leaves.clear();
        self.sheet.set_inner_html("");
        if self.tells.following.get_untracked() {
            self.show_end();
        } else {
            let row = self.rows.row(self.anchor.0);
            let off = if self.rows.seq(row) == self.anchor.0 { self.anchor.1 } else { 0.0 };
            self.draw(Some((row, off, true)));
        }
    }

    pub(super) fn unfold_around(&mut self, seq: u64) {
        let total = self.lines.total();
        let holds = |s: &&Section| s.first < seq && seq < s.end.unwrap_or(total);
        let around: Vec<u64> = self.sections().iter().filter(holds).map(|s| s.first).collect();
        for first in around {
            self.touched.insert(first);
            if self.folded.remove(&first) {
                self.leaves.clear();
                self.sheet.set_inner_html("");
            }
        }
        self.recount();
    }

    /// The first line was printed then: times are told from it, unless it is known when the attempt began.
    pub(super) fn begin(&mut self, at: Option<Timestamp>) {
        if let (Some(log), Some(_)) = (self.log.as_mut().filter(|l| l.start.is_none()), at) {
            log.start = at;
            self.redraw();
        }
    }

    /// Draws rows again because their marks changed.
    pub(super) fn redraw(&mut self) {
        self.version += 1;
        self.draw(None);
    }

    /// Rows that are to be seen soon, those that are seen first.
    pub(super) fn wanted(&self) -> impl Iterator<Item = u64> + '_ {
        let (row, count) = (self.rows.row(self.anchor.0), self.rows.count());
        let seen = (self.view() / ROW) as u64 + 2;
        let (from, to) = (row.saturating_sub(BEYOND / 2), (row + seen + BEYOND / 2).min(count));
        (row.min(to)..to).chain(from..row.min(count)).map(|row| self.rows.seq(row))
    }

    pub(super) fn show_end(&mut self) {
        let last = self.rows.count().saturating_sub(1);
        let seen = (self.view() / ROW) as u64;
        self.draw(Some((last.saturating_sub(seen), 0.0, true)));
        let end = self.height();
        self.scroller.set_scroll_top(end as i32);
        self.seen = f64::from(self.scroller.scroll_top());
        self.find_anchor(self.seen);
    }

    pub(super) fn is_at_end(&self) -> bool {
        let last = self.leaves.back().is_some_and(|l| l.first + l.stamp.0 >= self.rows.count());
        last && f64::from(self.scroller.scroll_top()) + self.view() > self.height() - NEAR
    }

    /// Somebody has scrolled up, if only by a pixel, and the page has not yet taken note. What a higher panel or a shorter roll moves
    /// stays at the end.
    pub(super) fn is_pulled(&self) -> bool {
        let top = f64::from(self.scroller.scroll_top());
        top < self.seen - 1.0 && top + self.view() < f64::from(self.scroller.scroll_height()) - 1.0
    }

    /// What is looked at now, at this scroll position.
    pub(super) fn look(&mut self, top: f64) {
        let y = top - self.top;
        if self.leaves.is_empty() || y + self.view() <= 0.0 || y >= f64::from(self.sheet.offset_height()) {
            // Far from what is drawn: the scroll bar was dragged.
            let (row, off) = self.place().at(top);
            return self.draw(Some((row, off, false)));
        }
        self.find_anchor(top);
        self.draw(None);
        let ends = top < 1.0 && self.top < 0.0 || top + self.view() > self.height() - 1.0;
        if ends {
            self.settle();
        }
    }

    pub(super) fn find_anchor(&mut self, top: f64) {
        let y = (top - self.top).max(0.0);
        let at = self.leaves.partition_point(|l| f64::from(l.el.offset_top()) <= y).saturating_sub(1);
        let Some(leaf) = self.leaves.get(at) else { return };
        let inside = y - f64::from(leaf.el.offset_top());
        let rows = leaf.el.children();
        let mut found = (leaf.first, 0.0);
        for i in 0..rows.length() {
            let Some(el) = rows.item(i).and_then(|el| el.dyn_into::<HtmlElement>().ok()) else { break };
            let from = f64::from(el.offset_top() - leaf.el.offset_top());
            if from > inside {
                break;
            }
            found = (leaf.first + u64::from(i), inside - from);
        }
        let (row, off) = found;
        self.anchor = (self.rows.seq(row), off, y - off);
    }

    /// Where a row that is drawn lies in the sheet.
    pub(super) fn y(&self, row: u64) -> Option<f64> {
        let leaf = self.leaves.iter().find(|l| l.first <= row && row < l.first + l.stamp.0)?;
        let el: HtmlElement = leaf.el.children().item((row - leaf.first) as u32)?.dyn_into().ok()?;
        Some(f64::from(el.offset_top()))
    }

    /// Draws what is around the anchor, or around another row. With a third word, the scroll bar goes there as well.
    pub(super) fn draw(&mut self, to: Option<(u64, f64, bool)>) {
        let count = self.rows.count();
        let (row, off) = to.map_or((self.rows.row(self.anchor.0), self.anchor.1), |(row, off, _)| (row, off));
        let row = row.min(count.saturating_sub(1));
        let seen = (self.view() / ROW) as u64 + 1;
        let low = row.saturating_sub(BEYOND) / LEAF;
        let high = ((row + seen + BEYOND).min(count.saturating_sub(1))) / LEAF;
        self.turn(low, high, count);
        self.measure_rows();
        let _ = self.roll.style().set_property("height", &format!("{}px", self.height()));
        let y = self.y(row).unwrap_or(0.0);
        match to {
            None => self.top += self.anchor.2 - y,
            Some((_, _, bar)) => {
                let top =
                    if bar { self.place().top(row, off) } else { f64::from(self.scroller.scroll_top()) };
                self.top = top - y - off;
                self.lay();
                if bar {
                    self.scroller.set_scroll_top(top as i32);
                }
            }
        }
        self.anchor = (self.rows.seq(row), off, y);
        self.pin();
        self.lay();
        if to.is_some() {
            self.seen = f64::from(self.scroller.scroll_top());
            self.find_anchor(self.seen);
        }
    }

    /// Has the leaves from one number up to another, and those near that are there already.
    pub(super) fn turn(&mut self, low: u64, high: u64, count: u64) {
        let near = low.saturating_sub(STAY)..=high + STAY;
        let touches = self.leaves.front().is_some_and(|l| l.first / LEAF <= high + 1)
            && self.leaves.back().is_some_and(|l| l.first / LEAF + 1 >= low);
        let (sheet, leaves) = (&self.sheet, &mut self.leaves);
        leaves.retain(|leaf| {
            let stays = touches && near.contains(&(leaf.first / LEAF)) && leaf.first < count;
            if !stays {
                leaf.el.remove();
            }
            stays
        });
        if count == 0 {
            return;
        }
        let blank = |number: u64| {
            let el: HtmlElement = document().create_element("div").ok()?.dyn_into().ok()?;
            Some(Leaf { first: number * LEAF, el, stamp: (0, 0, 0) })
        };
        let first = leaves.front().map_or(high + 1, |l| l.first / LEAF);
        for number in (low..first.min(high + 1)).rev() {
            let Some(leaf) = blank(number) else { return };
            let _ = sheet.insert_before(&leaf.el, sheet.first_child().as_ref());
            leaves.push_front(leaf);
        }
        let next = leaves.back().map_or(low, |l| l.first / LEAF + 1);
        for number in next..=high {
            let Some(leaf) = blank(number) else { return };
            let _ = sheet.append_child(&leaf.el);
            leaves.push_back(leaf);
        }
        let mut leaves = std::mem::take(&mut self.leaves);
        for leaf in &mut leaves {
            self.write(leaf, count);
        }
        self.leaves = leaves;
    }

    /// Writes a leaf's rows, unless they stand there already.
    pub(super) fn write(&self, leaf: &mut Leaf, count: u64) {
        let rows = leaf.first..(leaf.first + LEAF).min(count);
        let here = rows.clone().filter(|r| self.lines.get(self.rows.seq(*r)).is_some()).count() as u64;
        let stamp = (rows.end - rows.start, here, self.version);
        if leaf.stamp == stamp {
            return;
        }
        let total = self.lines.total();
        let fold = |seq: u64| {
            let at = self.sections().binary_search_by_key(&seq, |s| s.first).ok()?;
            let lines = self.sections()[at].end.unwrap_or(total).saturating_sub(seq + 1);
            (lines > 0).then(|| (self.folded.contains(&seq), lines))
        };
        let log = self.log;
        let marks = line::Marks {
            start: log.and_then(|l| l.start).unwrap_or(Timestamp(0)),
            error: log.and_then(|l| l.error),
            hits: &self.hits,
            current: self.current,
            chosen: self.tells.chosen.get_untracked(),
            fold: &fold,
        };
        let mut html = String::new();
        for row in rows {
            let seq = self.rows.seq(row);
            match self.lines.get(seq) {
                Some(line) => line::one(line, &marks, &mut html),
                None => line::blank(seq, &mut html),
            }
        }
        leaf.el.set_inner_html(&html);
        leaf.stamp = stamp;
    }

    pub(super) fn drawn(&self) -> u64 {
        self.leaves.iter().map(|l| l.stamp.0).sum()
    }

    /// How high rows are on average, told by those that are drawn.
    pub(super) fn measure_rows(&mut self) {
        let (drawn, height) = (self.drawn(), f64::from(self.sheet.offset_height()));
        if drawn > 0 {
            let row = (height / drawn as f64).max(ROW);
            // Small changes are not worth a scroll bar that moves.
            if (row - self.row).abs() > self.row * 0.2 || row == ROW {
                self.row = row;
            }
        }
    }

    /// The height that is scrolled: never less than what is drawn and what is certainly not.
    pub(super) fn height(&self) -> f64 {
        let (drawn, count) = (self.drawn(), self.rows.count());
        let sheet = f64::from(self.sheet.offset_height());
        if drawn == count {
            return sheet;
        }
        self.place().height().max(sheet + ((count - drawn) as f64).min(100.0) * ROW)
    }

    /// The first row lies at the beginning and the last one at the end: sheet and scroll bar move together, nothing is seen to.
    pub(super) fn pin(&mut self) {
        let (Some(first), Some(last)) = (self.leaves.front(), self.leaves.back()) else { return };
        let ends = last.first + last.stamp.0 >= self.rows.count();
        let want = if first.first == 0 {
            0.0
        } else if ends {
            self.height() - f64::from(self.sheet.offset_height())
        } else {
            return;
        };
        self.shift(want - self.top);
    }

    pub(super) fn shift(&mut self, by: f64) {
        if by.abs() >= 1.0 {
            let top = f64::from(self.scroller.scroll_top());
            self.top += by;
            self.lay();
            self.scroller.set_scroll_top((top + by).round() as i32);
            self.seen = f64::from(self.scroller.scroll_top());
        } else {
            self.top += by;
        }
    }

    pub(super) fn lay(&self) {
        let _ = self.sheet.style().set_property("top", &format!("{}px", self.top));
    }

    /// Brings the scroll bar to where it should be for what is looked at.
    pub(super) fn settle(&mut self) {
        let row = self.rows.row(self.anchor.0);
        let Some(y) = self.y(row) else { return };
        let (off, sheet) = (self.anchor.1, f64::from(self.sheet.offset_height()));
        let first = self.leaves.front().is_some_and(|l| l.first == 0);
        let last = self.leaves.back().is_some_and(|l| l.first + l.stamp.0 >= self.rows.count());
        if first || last {
            return self.pin();
        }
        let most = (self.height() - sheet + y + off).max(y + off);
        let want = self.place().top(row, off).clamp(y + off, most);
        self.shift(want - y - off - self.top);
    }
}
