//! The rows of a log in order: from the hot copy as far as it has them, else from the database.
//!
//! Refuses to take the hot copy's word for what there is: how many lines a log has is known from its stage, and whatever is missing
//! before that is read in the database, and put back where it was missing.

use domain::{protocol::NewLine, view::LogLine};
use sea_orm::ConnectionTrait;

use super::Which;
use crate::{
    Control,
    error::Result,
    hot::{Copy, Row},
    store::logs::{LIGHTLY, Rows, block},
};

/// Rows that the hot copy is asked for at first, and the most that it is.
const FEW: (u64, u64) = (8, 128);

/// Goes through a log, a few rows at a time.
pub(crate) struct Reader {
    which: Which,
    at: u64,
    few: u64,
    begun: bool,
    hot: Option<Copy>,
    rows: Rows,
}

impl Control {
    /// From the row on that holds a line.
    pub(crate) fn rows(&self, which: Which, from: u64) -> Reader {
        let hot = self.hot.clone().filter(|_| which.hot);
        let rows = Rows::from(which.log.stage, which.log.attempt, from);
        Reader { which, at: from, few: FEW.0, begun: false, hot, rows }
    }

    /// Lines from a number on, up to `limit`.
    pub(crate) async fn lines(&self, which: Which, from: u64, limit: u64) -> Result<Vec<LogLine>> {
        let (mut found, mut rows) = (Vec::new(), self.rows(which, from));
        while (found.len() as u64) < limit {
            let some = rows.next(self.store.read()).await?;
            if some.is_empty() {
                break;
            }
            for row in &some {
                let skip = from.saturating_sub(row.first) as usize;
                found.extend(block::lines(row.first, &row.body)?.into_iter().skip(skip));
                if found.len() as u64 >= limit {
                    break;
                }
            }
        }
        found.truncate(limit as usize);
        Ok(found)
    }
}

impl Reader {
    /// Rows may be put together between two looks: the one that holds the next line then holds lines that were given already.
    fn without_what_was_given(&self, mut rows: Vec<Row>) -> Result<Vec<Row>> {
        let Some(first) = rows.first_mut().filter(|row| self.begun && row.first < self.at) else {
            return Ok(rows);
        };
        let given = (self.at - first.first) as usize;
        let lines = block::lines(first.first, &first.body)?.into_iter().skip(given);
        let lines: Vec<_> = lines.map(|l| NewLine { at: l.at, stream: l.stream, text: l.text }).collect();
        *first = Row { first: self.at, next: first.next, body: block::pack(&lines, LIGHTLY)? };
        Ok(rows)
    }

    /// The next few rows; none at the end.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn next<C: ConnectionTrait>(&mut self, db: &C) -> Result<Vec<Row>> {
        if self.at >= self.which.lines {
            return Ok(Vec::new());
        }
        if let Some(hot) = &self.hot {
            let rows = hot.rows(self.which.log, self.at, self.which.lines, self.few).await;
            let rows = self.without_what_was_given(rows)?;
            if let Some(last) = rows.last() {
                (self.at, self.few, self.begun) = (last.next, (self.few * 2).min(FEW.1), true);
                return Ok(rows);
            }
        }
        self.rows.go_to(self.at);
        let rows = self.rows.next(db).await?.into_iter();
        let rows: Vec<Row> = rows
            .map(|row| Row { first: row.first_seq as u64, next: row.next_seq as u64, body: row.body })
            .collect();
        let rows = self.without_what_was_given(rows)?;
        if let Some(last) = rows.last() {
            (self.at, self.begun) = (last.next, true);
        }
        // Once it is over its rows are put together: what is read then is no longer what is missing.
        if let Some(hot) = self.hot.as_ref().filter(|_| !self.which.complete) {
            hot.put(self.which.log, rows.clone(), || ());
        }
        Ok(rows)
    }
}
