//! What is older than a pipeline keeps: finding it by indexes, a few at a time, and removing it.
//!
//! Refuses what is live: logs of its deploys, and the runs that made it.

use domain::Timestamp;
use entity::{
    approval, delivery, deployment, event, execution, log_chunk, log_unarchived, report, run, service, stage,
};
use sea_orm::{
    ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::*,
    sea_query::{Alias, Cond, ExprTrait, Func, Order, Query, SelectStatement, SimpleExpr, WindowStatement},
};

use crate::error::Result;

/// Rows of a log that one statement removes.
const CHUNKS: u64 = 64;

/// A stage whose log may go.
#[derive(Debug, Clone)]
pub struct Old {
    /// The stage.
    pub id: String,
    /// Bytes its log takes.
    pub bytes: i64,
}

fn services_of(pipeline: &str) -> SelectStatement {
    Query::select()
        .column(service::Column::Id)
        .from(service::Entity)
        .and_where(service::Column::PipelineId.eq(pipeline))
        .to_owned()
}

/// Said in these words, the partial index over what has a log is found.
fn has_log() -> SimpleExpr {
    Expr::cust("log_bytes > 0")
}

/// Stages of a pipeline that ended before a moment and have a log.
pub async fn old_logs<C: ConnectionTrait>(
    db: &C,
    pipeline: &str,
    before: Timestamp,
    limit: u64,
) -> Result<Vec<Old>> {
    let live = Query::select()
        .column(deployment::Column::Id)
        .from(deployment::Entity)
        .and_where(deployment::Column::Live.eq(true))
        .to_owned();
    let not_live = Cond::any()
        .add(stage::Column::DeploymentId.is_null())
        .add(stage::Column::DeploymentId.not_in_subquery(live));
    let rows: Vec<(String, i64)> = stage::Entity::find()
        .select_only()
        .columns([stage::Column::Id, stage::Column::LogBytes])
        .filter(stage::Column::ServiceId.in_subquery(services_of(pipeline)))
        .filter(has_log())
        .filter(stage::Column::EndedAt.lt(before.0))
        .filter(stage::Column::Status.ne("in_progress"))
        .filter(not_live)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, bytes)| Old { id, bytes }).collect())
}

/// The moment before which logs have to go, so that those of a pipeline take no more than so many bytes; nothing when they do not.
pub async fn full_since<C: ConnectionTrait>(db: &C, pipeline: &str, bytes: i64) -> Result<Option<Timestamp>> {
    let (ended, kept) = (stage::Column::EndedAt, Alias::new("kept"));
    let mut newest_first = WindowStatement::new();
    newest_first.order_by(ended, Order::Desc);
    let sizes = Query::select()
        .column(ended)
        .expr_window_as(Func::sum(Expr::col(stage::Column::LogBytes)), newest_first, kept.clone())
        .from(stage::Entity)
        .and_where(stage::Column::ServiceId.in_subquery(services_of(pipeline)))
        .and_where(has_log())
        .and_where(ended.is_not_null())
        .to_owned();
    let last = Query::select()
        .expr(Func::max(Expr::col(ended)))
        .from_subquery(sizes, Alias::new("sizes"))
        .and_where(Expr::col(kept).gt(bytes))
        .to_owned();
    let row = db.query_one(&last).await?;
    let last: Option<i64> = row.map(|r| r.try_get_by_index(0)).transpose()?.flatten();
    // That one goes as well.
    Ok(last.map(|at| Timestamp(at + 1)))
}

/// Says why the logs of stages are gone. Nobody reads what is left of them from here on.
pub async fn say_removed<C: ConnectionTrait>(db: &C, stages: &[String], why: &str) -> Result<()> {
    stage::Entity::update_many()
        .col_expr(stage::Column::LogRemoved, Expr::value(Some(why)))
        .filter(stage::Column::Id.is_in(stages))
        .exec(db)
        .await?;
    Ok(())
}

/// Removes some of a log; says whether there may be more.
pub async fn remove_some<C: ConnectionTrait>(db: &C, stage: &str) -> Result<bool> {
    let some: Vec<(i32, i64)> = log_chunk::Entity::find()
        .select_only()
        .columns([log_chunk::Column::Attempt, log_chunk::Column::FirstSeq])
        .filter(log_chunk::Column::StageId.eq(stage))
        .order_by_asc(log_chunk::Column::Attempt)
        .order_by_asc(log_chunk::Column::FirstSeq)
        .limit(CHUNKS)
        .into_tuple()
        .all(db)
        .await?;
    let Some((attempt, last)) = some.last().copied() else { return Ok(false) };
    let up_to = Cond::any().add(log_chunk::Column::Attempt.lt(attempt)).add(
        Cond::all().add(log_chunk::Column::Attempt.eq(attempt)).add(log_chunk::Column::FirstSeq.lte(last)),
    );
    log_chunk::Entity::delete_many()
        .filter(log_chunk::Column::StageId.eq(stage))
        .filter(up_to)
        .exec(db)
        .await?;
    Ok(some.len() as u64 == CHUNKS)
}

