//! `/live/*`: server-sent streams. Every message has an id that `Last-Event-ID` resumes after, at any server; a comment every 20
//! seconds keeps proxies open; a stream ends explicitly when a run does and when the server goes.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use control::live::Follower;
use domain::{RunId, live::Cursor};
use futures::{StreamExt, stream};
use serde::Deserialize;

use super::{
    App,
    auth::Reader,
    problem::{Path, Query, Refusal},
};

#[derive(Deserialize)]
struct After {
    /// The cursor a page was rendered with.
    after: Option<String>,
}

/// The streams.
pub fn router() -> Router<App> {
    Router::new().route("/runs/{id}", get(run)).route("/overview", get(overview))
}

fn cursor(headers: &HeaderMap, query: After) -> Result<Option<Cursor>, Refusal> {
    // A reconnect knows more than the address it was first opened with.
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let field = if last.is_some() { "Last-Event-ID" } else { "after" };
    last.or(query.after).map(|text| text.parse::<Cursor>()).transpose().map_err(|e| {
        Refusal::invalid(vec![domain::problem::FieldError { field: field.into(), message: e.to_string() }])
    })
}

async fn run(
    State(app): State<App>,
    _: Reader,
    Path(id): Path<RunId>,
    headers: HeaderMap,
    Query(after): Query<After>,
) -> Result<Response, Refusal> {
    let follower = app.control.follow_run(id, cursor(&headers, after)?).await?;
    Ok(stream_of(app, follower))
}

async fn overview(
    State(app): State<App>,
    _: Reader,
    headers: HeaderMap,
    Query(after): Query<After>,
) -> Result<Response, Refusal> {
    let follower = app.control.follow_all(cursor(&headers, after)?).await?;
    Ok(stream_of(app, follower))
}

fn stream_of(app: App, follower: Follower) -> Response {
    let ends = app.shutdown.clone();
    let messages = stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(messages) => {
                let over = messages.iter().any(|message| message.told.is_end());
                Some((messages, (!over).then_some(follower)))
            }
            Err(error) => {
                // The browser comes back by itself and goes on after its last id.
                tracing::warn!(error = &error as &dyn std::error::Error, "a live stream broke");
                None
            }
        }
    })
    .flat_map(stream::iter)
    .map(|message| {
        Event::default().id(message.cursor.to_string()).event(message.told.name).data(&message.told.data)
    })
    .map(Ok::<_, Infallible>)
    .take_until(async move { ends.cancelled().await });
    let keep = KeepAlive::new().interval(Duration::from_secs(20)).text("still here");
    let mut response = Sse::new(messages).keep_alive(keep).into_response();
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
