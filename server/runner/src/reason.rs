//! What a person reads when a command failed: why in one sentence, and the line to look at first.
//!
//! Refuses to keep the log: it looks at each line once, as it goes by.

use std::{borrow::Cow, os::unix::process::ExitStatusExt, sync::OnceLock};

use aho_corasick::AhoCorasick;
use domain::view::{ErrorLine, Stream};

use crate::command::Watch;

/// Longest text of an error line.
const LONGEST: usize = 500;
/// Of a long line only the beginning is looked at.
const LOOKED_AT: usize = 2000;

/// A stage, or a part of one, that did not go well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// Why.
    pub reason: String,
    /// Where to look.
    pub error: Option<ErrorLine>,
    /// The exit code of what failed, as a shell says it.
    pub exit_code: Option<i32>,
}

impl Failure {
    /// Without a line to look at.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), error: None, exit_code: None }
    }
}

/// Looks at the lines of a command and remembers the one that says what went wrong.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    best: Option<(u8, ErrorLine)>,
    last: Option<ErrorLine>,
    last_stderr: Option<ErrorLine>,
    /// Within a Python traceback: the first line that is not indented names the error.
    traceback: bool,
    no_space: bool,
    missing: Option<String>,
}

impl Watch for Judge {
    fn see(&mut self, stream: Stream, seq: u64, text: &str) {
        let text = strip_colours(&text[..text.floor_char_boundary(LOOKED_AT)]);
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return;
        }
        if self.traceback || suspicious().is_match(trimmed) {
            self.look_at(seq, &text, trimmed);
        }
        let last = if stream == Stream::Stderr { &mut self.last_stderr } else { &mut self.last };
        let last = last.get_or_insert_with(|| ErrorLine { seq, text: String::new() });
        last.seq = seq;
        last.text.clear();
        last.text.push_str(&trimmed[..trimmed.floor_char_boundary(LONGEST)]);
    }
}

impl Judge {
    fn look_at(&mut self, seq: u64, text: &str, trimmed: &str) {
        self.no_space |= trimmed.contains("No space left on device") || trimmed.contains("ENOSPC");
        if self.missing.is_none() {
            self.missing = missing_command(trimmed);
        }
        let mut rank = rank(trimmed);
        if trimmed.starts_with(TRACEBACK) {
            self.traceback = true;
            rank = 0;
        } else if self.traceback && !text.starts_with([' ', '\t']) {
            self.traceback = false;
            rank = 4;
        }
        if rank > 0 && self.best.as_ref().is_none_or(|(r, _)| rank > *r) {
            let text = trimmed[..trimmed.floor_char_boundary(LONGEST)].to_owned();
            self.best = Some((rank, ErrorLine { seq, text }));
        }
    }

    /// The line to look at first.
    pub fn verdict(&self) -> Option<ErrorLine> {
        let best = self.best.as_ref().map(|(_, line)| line);
        best.or(self.last_stderr.as_ref()).or(self.last.as_ref()).cloned()
    }

    /// Whether something could not be written for want of space.
    pub fn no_space(&self) -> bool {
        self.no_space
    }

    /// What a command's exit means; `place` says where programs were looked for, as in `on this machine`.
    pub fn failure(&self, command: &str, status: std::process::ExitStatus, place: &str) -> Failure {
        let name = short(command);
        let reason = match (status.code(), status.signal()) {
            _ if self.no_space => {
                format!("the disk is full: {name} could not write (free some space, then rerun)")
            }
            (Some(127), _) => match &self.missing {
                Some(missing) => {
                    format!("not found: `{missing}` does not exist {place} ({name} exited with 127)")
                }
                None => format!("not found: {name} names a command that does not exist {place}"),
            },
            (Some(126), _) => format!("{name} cannot be run: it is not an executable file (exited with 126)"),
            (Some(code @ 129..=192), _) => {
                format!("{name} exited with {code} (killed by {})", signal(code - 128))
            }
            (Some(code), _) => format!("{name} exited with {code}"),
            (None, Some(number)) => format!("{name} was killed by {}", signal(number)),
            (None, None) => format!("{name} ended without an exit status"),
        };
        let exit_code = status.code().or_else(|| Some(128 + status.signal()?));
        Failure { reason, error: self.verdict(), exit_code }
    }
}

/// A command's first line in backticks, not too long.
pub(crate) fn short(command: &str) -> String {
    let command = command.trim();
    let first = command.lines().next().unwrap_or_default();
    let cut: String = first.chars().take(80).collect();
    let more = if cut.len() < command.len() { " ..." } else { "" };
    format!("`{cut}{more}`")
}

/// `1 h`, `5 m`, `90 s`.
pub(crate) fn limit(seconds: u32) -> String {
    match seconds {
        s if s >= 3600 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s >= 60 && s % 60 == 0 => format!("{} m", s / 60),
        s => format!("{s} s"),
    }
}

fn signal(number: i32) -> String {
    match number {
        9 => "signal 9, SIGKILL: perhaps out of memory".into(),
        6 => "signal 6, SIGABRT".into(),
        11 => "signal 11, SIGSEGV".into(),
        15 => "signal 15, SIGTERM".into(),
        n => format!("signal {n}"),
    }
}

/// Names a failure wherever it stands.
const SPECIFIC: [&str; 22] = [
    "error[E",
    "error TS",
    "panicked at",
    "--- FAIL",
    "not ok ",
    "✗",
    "✕",
    "✖",
    "AssertionError",
    "SyntaxError",
    "TypeError",
    "ReferenceError",
    "ModuleNotFoundError",
    "ImportError",
    "NameError",
    "Exception in thread",
    "Caused by:",
    "Segmentation fault",
    "undefined reference",
    "Cannot find module",
    "COMPILATION ERROR",
    "npm error code",
];
/// Names a failure at a line's head.
const HEADS: [&str; 10] =
    ["error:", "Error:", "ERROR:", "fatal:", "FAIL ", "FAIL:", "FAILED ", "E  ", "Failure:", "panic:"];
