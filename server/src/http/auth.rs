//! Who is asking: bearer tokens for programs, session cookies for browsers, the login link between the two.
//!
//! Extractors verify before a handler runs: a handler that asks for a [`Caller`] or a [`Visitor`] cannot be reached without one.

use axum::{
    Router,
    extract::{FromRequestParts, Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use control::{Actor, Control, access::Session};
use secrecy::ExposeSecret;

use super::{App, problem::Refusal};

const COOKIE: &str = "seamless_session";

/// A program with a valid API token.
pub struct Caller(pub Actor);

impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            Refusal::unauthorized(
                "send `Authorization: Bearer TOKEN`; `seamless token create --name NAME` prints one",
            )
        })?;
        match app.control.bearer(token).await? {
            Some(actor) => Ok(Caller(actor)),
            None => Err(Refusal::unauthorized("this token is unknown or has expired")),
        }
    }
}

/// A person with a session, or a program with a token: for what both may read.
pub struct Reader;

impl FromRequestParts<App> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        if session(&app.control, &parts.headers).await?.is_some() {
            return Ok(Reader);
        }
        Caller::from_request_parts(parts, app).await.map(|_| Reader)
    }
}

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

async fn session(control: &Control, headers: &HeaderMap) -> control::Result<Option<Session>> {
    match cookie(headers) {
        Some(cookie) => control.session(cookie).await,
        None => Ok(None),
    }
}

/// Pages and server functions: only with a session; a form only from our own pages.
pub async fn require_session(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match session(&app.control, request.headers()).await {
        Ok(Some(session)) => {
            if request.method() != Method::GET
                && request.method() != Method::HEAD
                && !same_origin(request.headers())
            {
                return (StatusCode::FORBIDDEN, "this form was sent from another site").into_response();
            }
            request.extensions_mut().insert(session);
            next.run(request).await
        }
        Ok(None) if request.method() == Method::GET && !request.uri().path().starts_with("/fn/") => {
            Redirect::to("/login").into_response()
        }
        Ok(None) => Refusal::unauthorized("your session is over; open /login").into_response(),
        Err(e) => Refusal::from(e).into_response(),
    }
}

/// SameSite keeps other sites' forms without the cookie; this also refuses what came with it from another origin.
fn same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN).and_then(|o| o.to_str().ok()) else { return true };
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    origin.split_once("://").is_some_and(|(_, at)| at == host)
}

/// `/login/{link}` begins a session, `/logout` ends it.
pub fn router() -> Router<App> {
    Router::new().route("/login/{link}", get(log_in)).route("/logout", post(log_out))
}

async fn log_in(State(app): State<App>, Path(link): Path<String>, headers: HeaderMap) -> Response {
    let agent = headers.get(header::USER_AGENT).and_then(|a| a.to_str().ok()).unwrap_or("unknown");
    match app.control.log_in(&link, agent).await {
        Ok((value, expires)) => {
            let age = expires.since(app.control.clock()) / 1000;
            let secure = if app.config.url.starts_with("https://") { "; Secure" } else { "" };
            let text = format!(
                "{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}",
                value.expose_secret()
            );
            let mut response = Redirect::to("/").into_response();
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(header::SET_COOKIE, value);
            }
            // The link's address must not travel on in a Referer.
            response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            response
        }
        Err(control::Error::Refused(_)) => Redirect::to("/login?link=bad").into_response(),
        Err(e) => Refusal::from(e).into_response(),
    }
}

async fn log_out(State(app): State<App>, headers: HeaderMap) -> Response {
    if !same_origin(&headers) {
        return (StatusCode::FORBIDDEN, "this form was sent from another site").into_response();
    }
    if let Ok(Some(session)) = session(&app.control, &headers).await {
        // Revoked elsewhere at the same moment: gone is gone.
        let _ = app.control.revoke_session(session.id).await;
    }
    let mut response = Redirect::to("/login").into_response();
    let gone = HeaderValue::from_static("seamless_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    response.headers_mut().insert(header::SET_COOKIE, gone);
    response
}
