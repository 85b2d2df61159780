//! Logs as compressed runs of lines. A batch is one row; when an attempt is over, its rows are put together into larger ones.
//!
//! Refuses holes: a batch that starts after the next expected line stores nothing and says what is wanted.

mod append;
mod archive;

use domain::{StageId, Timestamp};
use entity::log_chunk;
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::*,
    sea_query::{ExprTrait, Func, Query, SimpleExpr},
};

pub use append::{Batch, Piece, Stored, append};
pub use archive::{Due, archived, due, replace};
pub use lines::block;

use crate::error::Result;

/// Most lines that one read gives.
pub const MOST_LINES: u64 = 10_000;
/// Text of a batch is squeezed lightly: it is read soon, and packed again when the stage is over.
pub const LIGHTLY: i32 = 1;

async fn insert<C: ConnectionTrait>(
    db: &C,
    stage: &str,
    attempt: i32,
    (first, next): (u64, u64),
    body: Vec<u8>,
    now: Timestamp,
) -> Result<()> {
    log_chunk::Entity::insert(log_chunk::ActiveModel {
        stage_id: Set(stage.to_owned()),
        attempt: Set(attempt),
        first_seq: Set(first as i64),
        next_seq: Set(next as i64),
        body: Set(body),
        at: Set(now.0),
    })
    .exec_without_returning(db)
    .await?;
    Ok(())
}

/// Rows of one log, in order, a few at a time: many while they are small, few when they are large.
#[derive(Debug, Clone)]
pub struct Rows {
    stage: String,
    attempt: i32,
    at: u64,
    few: u64,
}

/// Rows that are asked for at first, and the most that are.
const FEW: (u64, u64) = (8, 512);
/// Less than this in one answer, and the next question is for twice as many rows.
const LITTLE: usize = 512 << 10;

impl Rows {
    /// From the row on that holds a line.
    pub fn from(stage: StageId, attempt: u32, from: u64) -> Self {
        Self { stage: stage.to_string(), attempt: attempt as i32, at: from, few: FEW.0 }
    }

    /// Goes on at another line.
    pub fn go_to(&mut self, at: u64) {
        self.at = at;
    }

    /// The next few; none at the end.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next<C: ConnectionTrait>(&mut self, db: &C) -> Result<Vec<log_chunk::Model>> {
        let rows = of(&self.stage, self.attempt, self.at).limit(self.few).all(db).await?;
        if let Some(last) = rows.last() {
            self.at = last.next_seq as u64;
        }
        let size: usize = rows.iter().map(|r| r.body.len()).sum();
        self.few = match size < LITTLE {
            true if self.few < FEW.1 => self.few * 2,
            true => FEW.1,
            false => FEW.0,
        };
        Ok(rows)
    }
}

/// Rows of a log that hold a line or come after it.
///
/// The row that holds it is looked up in the index, in the same statement that reads: rows may be put together in between.
fn of(stage: &str, attempt: i32, from: u64) -> Select<log_chunk::Entity> {
    let mine = |query: &mut sea_orm::sea_query::SelectStatement| {
        query
            .and_where(log_chunk::Column::StageId.eq(stage))
            .and_where(log_chunk::Column::Attempt.eq(attempt))
            .and_where(log_chunk::Column::FirstSeq.lte(from as i64));
    };
    let mut start = Query::select();
    start.expr(Func::max(Expr::col(log_chunk::Column::FirstSeq))).from(log_chunk::Entity);
    mine(&mut start);
    let start = SimpleExpr::SubQuery(None, Box::new(start.into()));
    log_chunk::Entity::find()
        .filter(log_chunk::Column::StageId.eq(stage))
        .filter(log_chunk::Column::Attempt.eq(attempt))
        .filter(Expr::col(log_chunk::Column::FirstSeq).gte(Func::coalesce([start, Expr::value(0_i64)])))
        .filter(log_chunk::Column::NextSeq.gt(from as i64))
        .order_by_asc(log_chunk::Column::FirstSeq)
}

/// How many lines an attempt has.
pub async fn count<C: ConnectionTrait>(db: &C, stage: StageId, attempt: u32) -> Result<u64> {
    let last: Option<i64> = log_chunk::Entity::find()
        .select_only()
        .column(log_chunk::Column::NextSeq)
        .filter(log_chunk::Column::StageId.eq(stage.to_string()))
        .filter(log_chunk::Column::Attempt.eq(attempt as i32))
        .order_by_desc(log_chunk::Column::FirstSeq)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    Ok(last.unwrap_or(0) as u64)
}
