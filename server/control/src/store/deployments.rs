//! What ran where since when. At most one deployment of a service is live in an environment.

use domain::{DeploymentId, EnvironmentName, ServiceId, Timestamp};
use entity::{deployment, service};
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*};

use crate::error::{Error, Result};

/// What is live.
pub async fn live<C: ConnectionTrait>(
    db: &C,
    service: &str,
    environment: EnvironmentName,
) -> Result<Option<deployment::Model>> {
    Ok(deployment::Entity::find()
        .filter(deployment::Column::ServiceId.eq(service))
        .filter(deployment::Column::Environment.eq(environment.as_str()))
        .filter(deployment::Column::Live.eq(true))
        .one(db)
        .await?)
}

/// Everything that is live.
pub async fn all_live<C: ConnectionTrait>(db: &C) -> Result<Vec<deployment::Model>> {
    Ok(deployment::Entity::find().filter(deployment::Column::Live.eq(true)).all(db).await?)
}

/// Makes a deployment the live one. Doing it twice is doing it once.
pub async fn make_live<C: ConnectionTrait>(db: &C, row: deployment::Model, now: Timestamp) -> Result<()> {
    if deployment::Entity::find_by_id(&row.id).one(db).await?.is_some() {
        return Ok(());
    }
    deployment::Entity::update_many()
        .col_expr(deployment::Column::Live, Expr::value(false))
        .col_expr(deployment::Column::Until, Expr::value(Some(now.0)))
        .filter(deployment::Column::ServiceId.eq(&row.service_id))
        .filter(deployment::Column::Environment.eq(&row.environment))
        .filter(deployment::Column::Live.eq(true))
        .exec(db)
        .await?;
    deployment::Entity::insert(deployment::ActiveModel::from(row)).exec_without_returning(db).await?;
    Ok(())
}

/// One deployment.
pub async fn get<C: ConnectionTrait>(db: &C, id: DeploymentId) -> Result<deployment::Model> {
    deployment::Entity::find_by_id(id.to_string())
        .one(db)
        .await?
        .ok_or_else(|| Error::not_found("deployment", id))
}

/// A service's deployments, newest first.
pub async fn list<C: ConnectionTrait>(
    db: &C,
    service: ServiceId,
    environment: Option<EnvironmentName>,
    before: Option<DeploymentId>,
    limit: u64,
) -> Result<Vec<deployment::Model>> {
    let mut query = deployment::Entity::find()
        .filter(deployment::Column::ServiceId.eq(service.to_string()))
        .order_by_desc(deployment::Column::Id)
        .limit(limit);
    if let Some(environment) = environment {
        query = query.filter(deployment::Column::Environment.eq(environment.as_str()));
    }
    if let Some(before) = before {
        query = query.filter(deployment::Column::Id.lt(before.to_string()));
    }
    Ok(query.all(db).await?)
}

/// Of these artifacts, those that a service's deployments have, with where.
pub async fn known<C: ConnectionTrait>(
    db: &C,
    service: &str,
    artifacts: &[String],
) -> Result<Vec<(String, String)>> {
    Ok(deployment::Entity::find()
        .select_only()
        .columns([deployment::Column::Environment, deployment::Column::Artifact])
        .filter(deployment::Column::ServiceId.eq(service))
        .filter(deployment::Column::Artifact.is_in(artifacts))
        .into_tuple()
        .all(db)
        .await?)
}

/// Digests that must be kept: what is live and the newest `good` of each service and environment.
///
/// Each is found by its index: of a long history no more is read than its digests.
pub async fn kept_artifacts<C: ConnectionTrait>(db: &C, good: u64) -> Result<Vec<String>> {
    let mut kept: Vec<String> = all_live(db).await?.into_iter().map(|d| d.artifact).collect();
    let services: Vec<String> =
        service::Entity::find().select_only().column(service::Column::Id).into_tuple().all(db).await?;
    for service in &services {
        for environment in EnvironmentName::ALL {
            let newest: Vec<String> = deployment::Entity::find()
                .select_only()
                .column(deployment::Column::Artifact)
                .filter(deployment::Column::ServiceId.eq(service))
                .filter(deployment::Column::Environment.eq(environment.as_str()))
                .group_by(deployment::Column::Artifact)
                .order_by_desc(deployment::Column::Id.max())
                .limit(good)
                .into_tuple()
                .all(db)
                .await?;
            kept.extend(newest);
        }
    }
    kept.sort();
    kept.dedup();
    Ok(kept)
}
