//! A run of lines as the bytes of a row: when and from which pipe each came, and apart from that all text as one piece.
//!
//! Text stands alone because a search needs nothing else: it is decompressed in one go and looked through as it lies, without a
//! string per line. Refuses a line end within a line: it becomes a space, so that a line stays one line.

use std::{borrow::Cow, cell::RefCell};

use domain::{
    Timestamp,
    protocol::NewLine,
    view::{LogLine, Stream},
};
use serde::Deserialize;
use zstd::bulk::{Compressor, Decompressor};

/// Bytes that are not what was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part of a log is damaged")]
pub struct Damaged;

type Result<T> = std::result::Result<T, Damaged>;

/// First byte of a body. Bodies of the first version are zstd frames, which begin with 0x28.
const VERSION: u8 = 1;
/// Version, length of all text, length of what stands before the text.
const HEAD: usize = 1 + 4 + 4;
/// Text that one row holds before the next is begun.
pub const MOST_TEXT: usize = 1 << 20;
/// Lines that one row holds at most: so many are unpacked to show one of them.
pub const MOST_LINES: usize = 16_384;
/// What is to be read at once from a damaged row, at most.
const MOST_UNPACKED: usize = 256 << 20;

/// Where lines are cut into rows of a bounded size.
pub fn cut(lines: &[NewLine]) -> impl Iterator<Item = &[NewLine]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let (mut size, mut count) = (0, 0);
        for line in rest.iter().take(MOST_LINES) {
            size += line.text.len() + 1;
            if count > 0 && size > MOST_TEXT {
                break;
            }
            count += 1;
        }
        let (row, after) = rest.split_at(count);
        rest = after;
        (count > 0).then_some(row)
    })
}

/// The bytes of some lines. A higher level takes longer and makes less of them.
///
/// # Errors
/// When the compressor fails.
pub fn pack(lines: &[NewLine], level: i32) -> Result<Vec<u8>> {
    let mut text = Vec::with_capacity(lines.iter().map(|l| l.text.len() + 1).sum());
    let (mut marks, mut before) = (Vec::with_capacity(lines.len() * 2), 0);
    for line in lines {
        let from = text.len();
        text.extend_from_slice(line.text.as_bytes());
        text[from..].iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b' ');
        text.push(b'\n');
        let stream = match line.stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
            Stream::System => 2,
        };
        put(&mut marks, i128::from(line.at.0) - i128::from(before), stream);
        before = line.at.0;
    }
    put_together(&squeeze(&marks, level)?, &text, level)
}

fn put_together(marks: &[u8], text: &[u8], level: i32) -> Result<Vec<u8>> {
    let packed = squeeze(text, level)?;
    let mut body = Vec::with_capacity(HEAD + marks.len() + packed.len());
    body.push(VERSION);
    body.extend_from_slice(&length(text.len())?);
    body.extend_from_slice(&length(marks.len())?);
    body.extend_from_slice(marks);
    body.extend_from_slice(&packed);
    Ok(body)
}

/// A body of somebody else's, looked through.
#[derive(Debug)]
pub struct Checked {
    /// How many lines it has.
    pub lines: u64,
    /// All text, each line ended by `\n`.
    pub text: Vec<u8>,
}

/// Why a body of somebody else's is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is not what it should be.
    #[error("the lines cannot be read")]
    Damaged,
    /// It is more than one row may hold.
    #[error("at most {MOST_LINES} lines and {MOST_TEXT} bytes of text go into one batch")]
    TooLarge,
}

