//! Who is asking: bearer tokens for programs, session cookies for browsers, and the two ways to one: the printed link and GitHub.
//!
//! Extractors verify before a handler runs: a handler that asks for a [`Caller`] or a [`Visitor`] cannot be reached without one.

use axum::{
    Form, Router,
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use control::{
    Actor,
    access::Session,
    forge::ForgeError,
    login::{Denied, PATIENCE_MS, Wanted},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{App, problem::Refusal};

/// The session.
const SESSION: &str = "seamless_session";
/// A login that was begun.
const LOGIN: &str = "seamless_login";
/// Where GitHub sends browsers back to.
pub const CALLBACK: &str = "/login/github/callback";

/// A program with a valid API token.
pub struct Caller(pub Actor);

impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            Refusal::unauthorized(
                "send `Authorization: Bearer TOKEN`; the settings page makes one, `seamless token create --name NAME` too",
            )
        })?;
        match app.control.bearer(token).await? {
            Some(actor) => Ok(Caller(actor)),
            None => Err(Refusal::unauthorized(
                "this token is unknown or has expired, or who made it has to log in again",
            )),
        }
    }
}

/// A person with a session, or a program with a token: for what both may read.
pub struct Reader;

impl FromRequestParts<App> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        if session(app, &parts.headers).await?.is_some() {
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

fn secure(app: &App) -> bool {
    app.config.url.starts_with("https://")
}

/// Over TLS browsers hold a name with this prefix to this very host: no other host of the domain can plant one.
fn full_name(app: &App, name: &str) -> String {
    if secure(app) { format!("__Host-{name}") } else { name.to_owned() }
}

fn cookie<'a>(app: &App, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let name = full_name(app, name);
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(';')).find_map(|pair| pair.trim().strip_prefix(&*name)?.strip_prefix('='))
}

