//! `/runs`: started, watched, decided about, ended, repeated.

use axum::{Json, extract::State, http::StatusCode};
use control::Rerun;
use domain::{
    RunId, ServiceId, Status,
    problem::Problem,
    view::{Page, Run},
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
        .routes(routes!(of_service, start))
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(cancel))
        .routes(routes!(rerun))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Paging {
    /// Items older than this one: the `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<RunId>,
    /// Items on the page, from 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"branch": "main"}))]
struct Start {
    /// A commit, by its hash or any other name Git understands.
    commit: Option<String>,
    /// The newest commit of a branch; the service's own when absent.
    branch: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only runs with this status.
    status: Option<Status>,
    /// Runs older than this one: the `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<RunId>,
    /// Runs on the page, from 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comment": "checked on staging"}))]
struct Comment {
    /// What to remember about the decision.
    comment: Option<String>,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum From {
    /// From the beginning.
    #[default]
    Start,
    /// From what failed.
    Failed,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "failed"}))]
struct Again {
    /// Where to begin.
    #[serde(default)]
    from: From,
}

type Accepted = Result<(StatusCode, Json<Run>), Refusal>;

/// Start a run
#[utoipa::path(post, path = "/services/{id}/runs", tag = "runs", params(("id" = ServiceId, Path)), request_body = Start,
    responses((status = 202, body = Run), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn start(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<ServiceId>,
    Body(start): Body<Start>,
) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(app.control.start_run(&actor, id, start.commit, start.branch).await?)))
}

/// A service's runs
#[utoipa::path(get, path = "/services/{id}/runs", tag = "runs", params(("id" = ServiceId, Path), Paging),
    responses((status = 200, body = Page<Run>), (status = 404, body = Problem)))]
async fn of_service(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<ServiceId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Run>>, Refusal> {
    let most = limit(paging.limit, PAGE, MOST)?;
    Ok(Json(app.control.runs(Some(id), None, paging.before, most).await?))
}

/// All runs
#[utoipa::path(get, path = "/runs", tag = "runs", params(Filter), responses((status = 200, body = Page<Run>)))]
async fn list(
    State(app): State<App>,
    _: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Run>>, Refusal> {
    let most = limit(filter.limit, PAGE, MOST)?;
    Ok(Json(app.control.runs(None, filter.status, filter.before, most).await?))
}

/// One run
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = RunId, Path)),
    responses((status = 200, body = Run), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, _: Caller, Path(id): Path<RunId>) -> Result<Json<Run>, Refusal> {
    Ok(Json(app.control.run(id).await?))
}

/// Let a run through its gate
#[utoipa::path(post, path = "/runs/{id}/approve", tag = "runs", params(("id" = RunId, Path)), request_body = Comment,
    responses((status = 200, body = Run), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn approve(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<RunId>,
    Body(said): Body<Comment>,
) -> Result<Json<Run>, Refusal> {
    Ok(Json(app.control.approve(&actor, id, said.comment).await?))
}

/// End a run at its gate
#[utoipa::path(post, path = "/runs/{id}/reject", tag = "runs", params(("id" = RunId, Path)), request_body = Comment,
    responses((status = 200, body = Run), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn reject(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<RunId>,
    Body(said): Body<Comment>,
) -> Result<Json<Run>, Refusal> {
    Ok(Json(app.control.reject(&actor, id, said.comment).await?))
}

/// End a run
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", params(("id" = RunId, Path)),
    responses((status = 202, body = Run), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn cancel(State(app): State<App>, Caller(actor): Caller, Path(id): Path<RunId>) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(app.control.cancel(&actor, id).await?)))
}

/// Repeat a run as a new one
#[utoipa::path(post, path = "/runs/{id}/rerun", tag = "runs", params(("id" = RunId, Path)), request_body = Again,
    responses((status = 202, body = Run), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn rerun(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<RunId>,
    Body(again): Body<Again>,
) -> Accepted {
    let from = match again.from {
        From::Start => Rerun::Start,
        From::Failed => Rerun::Failed,
    };
    Ok((StatusCode::ACCEPTED, Json(app.control.rerun(&actor, id, from).await?)))
}
