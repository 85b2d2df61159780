//! `/runner/v1`: the runner protocol. Unverified calls cannot reach a handler.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequestParts, State},
    http::{StatusCode, request::Parts},
    routing::{get, post},
};
use control::runner::Proven;
use domain::protocol::{Finish, Heartbeat, HeartbeatAnswer, Job, LogAnswer, LogBatch};

use super::{
    App,
    auth::bearer,
    problem::{Body, Refusal},
};

/// A runner with the token of the current attempt.
struct Runner(Proven);

impl FromRequestParts<App> for Runner {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let token =
            bearer(&parts.headers).ok_or_else(|| Refusal::unauthorized("send the attempt's token"))?;
        Ok(Runner(app.control.prove(token).await?))
    }
}

/// The runner's calls.
pub fn router() -> Router<App> {
    Router::new()
        .route("/job", get(job))
        .route("/heartbeat", post(heartbeat))
        .route("/log", post(log))
        .route("/finish", post(finish))
        .layer(DefaultBodyLimit::max(16 * 1024 * 1024))
}

async fn job(State(app): State<App>, Runner(proven): Runner) -> Result<Json<Job>, Refusal> {
    Ok(Json(app.control.job(&proven).await?))
}

async fn heartbeat(
    State(app): State<App>,
    Runner(proven): Runner,
    Body(beat): Body<Heartbeat>,
) -> Result<Json<HeartbeatAnswer>, Refusal> {
    Ok(Json(app.control.heartbeat(&proven, &beat).await?))
}

async fn log(
    State(app): State<App>,
    Runner(proven): Runner,
    Body(batch): Body<LogBatch>,
) -> Result<Json<LogAnswer>, Refusal> {
    Ok(Json(app.control.log(&proven, batch).await?))
}

async fn finish(
    State(app): State<App>,
    Runner(proven): Runner,
    Body(end): Body<Finish>,
) -> Result<StatusCode, Refusal> {
    app.control.finish(&proven, end).await?;
    Ok(StatusCode::NO_CONTENT)
}
