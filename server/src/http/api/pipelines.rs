//! `/pipelines`.

use axum::{Json, extract::State, http::StatusCode};
use domain::{
    PipelineId,
    problem::Problem,
    view::{Page, Pipeline, Retention},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    App,
    auth::Caller,
    problem::{Body, Path, Refusal},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(change))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Payments"}))]
struct NewPipeline {
    /// Unique.
    name: String,
    /// `staging` and `production` unless told otherwise.
    environments: Option<Vec<String>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Checkout"}))]
struct PipelineChange {
    /// Unique.
    name: Option<String>,
    /// `staging`, `production` or both.
    environments: Option<Vec<String>>,
    /// What is kept of its services' runs, and for how long; all three, or as they are.
    retention: Option<Retention>,
}

/// All pipelines
#[utoipa::path(get, path = "/pipelines", tag = "pipelines", responses((status = 200, body = Page<Pipeline>)))]
async fn list(State(app): State<App>, _: Caller) -> Result<Json<Page<Pipeline>>, Refusal> {
    Ok(Json(app.control.pipelines().await?))
}

/// A new pipeline
#[utoipa::path(post, path = "/pipelines", tag = "pipelines", request_body = NewPipeline,
    responses((status = 201, body = Pipeline), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(new): Body<NewPipeline>,
) -> Result<(StatusCode, Json<Pipeline>), Refusal> {
    Ok((StatusCode::CREATED, Json(app.control.create_pipeline(&actor, &new.name, new.environments).await?)))
}

/// Change a pipeline
#[utoipa::path(patch, path = "/pipelines/{id}", tag = "pipelines", params(("id" = PipelineId, Path)), request_body = PipelineChange,
    responses((status = 200, body = Pipeline), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn change(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<PipelineId>,
    Body(change): Body<PipelineChange>,
) -> Result<Json<Pipeline>, Refusal> {
    let PipelineChange { name, environments, retention } = change;
    Ok(Json(app.control.update_pipeline(&actor, id, name.as_deref(), environments, retention).await?))
}
