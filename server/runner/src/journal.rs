//! What becomes of lines between the child and the spool: the cap, its tail, and what to do on a full disk.
//!
//! Refuses to lose a line without saying so.

use std::{collections::VecDeque, io};

use domain::{protocol::NewLine, view::Stream};

use crate::{sink::now, spool::Spool};

/// Text that a stage may log.
const MOST_BYTES: u64 = 1 << 30;
/// Lines that a stage may log.
const MOST_LINES: u64 = 10_000_000;
/// Of what comes after, so many last lines are kept.
const TAIL_LINES: usize = 1000;
/// Of what comes after, so much text is kept.
const TAIL_BYTES: usize = 256 << 10;
/// Our own lines that wait in memory for room on the disk.
const MOST_LATE: usize = 200;

/// A stage's log on this side.
#[derive(Debug)]
pub(crate) struct Journal {
    pub spool: Spool,
    /// What the server has.
    pub acknowledged: u64,
    /// Whether the server answers.
    pub reachable: bool,
    /// No more will come.
    pub closed: bool,
    /// Whether the disk was ever full.
    pub no_space: bool,
    most: (u64, u64),
    bytes: u64,
    full: bool,
    tail: VecDeque<NewLine>,
    tail_bytes: usize,
    left_out: u64,
    late: Vec<NewLine>,
}

impl Journal {
    /// A journal over an empty spool, with the usual cap.
    pub fn new(spool: Spool) -> Self {
        Self::capped(spool, MOST_LINES, MOST_BYTES)
    }

    /// With a cap of one's own.
    pub fn capped(spool: Spool, lines: u64, bytes: u64) -> Self {
        Self {
            spool,
            acknowledged: 0,
            reachable: true,
            closed: false,
            no_space: false,
            most: (lines, bytes),
            bytes: 0,
            full: false,
            tail: VecDeque::new(),
            tail_bytes: 0,
            left_out: 0,
            late: Vec::new(),
        }
    }

    /// Takes lines of a child in: all of them, or none when the disk is full.
    pub fn add(&mut self, lines: &[NewLine]) -> io::Result<()> {
        let size: u64 = lines.iter().map(|l| l.text.len() as u64).sum();
        if !self.full
            && (self.spool.next() + lines.len() as u64 > self.most.0 || self.bytes + size > self.most.1)
        {
            self.full = true;
            let (lines, mib) = (self.most.0, self.most.1 >> 20);
            self.say(&format!(
                "this log is full ({lines} lines or {mib} MiB): of what follows, only the last {TAIL_LINES} lines are kept"
            ));
        }
        if self.full {
            lines.iter().for_each(|line| self.keep_last(line));
            return Ok(());
        }
        self.append(lines)?;
        self.bytes += size;
        Ok(())
    }

    /// Takes lines of ours in, cap or not; on a full disk they wait for room.
    pub fn add_own(&mut self, lines: Vec<NewLine>) {
        if self.append(&lines).is_err() && self.late.len() < MOST_LATE {
            self.late.extend(lines);
        }
    }

    fn say(&mut self, text: &str) {
        self.add_own(vec![NewLine { at: now(), stream: Stream::System, text: text.to_owned() }]);
    }

    /// What waits goes first, so that the order stays.
    fn append(&mut self, lines: &[NewLine]) -> io::Result<()> {
        let written = match self.late.is_empty() {
            true => Ok(0),
            false => self.spool.append(&self.late).inspect(|_| self.late.clear()),
        };
        match written.and_then(|_| self.spool.append(lines)) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.no_space |=
                    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                Err(error)
            }
        }
    }

    /// Lines of ours that still wait for room, when everything before `next` is sent: they may go past the disk.
    pub fn beside(&self, next: u64) -> Option<Vec<NewLine>> {
        (self.spool.next() == next && !self.late.is_empty()).then(|| self.late.clone())
    }

    /// So many of them, from number `first` on, went past the disk; unless there was room meanwhile, and they lie in the
    /// spool under the same numbers.
    pub fn passed(&mut self, first: u64, count: usize) {
        if self.spool.next() == first && count <= self.late.len() {
            self.late.drain(..count);
            self.spool.skip(count as u64);
        }
    }

    /// Tries again to write what waits for room.
    pub fn settle(&mut self) {
        let _ = self.append(&[]); // it stays where it is
    }

    fn keep_last(&mut self, line: &NewLine) {
        self.tail_bytes += line.text.len();
        self.tail.push_back(line.clone());
        while self.tail.len() > TAIL_LINES || self.tail_bytes > TAIL_BYTES {
            let Some(old) = self.tail.pop_front() else { break };
            self.tail_bytes -= old.text.len();
            self.left_out += 1;
        }
    }

    /// No more will come: what the cap left out is counted, and the last lines follow.
    pub fn close(&mut self) {
        if self.left_out > 0 {
            self.say(&format!("{} lines were left out here", self.left_out));
        }
        let tail: Vec<_> = std::mem::take(&mut self.tail).into();
        if !tail.is_empty() {
            self.add_own(tail);
        }
        self.closed = true;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn past_the_cap_the_last_lines_stay_and_the_rest_is_counted() {
        let mut journal = Journal::capped(Spool::unnamed().unwrap(), 10, 1 << 20);
        for i in 0..5000 {
            let line = NewLine { at: now(), stream: Stream::Stdout, text: i.to_string() };
            journal.add(&[line]).unwrap();
        }
        journal.close();
        let texts: Vec<_> =
            journal.spool.read(0, 9999, 1 << 20).unwrap().into_iter().map(|l| l.text).collect();
        assert_eq!(texts.len(), 10 + 2 + 1000);
        assert_eq!(texts[9], "9");
        assert!(texts[10].starts_with("this log is full (10 lines"), "{}", texts[10]);
        assert_eq!(texts[11], "3990 lines were left out here");
        assert_eq!((texts[12].as_str(), texts.last().unwrap().as_str()), ("4000", "4999"));
    }

    #[test]
    fn a_full_disk_loses_no_line_of_ours() {
        let mut journal = Journal::new(Spool::create(std::path::Path::new("/dev/full")).unwrap());
        let line = |text: &str| NewLine { at: now(), stream: Stream::System, text: text.to_owned() };
        assert!(journal.add(&[line("child")]).is_err());
        journal.add_own(vec![line("one")]);
        journal.add_own(vec![line("two")]);
        assert!(journal.no_space);
        assert_eq!(journal.beside(0).unwrap().len(), 2);
        journal.passed(0, 1);
        assert_eq!((journal.beside(0), journal.beside(1).unwrap().len()), (None, 1));
        journal.spool = Spool::unnamed().unwrap();
        journal.settle();
        let texts: Vec<_> = journal.spool.read(0, 9, 999).unwrap().into_iter().map(|l| l.text).collect();
        assert_eq!(texts, ["two"]);
    }
}
