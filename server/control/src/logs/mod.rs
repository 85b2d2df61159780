//! Reading logs: ranges, the whole of one as a stream of pieces. Memory is bounded whatever a log's size.

mod archive;
mod outline;
mod search;

use domain::{StageId, view::LogPage};
use entity::stage;

pub use archive::MANY;
pub use search::{Case, Part, Search};

use crate::{
    Control,
    error::{Error, Result},
    store::{logs, runs},
};

/// Looks through all of a log that go on at the same time; each takes a core while it does.
pub(crate) const SCANS: usize = 4;

impl Control {
    /// Which attempt is meant and whether more lines may come.
    async fn attempt_of(&self, stage: StageId, attempt: Option<u32>) -> Result<(u32, bool)> {
        let row = runs::stage(self.store.read(), stage).await?;
        Self::attempt_in(&row, attempt)
    }

    fn attempt_in(row: &stage::Model, attempt: Option<u32>) -> Result<(u32, bool)> {
        let current = row.attempt as u32;
        let wanted = attempt.unwrap_or(current);
        if wanted > current {
            return Err(Error::not_found("attempt", wanted));
        }
        let complete =
            wanted < current || !matches!(row.status.as_str(), "in_progress" | "idle" | "awaiting_approval");
        Ok((wanted, complete))
    }

    /// The attempt whose log is meant: this one if it was made, the current one when none is named.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such stage or attempt.
    pub async fn log_attempt(&self, stage: StageId, attempt: Option<u32>) -> Result<u32> {
        Ok(self.attempt_of(stage, attempt).await?.0)
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
        let (attempt, complete) = Self::attempt_in(&row, attempt)?;
        if row.log_removed.is_some() {
            let removed = row.log_removed;
            return Ok(LogPage { lines: Vec::new(), next_seq: 0, total: 0, complete: true, removed });
        }
        let total = logs::count(self.store.read(), stage, attempt).await?;
        let lines = logs::read(self.store.read(), stage, attempt, from, limit.min(logs::MOST_LINES)).await?;
        let next_seq = lines.last().map_or(from.min(total), |l| l.seq + 1);
        Ok(LogPage { lines, next_seq, total, complete: complete && next_seq >= total, removed: None })
    }

    /// The last lines.
    pub async fn log_tail(&self, stage: StageId, attempt: Option<u32>, limit: u64) -> Result<LogPage> {
        let (wanted, _) = self.attempt_of(stage, attempt).await?;
        let total = logs::count(self.store.read(), stage, wanted).await?;
        self.log_page(stage, Some(wanted), total.saturating_sub(limit), limit).await
    }

    /// The next piece of an attempt's whole log as text, and where to go on; nothing at the end.
    pub async fn log_text(&self, stage: StageId, attempt: u32, from: u64) -> Result<Option<(Vec<u8>, u64)>> {
        let mut rows = logs::Rows::from(stage, attempt, from);
        let some = rows.next(self.store.read()).await?;
        let Some(first) = some.first() else {
            // Nothing at all: was it removed? Then that is what there is to read.
            let removed =
                if from == 0 { runs::stage(self.store.read(), stage).await?.log_removed } else { None };
            return Ok(removed.map(|why| (format!("This log was {why}.\n").into_bytes(), 1)));
        };
        let skip = from.saturating_sub(first.first_seq as u64) as usize;
        let next = rows.at();
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
