//! Reading logs: ranges, the whole of one as a stream of pieces. Memory is bounded whatever a log's size.

mod archive;
mod outline;
mod rows;
mod search;

use domain::{StageId, view::LogPage};
use entity::stage;

pub use archive::MANY;
pub use search::{Case, Part, Search};

use crate::{
    Control,
    error::{Error, Result},
    hot::Log,
    store::{logs, runs},
};

/// Looks through all of a log that go on at the same time; each takes a core while it does.
pub(crate) const SCANS: usize = 4;

/// An attempt's log, as it was when it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which {
    /// The log.
    pub log: Log,
    /// Whether no more lines come.
    pub complete: bool,
    /// How many it has.
    pub lines: u64,
    /// Whether the hot copy is worth asking: the log grows, or did a moment ago.
    pub hot: bool,
}

/// How long after its end many may still read a log's last lines, in milliseconds; later readers take its few large rows.
pub(crate) const HOT_MS: i64 = 10 * 60_000;

impl Control {
    /// The attempt that is meant.
    async fn which(&self, stage: StageId, attempt: Option<u32>) -> Result<Which> {
        let row = runs::stage(self.store.read(), stage).await?;
        self.attempt_in(&row, stage, attempt).await
    }

    async fn attempt_in(&self, row: &stage::Model, stage: StageId, attempt: Option<u32>) -> Result<Which> {
        let current = row.attempt as u32;
        let attempt = attempt.unwrap_or(current);
        if attempt > current {
            return Err(Error::not_found("attempt", attempt));
        }
        let log = Log { stage, attempt };
        if attempt < current {
            let lines = logs::count(self.store.read(), stage, attempt).await?;
            return Ok(Which { log, complete: true, lines, hot: false });
        }
        // Known from one read, so that a line that comes afterwards is not missed.
        let complete = !matches!(row.status.as_str(), "in_progress" | "idle" | "awaiting_approval");
        let hot = row.ended_at.is_none_or(|at| self.now().0 - at < HOT_MS);
        Ok(Which { log, complete, lines: row.lines as u64, hot })
    }

    /// The attempt whose log is meant: this one if it was made, the current one when none is named.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such stage or attempt.
    pub async fn log_attempt(&self, stage: StageId, attempt: Option<u32>) -> Result<u32> {
        Ok(self.which(stage, attempt).await?.log.attempt)
    }

    /// Lines `from` up to `from + limit`.
    pub async fn log_page(
        &self,
        stage: StageId,
        attempt: Option<u32>,
        from: u64,
        limit: u64,
    ) -> Result<LogPage> {
        // Whether it is complete is asked first: a line that comes between the two reads must not be missed.
        let row = runs::stage(self.store.read(), stage).await?;
        let which = self.attempt_in(&row, stage, attempt).await?;
        self.page(&row, which, from, limit).await
    }

    async fn page(&self, row: &stage::Model, which: Which, from: u64, limit: u64) -> Result<LogPage> {
        if row.log_removed.is_some() {
            let removed = row.log_removed.clone();
            return Ok(LogPage { lines: Vec::new(), next_seq: 0, total: 0, complete: true, removed });
        }
        let total = which.lines;
        let lines = self.lines(which, from, limit.min(logs::MOST_LINES)).await?;
        let next_seq = lines.last().map_or(from.min(total), |l| l.seq + 1);
        Ok(LogPage { lines, next_seq, total, complete: which.complete && next_seq >= total, removed: None })
    }

    /// The last lines.
    pub async fn log_tail(&self, stage: StageId, attempt: Option<u32>, limit: u64) -> Result<LogPage> {
        let row = runs::stage(self.store.read(), stage).await?;
        let which = self.attempt_in(&row, stage, attempt).await?;
        self.page(&row, which, which.lines.saturating_sub(limit), limit).await
    }

    /// The next piece of an attempt's whole log as text, and where to go on; nothing at the end.
    pub async fn log_text(&self, stage: StageId, attempt: u32, from: u64) -> Result<Option<(Vec<u8>, u64)>> {
        let row = runs::stage(self.store.read(), stage).await?;
        let which = self.attempt_in(&row, stage, Some(attempt)).await?;
        let some = self.rows(which, from).next(self.store.read()).await?;
        let (Some(first), Some(last)) = (some.first(), some.last()) else {
            // Nothing at all: was it removed? Then that is what there is to read.
            let removed = row.log_removed.filter(|_| from == 0);
            return Ok(removed.map(|why| (format!("This log was {why}.\n").into_bytes(), u64::MAX)));
        };
        let skip = from.saturating_sub(first.first) as usize;
        let next = last.next;
        let text = tokio::task::spawn_blocking(move || {
            let mut text = Vec::new();
            for row in &some {
                text.extend_from_slice(&logs::block::text(&row.body)?);
            }
            if skip > 0 {
                let end = memchr::memchr_iter(b'\n', &text).nth(skip - 1).map_or(text.len(), |at| at + 1);
                text.drain(..end);
            }
            Ok::<_, Error>(text)
        });
        Ok(Some((text.await.map_err(Error::internal)??, next)))
    }
}
