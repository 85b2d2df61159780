//! The last lines of a log that is past its cap, while nobody knows yet which those will be: two files by turns.
//!
//! When the newer is full, the older is forgotten and counted, and a new one is begun. So about the same number of lines is there at any
//! moment, on the disk and not in memory. Refuses to say where a line will stand before the end.

use std::{
    io,
    path::{Path, PathBuf},
};

use domain::protocol::{LogRules, NewLine};

use crate::{journal::fitting, spool::Spool};

/// One file of the two takes this part of what a log may hold, as 1 / 2^3,
const PART: u32 = 3;
/// but no more lines than this,
const MOST_LINES: u64 = 100_000;
/// and no more text.
const MOST_BYTES: u64 = 16 << 20;

/// The last lines so far.
#[derive(Debug)]
pub(crate) struct Tail {
    folder: PathBuf,
    old: Spool,
    new: Spool,
    bytes: u64,
    most: (u64, u64),
    left_out: u64,
}

fn part(rules: &LogRules) -> (u64, u64) {
    ((rules.lines >> PART).min(MOST_LINES), (rules.bytes >> PART).min(MOST_BYTES))
}

impl Tail {
    /// What the tail leaves of a log's lines and bytes to its head, and to two lines that tell of the cap.
    pub fn leaves(rules: &LogRules) -> (u64, u64) {
        let (lines, bytes) = part(rules);
        (rules.lines.saturating_sub(2 * lines + 2), rules.bytes - 2 * bytes)
    }

    /// An empty one, with its files in this folder.
    pub fn new(folder: &Path, rules: &LogRules) -> io::Result<Self> {
        let (old, new) = (Spool::within(folder)?, Spool::within(folder)?);
        Ok(Self { folder: folder.to_owned(), old, new, bytes: 0, most: part(rules), left_out: 0 })
    }

    /// Takes lines in, as many as go into one file, or none; answers how many, and the first one's number among all that were.
    pub fn add(&mut self, lines: &[NewLine]) -> io::Result<(usize, u64)> {
        let mut fits = self.fits(lines);
        if fits.0 == 0 {
            let fresh = Spool::within(&self.folder)?;
            self.left_out += self.old.next();
            self.old = std::mem::replace(&mut self.new, fresh);
            self.bytes = 0;
            fits = self.fits(lines);
        }
        // One line is taken, however long it is.
        let count = fits.0.max(1).min(lines.len());
        let first = self.left_out + self.old.next() + self.new.append(&lines[..count])?;
        self.bytes += fits.1;
        Ok((count, first))
    }

    fn fits(&self, lines: &[NewLine]) -> (usize, u64) {
        fitting(lines, self.most.0.saturating_sub(self.new.next()), self.most.1.saturating_sub(self.bytes))
    }

    /// Lines that are there.
    pub fn kept(&self) -> u64 {
        self.old.next() + self.new.next()
    }

    /// Lines that are not.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// As of a spool, counted from the first line that is there.
    pub fn read(&mut self, from: u64, lines: usize, bytes: usize) -> io::Result<Vec<NewLine>> {
        match from.checked_sub(self.old.next()) {
            Some(at) => self.new.read(at, lines, bytes),
            None => self.old.read(from, lines, bytes),
        }
    }
}
