//! Masks one stream, piece by piece. Secrets may be added while it runs.

use std::collections::VecDeque;

use super::{MASK, Masks, Needles};

/// A piece shorter than this is not looked through beforehand.
const LONG: usize = 512;

/// Masks one stream.
#[derive(Debug)]
pub struct Masker {
    /// What is looked for, and how much of it is under way. More than one only for as long as something that began before secrets
    /// were added may still become one of those that were known then; the last knows all.
    lanes: Vec<(Masks, u32)>,
    /// Bytes that came in.
    position: u64,
    /// The last of them, not yet given out.
    held: VecDeque<u8>,
    /// Occurrences from left to right that do not overlap, not yet given out.
    found: VecDeque<(u64, u64)>,
    /// Up to here everything is covered by a mask that was given out.
    masked_to: u64,
}

impl Masker {
    pub(super) fn new(masks: Masks) -> Self {
        let lanes = vec![(masks, 0)];
        Self { lanes, position: 0, held: VecDeque::new(), found: VecDeque::new(), masked_to: 0 }
    }

    /// Looks for these from here on. They must be those before, and more.
    pub fn follow(&mut self, masks: &Masks) {
        if self.lanes.last().is_some_and(|(known, _)| known.same(masks)) {
            return;
        }
        self.lanes.push((masks.clone(), 0));
        self.retire();
    }

    /// Lets go of what was looked for once nothing of it is under way.
    fn retire(&mut self) {
        let last = self.lanes.len() - 1;
        let mut lane = 0;
        self.lanes.retain(|(_, state)| {
            lane += 1;
            *state != 0 || lane > last
        });
    }

    /// Takes bytes in; adds to `out` what is certain.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            // Step by step as far as something may be; everything before it at once.
            let mut closely = rest.len();
            if self.idle() {
                let [(masks, _)] = &self.lanes[..] else { return };
                let Some(needles) = masks.0.as_deref() else {
                    out.extend_from_slice(rest);
                    self.position += rest.len() as u64;
                    return;
                };
                let (plain, to) = ahead(needles, rest);
                out.extend_from_slice(&rest[..plain]);
                self.position += plain as u64;
                (rest, closely) = (&rest[plain..], to - plain);
            }
            let (now, later) = rest.split_at(closely.min(rest.len()));
            let mut now = now;
            while let Some((&byte, after)) = now.split_first() {
                if self.idle() && self.begins_nothing(byte) {
                    out.push(byte);
                    self.position += 1;
                } else {
                    self.step(byte, out);
                }
                now = after;
            }
            rest = later;
            // What is still under way is followed to its end before anything is skipped again.
            while !self.idle() {
                let Some((&byte, after)) = rest.split_first() else { return };
                self.step(byte, out);
                rest = after;
            }
        }
    }

    fn idle(&self) -> bool {
        self.held.is_empty() && self.lanes.len() == 1 && self.lanes[0].1 == 0
    }

    fn begins_nothing(&self, byte: u8) -> bool {
        self.lanes.iter().all(|(masks, _)| masks.0.as_ref().is_none_or(|n| !n.automaton.begins(byte)))
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.held.push_back(byte);
        self.position += 1;
        let (mut ends, mut depth) = (0, 0);
        for (masks, state) in &mut self.lanes {
            let Some(needles) = masks.0.as_deref() else { continue };
            *state = needles.automaton.next(*state, byte);
            ends = ends.max(needles.automaton.ends(*state).unwrap_or(0));
            depth = depth.max(needles.automaton.depth(*state));
        }
        if ends > 0 {
            self.mark(self.position - u64::from(ends));
        }
        self.release(self.position - u64::from(depth), out);
        if self.lanes.len() > 1 {
            self.retire();
        }
    }

    /// The stream has ended: what was held back is no secret any more.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(self.position, out);
        self.lanes.iter_mut().for_each(|(_, state)| *state = 0);
        self.retire();
    }

    /// An occurrence that starts at `start` and ends here.
    fn mark(&mut self, mut start: u64) {
        if start < self.masked_to {
            self.found.clear();
            self.masked_to = self.position;
            return;
        }
        while let Some(&(a, b)) = self.found.back() {
            if b <= start {
                break;
            }
            start = start.min(a);
            self.found.pop_back();
        }
        self.found.push_back((start, self.position));
    }

    /// Gives out what no later occurrence can begin in: everything before `frontier`.
    fn release(&mut self, frontier: u64, out: &mut Vec<u8>) {
        loop {
            let base = self.position - self.held.len() as u64;
            if base < self.masked_to {
                self.held.drain(..self.length(self.masked_to - base));
            }
            let base = self.position - self.held.len() as u64;
            let occurrence = self.found.front().copied().filter(|(start, _)| *start <= frontier);
            let plain_to = occurrence.map_or(frontier, |(start, _)| start).max(base);
            out.extend(self.held.drain(..self.length(plain_to - base)));
            let Some((_, end)) = occurrence else { return };
            out.extend_from_slice(MASK.as_bytes());
            self.found.pop_front();
            self.masked_to = end;
        }
    }

    fn length(&self, bytes: u64) -> usize {
        usize::try_from(bytes).map_or(self.held.len(), |n| n.min(self.held.len()))
    }

    /// Bytes that are held back.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.held.len()
    }
}

/// How much of a piece, looked at from a state in which nothing is under way, holds nothing and begins nothing; and how far it has to
/// be looked at closely.
fn ahead(needles: &Needles, bytes: &[u8]) -> (usize, usize) {
    if bytes.len() < LONG.max(2 * needles.longest) {
        return (0, bytes.len());
    }
    let Some(quick) = needles.quick() else { return (0, bytes.len()) };
    match quick.find(bytes) {
        // It is the first to end; what else overlaps it began no earlier than this.
        Some(first) => (first.end().saturating_sub(needles.longest), first.end()),
        None => (bytes.len() - (needles.longest - 1), bytes.len()),
    }
}
