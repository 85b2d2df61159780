//! Archiving: the many small rows of a log that is over become few large ones, each checked before it takes their place.
//!
//! Each step is one transaction, so that a reader finds every line before, between and after; one that was cut off is done again.
//! Refuses to drop a row whose lines are not, letter for letter, in what replaces it.

use domain::{protocol::NewLine, view::LogLine};
use entity::log_chunk;

use crate::{
    Control,
    error::{Error, Result},
    store::logs::{self, Due, Rows, block},
};

/// Logs in one go; what is left is done in the next.
pub const MANY: u64 = 50;
/// How hard the text is squeezed: read often, packed once.
const WELL: i32 = 6;

impl Control {
    /// Archives logs that are over; says how many.
    ///
    /// # Errors
    /// When the database does not answer, or a log is damaged; it stays as it is then.
    pub async fn archive(&self) -> Result<usize> {
        let due = logs::due(self.store.read(), MANY).await?;
        let mut done = Vec::with_capacity(due.len());
        for log in due {
            match self.archive_one(log).await {
                Ok(()) => done.push(log),
                // Another server was quicker: it is looked at again.
                Err(Error::Conflict(_)) => {}
                // One damaged log keeps no other from being archived; it is not tried for ever.
                Err(Error::Internal(cause)) => {
                    tracing::error!(stage = %log.stage, attempt = log.attempt, error = &*cause as &dyn std::error::Error, "a log stays in small rows");
                    done.push(log);
                }
                Err(error) => return Err(error),
            }
        }
        if !done.is_empty() {
            let tx = self.store.begin().await?;
            logs::archived(&tx, &done).await?;
            tx.commit().await?;
        }
        Ok(done.len())
    }

    async fn archive_one(&self, log: Due) -> Result<()> {
        let (mut rows, mut group) = (Rows::from(log.stage, log.attempt, 0), Group::default());
        loop {
            let some = rows.next(self.store.read()).await?;
            if some.is_empty() {
                return self.put_together(log, group).await;
            }
            for row in some {
                if !group.has_room_for(&row) {
                    self.put_together(log, std::mem::take(&mut group)).await?;
                }
                group.add(row);
            }
        }
    }

    async fn put_together(&self, log: Due, group: Group) -> Result<()> {
        let (Some(first), Some(last)) = (group.rows.first(), group.rows.last()) else { return Ok(()) };
        let range = (first.first_seq as u64, last.next_seq as u64);
        if group.rows.len() == 1 && block::text_length(&first.body).is_some() {
            return Ok(());
        }
        let many = group.rows.len();
        let body = tokio::task::spawn_blocking(move || group.packed()).await.map_err(Error::internal)??;
        let tx = self.store.begin().await?;
        logs::replace(&tx, log, range, (many, body), self.now()).await?;
        Ok(tx.commit().await?)
    }
}

/// Rows that become one.
#[derive(Default)]
struct Group {
    rows: Vec<log_chunk::Model>,
    text: usize,
    lines: usize,
}

impl Group {
    fn size(row: &log_chunk::Model) -> (usize, usize) {
        let lines = (row.next_seq - row.first_seq) as usize;
        (block::text_length(&row.body).unwrap_or(row.body.len() * 8), lines)
    }

    fn has_room_for(&self, row: &log_chunk::Model) -> bool {
        let (text, lines) = Self::size(row);
        self.rows.is_empty()
            || (self.text + text <= block::MOST_TEXT && self.lines + lines <= block::MOST_LINES)
    }

    fn add(&mut self, row: log_chunk::Model) {
        let (text, lines) = Self::size(&row);
        self.text += text;
        self.lines += lines;
        self.rows.push(row);
    }

    fn packed(&self) -> Result<Vec<u8>> {
        let mut lines: Vec<LogLine> = Vec::with_capacity(self.lines);
        for row in &self.rows {
            let some = block::lines(row.first_seq as u64, &row.body)?;
            if row.first_seq + some.len() as i64 != row.next_seq {
                return Err(Error::internal(format!(
                    "a row of a log has {} lines too many or too few",
                    some.len()
                )));
            }
            lines.extend(some);
        }
        let bare: Vec<NewLine> =
            lines.iter().map(|l| NewLine { at: l.at, stream: l.stream, text: l.text.clone() }).collect();
        let body = block::pack(&bare, WELL)?;
        let first = lines.first().map_or(0, |l| l.seq);
        if block::lines(first, &body)? != lines {
            return Err(Error::internal("a log was not the same after it was packed"));
        }
        Ok(body)
    }
}