impl From<Damaged> for Unfit {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

/// Looks through a body that somebody else packed, before it is stored as it is: current version, as many moments as lines, text that
/// is text, nothing beyond what one row may hold.
///
/// # Errors
/// When it is not fit to be stored.
pub fn check(body: &[u8]) -> std::result::Result<Checked, Unfit> {
    let length = text_length(body).ok_or(Damaged)?;
    if length > MOST_TEXT {
        return Err(Unfit::TooLarge);
    }
    let text = text(body)?;
    let lines = memchr::memchr_iter(b'\n', &text).count();
    if lines > MOST_LINES {
        return Err(Unfit::TooLarge);
    }
    let whole = text.last().is_none_or(|last| *last == b'\n') && text.len() == length;
    if !whole || std::str::from_utf8(&text).is_err() || marks(body)?.len() != lines {
        return Err(Unfit::Damaged);
    }
    Ok(Checked { lines: lines as u64, text })
}

/// The same lines with another text, which has as many lines.
///
/// # Errors
/// When the body is damaged, or the compressor fails.
pub fn with_text(body: &[u8], text: &[u8], level: i32) -> Result<Vec<u8>> {
    let length = number(body, 5).ok_or(Damaged)?;
    put_together(body.get(HEAD..HEAD + length).ok_or(Damaged)?, text, level)
}

/// The same lines without the first few.
///
/// # Errors
/// When the body is damaged, or the compressor fails.
pub fn without_first(body: &[u8], count: u64, level: i32) -> Result<Vec<u8>> {
    let rest = lines(0, body)?.into_iter().skip(usize::try_from(count).unwrap_or(usize::MAX));
    let rest: Vec<_> = rest.map(|l| NewLine { at: l.at, stream: l.stream, text: l.text }).collect();
    pack(&rest, level)
}

/// Length of all text of a body, without unpacking it; of the first version it is not known.
pub fn text_length(body: &[u8]) -> Option<usize> {
    (body.first() == Some(&VERSION)).then(|| number(body, 1).unwrap_or(0))
}

/// All text, each line ended by `\n`.
///
/// # Errors
/// When the body is damaged.
pub fn text(body: &[u8]) -> Result<Vec<u8>> {
    let Some(length) = text_length(body) else {
        let mut text = Vec::new();
        for First(_, _, line) in first_version(body)? {
            text.extend(line.bytes().map(|b| if b == b'\n' { b' ' } else { b }));
            text.push(b'\n');
        }
        return Ok(text);
    };
    let from = HEAD + number(body, 5).ok_or(Damaged)?;
    unpack(body.get(from..).ok_or(Damaged)?, length)
}

/// When each line was printed and by which pipe.
///
/// # Errors
/// When the body is damaged.
pub fn marks(body: &[u8]) -> Result<Vec<(Timestamp, Stream)>> {
    if text_length(body).is_none() {
        return Ok(first_version(body)?.iter().map(|l| (Timestamp(l.0), stream(l.1))).collect());
    }
    let length = number(body, 5).ok_or(Damaged)?;
    let packed = body.get(HEAD..HEAD + length).ok_or(Damaged)?;
    // A mark takes twelve bytes at most.
    let marks = unpack(packed, MOST_UNPACKED / 8)?;
    let (mut rest, mut at, mut all) = (&marks[..], 0_i128, Vec::new());
    while !rest.is_empty() {
        let (step, from) = take(&mut rest).ok_or(Damaged)?;
        at += step;
        all.push((Timestamp(i64::try_from(at).map_err(|_| Damaged)?), stream(from)));
    }
    Ok(all)
}

/// The lines, numbered from `first` on.
///
/// # Errors
/// When the body is damaged.
pub fn lines(first: u64, body: &[u8]) -> Result<Vec<LogLine>> {
    let (marks, text) = (marks(body)?, text(body)?);
    let text = String::from_utf8(text).map_err(|_| Damaged)?;
    let lines = text.split_terminator('\n').zip(marks).zip(first..);
    Ok(lines.map(|((text, (at, stream)), seq)| LogLine { seq, at, stream, text: text.to_owned() }).collect())
}

/// Text as people see it: without colours and other sequences of a terminal. Lines stay lines.
pub fn visible(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(0x1b, text) else { return Cow::Borrowed(text) };
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while !rest.is_empty() {
        rest = &rest[sequence(rest)..];
        let next = memchr::memchr(0x1b, rest).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..next]);
        rest = &rest[next..];
    }
    Cow::Owned(out)
}

/// Length of the sequence that begins here with an escape; it never goes over the line's end.
fn sequence(bytes: &[u8]) -> usize {
    let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let bytes = &bytes[..line];
    match bytes.get(1) {
        Some(b'[') => bytes[2..].iter().position(|b| (0x40..=0x7e).contains(b)).map_or(line, |at| at + 3),
        Some(b']') => {
            let bell = bytes.iter().position(|b| *b == 7).map(|at| at + 1);
            let other = bytes[1..].windows(2).position(|w| w == b"\x1b\\").map(|at| at + 3);
            bell.into_iter().chain(other).min().unwrap_or(line)
        }
        Some(b'(' | b')' | b'#' | b'%') => line.min(3),
        Some(c) if c.is_ascii() && *c != 0x1b => 2,
        _ => 1,
    }
}

