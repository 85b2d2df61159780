//! Pipelines and services.

use domain::{PipelineId, ServiceId};
use entity::{pipeline, service};
use sea_orm::{
    ActiveValue::NotSet, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, prelude::*,
    sea_query::ExprTrait,
};

use crate::error::{Error, Result};

/// All pipelines, oldest first.
pub async fn pipelines<C: ConnectionTrait>(db: &C) -> Result<Vec<pipeline::Model>> {
    Ok(pipeline::Entity::find().order_by_asc(pipeline::Column::Id).all(db).await?)
}

/// One pipeline.
pub async fn pipeline<C: ConnectionTrait>(db: &C, id: PipelineId) -> Result<pipeline::Model> {
    pipeline::Entity::find_by_id(id.to_string())
        .one(db)
        .await?
        .ok_or_else(|| Error::not_found("pipeline", id))
}

/// How many services a pipeline has.
pub async fn count<C: ConnectionTrait>(db: &C, pipeline: &str) -> Result<u64> {
    let found = service::Entity::find().filter(service::Column::PipelineId.eq(pipeline));
    Ok(found.filter(service::Column::Draft.is_null()).count(db).await?)
}

/// All services by name.
pub async fn all<C: ConnectionTrait>(db: &C) -> Result<Vec<service::Model>> {
    let connected = service::Entity::find().filter(service::Column::Draft.is_null());
    Ok(connected.order_by_asc(service::Column::Name).all(db).await?)
}

/// The same, and those that are still being connected: whatever has runs.
pub async fn all_with_drafts<C: ConnectionTrait>(db: &C) -> Result<Vec<service::Model>> {
    Ok(service::Entity::find().order_by_asc(service::Column::Name).all(db).await?)
}

/// Those that are still being connected, the newest first.
pub async fn drafts<C: ConnectionTrait>(db: &C) -> Result<Vec<service::Model>> {
    let drafts = service::Entity::find().filter(service::Column::Draft.is_not_null());
    Ok(drafts.order_by_desc(service::Column::UpdatedAt).all(db).await?)
}

/// One service; none that is still being connected.
pub async fn get<C: ConnectionTrait>(db: &C, id: ServiceId) -> Result<service::Model> {
    let row = by_id(db, &id.to_string()).await?;
    if row.draft.is_some() {
        return Err(Error::not_found("service", id));
    }
    Ok(row)
}

/// One service by the text of its id, also when it is still being connected.
pub async fn by_id<C: ConnectionTrait>(db: &C, id: &str) -> Result<service::Model> {
    service::Entity::find_by_id(id).one(db).await?.ok_or_else(|| Error::not_found("service", id))
}

/// Stores a new service.
pub async fn insert<C: ConnectionTrait>(db: &C, row: service::Model) -> Result<()> {
    service::Entity::insert(service::ActiveModel::from(row)).exec_without_returning(db).await?;
    Ok(())
}

/// Writes a changed service, if nobody else did since it was read.
pub async fn update<C: ConnectionTrait>(db: &C, mut row: service::Model) -> Result<service::Model> {
    let read = row.generation;
    row.generation += 1;
    let mut model = service::ActiveModel::from(row.clone()).reset_all();
    // These move by themselves, without a change of settings.
    model.last_run = NotSet;
    model.head = NotSet;
    model.folder = NotSet;
    let done = service::Entity::update_many()
        .set(model)
        .filter(service::Column::Id.eq(&row.id))
        .filter(service::Column::Generation.eq(read))
        .exec(db)
        .await?;
    if done.rows_affected == 0 {
        return Err(Error::Conflict(format!(
            "{} was changed by somebody else at the same time; look again and repeat",
            row.name
        )));
    }
    Ok(row)
}

/// Hands out the next run number. Not part of the generation: a run is no change of settings.
pub async fn next_run_number<C: ConnectionTrait>(db: &C, id: &str) -> Result<i64> {
    let done = service::Entity::update_many()
        .col_expr(service::Column::LastRun, Expr::col(service::Column::LastRun).add(1))
        .filter(service::Column::Id.eq(id))
        .exec(db)
        .await?;
    if done.rows_affected == 0 {
        return Err(Error::not_found("service", id));
    }
    Ok(by_id(db, id).await?.last_run)
}

/// Gives a service a home, if it has none.
pub async fn settle_in<C: ConnectionTrait>(db: &C, id: &str, folder: &str) -> Result<()> {
    service::Entity::update_many()
        .col_expr(service::Column::Folder, Expr::value(Some(folder)))
        .filter(service::Column::Id.eq(id))
        .filter(service::Column::Folder.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// Moves a service from one home to another.
pub async fn move_home<C: ConnectionTrait>(db: &C, id: &str, from: &str, to: &str) -> Result<()> {
    service::Entity::update_many()
        .col_expr(service::Column::Folder, Expr::value(Some(to)))
        .filter(service::Column::Id.eq(id))
        .filter(service::Column::Folder.eq(from))
        .exec(db)
        .await?;
    Ok(())
}

/// Remembers the newest head that was seen of the service's branch.
pub async fn set_head<C: ConnectionTrait>(db: &C, id: &str, head: &str) -> Result<()> {
    service::Entity::update_many()
        .col_expr(service::Column::Head, Expr::value(Some(head)))
        .filter(service::Column::Id.eq(id))
        .exec(db)
        .await?;
    Ok(())
}

/// Says how pushes to a service are noticed: `hook` or `poll`.
pub async fn set_notices<C: ConnectionTrait>(db: &C, id: &str, notices: &str) -> Result<()> {
    service::Entity::update_many()
        .col_expr(service::Column::Notices, Expr::value(notices))
        .filter(service::Column::Id.eq(id))
        .exec(db)
        .await?;
    Ok(())
}

/// Forgets a service with all its runs, logs and deployments. Its events stay: they are the audit trail.
pub async fn delete<C: ConnectionTrait>(db: &C, id: &str) -> Result<()> {
    use entity::{approval, delivery, deployment, log_chunk, log_unarchived, report, run, stage};
    use sea_orm::{QuerySelect, QueryTrait, sea_query::Query};
    let stages = Query::select()
        .column(stage::Column::Id)
        .from(stage::Entity)
        .and_where(stage::Column::ServiceId.eq(id))
        .to_owned();
    let runs = run::Entity::find()
        .select_only()
        .column(run::Column::Id)
        .filter(run::Column::ServiceId.eq(id))
        .into_query();
    log_unarchived::Entity::delete_many()
        .filter(log_unarchived::Column::StageId.in_subquery(stages.clone()))
        .exec(db)
        .await?;
    log_chunk::Entity::delete_many().filter(log_chunk::Column::StageId.in_subquery(stages)).exec(db).await?;
    report::Entity::delete_many().filter(report::Column::RunId.in_subquery(runs.clone())).exec(db).await?;
    approval::Entity::delete_many().filter(approval::Column::RunId.in_subquery(runs)).exec(db).await?;
    stage::Entity::delete_many().filter(stage::Column::ServiceId.eq(id)).exec(db).await?;
    deployment::Entity::delete_many().filter(deployment::Column::ServiceId.eq(id)).exec(db).await?;
    delivery::Entity::delete_many().filter(delivery::Column::ServiceId.eq(id)).exec(db).await?;
    run::Entity::delete_many().filter(run::Column::ServiceId.eq(id)).exec(db).await?;
    service::Entity::delete_by_id(id).exec(db).await?;
    Ok(())
}
