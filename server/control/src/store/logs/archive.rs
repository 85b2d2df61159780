//! Which logs are over but still lie in small rows, and putting larger ones in their place.
//!
//! Refuses to touch a log that may still grow.

use domain::{StageId, Timestamp};
use entity::{log_chunk, log_unarchived, stage};
use sea_orm::{
    ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect,
    prelude::*,
    sea_query::{Cond, ExprTrait, Func, Query, SimpleExpr},
};

use super::insert;
use crate::error::{Error, Result};

/// A log that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The stage.
    pub stage: StageId,
    /// The attempt.
    pub attempt: u32,
}

/// Logs that are over and not archived yet.
///
/// # Errors
/// When the database does not answer.
pub async fn due<C: ConnectionTrait>(db: &C, limit: u64) -> Result<Vec<Due>> {
    let is_over = Cond::any().add(stage::Column::Status.ne("in_progress")).add(
        Expr::col((stage::Entity, stage::Column::Attempt))
            .ne(Expr::col((log_unarchived::Entity, log_unarchived::Column::Attempt))),
    );
    let stage_of = log_unarchived::Entity::belongs_to(stage::Entity)
        .from(log_unarchived::Column::StageId)
        .to(stage::Column::Id)
        .into();
    let rows: Vec<log_unarchived::Model> = log_unarchived::Entity::find()
        .join(JoinType::InnerJoin, stage_of)
        .filter(is_over)
        .limit(limit)
        .all(db)
        .await?;
    rows.into_iter().map(|r| Ok(Due { stage: r.stage_id.parse()?, attempt: r.attempt as u32 })).collect()
}

/// These logs need no more work; what they take is written down for the retention.
///
/// # Errors
/// When the database does not answer.
pub async fn archived<C: ConnectionTrait>(db: &C, all: &[Due]) -> Result<()> {
    for one in all {
        let stage = one.stage.to_string();
        let mut bytes = Query::select();
        bytes
            .expr(Func::coalesce([
                Func::sum(Func::cust("LENGTH").arg(Expr::col(log_chunk::Column::Body))).into(),
                Expr::value(0_i64),
            ]))
            .from(log_chunk::Entity)
            .and_where(log_chunk::Column::StageId.eq(&stage));
        stage::Entity::update_many()
            .col_expr(stage::Column::LogBytes, SimpleExpr::SubQuery(None, Box::new(bytes.into())))
            .filter(stage::Column::Id.eq(stage))
            .exec(db)
            .await?;
        log_unarchived::Entity::delete_by_id((one.stage.to_string(), one.attempt as i32)).exec(db).await?;
    }
    Ok(())
}

/// Puts one row in the place of those that hold lines from `first` up to `next`, which must be so many.
///
/// # Errors
/// When the database does not answer; [`Error::Conflict`] when they are not as they were read.
pub async fn replace<C: ConnectionTrait>(
    db: &C,
    log: Due,
    (first, next): (u64, u64),
    (many, body): (usize, Vec<u8>),
    now: Timestamp,
) -> Result<()> {
    let gone = log_chunk::Entity::delete_many()
        .filter(log_chunk::Column::StageId.eq(log.stage.to_string()))
        .filter(log_chunk::Column::Attempt.eq(log.attempt as i32))
        .filter(log_chunk::Column::FirstSeq.gte(first as i64))
        .filter(log_chunk::Column::FirstSeq.lt(next as i64))
        .exec(db)
        .await?;
    if gone.rows_affected != many as u64 {
        return Err(Error::Conflict("another server put these rows together at the same time".into()));
    }
    insert(db, &log.stage.to_string(), log.attempt as i32, (first, next), body, now).await
}
