//! Searching a log: plain text or a regular expression, in what people see of it, without its colours.
//!
//! Each row's text is looked through as a whole, on a thread of its own, while the next rows are read; lines that do not match are never
//! made. Refuses a match that goes over a line's end.

use std::collections::VecDeque;

use domain::{
    StageId,
    view::{LogMatch, LogMatches},
};
use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use memchr::{memchr, memchr_iter};

use super::Which;
use crate::{
    Control,
    error::{Error, Result},
    hot::Row,
    store::logs::block,
};

/// Longest pattern.
const LONGEST: usize = 1_000;
/// Of a line that was found, so much text is given.
const MOST_TEXT: usize = 4_096;
/// What a regular expression may take once it is compiled, and while it runs.
const MOST_MEMORY: usize = 4 << 20;
/// A line that says what went wrong, in the words of most programs.
const ERRORS: &str = r"(?i)^(.*[\s\]])?(error|fatal|panic|traceback|exception|failed|failure)(\[\w+\])?( \(|[:!])|\bpanicked at\b|^\s*not ok\b|^\s*(✗|✘|✖)|\w(Error|Exception): ";

/// How upper and lower case are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Case {
    /// Without regard to it, unless the pattern has an upper-case letter.
    #[default]
    Smart,
    /// As it is written.
    Exact,
    /// Without regard to it.
    Ignore,
}

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The text or the regular expression.
    pub pattern: String,
    /// Whether it is a regular expression.
    pub regex: bool,
    /// Upper and lower case.
    pub case: Case,
}

impl Search {
    /// Plain text, smart case.
    pub fn text(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), ..Self::default() }
    }

    /// Lines that say what went wrong.
    pub fn errors() -> Self {
        Self { pattern: ERRORS.into(), regex: true, case: Case::Exact }
    }

    pub(super) fn compile(&self) -> Result<RegexMatcher> {
        if self.pattern.is_empty() {
            return Err(Error::field("q", "give some text to search for"));
        }
        if self.pattern.len() > LONGEST {
            return Err(Error::field("q", format!("is too long: give at most {LONGEST} bytes")));
        }
        let mut builder = RegexMatcherBuilder::new();
        builder
            .fixed_strings(!self.regex)
            .case_smart(self.case == Case::Smart)
            .case_insensitive(self.case == Case::Ignore)
            .multi_line(true)
            .line_terminator(Some(b'\n'))
            .size_limit(MOST_MEMORY)
            .dfa_size_limit(MOST_MEMORY);
        builder.build(&self.pattern).map_err(|e| Error::field("q", reason(&e.to_string())))
    }
}

/// What is wrong with a pattern, in one line: the last of many says it, the others draw where.
fn reason(text: &str) -> String {
    let last = text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or(text).trim();
    let last = last.strip_prefix("error: ").unwrap_or(last);
    format!("is no regular expression that can be searched for: {last}")
}

/// Which of the matches are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first ones from a line on.
    From(u64),
    /// The last ones before a line.
    Before(u64),
}

impl Control {
    /// Lines in which something is found: up to `limit` of them, and how many there are in all.
    ///
    /// # Errors
    /// Names the field `q` when nothing can be searched for by it.
    pub async fn log_search(
        &self,
        stage: StageId,
        attempt: Option<u32>,
        search: &Search,
        part: Part,
        limit: u64,
    ) -> Result<LogMatches> {
        let scan = Scan::new(search.compile()?, part, limit as usize);
        let which = self.which(stage, attempt).await?;
        Ok(self.scan(which, scan).await?.found())
    }

    /// Takes all rows of a log by something that looks at them; one piece is looked at while the next is read.
    pub(super) async fn scan<L: Look>(&self, which: Which, mut look: L) -> Result<L> {
        let _turn = self.scans.acquire().await.map_err(Error::internal)?;
        let mut rows = self.rows(which, 0);
        let mut some = rows.next(self.store.read()).await?;
        while !some.is_empty() {
            let work = tokio::task::spawn_blocking(move || {
                for row in &some {
                    look.row(row)?;
                }
                Ok::<_, Error>(look)
            });
            let (done, more) = tokio::join!(work, rows.next(self.store.read()));
            (look, some) = (done.map_err(Error::internal)??, more?);
        }
        Ok(look)
    }
}

/// What looks at the rows of a log, in order.
pub(super) trait Look: Send + 'static {
    /// The next row.
    fn row(&mut self, row: &Row) -> Result<()>;
}

/// A search on its way through a log.
struct Scan {
    matcher: RegexMatcher,
    part: Part,
    limit: usize,
    matches: VecDeque<LogMatch>,
    total: u64,
    earlier: u64,
    next: Option<u64>,
}

impl Scan {
    fn new(matcher: RegexMatcher, part: Part, limit: usize) -> Self {
        Self { matcher, part, limit, matches: VecDeque::new(), total: 0, earlier: 0, next: None }
    }

    fn hit(&mut self, seq: u64, line: &[u8]) {
        self.total += 1;
        let keep = match self.part {
            Part::From(from) if seq < from => {
                self.earlier += 1;
                false
            }
            Part::From(_) => self.matches.len() < self.limit,
            Part::Before(before) => seq < before,
        };
        if !keep {
            if self.total > self.earlier + self.matches.len() as u64 && self.next.is_none() {
                self.next = Some(seq);
            }
            return;
        }
        if self.matches.len() == self.limit {
            self.matches.pop_front();
            self.earlier += 1;
        }
        let text = String::from_utf8_lossy(&line[..line.len().min(MOST_TEXT)]).into_owned();
        self.matches.push_back(LogMatch { seq, text });
    }

    fn found(self) -> LogMatches {
        LogMatches { matches: self.matches.into(), total: self.total, earlier: self.earlier, next: self.next }
    }
}

impl Look for Scan {
    fn row(&mut self, row: &Row) -> Result<()> {
        let text = block::text(&row.body)?;
        let seen = block::visible(&text);
        // The same line in what is seen and in what is stored: where it begins, and its number.
        let (mut at, mut raw, mut seq) = (0, 0, row.first);
        while at < seen.len() {
            let found = self.matcher.find_at(&seen, at).map_err(Error::internal)?;
            let Some(start) = found.map(|m| m.start()).filter(|start| *start < seen.len()) else { break };
            let lines = memchr_iter(b'\n', &seen[at..start]).count();
            seq += lines as u64;
            if lines > 0 {
                raw += memchr_iter(b'\n', &text[raw..]).nth(lines - 1).map_or(0, |end| end + 1);
            }
            let raw_end = memchr(b'\n', &text[raw..]).map_or(text.len(), |end| raw + end);
            self.hit(seq, &text[raw..raw_end]);
            at = memchr(b'\n', &seen[start..]).map_or(seen.len(), |end| start + end + 1);
            (raw, seq) = (raw_end + 1, seq + 1);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
