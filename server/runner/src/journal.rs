//! What becomes of lines between the child and the spool: the cap, what is left out by it, and what to do on a full disk.
//!
//! Refuses to lose a line without saying so.

use std::{io, path::PathBuf};

use domain::{
    protocol::{LogRules, NewLine},
    view::Stream,
};

use crate::{sink::now, spool::Spool, tail::Tail};

/// Our own lines that wait in memory for room on the disk.
const MOST_LATE: usize = 200;
/// Numbers of lines after the cap, while it is not known yet where they will stand.
const AFTER: u64 = 1 << 62;

/// A stage's log on this side.
#[derive(Debug)]
pub(crate) struct Journal {
    spool: Spool,
    /// Where more files may be made.
    folder: PathBuf,
    /// What the server has.
    pub acknowledged: u64,
    /// Whether the server answers.
    pub reachable: bool,
    /// No more will come.
    pub closed: bool,
    /// Whether the disk was ever full.
    pub no_space: bool,
    rules: LogRules,
    bytes: u64,
    /// What came after the cap, and which cap it was.
    tail: Option<(Tail, String)>,
    late: Vec<NewLine>,
}

impl Journal {
    /// A journal over an empty spool; further files go into `folder`.
    pub fn new(spool: Spool, folder: PathBuf, rules: LogRules) -> Self {
        Self {
            spool,
            folder,
            acknowledged: 0,
            reachable: true,
            closed: false,
            no_space: false,
            rules,
            bytes: 0,
            tail: None,
            late: Vec::new(),
        }
    }

    /// What holds for this log.
    pub fn rules(&self) -> LogRules {
        self.rules
    }

    /// Takes lines of a child in, as many as fit before the next file is begun, at least one; or none, when the disk is full. Answers how
    /// many, and the first one's number; see [`Journal::place`].
    pub fn add(&mut self, lines: &[NewLine]) -> io::Result<(usize, u64)> {
        let (most_lines, most_bytes) = Tail::leaves(&self.rules);
        if self.tail.is_none() {
            let lines_left = most_lines.saturating_sub(self.spool.next());
            let (count, size) = fitting(lines, lines_left, most_bytes.saturating_sub(self.bytes));
            if count > 0 {
                self.append(&lines[..count])?;
                self.bytes += size;
                return Ok((count, self.spool.next() - count as u64));
            }
            let cap = match lines_left {
                0 => format!("{} lines", grouped(self.rules.lines)),
                _ => format!("{} MiB", grouped(self.rules.bytes >> 20)),
            };
            let told = format!(
                "this log is full (cap {cap}): what follows is left out, but for its last lines, which are shown when the stage ends"
            );
            self.tail = Some((Tail::new(&self.folder, &self.rules)?, cap));
            self.say(&told);
        }
        match &mut self.tail {
            Some((tail, _)) => tail.add(lines).map(|(count, first)| (count, AFTER + first)),
            None => Ok((0, 0)),
        }
    }

    /// Where a line stands once the log is closed. One that was left out: where that is said.
    pub fn place(&self, seq: u64) -> u64 {
        let Some(after) = seq.checked_sub(AFTER) else { return seq };
        let begins = self.spool.next() + self.late.len() as u64;
        let left_out = self.tail.as_ref().map_or(0, |(tail, _)| tail.left_out());
        match after.checked_sub(left_out) {
            Some(at) => begins + at,
            None => begins.saturating_sub(1),
        }
    }

    /// How many lines there are so far; of those after the cap, once it is known which stay.
    pub fn next(&self) -> u64 {
        self.spool.next() + self.tail.as_ref().filter(|_| self.closed).map_or(0, |(tail, _)| tail.kept())
    }

    /// Number of the first line that is still here.
    pub fn first(&self) -> u64 {
        self.spool.first()
    }

    /// Bytes that were not read yet.
    pub fn unread(&self) -> u64 {
        self.spool.unread()
    }

    /// Lines from number `from` on: at least one if there is one, at most `lines`, about `bytes` of text. In the place of those that the
    /// server had, and that are not here any more, stand empty ones, the first of which says so: what follows keeps its numbers.
    pub fn read(&mut self, from: u64, lines: usize, bytes: usize) -> io::Result<Vec<NewLine>> {
        if from < self.spool.first() {
            return Ok(lost(from, self.spool.first(), lines));
        }
        let beyond = from.checked_sub(self.spool.next()).filter(|_| self.closed);
        match (beyond, &mut self.tail) {
            (Some(at), Some((tail, _))) => tail.read(at, lines, bytes),
            _ => self.spool.read(from, lines, bytes),
        }
    }

    /// The server has everything before `next`.
    pub fn acknowledge(&mut self, next: u64) {
        self.acknowledged = next;
        self.reachable = true;
        self.spool.acknowledge(next);
        self.settle();
    }

    /// Takes lines of ours in, cap or not, where they stand among a child's; on a full disk they wait for room.
    pub fn add_own(&mut self, lines: Vec<NewLine>) {
        let mut rest = &lines[..];
        while let Some((tail, _)) = self.tail.as_mut().filter(|_| !rest.is_empty()) {
            match tail.add(rest) {
                Ok((count, _)) => rest = &rest[count..],
                Err(_) => break,
            }
        }
        if !rest.is_empty() {
            let rest = rest.to_vec();
            self.put(rest);
        }
    }

