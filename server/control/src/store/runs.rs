//! Reading runs and stages, for the queue, the API and the pages.

use std::collections::HashMap;

use domain::{RunId, ServiceId, StageId, Status, plan::Trigger};
use entity::{approval, run, service, stage};
use sea_orm::{
    ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*, sea_query::ExprTrait,
};

use crate::error::{Error, Result};

/// One run.
pub async fn get<C: ConnectionTrait>(db: &C, id: RunId) -> Result<run::Model> {
    run::Entity::find_by_id(id.to_string()).one(db).await?.ok_or_else(|| Error::not_found("run", id))
}

/// Some runs, by id.
pub async fn some<C: ConnectionTrait>(db: &C, ids: &[String]) -> Result<HashMap<String, run::Model>> {
    let rows = run::Entity::find().filter(run::Column::Id.is_in(ids)).all(db).await?;
    Ok(rows.into_iter().map(|r| (r.id.clone(), r)).collect())
}

/// Runs, newest first.
pub async fn list<C: ConnectionTrait>(
    db: &C,
    service: Option<ServiceId>,
    status: Option<Status>,
    before: Option<RunId>,
    limit: u64,
) -> Result<Vec<run::Model>> {
    let mut query = run::Entity::find().order_by_desc(run::Column::Id).limit(limit);
    query = match service {
        Some(service) => query.filter(run::Column::ServiceId.eq(service.to_string())),
        // What is tried is nobody's history.
        None => query.filter(run::Column::Trigger.ne(Trigger::Trial.as_str())),
    };
    if let Some(status) = status {
        query = query.filter(run::Column::Status.eq(status.as_str()));
    }
    if let Some(before) = before {
        query = query.filter(run::Column::Id.lt(before.to_string()));
    }
    Ok(query.all(db).await?)
}

/// The newest run of each of these services.
pub async fn newest_of<C: ConnectionTrait>(db: &C, services: &[service::Model]) -> Result<Vec<run::Model>> {
    let newest = services.iter().map(|s| (s.id.clone(), s.last_run));
    let mut any = sea_orm::Condition::any();
    for (id, number) in newest {
        any = any.add(run::Column::ServiceId.eq(id).and(run::Column::Number.eq(number)));
    }
    if services.is_empty() {
        return Ok(Vec::new());
    }
    Ok(run::Entity::find().filter(any).all(db).await?)
}

/// Runs that are not at their end, oldest first.
pub async fn open<C: ConnectionTrait>(db: &C) -> Result<Vec<run::Model>> {
    Ok(run::Entity::find()
        .filter(run::Column::Status.is_in(["idle", "in_progress", "awaiting_approval"]))
        .order_by_asc(run::Column::Id)
        .all(db)
        .await?)
}

/// The newest run of each service.
pub async fn newest_of_each<C: ConnectionTrait>(db: &C) -> Result<Vec<run::Model>> {
    use entity::service;
    use sea_orm::sea_query::Query;
    let newest = Query::select()
        .column((service::Entity, service::Column::Id))
        .column((service::Entity, service::Column::LastRun))
        .from(service::Entity)
        .to_owned();
    Ok(run::Entity::find()
        .filter(
            Expr::tuple([Expr::col(run::Column::ServiceId), Expr::col(run::Column::Number)])
                .in_subquery(newest),
        )
        .all(db)
        .await?)
}

/// The stages of some runs, in order.
pub async fn stages_of<C: ConnectionTrait>(
    db: &C,
    runs: &[String],
) -> Result<HashMap<String, Vec<stage::Model>>> {
    let rows = stage::Entity::find()
        .filter(stage::Column::RunId.is_in(runs.iter().map(String::as_str)))
        .order_by_asc(stage::Column::Ordinal)
        .all(db)
        .await?;
    let mut by_run: HashMap<String, Vec<stage::Model>> = HashMap::new();
    for row in rows {
        by_run.entry(row.run_id.clone()).or_default().push(row);
    }
    Ok(by_run)
}

/// The approvals of some runs.
pub async fn approvals_of<C: ConnectionTrait>(
    db: &C,
    runs: &[String],
) -> Result<HashMap<String, approval::Model>> {
    let rows = approval::Entity::find()
        .filter(approval::Column::RunId.is_in(runs.iter().map(String::as_str)))
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|a| (a.run_id.clone(), a)).collect())
}

/// One stage.
pub async fn stage<C: ConnectionTrait>(db: &C, id: StageId) -> Result<stage::Model> {
    stage::Entity::find_by_id(id.to_string()).one(db).await?.ok_or_else(|| Error::not_found("stage", id))
}

/// Stages that could start, oldest first, and those that are in progress.
pub async fn queue<C: ConnectionTrait>(db: &C) -> Result<(Vec<stage::Model>, Vec<stage::Model>)> {
    let rows = stage::Entity::find()
        .filter(
            stage::Column::Status
                .eq("in_progress")
                .or(stage::Column::Status.eq("idle").and(stage::Column::ReadyAt.is_not_null())),
        )
        .order_by_asc(stage::Column::ReadyAt)
        .order_by_asc(stage::Column::Id)
        .all(db)
        .await?;
    Ok(rows.into_iter().partition(|s| s.status == "idle"))
}

