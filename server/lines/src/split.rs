//! Bytes to lines: cut at line ends, and at 64 KiB where there is none; what is not UTF-8 is replaced.
//!
//! Of a progress line that overwrites itself with carriage returns only the last state stays. Refuses to hold more than
//! one line.

use memchr::{memchr, memrchr};

/// A line longer than this comes in pieces.
pub const LONGEST: usize = 64 << 10;

/// Cuts one stream.
#[derive(Debug, Default)]
pub struct Splitter {
    held: Vec<u8>,
}

impl Splitter {
    /// Takes bytes in; adds to `out` the lines that are whole.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<String>) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.held.is_empty() {
                cut(line, out);
            } else {
                self.held.extend_from_slice(line);
                cut(&self.held, out);
                self.held.clear();
            }
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() > LONGEST {
            self.shorten(out);
        }
    }

    /// The stream has ended: what is held is the last line.
    pub fn finish(&mut self, out: &mut Vec<String>) {
        if !self.held.is_empty() {
            cut(&self.held, out);
            self.held.clear();
        }
    }

    fn shorten(&mut self, out: &mut Vec<String>) {
        // The last byte may be the first half of a line end.
        let overwritten = memrchr(b'\r', &self.held[..self.held.len() - 1]).map_or(0, |at| at + 1);
        let mut from = overwritten;
        while self.held.len() - from > LONGEST {
            let piece = piece(&self.held[from..]);
            out.push(String::from_utf8_lossy(&self.held[from..from + piece]).into_owned());
            from += piece;
        }
        self.held.drain(..from);
    }
}

/// Adds a whole line, in pieces if it is long.
fn cut(line: &[u8], out: &mut Vec<String>) {
    let end = line.iter().rposition(|b| *b != b'\r').map_or(0, |last| last + 1);
    let start = memrchr(b'\r', &line[..end]).map_or(0, |at| at + 1);
    let mut rest = &line[start..end];
    while rest.len() > LONGEST {
        let (head, tail) = rest.split_at(piece(rest));
        out.push(String::from_utf8_lossy(head).into_owned());
        rest = tail;
    }
    out.push(String::from_utf8_lossy(rest).into_owned());
}

/// Length of the longest piece that does not end within a character.
fn piece(bytes: &[u8]) -> usize {
    let continues = |at: usize| bytes.get(at).is_some_and(|b| b & 0b1100_0000 == 0b1000_0000);
    (LONGEST - 3..=LONGEST).rev().find(|at| !continues(*at)).unwrap_or(LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        for piece in pieces {
            splitter.feed(piece, &mut out);
        }
        splitter.finish(&mut out);
        out
    }

    #[test]
    fn lines_of_all_kinds() {
        assert_eq!(split(&[b"a\nb\r\n\nc"]), ["a", "b", "", "c"]);
        assert_eq!(split(&[b"10%\r50%\r1", b"00%\ndone"]), ["100%", "done"]);
        assert_eq!(split(&[b"x\xff\xfey\n"]), ["x\u{fffd}\u{fffd}y"]);
        assert_eq!(split(&[]), Vec::<String>::new());
        assert_eq!(split(&[b"\n"]), [""]);
    }

    #[test]
    fn ten_megabytes_without_a_line_end_are_pieces() {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        for _ in 0..1280 {
            splitter.feed("äöüß".repeat(1024).as_bytes(), &mut out);
            assert!(splitter.held.capacity() < 4 * LONGEST);
        }
        splitter.finish(&mut out);
        assert!(out.iter().all(|l| l.len() <= LONGEST && !l.contains('\u{fffd}')));
        assert_eq!(out.iter().map(String::len).sum::<usize>(), 1280 * 8 * 1024);
    }

    #[test]
    fn a_progress_bar_without_end_is_forgotten() {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        for i in 0..100_000 {
            splitter.feed(format!("\r{i} of many").as_bytes(), &mut out);
        }
        splitter.finish(&mut out);
        assert_eq!(out, ["99999 of many"]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(text in "[a\n]{0,60}", at in 0usize..60) {
            let at = at.min(text.len());
            let whole = split(&[text.as_bytes()]);
            prop_assert_eq!(split(&[&text.as_bytes()[..at], &text.as_bytes()[at..]]), whole);
        }
    }
}
