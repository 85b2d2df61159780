//! Lines on their way to the server, kept on the disk until it has them.
//!
//! Append-only between truncations; refuses to hold lines in memory. It needs no sync to the disk: it only has to survive
//! the server's death, not the machine's.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use domain::{Timestamp, protocol::NewLine, view::Stream};
use rustix::fs::{FallocateFlags, fallocate};

/// Length of text, moment, stream.
const HEAD: usize = 4 + 8 + 1;
/// Every so many lines the offset is remembered.
const MARK_EVERY: u64 = 512;
/// Blocks that are claimed beforehand, so that a full disk still lets the reason be told.
const RESERVE: u64 = 256 << 10;
/// A spool that is all sent is cut back once it is longer than this.
const CUT_ABOVE: u64 = 4 << 20;

/// The file and where its lines are.
#[derive(Debug)]
pub struct Spool {
    file: File,
    first: u64,
    next: u64,
    end: u64,
    marks: Vec<u64>,
    cursor: (u64, u64),
    buffer: Vec<u8>,
    /// A write failed: room is given back as soon as possible.
    starved: bool,
}

impl Spool {
    /// An empty spool at this path; whatever was there is gone.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::over(File::options().read(true).write(true).create(true).truncate(true).open(path)?))
    }

    /// An empty spool that has no name and goes with the process.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn unnamed() -> io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// The same on the disk of this folder.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn within(folder: &Path) -> io::Result<Self> {
        Ok(Self::over(tempfile::tempfile_in(folder)?))
    }

    fn over(file: File) -> Self {
        reserve(&file);
        Self {
            file,
            first: 0,
            next: 0,
            end: 0,
            marks: Vec::new(),
            cursor: (0, 0),
            buffer: Vec::new(),
            starved: false,
        }
    }

    /// Number of the next line.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Number of the first line that is still here.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Bytes in the file after the last one that was read.
    pub fn unread(&self) -> u64 {
        self.end - self.cursor.1.min(self.end)
    }

    /// Adds lines; answers the first one's number. All or nothing: a full disk leaves the spool as it was.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, lines: &[NewLine]) -> io::Result<u64> {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        let mut marks = Vec::new();
        for (line, seq) in lines.iter().zip(self.next..) {
            if (seq - self.first).is_multiple_of(MARK_EVERY) {
                marks.push(self.end + bytes.len() as u64);
            }
            let length = u32::try_from(line.text.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&line.at.0.to_le_bytes());
            bytes.push(line.stream as u8);
            bytes.extend_from_slice(line.text.as_bytes());
        }
        let written = self.file.write_all_at(&bytes, self.end);
        if written.is_ok() {
            self.end += bytes.len() as u64;
            self.next += lines.len() as u64;
            self.marks.extend(marks);
        }
        self.starved = written.is_err();
        self.buffer = bytes;
        written.map(|()| self.next - lines.len() as u64)
    }

    /// Lines from number `from` on: at least one if there is one, at most `lines`, about `bytes` of text.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn read(&mut self, from: u64, lines: usize, bytes: usize) -> io::Result<Vec<NewLine>> {
        if from >= self.next || from < self.first {
            return Ok(Vec::new());
        }
        if self.cursor.0 != from {
            self.seek(from)?;
        }
        let (mut seq, mut offset) = self.cursor;
        let (mut found, mut size) = (Vec::new(), 0);
        while seq < self.next && found.len() < lines && size < bytes {
            let wanted = usize::try_from((self.end - offset).min((bytes + HEAD) as u64)).unwrap_or(bytes);
            let mut chunk = vec![0; wanted.max(HEAD)];
            let read = read_up_to(&self.file, &mut chunk, offset)?;
            let mut rest = &chunk[..read];
            let before = offset;
            while let Some((line, length)) = decode(rest)? {
                (seq, offset, size) = (seq + 1, offset + length as u64, size + line.text.len());
                rest = &rest[length..];
                found.push(line);
                if seq == self.next || found.len() >= lines || size >= bytes {
                    break;
                }
            }
            if offset == before {
                // One line is longer than the chunk.
                let length = rest.first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b) as usize);
                if length < bytes {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let mut whole = vec![0; HEAD + length];
                self.file.read_exact_at(&mut whole, offset)?;
                let (line, length) = decode(&whole)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                (seq, offset, size) = (seq + 1, offset + length as u64, size + line.text.len());
                found.push(line);
            }
        }
        self.cursor = (seq, offset);
        Ok(found)
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        let mark = (to - self.first) / MARK_EVERY;
        let start =
            usize::try_from(mark).ok().and_then(|i| self.marks.get(i)).ok_or(io::ErrorKind::NotFound)?;
        let (mut seq, mut offset) = (self.first + mark * MARK_EVERY, *start);
        while seq < to {
            let mut head = [0; 4];
            self.file.read_exact_at(&mut head, offset)?;
            offset += HEAD as u64 + u64::from(u32::from_le_bytes(head));
            seq += 1;
        }
        self.cursor = (seq, offset);
        Ok(())
    }

    /// The server has everything that is here, and got so many further lines past the disk.
    pub fn skip(&mut self, count: u64) {
        let _ = self.file.set_len(0); // what lies there is not looked at any more
        self.marks.clear();
        self.next += count;
        (self.first, self.end, self.cursor) = (self.next, 0, (self.next, 0));
    }

    /// The server has everything before `seq`. Cuts the file back when that is all of it.
    pub fn acknowledge(&mut self, seq: u64) {
        if seq == self.next && (self.end > CUT_ABOVE || self.starved) && self.file.set_len(0).is_ok() {
            reserve(&self.file);
            self.marks.clear();
            (self.first, self.end, self.cursor) = (seq, 0, (seq, 0));
        }
    }
}