/// Stages of this kind of a service that ended after a time.
pub async fn ended_since<C: ConnectionTrait>(
    db: &C,
    service: &str,
    kind: &str,
    since: i64,
) -> Result<Vec<stage::Model>> {
    let ended = stage::Entity::find()
        .filter(stage::Column::ServiceId.eq(service))
        .filter(stage::Column::Kind.eq(kind))
        .filter(stage::Column::EndedAt.gt(since));
    Ok(ended.all(db).await?)
}

/// Durations of the newest successes of a service's stages: `(kind, milliseconds)`, newest first.
pub async fn past_durations<C: ConnectionTrait>(db: &C, service: &str) -> Result<Vec<(String, i64)>> {
    let rows: Vec<(String, Option<i64>, Option<i64>)> = stage::Entity::find()
        .select_only()
        .columns([stage::Column::Kind, stage::Column::StartedAt, stage::Column::EndedAt])
        .filter(stage::Column::ServiceId.eq(service))
        .filter(stage::Column::Status.eq("success"))
        .order_by_desc(stage::Column::EndedAt)
        .limit(70)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().filter_map(|(kind, from, to)| Some((kind, to? - from?))).collect())
}

/// Records a sign of life of an attempt that is in progress.
pub async fn heartbeat<C: ConnectionTrait>(
    db: &C,
    stage: StageId,
    attempt: u32,
    now: domain::Timestamp,
) -> Result<()> {
    stage::Entity::update_many()
        .col_expr(stage::Column::HeartbeatAt, Expr::value(Some(now.0)))
        .filter(stage::Column::Id.eq(stage.to_string()))
        .filter(stage::Column::Attempt.eq(attempt as i32))
        .filter(stage::Column::Status.eq("in_progress"))
        .exec(db)
        .await?;
    Ok(())
}

/// A service's run with a cause.
pub async fn by_cause<C: ConnectionTrait>(db: &C, service: &str, cause: &str) -> Result<Option<run::Model>> {
    Ok(run::Entity::find()
        .filter(run::Column::ServiceId.eq(service))
        .filter(run::Column::Cause.eq(cause))
        .one(db)
        .await?)
}

/// A service's newest run of a commit that was no rollback.
pub async fn newest_of_commit<C: ConnectionTrait>(
    db: &C,
    service: &str,
    sha: &str,
) -> Result<Option<run::Model>> {
    Ok(run::Entity::find()
        .filter(run::Column::ServiceId.eq(service))
        .filter(run::Column::CommitSha.eq(sha))
        .filter(run::Column::Trigger.ne("rollback"))
        .order_by_desc(run::Column::Number)
        .one(db)
        .await?)
}

/// Ids of a service's runs of a pull request, newest first.
pub async fn of_pull_request<C: ConnectionTrait>(db: &C, service: &str, number: u64) -> Result<Vec<String>> {
    let found = run::Entity::find()
        .filter(run::Column::ServiceId.eq(service))
        .filter(run::Column::PullRequest.eq(number as i64))
        .order_by_desc(run::Column::Number)
        .limit(100)
        .all(db)
        .await?;
    Ok(found.into_iter().map(|r| r.id).collect())
}

/// Whether the newest run of each service that tests a pull request's commit has succeeded.
pub async fn all_succeeded<C: ConnectionTrait>(db: &C, number: i64, sha: &str) -> Result<bool> {
    let found = run::Entity::find()
        .filter(run::Column::PullRequest.eq(number))
        .filter(run::Column::CommitSha.eq(sha))
        .order_by_asc(run::Column::Number)
        .all(db)
        .await?;
    let newest: HashMap<String, String> = found.into_iter().map(|r| (r.service_id, r.status)).collect();
    Ok(newest.values().all(|status| status == "success"))
}

/// Whether a push with a cause that begins like this made a run of a commit since a moment.
pub async fn caused_since<C: ConnectionTrait>(
    db: &C,
    service: &str,
    sha: &str,
    cause: &str,
    since: domain::Timestamp,
) -> Result<bool> {
    let found = run::Entity::find()
        .filter(run::Column::ServiceId.eq(service))
        .filter(run::Column::Trigger.eq("push"))
        .filter(run::Column::CommitSha.eq(sha))
        .filter(run::Column::Cause.starts_with(cause))
        .filter(run::Column::CreatedAt.gt(since.0))
        .one(db)
        .await?;
    Ok(found.is_some())
}

/// Whether the run before this one, of the same service and branch, failed. Pull requests, roll backs and trials do not count, nor do
/// runs that ended without a verdict.
pub async fn follows_failure<C: ConnectionTrait>(db: &C, run: &run::Model) -> Result<bool> {
    let before = run::Entity::find()
        .filter(run::Column::ServiceId.eq(run.service_id.as_str()))
        .filter(run::Column::Branch.eq(run.branch.as_str()))
        .filter(run::Column::Number.lt(run.number))
        .filter(run::Column::PullRequest.is_null())
        .filter(run::Column::Trigger.is_not_in(["rollback", "trial"]))
        .filter(run::Column::Status.is_in(["success", "failure"]))
        .order_by_desc(run::Column::Number)
        .one(db)
        .await?;
    Ok(before.is_some_and(|before| before.status == "failure"))
}
