//! `/hooks/github`: GitHub's own hooks. The signature is checked over the raw body, in constant time, before anything else; then
//! the delivery is stored as it came; then it is answered. What it means is found out later.
//!
//! A database that does not answer is 503: GitHub then lists the delivery as failed, and it is asked for again later.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode},
};
use bytes::Bytes;
use control::inbox::Received;
use secrecy::SecretString;

use super::{App, problem::Refusal};

/// GitHub sends no more.
pub const LARGEST: usize = 25 * 1024 * 1024;
/// GitHub gives up after 10 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// A delivery whose signature was verified.
pub struct Signed {
    guid: String,
    event: String,
    payload: String,
}

impl FromRequest<App> for Signed {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let refuse = |why: &'static str, refusal: Refusal| {
            metrics::counter!("seamless_hooks_refused_total", "why" => why).increment(1);
            refusal
        };
        let headers = request.headers().clone();
        let Some(claim) = text(&headers, "x-hub-signature-256") else {
            let say = "unsigned: give the webhook a secret, and GitHub sends X-Hub-Signature-256";
            return Err(refuse("unsigned", Refusal::unauthorized(say)));
        };
        if text(&headers, "content-type").is_some_and(|kind| kind.starts_with("application/x-www-form")) {
            let say = "choose the content type application/json for this webhook";
            return Err(refuse("form", Refusal::unreadable(StatusCode::UNSUPPORTED_MEDIA_TYPE, say)));
        }
        let body = Bytes::from_request(request, app).await.map_err(|e| {
            refuse(
                "unreadable",
                Refusal::unreadable(e.status(), "the body could not be read, or is over 25 MiB"),
            )
        })?;
        let keys = keys(app, &body).await?;
        // An unknown repository and a wrong key look alike from outside.
        if !keys.iter().any(|key| github::fits(key, &body, &claim)) {
            let say = "the signature does not fit this body and repository";
            return Err(refuse("forged", Refusal::unauthorized(say)));
        }
        let named = |name: &str| {
            text(&headers, name).filter(|v| (1..=200).contains(&v.len())).ok_or_else(|| {
                Refusal::from(control::Error::field(
                    name,
                    "GitHub sends this header; give 1 to 200 characters",
                ))
            })
        };
        let (guid, event) = (named("x-github-delivery")?, named("x-github-event")?);
        let payload = String::from_utf8(body.into())
            .map_err(|_| Refusal::unreadable(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
        Ok(Signed { guid, event, payload })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// The keys with which this body may be signed.
async fn keys(app: &App, body: &Bytes) -> Result<Vec<SecretString>, Refusal> {
    in_time(app, app.control.hook_keys(&github::repositories(body))).await
}

/// Stores a delivery and answers.
pub async fn hook(State(app): State<App>, signed: Signed) -> Result<(StatusCode, Json<Received>), Refusal> {
    let Signed { guid, event, payload } = signed;
    let received = in_time(&app, app.control.receive_from_forge(&guid, &event, payload)).await?;
    Ok((StatusCode::ACCEPTED, Json(received)))
}

/// Whatever keeps a delivery from being stored is told as something that passes: GitHub is to count it as failed.
async fn in_time<T>(app: &App, work: impl Future<Output = control::Result<T>>) -> Result<T, Refusal> {
    let away = || {
        app.control.owe();
        control::Error::Unavailable("the delivery could not be stored; it is asked for again".into())
    };
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a delivery could not be stored");
            Err(away().into())
        }
        Err(_) => Err(away().into()),
    }
}
