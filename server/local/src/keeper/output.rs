//! What versions print: read as lines while a deploy watches, kept small afterwards.
//!
//! Refuses to let a talkative service fill the disk: 10 MiB, and one older part.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use async_trait::async_trait;

/// When a log is turned over.
pub const LONGEST: u64 = 10 * 1024 * 1024;
/// How much one look reads at most.
const LOOK: u64 = 256 * 1024;
/// Who is further behind than this has missed something.
const BEHIND: u64 = 4 * LOOK;
/// A line without end is cut here.
const LINE: usize = 16 * 1024;

/// Who hears what a starting version prints.
#[async_trait]
pub trait Hear: Send + Sync {
    /// Takes lines; may make the reader wait for a moment, not for long.
    async fn hear(&self, lines: Vec<String>);
}

/// Nobody.
#[async_trait]
impl Hear for () {
    async fn hear(&self, _: Vec<String>) {}
}

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
            self.catch_up(&mut lines);
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
            for part in bytes.split_inclusive(|b| *b == b'\n').flat_map(|line| line.chunks(LINE)) {
                self.partial.extend_from_slice(part);
                if part.ends_with(b"\n") || self.partial.len() >= LINE {
                    lines.push(text(&std::mem::take(&mut self.partial)));
                }
            }
            if !to_end || read < LOOK {
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

    /// Leaves out what is too much to be read, and says so: the newest lines are those that matter.
    fn catch_up(&mut self, lines: &mut Vec<String>) {
        let length = fs::metadata(&self.path).map(|m| m.len()).unwrap_or(0);
        if length > self.offset + BEHIND {
            let left_out = length - LOOK - self.offset;
            self.offset = length - LOOK;
            self.partial.clear();
            lines.push(format!("[{} KiB of output are left out here]", left_out / 1024));
        }
    }

    /// Turns the log over when it has grown too long; what was not yet read of it comes out, as far as it can be read.
    pub fn turn_over(&mut self) -> Vec<String> {
        if fs::metadata(&self.path).map(|m| m.len()).unwrap_or(0) <= LONGEST {
            return Vec::new();
        }
        let lines = self.look(true);
        if turn_over(&self.path, LONGEST).is_ok_and(|turned| turned) {
            self.offset = 0;
        }
        lines
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
    let (mut from, mut to) = (File::open(path)?, File::create(older)?);
    let length = from.metadata()?.len();
    if length > longest * 2 {
        from.seek(SeekFrom::Start(length - longest))?;
    }
    // Not more than there was, or a writer that is faster than we are would never let us go.
    io::copy(&mut (&mut from).take(length), &mut to)?;
    io::copy(&mut from.take(LOOK), &mut to)?;
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
    fn too_much_is_left_out_but_not_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut tail = Tail::new(path.clone());
        let mut text = "chatter\n".repeat(400_000);
        text.push_str("the reason\n");
        fs::write(&path, &text).unwrap();
        let lines = tail.look(true);
        assert_eq!(
            (lines[0].as_str(), tail.last()),
            ("[2869 KiB of output are left out here]", Some("the reason"))
        );
        assert!(lines.len() < 40_000);
        // No line end for a long time.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&b"x".repeat(100_000)).unwrap();
        let lines = tail.look(true);
        assert!(lines.iter().all(|line| line.len() <= 2 * LINE) && lines.concat().len() == 100_000);
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
