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

use axum::{Router, middleware};
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
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(problem::instance))
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}
