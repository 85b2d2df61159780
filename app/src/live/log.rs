//! The lines of one log that a page holds: blocks around what is looked at, of a log of any length.
//!
//! Refuses to keep them all: blocks far from what is looked at go, and are asked for again when somebody looks there.

use std::{collections::BTreeMap, ops::Range};

use domain::{live::LogEvent, view::LogLine};

/// Lines of a block.
pub const BLOCK: u64 = 250;
/// Blocks that are kept.
const MOST: usize = 80;
/// Lines that are asked for at a time, at most.
const ASKED: u64 = 1_000;

/// Lines of a log, and how many it has.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// By number. Each holds lines without a hole, none of another block.
    blocks: BTreeMap<u64, Vec<LogLine>>,
    total: u64,
}

impl Lines {
    /// Of a log with so many lines, none of which is here.
    pub fn of(total: u64) -> Self {
        Self { blocks: BTreeMap::new(), total }
    }

    /// How many lines the log has, as far as is known.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The log has at least so many lines.
    pub fn grow(&mut self, total: u64) {
        self.total = self.total.max(total);
    }

    /// A line, if it is here.
    pub fn get(&self, seq: u64) -> Option<&LogLine> {
        let block = self.blocks.get(&(seq / BLOCK))?;
        block.get(usize::try_from(seq.checked_sub(block.first()?.seq)?).ok()?)
    }

    /// Takes in lines as the server sent them: in order, without a hole.
    pub fn put(&mut self, lines: Vec<LogLine>) {
        let mut lines = lines.into_iter().peekable();
        while let Some(first) = lines.peek().map(|l| l.seq) {
            let number = first / BLOCK;
            let mut fresh = Vec::new();
            while let Some(line) = lines.next_if(|l| l.seq / BLOCK == number) {
                self.total = self.total.max(line.seq + 1);
                fresh.push(line);
            }
            self.merge(number, fresh);
        }
    }

    /// Puts two runs of one block together where they touch; where they do not, the new one stays.
    fn merge(&mut self, number: u64, mut fresh: Vec<LogLine>) {
        let ends = |lines: &[LogLine]| Some((lines.first()?.seq, lines.last()?.seq + 1));
        let mut old = self.blocks.remove(&number).unwrap_or_default();
        if let (Some((a, b)), Some((from, to))) = (ends(&old), ends(&fresh))
            && a <= to
            && from <= b
        {
            let behind = old.split_off(old.len() - old.iter().rev().take_while(|l| l.seq >= to).count());
            old.retain(|l| l.seq < from);
            old.append(&mut fresh);
            old.extend(behind);
            fresh = old;
        }
        self.blocks.insert(number, fresh);
    }

    /// Adds what the stream brought; says whether anything of it was new.
    pub fn push(&mut self, event: LogEvent) -> bool {
        let before = self.total;
        let fresh: Vec<LogLine> = event.lines.into_iter().filter(|l| l.seq >= before).collect();
        self.put(fresh);
        self.total > before
    }

    /// Of these lines, what is to be asked for first: the number of the first line and how many.
    pub fn missing(&self, wanted: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
        let mut asked: Option<Range<u64>> = None;
        for seq in wanted.filter(|s| *s < self.total) {
            if asked.as_ref().is_some_and(|a| a.contains(&seq)) || self.get(seq).is_some() {
                continue;
            }
            let block = seq / BLOCK * BLOCK..(seq / BLOCK + 1) * BLOCK;
            asked = match asked {
                None => Some(block),
                Some(a) if block.end > a.start && block.end - a.start <= ASKED => Some(a.start..block.end),
                Some(_) => break,
            };
        }
        asked.map(|a| (a.start, a.end - a.start))
    }

    /// Lets go of blocks that are far from a line, when there are many.
    pub fn keep_near(&mut self, seq: u64) {
        while self.blocks.len() > MOST {
            let at = seq / BLOCK;
            let far = |block: Option<(&u64, _)>| block.map_or((0, 0), |(b, _)| (b.abs_diff(at), *b));
            let (first, last) = (far(self.blocks.first_key_value()), far(self.blocks.last_key_value()));
            self.blocks.remove(&first.max(last).1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{StageId, Timestamp, view::Stream};
    use proptest::prelude::*;

    fn lines(range: Range<u64>) -> Vec<LogLine> {
        range
            .map(|seq| LogLine { seq, at: Timestamp(0), stream: Stream::Stdout, text: seq.to_string() })
            .collect()
    }

    fn event(range: Range<u64>) -> LogEvent {
        LogEvent { stage: StageId::from_parts(0, 1), attempt: 1, lines: lines(range) }
    }

    #[test]
    fn what_is_missing_is_asked_for_in_whole_blocks() {
        let mut log = Lines::of(1_000_000);
        assert_eq!(log.missing(500_010..500_060), Some((500_000, 250)));
        assert_eq!(log.missing(499_900..500_060), Some((499_750, 500)));
        assert_eq!(log.missing([10, 20, 999_999].into_iter()), Some((0, 250)), "what is far comes next");
        log.put(lines(500_000..500_250));
        assert_eq!(log.missing(500_010..500_060), None);
        assert_eq!(log.missing(500_240..500_260), Some((500_250, 250)));
        assert_eq!(log.missing(999_990..1_000_050), Some((999_750, 250)));
        assert_eq!(log.get(500_123).map(|l| l.text.as_str()), Some("500123"));
        assert_eq!(log.get(500_250), None);
    }

    #[test]
    fn the_stream_adds_at_the_end_and_leaves_no_hole_unseen() {
        let mut log = Lines::of(300);
        assert!(!log.push(event(200..300)), "known already");
        assert!(log.push(event(290..310)));
        assert_eq!((log.total(), log.get(299).is_some(), log.get(305).is_some()), (310, false, true));
        assert_eq!(log.missing(295..310), Some((250, 250)));
        log.put(lines(250..308));
        assert_eq!(log.missing(250..310), None, "what the stream brought meanwhile is kept");
        assert!(log.push(event(400..410)), "lines in between are asked for when they are looked at");
        assert_eq!((log.total(), log.missing(380..410)), (410, Some((250, 250))));
    }

    #[test]
    fn memory_stays_bounded_near_what_is_looked_at() {
        let mut log = Lines::of(0);
        for from in (0..100_000).step_by(100) {
            log.push(event(from..from + 100));
            log.keep_near(log.total());
        }
        assert!(log.blocks.len() <= MOST);
        assert!(log.get(99_999).is_some() && log.get(0).is_none());
        log.put(lines(0..250));
        log.keep_near(100);
        assert!(log.get(100).is_some());
    }

    proptest! {
        #[test]
        fn a_line_is_what_it_was_or_is_asked_for(puts in prop::collection::vec((0..900_u64, 1..400_u64), 1..20)) {
            let mut log = Lines::of(1_000);
            for (from, count) in puts {
                log.put(lines(from..(from + count).min(1_000)));
            }
            for seq in 0..1_000 {
                match log.get(seq) {
                    Some(line) => prop_assert_eq!(line.seq, seq),
                    None => prop_assert!(log.missing(seq..seq + 1).is_some_and(|(from, n)| (from..from + n).contains(&seq))),
                }
            }
        }
    }
}