/// Removes what is left of the logs of stages, and that they take any room.
pub async fn remove_rest<C: ConnectionTrait>(db: &C, stages: &[String]) -> Result<()> {
    log_chunk::Entity::delete_many().filter(log_chunk::Column::StageId.is_in(stages)).exec(db).await?;
    log_unarchived::Entity::delete_many()
        .filter(log_unarchived::Column::StageId.is_in(stages))
        .exec(db)
        .await?;
    stage::Entity::update_many()
        .col_expr(stage::Column::LogBytes, Expr::value(0_i64))
        .filter(stage::Column::Id.is_in(stages))
        .exec(db)
        .await?;
    Ok(())
}

/// Runs of a pipeline that are over and were made before `first`, the id a run would have that was made then. A service's newest run
/// stays, and runs whose deploys were live after `since`.
pub async fn old_runs<C: ConnectionTrait>(
    db: &C,
    pipeline: &str,
    first: &str,
    since: Timestamp,
    limit: u64,
) -> Result<Vec<String>> {
    let newest = Query::select()
        .expr(Expr::value(1))
        .from(service::Entity)
        .and_where(
            Expr::col((service::Entity, service::Column::Id)).equals((run::Entity, run::Column::ServiceId)),
        )
        .and_where(
            Expr::col((service::Entity, service::Column::LastRun)).equals((run::Entity, run::Column::Number)),
        )
        .to_owned();
    let served = Query::select()
        .expr(Expr::value(1))
        .from(deployment::Entity)
        .and_where(
            Expr::col((deployment::Entity, deployment::Column::RunId)).equals((run::Entity, run::Column::Id)),
        )
        .and_where(deployment::Column::Live.eq(true).or(deployment::Column::Until.gt(since.0)))
        .to_owned();
    Ok(run::Entity::find()
        .select_only()
        .column(run::Column::Id)
        .filter(run::Column::ServiceId.in_subquery(services_of(pipeline)))
        .filter(run::Column::Id.lt(first))
        .filter(run::Column::Status.is_not_in(["idle", "in_progress", "awaiting_approval"]))
        .filter(Expr::exists(newest).not())
        .filter(Expr::exists(served).not())
        .order_by_asc(run::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?)
}

/// Stages of runs that have a log, with what it takes.
pub async fn logs_of<C: ConnectionTrait>(db: &C, runs: &[String]) -> Result<Vec<Old>> {
    let rows: Vec<(String, i64)> = stage::Entity::find()
        .select_only()
        .columns([stage::Column::Id, stage::Column::LogBytes])
        .filter(stage::Column::RunId.is_in(runs))
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, bytes)| Old { id, bytes }).collect())
}

/// Removes runs whose logs are gone, with everything that tells of them.
pub async fn remove_runs<C: ConnectionTrait>(db: &C, runs: &[String]) -> Result<()> {
    approval::Entity::delete_many().filter(approval::Column::RunId.is_in(runs)).exec(db).await?;
    stage::Entity::delete_many().filter(stage::Column::RunId.is_in(runs)).exec(db).await?;
    event::Entity::delete_many().filter(event::Column::RunId.is_in(runs)).exec(db).await?;
    report::Entity::delete_many().filter(report::Column::RunId.is_in(runs)).exec(db).await?;
    execution::Entity::delete_many().filter(execution::Column::RunId.is_in(runs)).exec(db).await?;
    run::Entity::delete_many().filter(run::Column::Id.is_in(runs)).exec(db).await?;
    Ok(())
}

/// Removes deliveries that were settled long ago; says how many.
pub async fn remove_deliveries<C: ConnectionTrait>(
    db: &C,
    pipeline: &str,
    first: &str,
    limit: u64,
) -> Result<usize> {
    let some: Vec<String> = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::Id)
        .filter(
            delivery::Column::ServiceId
                .in_subquery(services_of(pipeline))
                // What concerned nobody, or several, is nobody's to keep longer.
                .or(delivery::Column::ServiceId.is_null()),
        )
        .filter(delivery::Column::Id.lt(first))
        .filter(delivery::Column::Verdict.ne("pending"))
        .order_by_asc(delivery::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    delivery::Entity::delete_many().filter(delivery::Column::Id.is_in(&some)).exec(db).await?;
    Ok(some.len())
}