/// Sets a cookie for so many seconds; removes it for none.
fn set_cookie(app: &App, response: &mut Response, name: &str, value: &str, age: i64) {
    let secure = if secure(app) { "; Secure" } else { "" };
    let name = full_name(app, name);
    // Lax, not Strict: the way back from GitHub is a link from another site.
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

async fn session(app: &App, headers: &HeaderMap) -> control::Result<Option<Session>> {
    match cookie(app, headers, SESSION) {
        Some(cookie) => app.control.session(cookie).await,
        None => Ok(None),
    }
}

/// Pages and server functions: only with a session; a form only from our own pages.
pub async fn require_session(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match session(&app, request.headers()).await {
        Ok(Some(session)) => {
            if request.method() != Method::GET
                && request.method() != Method::HEAD
                && !same_origin(request.headers())
            {
                return foreign();
            }
            request.extensions_mut().insert(session);
            next.run(request).await
        }
        Ok(None) if request.method() == Method::GET && !request.uri().path().starts_with("/fn/") => {
            let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
            // A cookie that is nobody's: it ended, or was ended.
            let said = if cookie(&app, request.headers(), SESSION).is_some() { "over" } else { "" };
            Redirect::to(&login_page(said, None, path)).into_response()
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

/// The login page, with what it is to say.
fn login_page(said: &str, who: Option<&str>, next: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("said", said), ("who", who.unwrap_or_default()), ("next", next)] {
        if !value.is_empty() && (name, value) != ("next", "/") {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { "/login".into() } else { format!("/login?{query}") }
}

/// The two ways in, and the way out.
pub fn router() -> Router<App> {
    Router::new()
        .route("/login/{link}", get(log_in))
        .route("/login/github", post(leave))
        .route(CALLBACK, get(come_back))
        .route("/logout", post(log_out))
}

fn agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|a| a.to_str().ok()).unwrap_or("unknown")
}

/// A new session in the browser, and on to a page.
fn logged_in(app: &App, cookie: &SecretString, expires: domain::Timestamp, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    let age = expires.since(app.control.clock()) / 1000;
    set_cookie(app, &mut response, SESSION, cookie.expose_secret(), age);
    // An address with a secret in it must not travel on in a Referer.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn log_in(State(app): State<App>, Path(link): Path<String>, headers: HeaderMap) -> Response {
    match app.control.log_in(&link, agent(&headers)).await {
        Ok((value, expires)) => {
            end_session(&app, &headers).await;
            logged_in(&app, &value, expires, "/")
        }
        Err(control::Error::Refused(_)) => Redirect::to(&login_page("link", None, "/")).into_response(),
        Err(e) => Refusal::from(e).into_response(),
    }
}

#[derive(Deserialize)]
struct Leave {
    #[serde(default)]
    next: String,
    /// The printed code, from whoever is to own this server.
    #[serde(default)]
    code: String,
    /// `repositories`, to see private ones as well.
    #[serde(default)]
    wanted: String,
}

/// `POST /login/github`: to GitHub.
async fn leave(State(app): State<App>, headers: HeaderMap, Form(form): Form<Leave>) -> Response {
    if !same_origin(&headers) {
        return foreign();
    }
    let wanted = if form.wanted == "repositories" { Wanted::Repositories } else { Wanted::Identity };
    match app.control.begin_login(wanted, &form.next, Some(&form.code)).await {
        Ok(leaving) => {
            let mut response = Redirect::to(&leaving.address).into_response();
            set_cookie(&app, &mut response, LOGIN, leaving.cookie.expose_secret(), PATIENCE_MS / 1000);
            response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            response
        }
        Err(denied) => refused(denied, &form.next),
    }
}

#[derive(Deserialize)]
struct Back {
    #[serde(default)]
    state: String,
    code: Option<String>,
}

/// `GET /login/github/callback`: back from GitHub.
async fn come_back(State(app): State<App>, headers: HeaderMap, Query(back): Query<Back>) -> Response {
    let begun = cookie(&app, &headers, LOGIN);
    let before = cookie(&app, &headers, SESSION);
    let code = back.code.as_deref();
    let finished = app.control.finish_login(begun, &back.state, code, agent(&headers), before).await;
    let mut response = match finished {
        Ok(arrived) => logged_in(&app, &arrived.cookie, arrived.expires_at, &arrived.next),
        Err(denied) => refused(denied, "/"),
    };
    if begun.is_some() {
        set_cookie(&app, &mut response, LOGIN, "", 0);
    }
    response
}

/// Back to the login page, which says why and what to do.
fn refused(denied: Denied, next: &str) -> Response {
    let next = control::login::local(next);
    let (said, who) = match &denied {
        Denied::Own(_) => ("", None),
        Denied::NotBegun => ("begin", None),
        Denied::Spent | Denied::Forge(ForgeError::Revoked) => ("spent", None),
        Denied::Declined => ("declined", None),
        Denied::BadCode => ("code", None),
        Denied::NoOwner(who) => ("owner", Some(who.clone())),
        Denied::Stranger(who) => ("stranger", Some(who.clone())),
        Denied::Forge(ForgeError::Away(_) | ForgeError::Limited { .. }) => ("away", None),
        Denied::Forge(_) => ("app", None),
    };
    metrics::counter!("seamless_logins_refused_total", "why" => said).increment(1);
    if let Denied::Own(error) = denied {
        return Refusal::from(error).into_response();
    }
    tracing::info!(why = %denied, "somebody was not let in");
    Redirect::to(&login_page(said, who.as_deref(), next)).into_response()
}

fn foreign() -> Response {
    (StatusCode::FORBIDDEN, "this form was sent from another site").into_response()
}

async fn end_session(app: &App, headers: &HeaderMap) {
    if let Ok(Some(session)) = session(app, headers).await {
        // Revoked elsewhere at the same moment: gone is gone.
        let _ = app.control.revoke_session(&session.actor, session.id).await;
    }
}

async fn log_out(State(app): State<App>, headers: HeaderMap) -> Response {
    if !same_origin(&headers) {
        return foreign();
    }
    end_session(&app, &headers).await;
    let mut response = Redirect::to("/login").into_response();
    set_cookie(&app, &mut response, SESSION, "", 0);
    response
}
