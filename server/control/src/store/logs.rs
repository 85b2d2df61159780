//! Logs as compressed, append-only runs of lines. A batch is one row; nothing is ever rewritten.
//!
//! Refuses holes: a batch that starts after the next expected line stores nothing and says what is wanted.

use domain::{
    StageId, Timestamp,
    protocol::NewLine,
    view::{LogLine, Stream},
};
use entity::{log_chunk, stage};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Most lines that one read gives.
pub const MOST_LINES: u64 = 10_000;

#[derive(Serialize, Deserialize)]
struct Packed(i64, u8, String);

fn pack(lines: &[NewLine]) -> Result<Vec<u8>> {
    let packed: Vec<Packed> = lines
        .iter()
        .map(|l| {
            let stream = match l.stream {
                Stream::Stdout => 0,
                Stream::Stderr => 1,
                Stream::System => 2,
            };
            Packed(l.at.0, stream, l.text.clone())
        })
        .collect();
    Ok(zstd::encode_all(&serde_json::to_vec(&packed)?[..], 1)?)
}

fn unpack(row: &log_chunk::Model) -> Result<Vec<LogLine>> {
    let packed: Vec<Packed> = serde_json::from_slice(&zstd::decode_all(&row.body[..])?)?;
    Ok(packed
        .into_iter()
        .zip(row.first_seq as u64..)
        .map(|(Packed(at, stream, text), seq)| LogLine {
            seq,
            at: Timestamp(at),
            stream: match stream {
                0 => Stream::Stdout,
                1 => Stream::Stderr,
                _ => Stream::System,
            },
            text,
        })
        .collect())
}

/// Stores a batch for the current attempt of a stage that is in progress; returns the next wanted line's number.
///
/// # Errors
/// [`Error::Hole`] when lines before the batch are missing; [`Error::Conflict`] when the attempt is not the current one.
pub async fn append<C: ConnectionTrait>(
    db: &C,
    stage_id: StageId,
    attempt: u32,
    first_seq: u64,
    lines: &[NewLine],
    now: Timestamp,
) -> Result<u64> {
    let row = stage::Entity::find_by_id(stage_id.to_string())
        .one(db)
        .await?
        .ok_or_else(|| Error::not_found("stage", stage_id))?;
    if row.attempt != attempt as i32 || row.status != "in_progress" {
        return Err(Error::Conflict(format!(
            "attempt {attempt} of this stage is over: it is {} at attempt {}",
            row.status, row.attempt
        )));
    }
    let next = row.lines as u64;
    if first_seq > next {
        return Err(Error::Hole { next_seq: next });
    }
    let known = (next - first_seq) as usize;
    if known >= lines.len() {
        return Ok(next);
    }
    let fresh = &lines[known..];
    let new_next = next + fresh.len() as u64;
    log_chunk::Entity::insert(log_chunk::ActiveModel {
        stage_id: Set(row.id.clone()),
        attempt: Set(row.attempt),
        first_seq: Set(next as i64),
        next_seq: Set(new_next as i64),
        body: Set(pack(fresh)?),
        at: Set(now.0),
    })
    .exec_without_returning(db)
    .await?;
    let updated = stage::Entity::update_many()
        .col_expr(stage::Column::Lines, Expr::value(new_next as i64))
        .col_expr(stage::Column::HeartbeatAt, Expr::value(Some(now.0)))
        .filter(stage::Column::Id.eq(row.id))
        .filter(stage::Column::Attempt.eq(row.attempt))
        .filter(stage::Column::Lines.eq(next as i64))
        .exec(db)
        .await?;
    if updated.rows_affected == 0 {
        return Err(Error::Conflict(format!(
            "another batch was stored at the same time: expected line {next}"
        )));
    }
    Ok(new_next)
}

/// Lines from a number on, up to `limit`.
pub async fn read<C: ConnectionTrait>(
    db: &C,
    stage: StageId,
    attempt: u32,
    from: u64,
    limit: u64,
) -> Result<Vec<LogLine>> {
    let mut found: Vec<LogLine> = Vec::new();
    let mut at = from;
    while (found.len() as u64) < limit {
        let chunks = chunks(db, stage, attempt, at, 64).await?;
        if chunks.is_empty() {
            break;
        }
        for chunk in &chunks {
            found.extend(unpack(chunk)?.into_iter().filter(|l| l.seq >= from));
            at = chunk.next_seq as u64;
            if found.len() as u64 >= limit {
                break;
            }
        }
    }
    found.truncate(limit as usize);
    Ok(found)
}

/// Lines of the next few chunks from a number on; empty at the end. For reading a whole log in bounded memory.
pub async fn read_some<C: ConnectionTrait>(
    db: &C,
    stage: StageId,
    attempt: u32,
    from: u64,
) -> Result<Vec<LogLine>> {
    let mut lines = Vec::new();
    for chunk in chunks(db, stage, attempt, from, 32).await? {
        lines.extend(unpack(&chunk)?.into_iter().filter(|l| l.seq >= from));
    }
    Ok(lines)
}

async fn chunks<C: ConnectionTrait>(
    db: &C,
    stage: StageId,
    attempt: u32,
    from: u64,
    limit: u64,
) -> Result<Vec<log_chunk::Model>> {
    Ok(log_chunk::Entity::find()
        .filter(log_chunk::Column::StageId.eq(stage.to_string()))
        .filter(log_chunk::Column::Attempt.eq(attempt as i32))
        .filter(log_chunk::Column::NextSeq.gt(from as i64))
        .order_by_asc(log_chunk::Column::FirstSeq)
        .limit(limit)
        .all(db)
        .await?)
}

/// How many lines an attempt has.
pub async fn count<C: ConnectionTrait>(db: &C, stage: StageId, attempt: u32) -> Result<u64> {
    let last = log_chunk::Entity::find()
        .filter(log_chunk::Column::StageId.eq(stage.to_string()))
        .filter(log_chunk::Column::Attempt.eq(attempt as i32))
        .order_by_desc(log_chunk::Column::FirstSeq)
        .limit(1)
        .one(db)
        .await?;
    Ok(last.map_or(0, |c| c.next_seq as u64))
}
