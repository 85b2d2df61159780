//! The parts of a log, found by its lines that begin or end one.
//!
//! Refuses to unpack what holds no such line: most of a long log.

use domain::{
    StageId,
    outline::{Outline, mark},
    view::Stream,
};
use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use memchr::memchr;

use super::search::Look;
use crate::{
    Control,
    error::{Error, Result},
    hot::Row,
    store::logs::block,
};

/// Lines that may say something about parts.
const MARKS: &str = r"^(\$ |[\t ]*(::(end)?group::|##\[(end)?group\]))";

struct Parts {
    matcher: RegexMatcher,
    outline: Outline,
}

impl Control {
    /// The parts of an attempt's log so far.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such stage or attempt.
    pub async fn log_outline(&self, stage: StageId, attempt: Option<u32>) -> Result<Outline> {
        let which = self.which(stage, attempt).await?;
        let matcher = RegexMatcherBuilder::new()
            .multi_line(true)
            .line_terminator(Some(b'\n'))
            .build(MARKS)
            .map_err(Error::internal)?;
        let mut outline = self.scan(which, Parts { matcher, outline: Outline::default() }).await?.outline;
        if which.complete {
            outline.close(outline.next);
        }
        Ok(outline)
    }
}

impl Look for Parts {
    fn row(&mut self, row: &Row) -> Result<()> {
        let text = block::text(&row.body)?;
        let (mut at, mut seq, mut marks) = (0, row.first, None);
        while let Some(found) = self.matcher.find_at(&text, at).map_err(Error::internal)? {
            seq += memchr::memchr_iter(b'\n', &text[at..found.start()]).count() as u64;
            let end = memchr(b'\n', &text[found.start()..]).map_or(text.len(), |end| found.start() + end);
            let line = String::from_utf8_lossy(&text[found.start()..end]);
            // Which pipe it came by is only asked where it matters.
            if marks.is_none() && (line.starts_with('$') || mark(Stream::Stdout, &line).is_some()) {
                marks = Some(block::marks(&row.body)?);
            }
            let place = (seq - row.first) as usize;
            let stream = marks.as_ref().and_then(|m| m.get(place)).map_or(Stream::Stdout, |m| m.1);
            self.outline.see(seq, stream, &line);
            (at, seq) = (end + 1, seq + 1);
            if at >= text.len() {
                break;
            }
        }
        self.outline.next = row.next;
        Ok(())
    }
}
