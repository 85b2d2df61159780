//! The edge: routers by caller, thin handlers over `control`.
//!
//! Refuses SQL and business rules; a handler verifies, calls one use case and answers.

pub mod api;
pub mod auth;
pub mod github;
pub mod hooks;
pub mod live;
mod ops;
mod pages;
pub mod problem;
mod runner;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    response::Response,
};
use control::Control;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer, trace::TraceLayer};

use crate::{config::Config, inbox::Inbox};

/// What handlers are given.
#[derive(Clone)]
pub struct App {
    /// The use cases.
    pub control: Control,
    /// The settings.
    pub config: Arc<Config>,
    /// Ends streams when the server goes.
    pub shutdown: CancellationToken,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Where local hooks are left.
    pub inbox: Inbox,
    /// The dashboard's files and their version; absent where they were not built.
    pub site: Option<Arc<pages::Site>>,
}

pub use pages::Site;

/// Everything the server answers.
pub fn router(app: App) -> Router {
    let streams = Router::new().nest("/live", live::router());
    let quick = Router::new()
        .nest("/api/v1", api::router())
        .nest("/runner/v1", runner::router())
        .nest("/hooks", hooks::router())
        .merge(auth::router())
        .merge(ops::router())
        .merge(pages::router(&app))
        // Streams stay as they are: a compressor would hold lines back.
        .layer(CompressionLayer::new());
    streams
        .merge(quick)
        .layer(middleware::from_fn_with_state(app.clone(), secured))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(problem::instance))
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}

/// What every answer says to browsers, unless a handler knows better. Pages bring rules of their own for what may run in them; anything
/// else may run, load and frame nothing.
async fn secured(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if app.config.url.starts_with("https://") {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(year);
    }
    response
}
