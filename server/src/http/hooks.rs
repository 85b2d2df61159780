//! `/hooks/git/{service}`: the generic signed hook. The signature is checked over the raw body, in constant time, before anything
//! else; then the delivery is stored; then it is answered. What it means is found out later.
//!
//! `/hooks/inbox` is `seamless hook` saying "look into the folder now": it carries nothing that is believed, only the GUID whose
//! outcome the caller would like to print.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::StatusCode,
    routing::post,
};
use bytes::Bytes;
use control::inbox::{GitHook, Outcome, Received};
use domain::ServiceId;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::{
    App, github,
    problem::{Body, Path, Refusal, parse},
};

/// Header with `sha256=` and the HMAC-SHA-256 of the raw body, in hexadecimal.
pub const SIGNATURE: &str = "x-seamless-signature-256";
/// Header with the sender's id for this delivery; the same twice is one delivery.
pub const DELIVERY: &str = "x-seamless-delivery";

/// Signs a body as the hook must.
pub fn sign(secret: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| unreachable!());
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A hook whose signature was verified.
struct Signed {
    service: ServiceId,
    guid: String,
    hook: GitHook,
}

impl FromRequest<App> for Signed {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        use axum::extract::FromRequestParts;
        let (mut parts, body) = request.into_parts();
        let Path(service) = Path::<ServiceId>::from_request_parts(&mut parts, app).await?;
        let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let given =
            text(SIGNATURE).and_then(|s| hex::decode(s.strip_prefix("sha256=")?).ok()).ok_or_else(|| {
                Refusal::unauthorized("send X-Seamless-Signature-256: sha256=HMAC of the raw body")
            })?;
        let guid = text(DELIVERY).filter(|g| (1..=200).contains(&g.len()));
        let bytes = Bytes::from_request(Request::from_parts(parts, body), app)
            .await
            .map_err(|_| Refusal::invalid(vec![field("body", "could not be read, or is over 1 MiB")]))?;
        // An unknown service and a wrong signature look alike from outside.
        let wrong = || Refusal::unauthorized("the signature does not fit this body and service");
        let secret = match app.control.hook_secret(service).await {
            Err(control::Error::NotFound { .. }) => return Err(wrong()),
            secret => secret?,
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| wrong())?;
        mac.update(&bytes);
        mac.verify_slice(&given).map_err(|_| wrong())?;
        let guid = guid.ok_or_else(|| {
            Refusal::invalid(vec![field("X-Seamless-Delivery", "give an id of 1 to 200 characters")])
        })?;
        Ok(Signed { service, guid, hook: parse(&bytes)? })
    }
}

fn field(field: &str, message: &str) -> domain::problem::FieldError {
    domain::problem::FieldError { field: field.into(), message: message.into() }
}

/// The hooks.
pub fn router() -> Router<App> {
    Router::new()
        .route("/git/{service}", post(git))
        .route("/inbox", post(inbox))
        .layer(DefaultBodyLimit::max(1024 * 1024))
        .merge(
            Router::new().route("/github", post(github::hook)).layer(DefaultBodyLimit::max(github::LARGEST)),
        )
}

#[derive(Deserialize)]
struct Look {
    guid: String,
}

async fn inbox(
    State(app): State<App>,
    Body(look): Body<Look>,
) -> Result<(StatusCode, Json<Outcome>), Refusal> {
    app.inbox.take_in(&app.control).await?;
    app.control.intake().await?;
    Ok((StatusCode::ACCEPTED, Json(app.control.outcome(&look.guid).await?)))
}

async fn git(State(app): State<App>, signed: Signed) -> Result<(StatusCode, Json<Received>), Refusal> {
    let received = app.control.receive("git", &signed.guid, signed.service, &signed.hook).await?;
    Ok((StatusCode::ACCEPTED, Json(received)))
}
