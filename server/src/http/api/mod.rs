//! `/api/v1`: the REST contract, and the OpenAPI document that is generated from these very handlers.

mod cloud;
mod deliveries;
mod deployments;
mod pipelines;
mod runs;
mod services;
mod stages;

use std::sync::OnceLock;

use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::problem::Problem;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use super::{App, problem::Refusal};

pub use stages::log_text;

/// Items of a page unless told otherwise.
const PAGE: u64 = 50;
/// Most items of a page.
const MOST: u64 = 200;

/// A limit within bounds.
///
/// # Errors
/// Names the field.
fn limit(given: Option<u64>, default: u64, most: u64) -> Result<u64, Refusal> {
    given.map_or(Ok(default), |n| within("limit", n, most))
}

/// A number from 1 to `most`.
///
/// # Errors
/// Names the field.
fn within(field: &str, n: u64, most: u64) -> Result<u64, Refusal> {
    if (1..=most).contains(&n) {
        return Ok(n);
    }
    Err(control::Error::field(field, format!("{n} is out of range: give 1 to {most}")).into())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Seamless",
        description = "CI/CD for containerised microservices. Lists page with `before` and `limit`, newest first; errors are problem details (RFC 9457)."
    ),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security(("token" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The settings page makes one, and so does `seamless token create --name NAME`"))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(pipelines::router())
        .merge(services::router())
        .merge(runs::router())
        .merge(stages::router())
        .merge(deployments::router())
        .merge(deliveries::router())
        .merge(cloud::router())
}

/// The document: every endpoint, from its handler.
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, document) = OpenApiRouter::<App>::new().nest("/api/v1", described()).split_for_parts();
    let mut whole = Document::openapi();
    whole.merge(document);
    whole
}

/// Made when it is first asked for, and kept as text: as a tree it takes megabytes, and a route is cloned for every connection.
async fn openapi() -> Response {
    static TEXT: OnceLock<Option<Bytes>> = OnceLock::new();
    match TEXT.get_or_init(|| serde_json::to_vec(&document()).ok().map(Bytes::from)) {
        Some(text) => ([(CONTENT_TYPE, "application/json")], text.clone()).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The endpoints.
pub fn router() -> Router<App> {
    let (router, _) = described().split_for_parts();
    router
        .route("/openapi.json", get(openapi))
        .fallback(|| async { Refusal::no_such_path() })
        .method_not_allowed_fallback(|| async { Refusal::no_such_path() })
}
