//! The dashboard: its files, its pages and its server functions, all behind a session but for files and login.

use app::{App as Dashboard, Elsewhere, Site as Bundle, shell};
use axum::{
    Router,
    extract::{FromRef, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use control::access::Session;
use domain::{RunId, StageId, StageKind};
use leptos::{
    config::LeptosOptions,
    context::{provide_context, use_context},
};
use leptos_axum::{LeptosRoutes, generate_route_list};
use serde::Deserialize;
use tower_http::services::ServeDir;

use super::{
    App,
    auth::require_session,
    problem::{Path, Query, Refusal},
};

/// Where the dashboard's files are and which version they are.
pub struct Site {
    options: LeptosOptions,
    bundle: Bundle,
}

impl Site {
    /// Looks for the dashboard's files.
    ///
    /// # Errors
    /// When they were not built.
    pub fn read(root: &std::path::Path) -> anyhow::Result<Self> {
        let options = LeptosOptions::builder()
            .output_name("seamless")
            .site_root(root.display().to_string())
            .site_pkg_dir("pkg")
            .build();
        let bundle = Bundle::read(&options)?;
        Ok(Self { options, bundle })
    }
}

impl FromRef<App> for LeptosOptions {
    fn from_ref(app: &App) -> Self {
        app.site
            .as_ref()
            .map_or_else(|| LeptosOptions::builder().output_name("seamless").build(), |s| s.options.clone())
    }
}

/// Who asks, for pages and server functions: from the session that the middleware verified.
fn context(app: &App) -> impl Fn() + Clone + Send + Sync + 'static {
    let control = app.control.clone();
    let elsewhere = app.config.github.sign_in.as_ref().map(|_| app.config.github.place.url.origin());
    move || {
        provide_context(control.clone());
        if let Some(site) = &elsewhere {
            provide_context(Elsewhere(site.ascii_serialization()));
        }
        let session =
            use_context::<http::request::Parts>().and_then(|p| p.extensions.get::<Session>().cloned());
        if let Some(session) = session {
            provide_context(session.actor);
            provide_context(session.id);
        }
    }
}

/// Pages, server functions, files.
pub fn router(app: &App) -> Router<App> {
    let Some(site) = app.site.clone() else {
        return Router::new().fallback(any(no_site));
    };
    let root = site.options.site_root.to_string();
    let routes = generate_route_list(Dashboard);
    let closed: Vec<_> = routes.into_iter().filter(|r| r.path() != "/login").collect();
    let context = context(app);
    let document = {
        let site = site.clone();
        move || shell(&site.bundle)
    };
    let missing = leptos_axum::render_app_async_with_context(context.clone(), document.clone());
    let login = leptos_axum::render_app_async_with_context(context.clone(), document.clone());
    // The server functions come with the pages, and so behind the session as well.
    let closed = Router::new()
        .route("/runs/{run}/log/{file}", get(log_file))
        .leptos_routes_with_context(app, closed, context, document)
        .fallback(move |request: Request| {
            let missing = missing.clone();
            async move { missing(request).await }
        })
        .layer(middleware::from_fn_with_state(app.clone(), require_session));
    let files = Router::new()
        .nest_service("/pkg", ServeDir::new(format!("{root}/pkg")).precompressed_br())
        .layer(middleware::from_fn(keep));
    Router::new()
        .route("/login", get(move |request: Request| login(request)))
        .merge(files)
        .merge(closed)
        .layer(middleware::from_fn(not_stored))
}

/// A file whose address names its version may be kept for ever.
async fn keep(request: Request, next: Next) -> Response {
    let versioned = request.uri().query().is_some_and(|q| q.starts_with("v="));
    let font = request.uri().path().contains("/fonts/");
    let mut response = next.run(request).await;
    if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
        let rule = if versioned || font { "public, max-age=31536000, immutable" } else { "no-cache" };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(rule));
    }
    response
}

/// Pages are for the one who asked, now.
async fn not_stored(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn no_site() -> Response {
    let text = "The dashboard was not built: run `make run`, or set SEAMLESS_SITE to the folder that holds it. The API is at /api/v1.\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

#[derive(Deserialize)]
struct Which {
    attempt: Option<u32>,
}

/// `/runs/{run}/log/{stage}.txt`: a stage's whole log as a file.
async fn log_file(
    State(app): State<App>,
    Path((run, file)): Path<(RunId, String)>,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    let run = app.control.run(run).await?;
    let kind: Option<StageKind> = file.strip_suffix(".txt").and_then(|k| k.parse().ok());
    let stage: StageId = kind
        .and_then(|k| run.stage(k))
        .map(|s| s.id)
        .ok_or_else(|| control::Error::not_found("log", &file))?;
    let name = format!("{}-{}-{file}", run.service.name, run.number);
    let mut response = super::api::log_text(app.control, stage, which.attempt).await?;
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
