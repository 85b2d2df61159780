//! What versions print: read as lines while a deploy watches, kept small afterwards.
//!
//! Refuses to let a talkative service fill the disk: 10 MiB, and one older part.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// When a log is turned over.
pub const LONGEST: u64 = 10 * 1024 * 1024;
/// How much one look reads at most.
const LOOK: u64 = 256 * 1024;
/// A line without end is cut here.
const LINE: usize = 16 * 1024;

/// Follows a log from where it is now.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    offset: u64,
    partial: Vec<u8>,
    last: Option<String>,
}

impl Tail {
    /// From the end of the log as it stands.
    pub fn new(path: PathBuf) -> Self {
        let offset = fs::metadata(&path).map(|m| m.len()).unwrap_or(0);
        Self { path, offset, partial: Vec::new(), last: None }
    }

    /// From a little before the end: enough to find its last words.
    pub fn near_end(path: PathBuf) -> Self {
        let mut tail = Self::new(path);
        tail.offset = tail.offset.saturating_sub(LINE as u64);
        tail
    }

    /// The lines that were finished since the last look; `to_end` hands out an unfinished one too.
    pub fn look(&mut self, to_end: bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut bytes = Vec::new();
            let mut read = || -> io::Result<u64> {
                let mut file = File::open(&self.path)?;
                if file.metadata()?.len() < self.offset {
                    self.offset = 0; // turned over
                }
                file.seek(SeekFrom::Start(self.offset))?;
                file.take(LOOK).read_to_end(&mut bytes).map(|n| n as u64)
            };
            let read = read().unwrap_or(0);
            self.offset += read;
            for part in bytes.split_inclusive(|b| *b == b'\n') {
                self.partial.extend_from_slice(part);
                if part.ends_with(b"\n") || self.partial.len() >= LINE {
                    lines.push(text(&std::mem::take(&mut self.partial)));
                }
            }
            // At the end all that is there is wanted, but no more than a person could read.
            if !to_end || read < LOOK || lines.len() > 20_000 {
                break;
            }
        }
        if to_end && !self.partial.is_empty() {
            lines.push(text(&std::mem::take(&mut self.partial)));
        }
        if let Some(last) = lines.iter().rev().find(|l| !l.trim().is_empty()) {
            self.last = Some(last.clone());
        }
        lines
    }

    /// Turns the log over when it outgrows everything that could be read of it.
    pub fn turn_over(&self) {
        let _ = turn_over(&self.path, LONGEST);
    }

    /// The last line that says anything, of those handed out.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches(['\n', '\r']).to_owned()
}

/// Turns a log over when it is too long: what is there becomes the older part, and the writer goes on at the start.
pub fn turn_over(path: &Path, longest: u64) -> io::Result<bool> {
    if fs::metadata(path).map(|m| m.len()).unwrap_or(0) <= longest {
        return Ok(false);
    }
    // The writer holds the file open and appends, so it must stay the same file.
    let mut older = path.as_os_str().to_owned();
    older.push(".1");
    let mut from = File::open(path)?;
    let length = from.metadata()?.len();
    if length > longest * 2 {
        from.seek(SeekFrom::Start(length - longest))?;
    }
    io::copy(&mut from, &mut File::create(older)?)?;
    OpenOptions::new().write(true).open(path)?.set_len(0)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_come_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "old\n").unwrap();
        let mut tail = Tail::new(path.clone());
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.look(false), ["one"]);
        file.write_all(b"o\r\n\xff\nthree").unwrap();
        assert_eq!(tail.look(false), ["two", "\u{fffd}"]);
        assert_eq!(tail.look(true), ["three"]);
        assert_eq!(tail.last(), Some("three"));
        assert!(tail.look(true).is_empty());
    }

    #[test]
    fn a_long_log_is_turned_over_and_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut tail = Tail::new(path.clone());
        file.write_all(&b"0123456789\n".repeat(10)).unwrap();
        assert_eq!(tail.look(false).len(), 10);
        assert!(!turn_over(&path, 1000).unwrap());
        assert!(turn_over(&path, 100).unwrap());
        file.write_all(b"after\n").unwrap();
        assert_eq!(tail.look(false), ["after"]);
        assert_eq!(fs::read_to_string(folder.path().join("log.1")).unwrap().lines().count(), 10);
    }
}
