//! Which line stands in which row: a folded part takes one row, whatever its length.
//!
//! Refuses to count line by line: it knows the folded ranges and what they leave out.

use std::collections::BTreeSet;

use domain::outline::{Kind, Section};

/// Rows of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    total: u64,
    /// Ranges of lines that are not shown, in order, apart; and how many are not shown before each.
    hidden: Vec<(u64, u64, u64)>,
}

impl Rows {
    /// Of a log with so many lines, of which these parts are folded, each named by its first line.
    pub fn new(total: u64, sections: &[Section], folded: &BTreeSet<u64>) -> Self {
        let mut hidden: Vec<(u64, u64, u64)> = Vec::new();
        let mut before = 0;
        for section in sections.iter().filter(|s| folded.contains(&s.first)) {
            let (from, to) = (section.first + 1, section.end.unwrap_or(total).min(total));
            match hidden.last_mut() {
                // Within one that is folded.
                Some((_, end, _)) if from <= *end => {
                    before += to.saturating_sub(*end);
                    *end = to.max(*end);
                }
                _ if from < to => {
                    hidden.push((from, to, before));
                    before += to - from;
                }
                _ => {}
            }
        }
        Self { total, hidden }
    }

    /// How many rows there are.
    pub fn count(&self) -> u64 {
        self.total - self.hidden.last().map_or(0, |(from, to, before)| before + to - from)
    }

    /// The line in a row.
    pub fn seq(&self, row: u64) -> u64 {
        let past = self.hidden.partition_point(|(from, _, before)| from - before <= row);
        row + past
            .checked_sub(1)
            .and_then(|i| self.hidden.get(i))
            .map_or(0, |(from, to, before)| before + to - from)
    }

    /// The row of a line; of one that is folded away, the row of what it is folded into.
    pub fn row(&self, seq: u64) -> u64 {
        let past = self.hidden.partition_point(|(from, _, _)| *from <= seq);
        match past.checked_sub(1).and_then(|i| self.hidden.get(i)) {
            None => seq,
            Some((from, to, before)) if seq < *to => from - 1 - before,
            Some((from, to, before)) => seq - (before + to - from),
        }
    }
}

/// Whether a part is folded when nobody has said anything: groups are, once they have ended.
pub fn folded_at_first(section: &Section) -> bool {
    section.kind == Kind::Group && section.end.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn section(first: u64, end: Option<u64>) -> Section {
        Section { kind: Kind::Group, first, end }
    }

    #[test]
    fn a_folded_part_is_one_row() {
        let sections = [section(2, Some(6)), section(3, Some(5)), section(8, None)];
        let rows = |folded: &[u64]| Rows::new(10, &sections, &folded.iter().copied().collect());
        assert_eq!(rows(&[]).count(), 10);
        let shown = |rows: &Rows| (0..rows.count()).map(|r| rows.seq(r)).collect::<Vec<_>>();
        assert_eq!(shown(&rows(&[3])), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
        assert_eq!(shown(&rows(&[2, 3])), [0, 1, 2, 6, 7, 8, 9]);
        assert_eq!(shown(&rows(&[2, 8])), [0, 1, 2, 6, 7, 8]);
        assert_eq!(rows(&[2]).row(4), 2);
        assert_eq!(rows(&[2]).row(6), 3);
    }

    proptest! {
        #[test]
        fn rows_and_lines_agree(parts in prop::collection::vec((0..100_u64, 1..30_u64, any::<bool>()), 0..8), total in 0..120_u64) {
            let mut parts = parts;
            parts.sort_unstable();
            let sections: Vec<_> = parts.iter().map(|(a, n, _)| section(*a, Some(a + n))).collect();
            let folded: BTreeSet<u64> = parts.iter().filter(|p| p.2).map(|p| p.0).collect();
            let rows = Rows::new(total, &sections, &folded);
            let is_hidden = |seq: u64| sections.iter().any(|s| folded.contains(&s.first) && s.first < seq && seq < s.end.unwrap_or(0));
            let shown: Vec<u64> = (0..total).filter(|s| !is_hidden(*s)).collect();
            prop_assert_eq!(rows.count(), shown.len() as u64);
            for (row, seq) in shown.iter().enumerate() {
                prop_assert_eq!(rows.seq(row as u64), *seq);
                prop_assert_eq!(rows.row(*seq), row as u64);
            }
            for seq in (0..total).filter(|s| is_hidden(*s)) {
                let header = shown.iter().rposition(|s| *s < seq).map(|r| r as u64);
                prop_assert_eq!(Some(rows.row(seq)), header);
            }
        }
    }
}
