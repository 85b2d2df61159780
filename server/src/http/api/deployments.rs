//! `/environments`, deployments and the way back.

use axum::{Json, extract::State, http::StatusCode};
use domain::{
    DeploymentId, EnvironmentName, ServiceId,
    problem::Problem,
    view::{Deployment, EnvironmentRow, KeptImage, Page, Run},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{MOST, PAGE, limit};
use crate::http::{
    App,
    auth::Caller,
    problem::{Body, Path, Query, Refusal},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(environments))
        .routes(routes!(list))
        .routes(routes!(kept))
        .routes(routes!(rollback))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only this environment.
    environment: Option<EnvironmentName>,
    /// Deployments older than this one: the `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<DeploymentId>,
    /// Deployments on the page, from 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"environment": "production", "deployment": "01JGQ5Y3X8V4T6R2N9M7K1H0FA"}))]
struct Back {
    /// Where.
    environment: EnvironmentName,
    /// To which deployment.
    deployment: DeploymentId,
}

/// Environments x services: what runs where
#[utoipa::path(get, path = "/environments", tag = "deployments", responses((status = 200, body = Page<EnvironmentRow>)))]
async fn environments(State(app): State<App>, _: Caller) -> Result<Json<Page<EnvironmentRow>>, Refusal> {
    Ok(Json(Page { items: app.control.environments().await?, next: None }))
}

/// What ran where since when
#[utoipa::path(get, path = "/services/{id}/deployments", tag = "deployments", params(("id" = ServiceId, Path), Filter),
    responses((status = 200, body = Page<Deployment>), (status = 404, body = Problem)))]
async fn list(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<ServiceId>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Deployment>>, Refusal> {
    let most = limit(filter.limit, PAGE, MOST)?;
    Ok(Json(app.control.deployments(id, filter.environment, filter.before, most).await?))
}

/// Images in ECR that ran on ECS and outlived the record of it; one can go back to each by its deployment
#[utoipa::path(get, path = "/services/{id}/kept-images", tag = "deployments", params(("id" = ServiceId, Path)),
    responses((status = 200, body = Page<KeptImage>), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn kept(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<ServiceId>,
) -> Result<Json<Page<KeptImage>>, Refusal> {
    Ok(Json(Page { items: app.control.kept(id).await?, next: None }))
}

/// Go back to an earlier deployment; automatic deploys to production stop until resumed
#[utoipa::path(post, path = "/services/{id}/rollback", tag = "deployments", params(("id" = ServiceId, Path)), request_body = Back,
    responses((status = 202, body = Run), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn rollback(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<ServiceId>,
    Body(back): Body<Back>,
) -> Result<(StatusCode, Json<Run>), Refusal> {
    let run = app.control.rollback(&actor, id, back.environment, back.deployment).await?;
    Ok((StatusCode::ACCEPTED, Json(run)))
}
