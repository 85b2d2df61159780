//! Retention: logs go by age and by size, runs by age, as each pipeline says. In small transactions, so that no writer waits for long;
//! cut off anywhere, the next look goes on.
//!
//! Refuses to remove without a word: what is gone says so in its place.

use domain::{RunId, Timestamp, view::Retention};
use entity::pipeline;

use crate::{
    Control,
    error::Result,
    store::{
        retention::{self, Old},
        rows, services,
    },
};

const DAY_MS: i64 = 24 * 3_600_000;
/// Stages, runs or deliveries of one look.
const MANY: u64 = 100;
/// Bytes of logs that one transaction removes, about; a log that takes more goes by itself, piece by piece.
const BYTES: i64 = 8 << 20;
/// Pages of SQLite that are given back at a time: 2 MB.
const PAGES: u32 = 512;

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Logs of stages.
    pub logs: usize,
    /// Runs.
    pub runs: usize,
}

impl Control {
    /// Removes what is older than pipelines keep, and gives the room back.
    ///
    /// # Errors
    /// When the database does not answer; the next look goes on.
    pub async fn retain(&self) -> Result<Removed> {
        let mut removed = Removed::default();
        for pipeline in services::pipelines(self.store.read()).await? {
            let kept = rows::retention(&pipeline);
            removed.logs += self.retain_logs(&pipeline, kept).await?;
            if kept.run_days > 0 {
                removed.runs += self.retain_runs(&pipeline, kept.run_days).await?;
            }
        }
        if removed != Removed::default() {
            tracing::info!(logs = removed.logs, runs = removed.runs, "what was kept long enough was removed");
        }
        self.forget_servers().await?;
        while self.store.give_back(PAGES).await? {}
        Ok(removed)
    }

    async fn retain_logs(&self, pipeline: &pipeline::Model, kept: Retention) -> Result<usize> {
        let mut count = 0;
        if kept.log_days > 0 {
            let before = self.now().plus(-DAY_MS * i64::from(kept.log_days));
            let days = if kept.log_days == 1 { "day" } else { "days" };
            let why = format!("removed after {} {days}", kept.log_days);
            count += self.remove_logs(pipeline, before, &why).await?;
        }
        if kept.log_megabytes > 0 {
            let bytes = kept.log_megabytes as i64 * 1_000_000;
            if let Some(before) = retention::full_since(self.store.read(), &pipeline.id, bytes).await? {
                let why = format!(
                    "removed to keep the logs of pipeline {} under {} MB",
                    pipeline.name, kept.log_megabytes
                );
                count += self.remove_logs(pipeline, before, &why).await?;
            }
        }
        Ok(count)
    }

    async fn remove_logs(&self, pipeline: &pipeline::Model, before: Timestamp, why: &str) -> Result<usize> {
        let mut count = 0;
        loop {
            let old = retention::old_logs(self.store.read(), &pipeline.id, before, MANY).await?;
            if old.is_empty() {
                return Ok(count);
            }
            count += old.len();
            self.remove(old, why).await?;
        }
    }

    /// Removes logs, as many in one transaction as do not keep others waiting.
    async fn remove(&self, mut old: Vec<Old>, why: &str) -> Result<()> {
        while !old.is_empty() {
            let mut bytes = 0;
            let fit = old.iter().take_while(|one| {
                bytes += one.bytes;
                bytes <= BYTES
            });
            let group: Vec<String> = match fit.count() {
                0 => old.drain(..1),
                some => old.drain(..some),
            }
            .map(|one| one.id)
            .collect();
            let tx = self.store.begin().await?;
            retention::say_removed(&tx, &group, why).await?;
            if bytes > BYTES && group.len() == 1 {
                tx.commit().await?;
                while retention::remove_some(self.store.write(), &group[0]).await? {}
                retention::remove_rest(self.store.write(), &group).await?;
            } else {
                retention::remove_rest(&tx, &group).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    async fn retain_runs(&self, pipeline: &pipeline::Model, days: u32) -> Result<usize> {
        let since = self.now().plus(-DAY_MS * i64::from(days));
        // Ids are in order of time: this is the first of that moment.
        let first = RunId::from(ulid::Ulid::from_parts(since.0.max(0) as u64, 0)).to_string();
        let (db, why) = (self.store.read(), format!("removed with its run after {days} days"));
        let mut count = 0;
        loop {
            let runs = retention::old_runs(db, &pipeline.id, &first, since, MANY).await?;
            if runs.is_empty() {
                break;
            }
            count += runs.len();
            self.remove(retention::logs_of(db, &runs).await?, &why).await?;
            let tx = self.store.begin().await?;
            retention::remove_runs(&tx, &runs).await?;
            tx.commit().await?;
        }
        while retention::remove_deliveries(self.store.write(), &pipeline.id, &first, MANY).await? > 0 {}
        Ok(count)
    }
}