fn reserve(file: &File) {
    // Not every file system can; then a full disk is told by the exit alone.
    let _ = fallocate(file, FallocateFlags::KEEP_SIZE, 0, RESERVE);
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(read)
}

fn decode(bytes: &[u8]) -> io::Result<Option<(NewLine, usize)>> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    let Some((at, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let (Some(stream), Some(text)) = (rest.first(), rest.get(1..=length)) else { return Ok(None) };
    let stream = match stream {
        0 => Stream::Stdout,
        1 => Stream::Stderr,
        _ => Stream::System,
    };
    let text = String::from_utf8(text.to_vec()).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some((NewLine { at: Timestamp(i64::from_le_bytes(*at)), stream, text }, HEAD + length)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> NewLine {
        NewLine { at: Timestamp(text.len() as i64), stream: Stream::Stderr, text: text.to_owned() }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            batches in prop::collection::vec(prop::collection::vec("[a-zä]{0,40}", 1..300), 1..12),
            reads in prop::collection::vec((0.0..1.0f64, 1usize..400, 1usize..3000), 1..20),
        ) {
            let mut spool = Spool::unnamed().unwrap();
            let all: Vec<NewLine> = batches.iter().flatten().map(|t| line(t)).collect();
            for batch in &batches {
                spool.append(&batch.iter().map(|t| line(t)).collect::<Vec<_>>()).unwrap();
            }
            for (part, lines, bytes) in reads {
                let from = (all.len() as f64 * part) as usize;
                let found = spool.read(from as u64, lines, bytes).unwrap();
                prop_assert!(!found.is_empty());
                prop_assert_eq!(&found[..], &all[from..from + found.len()]);
            }
        }
    }

    #[test]
    fn a_sent_spool_is_cut_and_goes_on() {
        let mut spool = Spool::unnamed().unwrap();
        let long = line(&"x".repeat(60_000));
        for _ in 0..100 {
            spool.append(std::slice::from_ref(&long)).unwrap();
        }
        assert_eq!(spool.read(99, 10, 10).unwrap(), std::slice::from_ref(&long));
        spool.acknowledge(100);
        assert_eq!((spool.first(), spool.file.metadata().unwrap().len()), (100, 0));
        assert_eq!(spool.append(&[line("next")]).unwrap(), 100);
        assert_eq!(spool.read(100, 10, 10).unwrap(), [line("next")]);
    }
}