/// Speaks of one.
const WORDS: [&str; 11] = [
    "error",
    "errors",
    "fail",
    "fails",
    "failed",
    "failure",
    "failures",
    "fatal",
    "panic",
    "exception",
    "assertion",
];
const TRACEBACK: &str = "Traceback (most recent call last)";

/// Finds out in one pass whether a line needs a second look: nearly none does.
fn suspicious() -> &'static AhoCorasick {
    static FOUND: OnceLock<AhoCorasick> = OnceLock::new();
    FOUND.get_or_init(|| {
        let others = ["no space left", "enospc", "not found", TRACEBACK];
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(SPECIFIC.iter().chain(&HEADS).chain(&WORDS).chain(&others))
            .unwrap_or_else(|_| unreachable!("a few dozen words make an automaton"))
    })
}

/// How much a line looks like the failure: 3 names one, 2 says that there was one, 1 counts them.
fn rank(text: &str) -> u8 {
    if SPECIFIC.iter().any(|s| text.contains(s)) {
        return 3;
    }
    if HEADS.iter().any(|s| text.starts_with(s)) || text.contains(": error:") || text.contains("Error: ") {
        return 3;
    }
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let speaks = words.iter().enumerate().any(|(at, word)| {
        let none = |i: Option<&&str>| i.is_some_and(|w| matches!(*w, "0" | "no" | "without" | "ok"));
        // "0 failed", "no errors", "errors: 0", "fail 0"
        let before = at.checked_sub(1).and_then(|i| words.get(i));
        WORDS.contains(word) && !none(before) && words.get(at + 1).is_none_or(|w| *w != "0")
    });
    let summary = speaks && words.iter().any(|w| w.chars().all(|c| c.is_ascii_digit()));
    u8::from(speaks) + u8::from(speaks && !summary && words.len() < 12)
}

/// `sh: 1: foo: not found`, `sh: line 1: foo: command not found`, `sh: foo: not found`.
fn missing_command(text: &str) -> Option<String> {
    let rest = text.strip_suffix(": not found").or_else(|| text.strip_suffix(": command not found"))?;
    let name = rest.rsplit(": ").next()?.trim();
    (!name.is_empty() && rest.contains(": ")).then(|| name.to_owned())
}

/// Without ANSI escape sequences.
fn strip_colours(text: &str) -> Cow<'_, str> {
    if memchr::memchr(0x1b, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if chars.next_if_eq(&'[').is_some() {
            let _ = chars.by_ref().find(|c| ('@'..='~').contains(c));
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::ExitStatus;

    use super::*;

    fn verdict(lines: &[(Stream, &str)]) -> String {
        let mut judge = Judge::default();
        for (seq, (stream, text)) in (0..).zip(lines) {
            judge.see(*stream, seq, text);
        }
        judge.verdict().unwrap().text
    }

    #[test]
    fn the_line_that_says_what_went_wrong() {
        use Stream::{Stderr, Stdout};
        let cases: [(&[(Stream, &str)], &str); 7] = [
            (&[(Stdout, "# tests 3"), (Stdout, "\u{1b}[31m✖ adds\u{1b}[0m"), (Stdout, "# fail 1")], "✖ adds"),
            (
                &[
                    (Stderr, "Traceback (most recent call last):"),
                    (Stderr, "  File \"a.py\", line 1, in error"),
                    (Stderr, "KeyError: 'x'"),
                    (Stderr, "FAILED (errors=1)"),
                ],
                "KeyError: 'x'",
            ),
            (
                &[
                    (Stdout, "running 2 tests, 0 failed so far"),
                    (Stderr, "thread 'a' panicked at src/a.rs:1:1:"),
                ],
                "thread 'a' panicked at src/a.rs:1:1:",
            ),
            (&[(Stderr, "warning: x"), (Stdout, "all done")], "warning: x"),
            (&[(Stdout, "one"), (Stdout, "two")], "two"),
            (&[(Stdout, "3 passed, no errors"), (Stderr, "the build failed")], "the build failed"),
            (&[(Stdout, "2 failed, 1 passed"), (Stdout, "a.c:3: error: no x")], "a.c:3: error: no x"),
        ];
        for (lines, expected) in cases {
            assert_eq!(verdict(lines), expected);
        }
    }

    #[test]
    fn exits_in_words() {
        let mut judge = Judge::default();
        let reason = |judge: &Judge, raw: i32| {
            judge.failure("npm test", ExitStatus::from_raw(raw), "on this machine").reason
        };
        assert_eq!(reason(&judge, 1 << 8), "`npm test` exited with 1");
        assert_eq!(reason(&judge, 9), "`npm test` was killed by signal 9, SIGKILL: perhaps out of memory");
        judge.see(Stream::Stderr, 0, "sh: 1: npm: not found");
        assert_eq!(
            reason(&judge, 127 << 8),
            "not found: `npm` does not exist on this machine (`npm test` exited with 127)"
        );
        judge.see(Stream::Stderr, 1, "cp: error writing 'x': No space left on device");
        assert!(reason(&judge, 1 << 8).starts_with("the disk is full"));
    }

    #[test]
    fn limits_in_words() {
        assert_eq!([3600, 7200, 300, 90, 1].map(limit), ["1 h", "2 h", "5 m", "90 s", "1 s"]);
    }
}
