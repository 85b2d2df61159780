//! Messages that are to be sent, until they were.

use domain::Timestamp;
use entity::notice;
use sea_orm::{
    ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::*,
    sea_query::{ExprTrait, OnConflict},
};

use crate::error::Result;

/// Puts one there; the same event's a second time changes nothing.
pub async fn put<C: ConnectionTrait>(db: &C, row: notice::Model) -> Result<()> {
    notice::Entity::insert(notice::ActiveModel::from(row))
        .on_conflict(OnConflict::column(notice::Column::Seq).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Those that may be tried now, in the order in which things happened.
pub async fn due<C: ConnectionTrait>(db: &C, now: Timestamp, limit: u64) -> Result<Vec<notice::Model>> {
    Ok(notice::Entity::find()
        .filter(notice::Column::NextAt.lte(now.0))
        .order_by_asc(notice::Column::Seq)
        .limit(limit)
        .all(db)
        .await?)
}

/// Those of a pipeline: how many, and the oldest.
pub async fn waiting<C: ConnectionTrait>(db: &C, pipeline: &str) -> Result<(u64, Option<notice::Model>)> {
    let of_it = notice::Entity::find().filter(notice::Column::PipelineId.eq(pipeline));
    let oldest = of_it.clone().order_by_asc(notice::Column::Seq).one(db).await?;
    Ok((of_it.count(db).await?, oldest))
}

/// It was sent, or is never to be.
pub async fn done<C: ConnectionTrait>(db: &C, seq: i64) -> Result<()> {
    notice::Entity::delete_by_id(seq).exec(db).await?;
    Ok(())
}

/// It went wrong, and is tried again then.
pub async fn failed<C: ConnectionTrait>(db: &C, seq: i64, problem: &str, next: Timestamp) -> Result<()> {
    use notice::Column as C;
    notice::Entity::update_many()
        .col_expr(C::Tries, Expr::col(C::Tries).add(1))
        .col_expr(C::NextAt, Expr::value(next.0))
        .col_expr(C::Problem, Expr::value(problem))
        .filter(C::Seq.eq(seq))
        .exec(db)
        .await?;
    Ok(())
}

/// None of them is tried before then.
pub async fn wait<C: ConnectionTrait>(db: &C, next: Timestamp) -> Result<()> {
    use notice::Column as C;
    notice::Entity::update_many()
        .col_expr(C::NextAt, Expr::value(next.0))
        .filter(C::NextAt.lt(next.0))
        .exec(db)
        .await?;
    Ok(())
}
