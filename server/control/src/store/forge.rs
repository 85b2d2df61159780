//! Hooks that were made, and what is told of runs elsewhere.

use domain::Timestamp;
use entity::{forge_hook, report};
use sea_orm::{
    ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::*,
    sea_query::{ExprTrait, OnConflict},
};

use crate::error::Result;

/// All hooks.
pub async fn hooks<C: ConnectionTrait>(db: &C) -> Result<Vec<forge_hook::Model>> {
    Ok(forge_hook::Entity::find().order_by_asc(forge_hook::Column::Repository).all(db).await?)
}

/// The hook of a repository.
pub async fn hook<C: ConnectionTrait>(db: &C, repository: &str) -> Result<Option<forge_hook::Model>> {
    Ok(forge_hook::Entity::find_by_id(repository).one(db).await?)
}

/// Remembers a hook, or what became of it.
pub async fn keep_hook<C: ConnectionTrait>(db: &C, row: forge_hook::Model) -> Result<()> {
    use forge_hook::Column as C;
    let changed = [C::HookId, C::Secret, C::State, C::Problem, C::CheckedAt];
    forge_hook::Entity::insert(forge_hook::ActiveModel::from(row))
        .on_conflict(OnConflict::column(C::Repository).update_columns(changed).to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Forgets a hook.
pub async fn forget_hook<C: ConnectionTrait>(db: &C, repository: &str) -> Result<()> {
    forge_hook::Entity::delete_by_id(repository).exec(db).await?;
    Ok(())
}

/// Says that something of a run is to be told. What was told before stays known.
pub async fn want<C: ConnectionTrait>(
    db: &C,
    run: &str,
    channel: &str,
    seq: i64,
    now: Timestamp,
) -> Result<()> {
    use report::Column as C;
    let row = report::Model {
        run_id: run.into(),
        channel: channel.into(),
        wanted: seq,
        done: 0,
        sent: "null".into(),
        tries: 0,
        next_at: now.0,
        problem: None,
    };
    report::Entity::insert(report::ActiveModel::from(row))
        .on_conflict(OnConflict::columns([C::RunId, C::Channel]).update_column(C::Wanted).to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// What is to be told and may be tried now, in the order in which it happened.
pub async fn due<C: ConnectionTrait>(db: &C, now: Timestamp, limit: u64) -> Result<Vec<report::Model>> {
    Ok(report::Entity::find()
        .filter(Expr::col(report::Column::Wanted).gt(Expr::col(report::Column::Done)))
        .filter(report::Column::NextAt.lte(now.0))
        .order_by_asc(report::Column::Wanted)
        .order_by_asc(report::Column::RunId)
        .limit(limit)
        .all(db)
        .await?)
}

/// How much is still to be told.
pub async fn untold<C: ConnectionTrait>(db: &C) -> Result<u64> {
    let wanted = Expr::col(report::Column::Wanted).gt(Expr::col(report::Column::Done));
    Ok(report::Entity::find().filter(wanted).count(db).await?)
}

/// The newest trouble with telling.
pub async fn trouble<C: ConnectionTrait>(db: &C) -> Result<Option<String>> {
    let found = report::Entity::find()
        .filter(report::Column::Problem.is_not_null())
        .order_by_desc(report::Column::Wanted)
        .one(db)
        .await?;
    Ok(found.and_then(|row| row.problem))
}

/// Writes down what was told; what is wanted may have moved on meanwhile and stays.
pub async fn told<C: ConnectionTrait>(db: &C, row: &report::Model) -> Result<()> {
    use report::Column as C;
    report::Entity::update_many()
        .col_expr(C::Done, Expr::value(row.done))
        .col_expr(C::Sent, Expr::value(row.sent.as_str()))
        .col_expr(C::Tries, Expr::value(row.tries))
        .col_expr(C::NextAt, Expr::value(row.next_at))
        .col_expr(C::Problem, Expr::value(row.problem.clone()))
        .filter(C::RunId.eq(row.run_id.as_str()))
        .filter(C::Channel.eq(row.channel.as_str()))
        .exec(db)
        .await?;
    Ok(())
}

/// Another run's report on the same channel for the same pull request, newest first: what it told may be told again in its place.
pub async fn told_before<C: ConnectionTrait>(
    db: &C,
    channel: &str,
    runs: &[String],
) -> Result<Vec<report::Model>> {
    Ok(report::Entity::find()
        .filter(report::Column::Channel.eq(channel))
        .filter(report::Column::RunId.is_in(runs.iter().map(String::as_str)))
        .order_by_desc(report::Column::RunId)
        .all(db)
        .await?)
}
