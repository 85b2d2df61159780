//! `/runner/v1`: the runner protocol. Unverified calls cannot reach a handler.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request, State},
    http::{StatusCode, header, request::Parts},
    routing::{get, post},
};
use bytes::Bytes;
use control::{ingest::Room, runner::Proven};
use domain::protocol::{Claim, Claimed, Finish, Heartbeat, HeartbeatAnswer, Job, LogAnswer, LogBatch};

use super::{
    App,
    auth::bearer,
    problem::{Body, Refusal},
};

/// Most bytes of one body.
const LARGEST: usize = 16 << 20;

/// A runner with the token of the current attempt.
struct Runner(Proven);

impl FromRequestParts<App> for Runner {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        Ok(Runner(app.control.prove(token(parts)?).await?))
    }
}

/// A runner that logs: whether its attempt goes on is judged where lines are stored.
struct Logger(Proven);

impl FromRequestParts<App> for Logger {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        Ok(Logger(app.control.prove_once(token(parts)?).await?))
    }
}

fn token(parts: &Parts) -> Result<&str, Refusal> {
    bearer(&parts.headers).ok_or_else(|| Refusal::unauthorized("send the attempt's token"))
}

/// Room for what is about to be read: taken before a body is.
struct Roomy(Room);

impl FromRequestParts<App> for Roomy {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        Ok(Roomy(app.control.log_room(length).await?))
    }
}

/// Lines in one of the two forms.
enum Lines {
    Plain(LogBatch),
    Packed(Bytes),
}

impl FromRequest<App> for Lines {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| kind == lines::wire::KIND) {
            return Ok(Lines::Packed(Bytes::from_request(request, app).await.map_err(Refusal::unread)?));
        }
        Ok(Lines::Plain(Body::from_request(request, app).await?.0))
    }
}

/// The runner's calls.
pub fn router() -> Router<App> {
    Router::new()
        .route("/claim", post(claim))
        .route("/job", get(job))
        .route("/heartbeat", post(heartbeat))
        .route("/log", post(log))
        .route("/finish", post(finish))
        .layer(DefaultBodyLimit::max(LARGEST))
}

/// Proven by the ticket in it; answered with a token.
async fn claim(State(app): State<App>, Body(claim): Body<Claim>) -> Result<Json<Claimed>, Refusal> {
    Ok(Json(app.control.claim_stage(&claim).await?))
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
    Logger(proven): Logger,
    Roomy(room): Roomy,
    lines: Lines,
) -> Result<Json<LogAnswer>, Refusal> {
    Ok(Json(match lines {
        Lines::Plain(batch) => app.control.log(&proven, &room, batch).await?,
        Lines::Packed(body) => app.control.log_packed(&proven, &room, body).await?,
    }))
}

async fn finish(
    State(app): State<App>,
    Runner(proven): Runner,
    Body(end): Body<Finish>,
) -> Result<StatusCode, Refusal> {
    app.control.finish(&proven, end).await?;
    Ok(StatusCode::NO_CONTENT)
}
