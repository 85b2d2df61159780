//! What a search found: the matches around where one is, how many there are, and which one it is.
//!
//! Refuses to hold all of them: a window of a few thousand is enough to step through, the next comes from the server.

use serde::{Deserialize, Serialize};

use crate::text::words;

/// What was found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What was searched for.
    pub query: String,
    /// Whether it is a regular expression.
    pub regex: bool,
    /// Lines of the window, in order.
    pub seqs: Vec<u64>,
    /// Matches before the window.
    pub earlier: u64,
    /// Matches in all.
    pub total: u64,
    /// Where the window after this one begins.
    pub next: Option<u64>,
    /// The match one is at, in the window.
    pub at: usize,
    /// An answer is still to come.
    pub waits: bool,
    /// Something to say instead of a count.
    pub note: String,
}

/// Where the next match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// In the window.
    Here(usize),
    /// In the window that begins at a line; its first one.
    From(u64),
    /// In the window that ends before a line; its last one.
    Before(u64),
    /// Nowhere.
    None,
}

#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
impl Found {
    /// In words, for the bar.
    pub fn says(&self) -> String {
        match self {
            Found { note, .. } if !note.is_empty() => note.clone(),
            Found { query, .. } if query.is_empty() => String::new(),
            Found { waits: true, total: 0, .. } => "Searching".into(),
            Found { total: 0, .. } => "No match".into(),
            found => {
                let at = found.earlier + found.at as u64 + 1;
                format!("{} of {}", words::thousands(at), words::thousands(found.total))
            }
        }
    }

    /// The line one is at.
    pub fn current(&self) -> Option<u64> {
        self.seqs.get(self.at).copied()
    }

    /// The next match, or the previous one; past the end it goes on at the other.
    pub fn step(&self, forward: bool, lines: u64) -> Step {
        let (first, last) = (self.seqs.first(), self.seqs.len().checked_sub(1));
        match (first, last) {
            (Some(_), Some(last)) if forward && self.at < last => Step::Here(self.at + 1),
            (Some(_), Some(_)) if !forward && self.at > 0 => Step::Here(self.at - 1),
            (Some(_), Some(_)) if forward => match self.next {
                Some(next) => Step::From(next),
                None if self.earlier == 0 => Step::Here(0),
                None => Step::From(0),
            },
            (Some(first), Some(last)) => match (self.earlier, self.next) {
                (0, None) => Step::Here(last),
                (0, Some(_)) => Step::Before(lines),
                _ => Step::Before(*first),
            },
            _ => Step::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(seqs: &[u64], earlier: u64, total: u64, next: Option<u64>, at: usize) -> Found {
        Found { query: "x".into(), seqs: seqs.into(), earlier, total, next, at, ..Found::default() }
    }

    #[test]
    fn stepping_goes_round_and_from_window_to_window() {
        let whole = found(&[3, 5, 9], 0, 3, None, 2);
        assert_eq!((whole.step(true, 10), whole.step(false, 10)), (Step::Here(0), Step::Here(1)));
        let whole = Found { at: 0, ..whole };
        assert_eq!((whole.step(true, 10), whole.step(false, 10)), (Step::Here(1), Step::Here(2)));
        let middle = found(&[30, 40], 10, 100, Some(50), 1);
        assert_eq!(middle.step(true, 999), Step::From(50));
        assert_eq!(Found { at: 0, ..middle }.step(false, 999), Step::Before(30));
        assert_eq!(found(&[3, 5], 0, 9, Some(7), 0).step(false, 999), Step::Before(999));
        assert_eq!(found(&[90], 8, 9, None, 0).step(true, 999), Step::From(0));
        assert_eq!(found(&[], 0, 0, None, 0).step(true, 9), Step::None);
    }

    #[test]
    fn it_is_said_where_one_is() {
        assert_eq!(found(&[3, 5], 1_200, 5_000, None, 1).says(), "1,202 of 5,000");
        assert_eq!(found(&[], 0, 0, None, 0).says(), "No match");
        assert_eq!(Found::default().says(), "");
    }
}