/// A step in time and a pipe, in as few bytes as they need.
fn put(out: &mut Vec<u8>, step: i128, stream: u128) {
    let zigzag = ((step << 1) ^ (step >> 127)).cast_unsigned();
    let mut value = zigzag << 2 | stream;
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<(i128, u8)> {
    let (mut value, mut shift) = (0_u128, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 70 {
            return None;
        }
    }
    let zigzag = value >> 2;
    Some(((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed(), (value & 3) as u8))
}

fn stream(mark: u8) -> Stream {
    match mark {
        0 => Stream::Stdout,
        1 => Stream::Stderr,
        _ => Stream::System,
    }
}

fn length(bytes: usize) -> Result<[u8; 4]> {
    Ok(u32::try_from(bytes).map_err(|_| Damaged)?.to_le_bytes())
}

fn number(body: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; 4] = body.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

thread_local! {
    /// Making a compressor takes longer than squeezing one line.
    static TOOLS: RefCell<Option<(Compressor<'static>, Decompressor<'static>)>> = const { RefCell::new(None) };
}

fn with_tools<T>(
    f: impl FnOnce(&mut Compressor<'static>, &mut Decompressor<'static>) -> std::io::Result<T>,
) -> Result<T> {
    TOOLS.with_borrow_mut(|tools| {
        if tools.is_none() {
            let made = Compressor::new(1).and_then(|c| Ok((c, Decompressor::new()?)));
            *tools = Some(made.map_err(|_| Damaged)?);
        }
        let (compressor, decompressor) = tools.as_mut().ok_or(Damaged)?;
        f(compressor, decompressor).map_err(|_| Damaged)
    })
}

fn squeeze(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    with_tools(|compressor, _| {
        compressor.set_compression_level(level)?;
        compressor.compress(bytes)
    })
}

fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>> {
    if most > MOST_UNPACKED {
        return Err(Damaged);
    }
    with_tools(|_, decompressor| decompressor.decompress(packed, most))
}

/// A line as the first version kept it.
#[derive(Deserialize)]
struct First(i64, u8, String);

fn first_version(body: &[u8]) -> Result<Vec<First>> {
    let text = zstd::decode_all(body).map_err(|_| Damaged)?;
    serde_json::from_slice(&text).map_err(|_| Damaged)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn line(at: i64, stream: Stream, text: &str) -> NewLine {
        NewLine { at: Timestamp(at), stream, text: text.into() }
    }

    fn some_line() -> impl Strategy<Value = NewLine> {
        let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr), Just(Stream::System)];
        let at = prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>(), 0..2_000_i64];
        (at, stream, "[^\n]{0,30}").prop_map(|(at, stream, text)| line(at, stream, &text))
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(all in prop::collection::vec(some_line(), 0..60), first in 0..1_000_000_u64) {
            let body = pack(&all, 1).unwrap();
            let back = lines(first, &body).unwrap();
            prop_assert_eq!(back.iter().map(|l| l.seq).collect::<Vec<_>>(), (first..).take(all.len()).collect::<Vec<_>>());
            let back: Vec<_> = back.into_iter().map(|l| NewLine { at: l.at, stream: l.stream, text: l.text }).collect();
            prop_assert_eq!(back, all);
        }

        #[test]
        fn what_others_packed_is_checked_and_may_be_cut_and_changed(all in prop::collection::vec(some_line(), 0..60), skip in 0..70_u64) {
            let body = pack(&all, 1).unwrap();
            let checked = check(&body).unwrap();
            prop_assert_eq!((checked.lines, &checked.text), (all.len() as u64, &text(&body).unwrap()));
            prop_assert_eq!(&with_text(&body, &checked.text, 1).unwrap(), &body);
            let rest = without_first(&body, skip, 1).unwrap();
            let skip = all.len().min(skip as usize);
            prop_assert_eq!(lines(0, &rest).unwrap(), lines(0, &pack(&all[skip..], 1).unwrap()).unwrap());
        }

        #[test]
        fn damage_is_an_error_and_no_crash(all in prop::collection::vec(some_line(), 1..20), at in any::<usize>(), to in any::<u8>(), cut in any::<usize>()) {
            let mut body = pack(&all, 1).unwrap();
            let at = at % body.len();
            body[at] = to;
            let _ = lines(0, &body);
            let _ = lines(0, &body[..cut % body.len()]);
            if let Ok(checked) = check(&body) {
                prop_assert_eq!(lines(0, &body).unwrap().len() as u64, checked.lines);
            }
        }

        #[test]
        fn no_line_is_gained_or_lost_by_hiding_colours(text in "[a\n\u{1b}\\[\\]m;3(\\\\\u{7}é]{0,80}") {
            let seen = visible(text.as_bytes());
            prop_assert_eq!(memchr::memchr_iter(b'\n', &seen).count(), text.matches('\n').count());
            prop_assert!(!seen.contains(&0x1b));
        }
    }

    #[test]
    fn what_is_too_much_or_no_text_is_not_taken() {
        assert_eq!(
            check(&pack(&vec![line(0, Stream::Stdout, ""); MOST_LINES + 1], 1).unwrap()).unwrap_err(),
            Unfit::TooLarge
        );
        let long = line(0, Stream::Stdout, &"x".repeat(MOST_TEXT));
        assert_eq!(check(&pack(&[long], 1).unwrap()).unwrap_err(), Unfit::TooLarge);
        let body = pack(&[line(0, Stream::Stdout, "ab")], 1).unwrap();
        for wrong in [&b"a\xff\n"[..], b"ab", b"a\nb\n", b""] {
            assert_eq!(check(&with_text(&body, wrong, 1).unwrap()).unwrap_err(), Unfit::Damaged, "{wrong:?}");
        }
        assert_eq!(check(b"").unwrap_err(), Unfit::Damaged);
        assert_eq!(check(&zstd::encode_all(&b"[]"[..], 1).unwrap()).unwrap_err(), Unfit::Damaged);
    }

    #[test]
    fn a_line_end_within_a_line_is_a_space() {
        let body = pack(&[line(5, Stream::Stdout, "a\nb"), line(6, Stream::Stderr, "")], 1).unwrap();
        assert_eq!(text(&body).unwrap(), b"a b\n\n");
        assert_eq!(text_length(&body), Some(5));
    }

    #[test]
    fn rows_of_the_first_version_are_read() {
        let body = zstd::encode_all(r#"[[7,1,"one"],[9,2,"two"]]"#.as_bytes(), 1).unwrap();
        assert_eq!(text(&body).unwrap(), b"one\ntwo\n");
        let read = lines(3, &body).unwrap();
        assert_eq!(
            (read[0].seq, read[0].stream, read[1].at, read[1].text.as_str()),
            (3, Stream::Stderr, Timestamp(9), "two")
        );
    }

    #[test]
    fn rows_are_bounded() {
        let many = vec![line(0, Stream::Stdout, ""); MOST_LINES * 2 + 1];
        assert_eq!(cut(&many).map(<[_]>::len).collect::<Vec<_>>(), [MOST_LINES, MOST_LINES, 1]);
        let long = vec![line(0, Stream::Stdout, &"x".repeat(MOST_TEXT / 2)); 3];
        assert_eq!(cut(&long).map(<[_]>::len).collect::<Vec<_>>(), [1, 1, 1]);
        let endless = vec![line(0, Stream::Stdout, &"x".repeat(MOST_TEXT * 2)); 2];
        assert_eq!(cut(&endless).map(<[_]>::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(cut(&[]).count(), 0);
    }

    #[test]
    fn what_a_terminal_hides_is_hidden() {
        let seen = |text: &str| String::from_utf8(visible(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(seen("\u{1b}[1;31mer\u{1b}[0mror\nplain"), "error\nplain");
        assert_eq!(seen("\u{1b}]8;;https://example.org\u{7}link\u{1b}]8;;\u{1b}\\ end"), "link end");
        assert_eq!(seen("cut \u{1b}[3\nnext \u{1b}"), "cut \nnext ");
        assert_eq!(seen("\u{1b}(Btext"), "text");
    }
}