    /// Puts lines of ours at the end of the head.
    fn put(&mut self, lines: Vec<NewLine>) {
        if self.append(&lines).is_err() && self.late.len() < MOST_LATE {
            self.late.extend(lines);
        }
    }

    fn say(&mut self, text: &str) {
        self.put(vec![NewLine { at: now(), stream: Stream::System, text: text.to_owned() }]);
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

    /// No more will come: what the cap left out is counted, and the last lines follow.
    pub fn close(&mut self) {
        let told = self.tail.as_ref().filter(|(tail, _)| tail.left_out() > 0);
        if let Some((tail, cap)) = told {
            let left_out = grouped(tail.left_out());
            self.say(&format!("... {left_out} lines left out (cap {cap}) ..."));
        }
        self.closed = true;
    }

    #[cfg(test)]
    pub fn texts(&mut self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        while let Some(some) = self.read(all.len() as u64, 1000, 1 << 20).ok().filter(|some| !some.is_empty())
        {
            all.extend(some.into_iter().map(|l| l.text));
        }
        all
    }
}

/// What stands in the place of lines from number `from` on, up to `end`.
fn lost(from: u64, end: u64, most: usize) -> Vec<NewLine> {
    let count = (end - from).min(most as u64);
    let (first, last) = (grouped(from + 1), grouped(from + count));
    let told = format!(
        "lines {first} to {last} are lost: the server had them, and was restored to a moment before them"
    );
    let texts = std::iter::once(told).chain(std::iter::repeat(String::new()));
    let at = now();
    texts.zip(0..count).map(|(text, _)| NewLine { at, stream: Stream::System, text }).collect()
}

/// How many of these lines are no more than so many, and so many bytes; and how many bytes they are.
pub(crate) fn fitting(lines: &[NewLine], most_lines: u64, most_bytes: u64) -> (usize, u64) {
    let (mut count, mut size) = (0, 0);
    for line in lines.iter().take(usize::try_from(most_lines).unwrap_or(usize::MAX)) {
        let more = size + line.text.len() as u64;
        if more > most_bytes {
            break;
        }
        (count, size) = (count + 1, more);
    }
    (count, size)
}

/// `12,345,678`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn journal(lines: u64, bytes: u64) -> Journal {
        let rules = LogRules { lines, bytes, ..LogRules::default() };
        Journal::new(Spool::unnamed().unwrap(), std::env::temp_dir(), rules)
    }

    #[test]
    fn past_the_cap_the_last_lines_stay_and_the_rest_is_counted() {
        let mut journal = journal(80, 1 << 20);
        let mut numbers = Vec::new();
        for i in 0..5000 {
            let line = NewLine { at: now(), stream: Stream::Stdout, text: i.to_string() };
            numbers.push(journal.add(&[line]).unwrap().1);
        }
        assert_eq!(journal.next(), 59, "nothing after the cap is shipped before it is known what stays");
        journal.close();
        let texts = journal.texts();
        assert_eq!(texts.len() as u64, journal.next());
        assert!(texts.len() <= 80 && texts.len() >= 70, "{}", texts.len());
        assert_eq!(texts[57], "57");
        assert!(texts[58].starts_with("this log is full (cap 80 lines)"), "{}", texts[58]);
        let kept = texts.len() - 60;
        assert_eq!(
            texts[59],
            format!("... {} lines left out (cap 80 lines) ...", grouped(4942 - kept as u64))
        );
        assert_eq!(texts.last().unwrap(), "4999");
        // Numbers that were told before are those at which the lines stand now.
        for (i, number) in numbers.into_iter().enumerate() {
            let text = &texts[journal.place(number) as usize];
            assert!(*text == i.to_string() || text == &texts[59], "{i} stands at {text}");
        }
    }

    #[test]
    fn a_log_that_only_just_goes_past_the_cap_loses_nothing() {
        let mut journal = journal(1_000_000, 8000);
        let text = "x".repeat(100);
        for _ in 0..75 {
            journal.add(&[NewLine { at: now(), stream: Stream::Stdout, text: text.clone() }]).unwrap();
        }
        journal.close();
        let texts = journal.texts();
        assert_eq!(texts.iter().filter(|t| **t == text).count(), 75);
        assert_eq!(texts.len(), 76);
        // Many lines at once are torn apart where the files are.
        let mut journal = self::journal(80, 1 << 20);
        let many: Vec<_> =
            (0..500).map(|i| NewLine { at: now(), stream: Stream::Stdout, text: i.to_string() }).collect();
        let mut rest = &many[..];
        while !rest.is_empty() {
            rest = &rest[journal.add(rest).unwrap().0..];
        }
        journal.close();
        let texts = journal.texts();
        assert!((70..=80).contains(&texts.len()), "{}", texts.len());
        assert_eq!((texts[57].as_str(), texts.last().unwrap().as_str()), ("57", "499"));
        assert_eq!(
            (grouped(0), grouped(999), grouped(12_345_678)),
            ("0".into(), "999".into(), "12,345,678".into())
        );
    }

    #[test]
    fn a_full_disk_loses_no_line_of_ours() {
        let mut journal = Journal::new(
            Spool::create(std::path::Path::new("/dev/full")).unwrap(),
            std::env::temp_dir(),
            LogRules::default(),
        );
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
        assert_eq!(journal.texts(), ["two"]);
    }
}
