//! `/stages/{id}/log`: ranges, search, the whole as text.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use control::Control;
use domain::{
    StageId,
    problem::Problem,
    view::{LogMatches, LogPage},
};
use futures::stream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::limit;
use crate::http::{
    App,
    auth::Caller,
    problem::{Path, Query, Refusal},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(log)).routes(routes!(text))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Range {
    /// Number of the first line, from 0.
    from: Option<u64>,
    /// Lines, or matches, at most; from 1 to 10000.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<u64>,
    /// Search for this text instead: without regard to case unless it has an upper-case letter.
    q: Option<String>,
    /// Which attempt; the current one when absent.
    attempt: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Which attempt; the current one when absent.
    attempt: Option<u32>,
}

/// Lines, or what a search found.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Log {
    /// A range.
    Lines(LogPage),
    /// Matches.
    Found(LogMatches),
}

/// Lines of a log, or a search in it
#[utoipa::path(get, path = "/stages/{id}/log", tag = "logs", params(("id" = StageId, Path), Range),
    responses((status = 200, body = Log), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn log(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<StageId>,
    Query(range): Query<Range>,
) -> Result<Json<Log>, Refusal> {
    let most = limit(range.limit, 1_000, 10_000)?;
    Ok(Json(match range.q {
        Some(q) => Log::Found(app.control.log_search(id, range.attempt, &q, most).await?),
        None => Log::Lines(app.control.log_page(id, range.attempt, range.from.unwrap_or(0), most).await?),
    }))
}

/// A whole log as text, streamed
#[utoipa::path(get, path = "/stages/{id}/log.txt", tag = "logs", params(("id" = StageId, Path), Which),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem)))]
async fn text(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<StageId>,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    // Asked first, so that what is not there is a 404 and no empty file.
    app.control.log_page(id, which.attempt, 0, 1).await?;
    Ok(log_text(app.control, id, which.attempt))
}

/// Streams a log piece by piece: memory does not grow with it.
pub fn log_text(control: Control, stage: StageId, attempt: Option<u32>) -> Response {
    let pieces = stream::try_unfold((control, 0), move |(control, from)| async move {
        let piece = control.log_text(stage, attempt, from).await?;
        Ok::<_, control::Error>(piece.map(|(text, next)| (text, (control, next))))
    });
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(pieces)).into_response()
}
