//! `/cloud`: clusters and services of the AWS account, and one more of the latter.

use axum::{Json, extract::State, http::StatusCode};
use domain::{
    cloud::{CloudAccount, CloudService, NewCloudService},
    problem::Problem,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    App,
    auth::Caller,
    problem::{Body, Refusal},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create))
}

/// Clusters and services on ECS, with what they run now
#[utoipa::path(get, path = "/cloud/services", tag = "cloud",
    responses((status = 200, body = CloudAccount), (status = 503, body = Problem)))]
async fn list(State(app): State<App>, _: Caller) -> Result<Json<CloudAccount>, Refusal> {
    Ok(Json(app.control.cloud().await?))
}

/// Make a service on ECS that is not there yet; the very same asked for twice is one
#[utoipa::path(post, path = "/cloud/services", tag = "cloud",
    request_body(content = NewCloudService, example = json!({
        "cluster": "main", "service": "orders", "port": 8080, "cpu": 256, "memory_mb": 512, "tasks": 2,
        "subnets": ["subnet-0a1b2c3d4e5f67890"], "security_groups": ["sg-0a1b2c3d4e5f67890"],
        "execution_role": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
    })),
    responses((status = 201, body = CloudService), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(wanted): Body<NewCloudService>,
) -> Result<(StatusCode, Json<CloudService>), Refusal> {
    Ok((StatusCode::CREATED, Json(app.control.create_cloud_service(&actor, &wanted).await?)))
}
