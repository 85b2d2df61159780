//! Batches of several stages stored by one transaction, each judged by itself: one that does not fit is told so, and the others are stored.
//!
//! Refuses holes: a batch that starts after the next expected line stores nothing and says what is wanted.

use std::collections::HashMap;

use domain::{StageId, Timestamp};
use entity::{log_chunk, log_unarchived, stage};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*,
    sea_query::CaseStatement,
};

use super::{LIGHTLY, block};
use crate::{
    error::{Error, Result},
    hot::Row,
    store::backend,
};

/// Lines as they become one row.
#[derive(Debug, Clone)]
pub struct Piece {
    /// How many.
    pub lines: u64,
    /// Packed.
    pub body: Vec<u8>,
}

/// Lines of one attempt.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Of which stage.
    pub stage: StageId,
    /// Of which attempt.
    pub attempt: u32,
    /// Number of its first line.
    pub first_seq: u64,
    /// The lines, in order.
    pub pieces: Vec<Piece>,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Number of the line that is wanted next.
    pub next_seq: u64,
    /// The rows that are new.
    pub rows: Vec<Row>,
}

/// Where a stage stands.
struct Stands {
    attempt: i32,
    status: String,
    next: u64,
    before: u64,
}

/// Stores batches for the current attempts of stages that are in progress; answers for each the number of the line that is wanted next.
/// That of a stage's second batch is judged after its first.
///
/// # Errors
/// For one batch: [`Error::Hole`] when lines before it are missing, [`Error::Conflict`] when its attempt is not the current one. For
/// all: when the database refuses; nothing may be committed then.
pub async fn append<C: ConnectionTrait>(
    db: &C,
    batches: &[Batch],
    now: Timestamp,
) -> Result<Vec<Result<Stored>>> {
    let mut stages = stand(db, batches).await?;
    let (mut rows, mut begun, mut answers) = (Vec::new(), Vec::new(), Vec::with_capacity(batches.len()));
    for batch in batches {
        answers.push(judge(batch, &mut stages, now, &mut rows, &mut begun));
    }
    if !begun.is_empty() {
        log_unarchived::Entity::insert_many(begun).exec_without_returning(db).await?;
    }
    if !rows.is_empty() {
        log_chunk::Entity::insert_many(rows).exec_without_returning(db).await?;
        grown(db, &stages, now).await?;
    }
    Ok(answers)
}

/// Reads where the stages stand; on PostgreSQL they stay there until the transaction ends. On SQLite nobody else writes.
async fn stand<C: ConnectionTrait>(db: &C, batches: &[Batch]) -> Result<HashMap<String, Stands>> {
    let mut ids: Vec<String> = batches.iter().map(|b| b.stage.to_string()).collect();
    ids.sort_unstable();
    ids.dedup();
    let query = stage::Entity::find()
        .select_only()
        .columns([stage::Column::Id, stage::Column::Attempt, stage::Column::Status, stage::Column::Lines])
        .filter(stage::Column::Id.is_in(ids))
        .order_by_asc(stage::Column::Id);
    let found: Vec<(String, i32, String, i64)> = backend::hold(query).into_tuple().all(db).await?;
    Ok(found
        .into_iter()
        .map(|(id, attempt, status, lines)| {
            (id, Stands { attempt, status, next: lines as u64, before: lines as u64 })
        })
        .collect())
}

fn judge(
    batch: &Batch,
    stages: &mut HashMap<String, Stands>,
    now: Timestamp,
    rows: &mut Vec<log_chunk::ActiveModel>,
    begun: &mut Vec<log_unarchived::ActiveModel>,
) -> Result<Stored> {
    let id = batch.stage.to_string();
    let stage = stages.get_mut(&id).ok_or_else(|| Error::Conflict("this stage is gone".into()))?;
    if stage.attempt != batch.attempt as i32 || stage.status != "in_progress" {
        return Err(Error::Conflict(format!(
            "attempt {} of this stage is over: it is {} at attempt {}",
            batch.attempt, stage.status, stage.attempt
        )));
    }
    if batch.first_seq > stage.next {
        return Err(Error::Hole { next_seq: stage.next });
    }
    let (mut at, mut fresh) = (batch.first_seq, Vec::new());
    for piece in &batch.pieces {
        let end = at + piece.lines;
        if end > stage.next && piece.lines > 0 {
            // Lines that are there already are left out; that is rare.
            let known = stage.next.saturating_sub(at);
            let body = match known {
                0 => piece.body.clone(),
                known => block::without_first(&piece.body, known, LIGHTLY)?,
            };
            fresh.push((at + known, end, body));
        }
        at = end;
    }
    let mut new = Vec::with_capacity(fresh.len());
    for (first, next, body) in fresh {
        if stage.next == 0 {
            begun
                .push(log_unarchived::ActiveModel { stage_id: Set(id.clone()), attempt: Set(stage.attempt) });
        }
        stage.next = next;
        new.push(Row { first, next, body: body.clone() });
        rows.push(log_chunk::ActiveModel {
            stage_id: Set(id.clone()),
            attempt: Set(stage.attempt),
            first_seq: Set(first as i64),
            next_seq: Set(next as i64),
            body: Set(body),
            at: Set(now.0),
        });
    }
    Ok(Stored { next_seq: stage.next, rows: new })
}

/// Writes down how far the stages have come, all in one statement.
async fn grown<C: ConnectionTrait>(db: &C, stages: &HashMap<String, Stands>, now: Timestamp) -> Result<()> {
    let grown: Vec<_> = stages.iter().filter(|(_, stage)| stage.next > stage.before).collect();
    let mut lines = CaseStatement::new();
    for (id, stage) in &grown {
        lines = lines.case(stage::Column::Id.eq(id.as_str()), Expr::value(stage.next as i64));
    }
    let updated = stage::Entity::update_many()
        .col_expr(stage::Column::Lines, lines.finally(Expr::col(stage::Column::Lines)).into())
        .col_expr(stage::Column::HeartbeatAt, Expr::value(Some(now.0)))
        .filter(stage::Column::Id.is_in(grown.iter().map(|(id, _)| id.as_str())))
        .exec(db)
        .await?;
    if updated.rows_affected != grown.len() as u64 {
        return Err(Error::Conflict("a stage went while lines of it were stored".into()));
    }
    Ok(())
}
