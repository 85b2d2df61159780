//! `/services`: connect, change, hold, forget.

use axum::{Json, extract::State, http::StatusCode};
use domain::{
    ServiceId,
    problem::Problem,
    service::ServiceSettings,
    view::{Detected, Hook, Page, Service},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    App,
    auth::Caller,
    problem::{Body, Path, Refusal, parse},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(detect))
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(hold, resume))
        .routes(routes!(hook, mend_hook))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"repository": "/srv/git/orders.git"}))]
struct Look {
    /// URL, path, or `owner/name` on GitHub.
    repository: String,
    /// The repository's default when absent.
    branch: Option<String>,
    /// A folder inside the repository that is the service; found where it is absent.
    context: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "freeze until Monday"}))]
struct Why {
    /// Why automatic deploys stop.
    reason: String,
}

/// Propose settings for a repository
#[utoipa::path(post, path = "/services/detect", tag = "services", request_body = Look,
    responses((status = 200, body = Detected), (status = 422, body = Problem)))]
async fn detect(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(look): Body<Look>,
) -> Result<Json<Detected>, Refusal> {
    let (branch, context) = (look.branch.as_deref(), look.context.as_deref());
    Ok(Json(app.control.detect(&actor, &look.repository, branch, context).await?))
}

/// All services, by name
#[utoipa::path(get, path = "/services", tag = "services", responses((status = 200, body = Page<Service>)))]
async fn list(State(app): State<App>, _: Caller) -> Result<Json<Page<Service>>, Refusal> {
    Ok(Json(Page { items: app.control.services().await?, next: None }))
}

/// Connect a service
#[utoipa::path(post, path = "/services", tag = "services",
    request_body(content = ServiceSettings, example = json!({
        "name": "orders", "repository": "/srv/git/orders.git", "health_path": "/health",
        "commands": {"unit_test": "npm test", "start": "node server.js"},
        "variables": {"LOG_LEVEL": "info", "API_KEY": {"value": "s3cret-key", "secret": true}}
    })),
    responses((status = 201, body = Service), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(settings): Body<ServiceSettings>,
) -> Result<(StatusCode, Json<Service>), Refusal> {
    Ok((StatusCode::CREATED, Json(app.control.create_service(&actor, settings).await?)))
}

/// One service
#[utoipa::path(get, path = "/services/{id}", tag = "services", params(("id" = ServiceId, Path)),
    responses((status = 200, body = Service), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, _: Caller, Path(id): Path<ServiceId>) -> Result<Json<Service>, Refusal> {
    Ok(Json(app.control.service(id).await?))
}

/// Change some of a service's settings: what is given replaces, `null` clears, the rest stays
#[utoipa::path(patch, path = "/services/{id}", tag = "services", params(("id" = ServiceId, Path)),
    request_body(content = Object, example = json!({"auto_deploy": true, "commands": {"unit_test": "npm run test:ci"}})),
    responses((status = 200, body = Service), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn change(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<ServiceId>,
    Body(change): Body<Map<String, Value>>,
) -> Result<Json<Service>, Refusal> {
    let now = app.control.service_to_change(&actor, id).await?;
    let mut whole = serde_json::to_value(&now.settings).map_err(control::Error::from)?;
    // The production port has two names; a change of either is a change of both.
    if let Some(settings) = whole.as_object_mut()
        && (change.contains_key("port")
            || change.get("environments").and_then(|e| e.pointer("/production/port")).is_some())
    {
        settings.insert("port".into(), Value::Null);
        if let Some(port) = settings.get_mut("environments").and_then(|e| e.pointer_mut("/production/port")) {
            *port = Value::Null;
        }
    }
    merge(&mut whole, Value::Object(change));
    let settings: ServiceSettings = parse(whole.to_string().as_bytes())?;
    Ok(Json(app.control.update_service(&actor, id, settings).await?))
}

/// A JSON merge patch (RFC 7396), but for `null`, which stays: it clears a field and is refused where a field cannot be clear.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                match into.get_mut(&name) {
                    Some(old) if old.is_object() && value.is_object() => merge(old, value),
                    _ => {
                        into.insert(name, value);
                    }
                }
            }
            // A variable set to null is a variable taken away.
            into.retain(|name, value| {
                !(value.is_null()
                    && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            });
        }
        (into, change) => *into = change,
    }
}

/// Forget a service: its hook, what is deployed of it, its runs and logs
#[utoipa::path(delete, path = "/services/{id}", tag = "services", params(("id" = ServiceId, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<ServiceId>,
) -> Result<StatusCode, Refusal> {
    app.control.delete_service(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The hook of a service's repository on GitHub, as it was last seen
#[utoipa::path(get, path = "/services/{id}/hook", tag = "services", params(("id" = ServiceId, Path)),
    responses((status = 200, body = Hook), (status = 404, body = Problem)))]
async fn hook(State(app): State<App>, _: Caller, Path(id): Path<ServiceId>) -> Result<Json<Hook>, Refusal> {
    let found = app.control.hook_of(id).await?;
    Ok(Json(found.ok_or_else(|| control::Error::not_found("hook on GitHub for service", id))?))
}

/// Make that hook anew, with a new key
#[utoipa::path(post, path = "/services/{id}/hook", tag = "services", params(("id" = ServiceId, Path)),
    responses((status = 200, body = Hook), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn mend_hook(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<ServiceId>,
) -> Result<Json<Hook>, Refusal> {
    Ok(Json(app.control.mend_hook(&actor, id).await?))
}

/// Stop automatic deploys to production
#[utoipa::path(post, path = "/services/{id}/hold", tag = "services", params(("id" = ServiceId, Path)), request_body = Why,
    responses((status = 200, body = Service), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn hold(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<ServiceId>,
    Body(why): Body<Why>,
) -> Result<Json<Service>, Refusal> {
    Ok(Json(app.control.hold(&actor, id, &why.reason).await?))
}

/// Resume automatic deploys to production
#[utoipa::path(delete, path = "/services/{id}/hold", tag = "services", params(("id" = ServiceId, Path)),
    responses((status = 200, body = Service), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn resume(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<ServiceId>,
) -> Result<Json<Service>, Refusal> {
    Ok(Json(app.control.resume(&actor, id).await?))
}
