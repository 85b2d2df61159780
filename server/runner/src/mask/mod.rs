//! Secrets out of a stream of bytes, before anything is cut into lines or written anywhere.
//!
//! Every occurrence of a secret, in any of its usual spellings, becomes `******`; occurrences that overlap become one.
//! Only what may still become a secret is held back, so the result does not depend on how the stream was cut.
//! Refuses secrets under six characters: masking them would blank out ordinary words.

mod automaton;
mod spellings;

use std::{
    borrow::Cow,
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use automaton::Automaton;
use domain::service::SHORTEST_SECRET;

/// What stands in a secret's place.
pub const MASK: &str = "******";

/// The secrets of a stage, ready to be looked for; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Masks(Option<Arc<Automaton>>);

impl Masks {
    /// Looks for these values. Those that are too short are left out; see [`Masks::maskable`].
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needles = BTreeSet::new();
        for secret in secrets.into_iter().filter(|s| Self::maskable(s)) {
            spellings::of(secret, &mut needles);
        }
        Self((!needles.is_empty()).then(|| Arc::new(Automaton::new(needles.iter().map(Vec::as_slice)))))
    }

    /// Whether a secret is long enough.
    pub fn maskable(secret: &str) -> bool {
        secret.trim().chars().count() >= SHORTEST_SECRET
    }

    /// A whole text, masked.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.0.is_none() {
            return Cow::Borrowed(text);
        }
        let (mut masker, mut out) = (self.stream(), Vec::new());
        masker.feed(text.as_bytes(), &mut out);
        masker.finish(&mut out);
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }

    /// A masker for one stream.
    pub fn stream(&self) -> Masker {
        Masker {
            automaton: self.0.clone(),
            state: 0,
            position: 0,
            held: VecDeque::new(),
            found: VecDeque::new(),
            masked_to: 0,
        }
    }
}

/// Masks one stream, piece by piece.
#[derive(Debug)]
pub struct Masker {
    automaton: Option<Arc<Automaton>>,
    state: u32,
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
    /// Takes bytes in; adds to `out` what is certain.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(automaton) = self.automaton.clone() else {
            out.extend_from_slice(bytes);
            return;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.state == 0 && self.held.is_empty() {
                let plain = rest.iter().position(|b| automaton.begins(*b)).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..plain]);
                self.position += plain as u64;
                rest = &rest[plain..];
            }
            let Some((&byte, after)) = rest.split_first() else { break };
            rest = after;
            self.held.push_back(byte);
            self.position += 1;
            self.state = automaton.next(self.state, byte);
            if let Some(length) = automaton.ends(self.state) {
                self.mark(self.position - u64::from(length));
            }
            self.release(self.position - u64::from(automaton.depth(self.state)), out);
        }
    }

    /// The stream has ended: what was held back is no secret any more.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(self.position, out);
        self.state = 0;
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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn cut(masks: &Masks, text: &[u8], cuts: &[usize]) -> Vec<u8> {
        let (mut masker, mut out, mut from) = (masks.stream(), Vec::new(), 0);
        for cut in cuts.iter().map(|c| c % (text.len() + 1)).collect::<BTreeSet<_>>() {
            masker.feed(&text[from..cut], &mut out);
            from = cut;
        }
        masker.feed(&text[from..], &mut out);
        masker.finish(&mut out);
        out
    }

    /// The meaning in its plainest form: cover every occurrence, then replace each covered stretch.
    fn plain(needles: &BTreeSet<Vec<u8>>, text: &[u8]) -> Vec<u8> {
        let mut found: Vec<(usize, usize)> = needles
            .iter()
            .flat_map(|n| {
                text.windows(n.len()).enumerate().filter(move |(_, w)| w == n).map(|(i, w)| (i, i + w.len()))
            })
            .collect();
        found.sort_unstable();
        let (mut out, mut at, mut rest) = (Vec::new(), 0, found.into_iter().peekable());
        while let Some((start, mut end)) = rest.next() {
            while let Some((_, e)) = rest.next_if(|(s, _)| *s < end) {
                end = end.max(e);
            }
            out.extend_from_slice(&text[at..start]);
            out.extend_from_slice(MASK.as_bytes());
            at = end;
        }
        out.extend_from_slice(&text[at..]);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn any_cut_gives_the_same(
            secrets in prop::collection::vec("[ab\n]{6,12}|[ab]{6}|abababab", 1..5),
            text in "[ab\nc]{0,200}",
            cuts in prop::collection::vec(any::<usize>(), 0..40),
        ) {
            let masks = Masks::new(secrets.iter().map(String::as_str));
            let mut needles = BTreeSet::new();
            for secret in secrets.iter().filter(|s| Masks::maskable(s)) {
                spellings::of(secret, &mut needles);
            }
            let expected = plain(&needles, text.as_bytes());
            prop_assert_eq!(&cut(&masks, text.as_bytes(), &[]), &expected);
            prop_assert_eq!(&cut(&masks, text.as_bytes(), &cuts), &expected);
        }
    }

    #[test]
    fn only_what_may_become_a_secret_waits() {
        let (mut masker, mut out) = (Masks::new(["s3cret-value"]).stream(), Vec::new());
        masker.feed(b"hello s3cre", &mut out);
        assert_eq!(out, b"hello ");
        masker.feed(b"\n", &mut out);
        assert_eq!(out, b"hello s3cre\n", "a line's end lets everything go");
        masker.feed(b"s3cret-value", &mut out);
        assert_eq!(out, b"hello s3cre\n******");
    }

    #[test]
    fn a_secret_over_several_lines_is_one() {
        let masks = Masks::new(["{\n  \"key\": 1\n}\n"]);
        assert_eq!(masks.text("a {\n  \"key\": 1\n} b {\n}"), "a ****** b {\n}");
    }

    #[test]
    fn memory_stays_bounded_within_one_long_mask() {
        let (mut masker, mut out) = (Masks::new(["aaaaaa"]).stream(), Vec::new());
        for _ in 0..1000 {
            masker.feed(&[b'a'; 1000], &mut out);
            assert!(masker.held.len() <= 8);
        }
        masker.finish(&mut out);
        assert_eq!(out, MASK.as_bytes());
    }

    #[test]
    fn short_ones_are_refused() {
        assert_eq!(Masks::new(["abc", "      "]).text("abc       abc"), "abc       abc");
    }
}
