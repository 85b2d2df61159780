//! The lines of the log that is shown, in batches that are drawn once and never touched again.
//!
//! Refuses to keep more rows than a page can carry: the oldest batches go, and a link leads back to them.

use std::{collections::VecDeque, sync::Arc};

use domain::{StageId, live::LogEvent, view::LogLine};

/// Rows that stay on the page.
pub const MOST_ROWS: usize = 5_000;
/// Lines that are drawn as one.
const BATCH: usize = 100;

/// Lines that are drawn together.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The lines, without holes.
    pub lines: Vec<LogLine>,
}

impl Chunk {
    /// Number of its first line.
    pub fn first(&self) -> u64 {
        self.lines.first().map_or(0, |l| l.seq)
    }
}

/// What adding lines came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// None of them was for this log, or new.
    Nothing,
    /// There are new lines.
    Lines,
    /// Lines are missing between what is shown and what came; nothing was added.
    Hole,
}

/// What is shown of which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// The stage.
    pub stage: StageId,
    /// Its attempt.
    pub attempt: u32,
    /// The lines.
    pub chunks: VecDeque<Arc<Chunk>>,
    /// The line that comes next.
    pub next: u64,
}

impl LogState {
    /// A log as the page brought it.
    pub fn new(stage: StageId, attempt: u32, lines: &[LogLine], next: u64) -> Self {
        let chunks = lines.chunks(BATCH).map(|c| Arc::new(Chunk { lines: c.to_vec() })).collect();
        Self { stage, attempt, chunks, next }
    }

    /// Number of the first line shown.
    pub fn first(&self) -> u64 {
        self.chunks.front().map_or(self.next, |c| c.first())
    }

    /// Adds what arrived, without doubling what is there and without leaving anything out.
    pub fn push(&mut self, events: Vec<LogEvent>) -> Pushed {
        let mut fresh: Vec<LogLine> = Vec::new();
        let next = self.next;
        for event in events.into_iter().filter(|e| e.stage == self.stage && e.attempt == self.attempt) {
            for line in event.lines {
                if line.seq > self.next {
                    self.next = next;
                    return Pushed::Hole;
                }
                if line.seq == self.next {
                    self.next += 1;
                    fresh.push(line);
                }
            }
        }
        if fresh.is_empty() {
            return Pushed::Nothing;
        }
        // Of a flood only the end is worth drawing.
        let skip = fresh.len().saturating_sub(MOST_ROWS);
        if skip > 0 {
            self.chunks.clear();
        }
        for lines in fresh[skip..].chunks(BATCH * 5) {
            self.chunks.push_back(Arc::new(Chunk { lines: lines.to_vec() }));
        }
        let mut rows: usize = self.chunks.iter().map(|c| c.lines.len()).sum();
        while rows > MOST_ROWS && self.chunks.len() > 1 {
            rows -= self.chunks.pop_front().map_or(0, |c| c.lines.len());
        }
        Pushed::Lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Timestamp, view::Stream};

    fn lines(from: u64, to: u64) -> Vec<LogLine> {
        (from..to)
            .map(|seq| LogLine { seq, at: Timestamp(0), stream: Stream::Stdout, text: String::new() })
            .collect()
    }

    fn event(from: u64, to: u64) -> LogEvent {
        LogEvent { stage: StageId::from_parts(0, 1), attempt: 1, lines: lines(from, to) }
    }

    #[test]
    fn overlap_is_not_doubled_and_strangers_are_ignored() {
        let mut log = LogState::new(StageId::from_parts(0, 1), 1, &lines(0, 5), 5);
        assert_eq!(log.push(vec![event(0, 5), LogEvent { attempt: 2, ..event(5, 9) }]), Pushed::Nothing);
        assert_eq!(log.push(vec![event(5, 6), event(7, 8)]), Pushed::Hole);
        assert_eq!(log.push(vec![event(3, 8), event(6, 10)]), Pushed::Lines);
        let seen: Vec<u64> = log.chunks.iter().flat_map(|c| c.lines.iter().map(|l| l.seq)).collect();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn the_oldest_rows_go() {
        let mut log = LogState::new(StageId::from_parts(0, 1), 1, &lines(0, 1000), 1000);
        for from in (1000..9000).step_by(50) {
            log.push(vec![event(from, from + 50)]);
        }
        let rows: usize = log.chunks.iter().map(|c| c.lines.len()).sum();
        assert!(rows <= MOST_ROWS, "{rows}");
        assert_eq!((log.first(), log.next), (4000, 9000));
    }

    #[test]
    fn a_flood_shows_its_end() {
        let mut log = LogState::new(StageId::from_parts(0, 1), 1, &[], 0);
        log.push(vec![event(0, 20_000)]);
        assert_eq!((log.first(), log.next), (15_000, 20_000));
    }
}
