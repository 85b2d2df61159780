//! Reading logs: ranges, search, the whole of one as a stream of pieces. Memory is bounded whatever a log's size.

use domain::{
    StageId,
    view::{LogMatch, LogMatches, LogPage},
};

use crate::{
    Control,
    error::{Error, Result},
    store::{logs, runs},
};

impl Control {
    /// Which attempt is meant and whether more lines may come.
    async fn attempt_of(&self, stage: StageId, attempt: Option<u32>) -> Result<(u32, bool)> {
        let row = runs::stage(self.store.read(), stage).await?;
        let current = row.attempt as u32;
        let wanted = attempt.unwrap_or(current);
        if wanted > current {
            return Err(Error::not_found("attempt", wanted));
        }
        let complete =
            wanted < current || !matches!(row.status.as_str(), "in_progress" | "idle" | "awaiting_approval");
        Ok((wanted, complete))
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
        let (attempt, complete) = self.attempt_of(stage, attempt).await?;
        let total = logs::count(self.store.read(), stage, attempt).await?;
        let lines = logs::read(self.store.read(), stage, attempt, from, limit.min(logs::MOST_LINES)).await?;
        let next_seq = lines.last().map_or(from.min(total), |l| l.seq + 1);
        Ok(LogPage { lines, next_seq, total, complete: complete && next_seq >= total })
    }

    /// The last lines.
    pub async fn log_tail(&self, stage: StageId, attempt: Option<u32>, limit: u64) -> Result<LogPage> {
        let (wanted, _) = self.attempt_of(stage, attempt).await?;
        let total = logs::count(self.store.read(), stage, wanted).await?;
        self.log_page(stage, Some(wanted), total.saturating_sub(limit), limit).await
    }

    /// Lines that hold `query`: without regard to case unless it has an upper-case letter.
    pub async fn log_search(
        &self,
        stage: StageId,
        attempt: Option<u32>,
        query: &str,
        limit: u64,
    ) -> Result<LogMatches> {
        if query.is_empty() {
            return Err(Error::field("q", "give some text to search for"));
        }
        let (attempt, _) = self.attempt_of(stage, attempt).await?;
        let exact = query.chars().any(char::is_uppercase);
        let (mut matches, mut total, mut at) = (Vec::new(), 0, 0);
        loop {
            let lines = logs::read_some(self.store.read(), stage, attempt, at).await?;
            let Some(last) = lines.last() else { break };
            at = last.seq + 1;
            for line in lines {
                let hit =
                    if exact { line.text.contains(query) } else { line.text.to_lowercase().contains(query) };
                if hit {
                    total += 1;
                    if (matches.len() as u64) < limit {
                        matches.push(LogMatch { seq: line.seq, text: line.text });
                    }
                }
            }
        }
        Ok(LogMatches { matches, total })
    }

    /// The next piece of a whole log as text, and where to go on; nothing at the end.
    pub async fn log_text(
        &self,
        stage: StageId,
        attempt: Option<u32>,
        from: u64,
    ) -> Result<Option<(String, u64)>> {
        let (attempt, _) = self.attempt_of(stage, attempt).await?;
        let lines = logs::read_some(self.store.read(), stage, attempt, from).await?;
        let Some(last) = lines.last() else { return Ok(None) };
        let next = last.seq + 1;
        let mut text = String::new();
        for line in &lines {
            text.push_str(&line.text);
            text.push('\n');
        }
        Ok(Some((text, next)))
    }
}
