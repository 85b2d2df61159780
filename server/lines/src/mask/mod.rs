//! Secrets out of a stream of bytes, before anything is cut into lines or written anywhere; and out of lines that came already, in
//! case somebody sent them without looking.
//!
//! Every occurrence of a secret, in any of its usual spellings, becomes `******`; occurrences that overlap become one.
//! Only what may still become a secret is held back, so the result does not depend on how the stream was cut.
//! Refuses secrets under six characters: masking them would blank out ordinary words.

mod automaton;
mod spellings;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt,
    sync::{Arc, OnceLock},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use automaton::Automaton;
pub use domain::service::maskable;

pub use stream::Masker;

/// What stands in a secret's place.
pub const MASK: &str = "******";

/// The secrets of a stage, ready to be looked for; cheap to clone.
#[derive(Clone, Default)]
pub struct Masks(Option<Arc<Needles>>);

/// Needles of so many bytes together may become a dense table.
const DENSE: usize = 2 << 10;

/// Every spelling of every secret.
struct Needles {
    all: BTreeSet<Vec<u8>>,
    automaton: Automaton,
    longest: usize,
    quick: OnceLock<Option<AhoCorasick>>,
}

impl Needles {
    /// Tells quickly whether and where a long piece holds anything at all. Made when it is first of use.
    fn quick(&self) -> Option<&AhoCorasick> {
        let make = || {
            // The table of one long secret that repeats itself took twenty seconds, and tens of megabytes.
            let dense = self.all.iter().map(Vec::len).sum::<usize>() <= DENSE;
            let kind = if dense { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
            AhoCorasick::builder().kind(Some(kind)).build(&self.all).ok()
        };
        self.quick.get_or_init(make).as_ref()
    }
}

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masks({} needles)", self.0.as_ref().map_or(0, |needles| needles.all.len()))
    }
}

impl Masks {
    /// Looks for these values. Those that are too short are left out; see [`maskable`].
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self::default().with(secrets)
    }

    /// Looks for these values too.
    #[must_use]
    pub fn with<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = self.0.as_ref().map(|needles| needles.all.clone()).unwrap_or_default();
        let before = all.len();
        for secret in secrets.into_iter().filter(|s| maskable(s)) {
            spellings::of(secret, &mut all);
        }
        if all.len() == before {
            return self.clone();
        }
        let automaton = Automaton::new(all.iter().map(Vec::as_slice));
        let longest = all.iter().map(Vec::len).max().unwrap_or(0);
        Self(Some(Arc::new(Needles { all, automaton, longest, quick: OnceLock::new() })))
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether these are the very same.
    pub fn same(&self, other: &Masks) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
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

    /// Lines, masked, and none fewer than before: where a secret goes over a line's end, its part in each line is masked by itself.
    /// Nothing when there is nothing to mask.
    pub fn lines(&self, text: &[u8]) -> Option<Vec<u8>> {
        let needles = self.0.as_deref()?;
        if needles.quick().is_some_and(|quick| !quick.is_match(text)) {
            return None;
        }
        let covered = covered(&needles.automaton, text);
        let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
        for &(from, to) in &covered {
            out.extend_from_slice(&text[at..from]);
            let mut parts = text[from..to].split(|b| *b == b'\n');
            let mut part = parts.next();
            while let Some(some) = part {
                if !some.is_empty() {
                    out.extend_from_slice(MASK.as_bytes());
                }
                part = parts.next();
                if part.is_some() {
                    out.push(b'\n');
                }
            }
            at = to;
        }
        out.extend_from_slice(&text[at..]);
        (!covered.is_empty()).then_some(out)
    }

    /// A masker for one stream.
    pub fn stream(&self) -> Masker {
        Masker::new(self.clone())
    }
}

/// Every stretch that occurrences cover, from left to right; those that overlap are one.
fn covered(automaton: &Automaton, text: &[u8]) -> Vec<(usize, usize)> {
    let (mut state, mut found) = (0, Vec::<(usize, usize)>::new());
    for (at, &byte) in text.iter().enumerate() {
        state = automaton.next(state, byte);
        let Some(length) = automaton.ends(state) else { continue };
        let (mut from, to) = (at + 1 - length as usize, at + 1);
        while let Some((a, _)) = found.pop_if(|(_, b)| *b > from) {
            from = from.min(a);
        }
        found.push((from, to));
    }
    found
}
