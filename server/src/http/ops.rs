//! For whoever runs Seamless: is it up, is it ready, how is it; and the badge for a README.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::Status;

use super::{App, problem::Path};

/// A README shows the badge on another site.
const OTHERS: (header::HeaderName, &str) =
    (header::HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");

/// Health, readiness, metrics, badges.
pub fn router() -> Router<App> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/badge/{service}", get(badge))
        .route("/docs/errors", get(errors))
}

/// What the `type` of every problem points to.
async fn errors() -> Response {
    let text = include_str!("../../../docs/errors.md");
    ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response()
}

async fn ready(State(app): State<App>) -> Response {
    match app.control.store().ping().await {
        // What is lost without Redis is speed: a balancer must not take the server out for that.
        Ok(()) => format!("ready\n{}", app.control.notices().join("\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

async fn metrics(State(app): State<App>) -> Response {
    app.metrics.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response()
}

async fn badge(State(app): State<App>, Path(file): Path<String>) -> Response {
    let name = file.strip_suffix(".svg").unwrap_or(&file);
    let services = app.control.services().await.unwrap_or_default();
    let status = match services.iter().find(|s| s.settings.name == name) {
        None => return (StatusCode::NOT_FOUND, "no such service\n").into_response(),
        Some(service) => {
            let runs = app.control.runs(Some(service.id), None, None, 1).await;
            runs.ok().and_then(|page| page.items.into_iter().next()).map(|run| run.status)
        }
    };
    let (word, colour) = match status {
        None => ("no runs", "#8a8882"),
        Some(Status::Success) => ("passing", "#18794e"),
        Some(Status::Failure) => ("failing", "#c62a2f"),
        Some(Status::InProgress) => ("running", "#0b68cb"),
        Some(Status::AwaitingApproval) => ("awaits approval", "#946200"),
        Some(Status::Idle) => ("queued", "#8a8882"),
        Some(Status::Cancelled) => ("cancelled", "#8a8882"),
        Some(Status::Skipped) => ("skipped", "#8a8882"),
    };
    // Names hold letters, digits and hyphens alone, so nothing here needs escaping.
    let (left, right) = (name.len() * 7 + 16, word.len() * 7 + 16);
    let (width, at, middle) = (left + right, left / 2, left + right / 2);
    let svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{name}: {word}"><title>{name}: {word}</title><rect width="{width}" height="20" rx="4" fill="#3b3e45"/><path d="M{left} 0h{}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4h-{}z" fill="{colour}"/><g fill="#fff" text-anchor="middle" font-family="system-ui,sans-serif" font-size="11"><text x="{at}" y="14">{name}</text><text x="{middle}" y="14">{word}</text></g></svg>"##,
        right - 4,
        right - 4
    );
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "no-cache"), OTHERS], svg)
        .into_response()
}
