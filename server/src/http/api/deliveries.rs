//! The inbox and the event log.

use axum::{Json, extract::State};
use domain::{
    DeliveryId, RunId,
    problem::Problem,
    view::{Delivery, Event, Forge, Page},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{MOST, PAGE, limit};
use crate::http::{
    App,
    auth::Caller,
    problem::{Path, Query, Refusal},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(replay))
        .routes(routes!(release))
        .routes(routes!(turn_away))
        .routes(routes!(forge))
        .routes(routes!(events))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Paging {
    /// Items older than this one: the `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<DeliveryId>,
    /// Items on the page, from 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Events after this number.
    after: Option<i64>,
    /// Only this run's.
    #[param(value_type = Option<String>)]
    run: Option<RunId>,
    /// Events on the page, from 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// Received hooks and what became of them
#[utoipa::path(get, path = "/deliveries", tag = "deliveries", params(Paging), responses((status = 200, body = Page<Delivery>)))]
async fn list(
    State(app): State<App>,
    _: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Delivery>>, Refusal> {
    let most = limit(paging.limit, PAGE, MOST)?;
    Ok(Json(app.control.deliveries(paging.before, most).await?))
}

/// One delivery, with its whole payload
#[utoipa::path(get, path = "/deliveries/{id}", tag = "deliveries", params(("id" = DeliveryId, Path)),
    responses((status = 200, body = Delivery), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<DeliveryId>,
) -> Result<Json<Delivery>, Refusal> {
    Ok(Json(app.control.delivery(id).await?))
}

/// Let a delivery run that waits because it comes from a fork
#[utoipa::path(post, path = "/deliveries/{id}/release", tag = "deliveries", params(("id" = DeliveryId, Path)),
    responses((status = 200, body = Delivery), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn release(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<DeliveryId>,
) -> Result<Json<Delivery>, Refusal> {
    Ok(Json(app.control.release(&actor, id).await?))
}

/// Turn a delivery away that waits because it comes from a fork; newer commits of its pull request ask again
#[utoipa::path(post, path = "/deliveries/{id}/turn-away", tag = "deliveries", params(("id" = DeliveryId, Path)),
    responses((status = 200, body = Delivery), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn turn_away(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<DeliveryId>,
) -> Result<Json<Delivery>, Refusal> {
    Ok(Json(app.control.turn_away(&actor, id).await?))
}

/// Take a delivery in again
#[utoipa::path(post, path = "/deliveries/{id}/replay", tag = "deliveries", params(("id" = DeliveryId, Path)),
    responses((status = 200, body = Delivery), (status = 404, body = Problem)))]
async fn replay(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<DeliveryId>,
) -> Result<Json<Delivery>, Refusal> {
    Ok(Json(app.control.replay(&actor, id).await?))
}

/// What Seamless has with GitHub: as whom it acts there, its limit, and what is still to be told
#[utoipa::path(get, path = "/github", tag = "deliveries", responses((status = 200, body = Forge)))]
async fn forge(State(app): State<App>, _: Caller) -> Result<Json<Forge>, Refusal> {
    Ok(Json(app.control.forge().await?))
}

/// The event log, oldest first
#[utoipa::path(get, path = "/events", tag = "events", params(Since), responses((status = 200, body = Page<Event>)))]
async fn events(
    State(app): State<App>,
    _: Caller,
    Query(since): Query<Since>,
) -> Result<Json<Page<Event>>, Refusal> {
    let most = limit(since.limit, PAGE, MOST)?;
    Ok(Json(app.control.events(since.after.unwrap_or(0), since.run, most).await?))
}
