//! Where people log in at the stand-in: whoever comes is `visitor`, and is asked nothing. A code is good once, and with its verifier alone;
//! what renews a token is good once too.

use std::collections::HashMap;

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{APP_SECRET, Shared, state::Granted};

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/authorize", get(authorize)).route("/access_token", post(exchange))
}

type Fields = HashMap<String, String>;

async fn authorize(State(shared): State<Shared>, Query(asked): Query<Fields>) -> Redirect {
    let mut state = shared.state();
    let code = format!("code{:036}", state.number());
    let back = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &code)
        .append_pair("state", &asked["state"])
        .finish();
    let to = format!("{}?{back}", asked["redirect_uri"]);
    state.codes.insert(code, asked);
    Redirect::to(&to)
}

/// GitHub says no with 200, too.
fn no(error: &str) -> Json<Value> {
    Json(json!({ "error": error, "error_description": "the stand-in refuses" }))
}

async fn exchange(State(shared): State<Shared>, Form(given): Form<Fields>) -> Json<Value> {
    let mut state = shared.state();
    let text = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
    if text("client_secret") != APP_SECRET {
        return no("incorrect_client_credentials");
    }
    let (id, login, scope) = if text("grant_type") == "refresh_token" {
        let old = state.granted.iter().position(|g| g.refresh.as_deref() == Some(text("refresh_token")));
        let Some(old) = old else {
            state.refused += 1;
            return no("bad_refresh_token");
        };
        state.renewed += 1;
        let old = state.granted.remove(old);
        (old.id, old.login, old.scope)
    } else {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(text("code_verifier")));
        let asked = state.codes.remove(text("code")).unwrap_or_default();
        let fits = asked.get("code_challenge") == Some(&challenge)
            && asked.get("redirect_uri") == given.get("redirect_uri");
        if !fits {
            state.refused += 1;
            return no("bad_verification_code");
        }
        let (id, login) = state.visitor.clone();
        (id, login, asked.get("scope").cloned().unwrap_or_default())
    };
    let (number, lasts) = (state.number(), state.lasts);
    let (mark, refresh) = match lasts {
        Some(_) => ("ghu", Some(format!("ghr_standinRenews{number:060}"))),
        None => ("gho", None),
    };
    let token = format!("{mark}_standinPerson{number:024}");
    let answer = json!({
        "access_token": token, "token_type": "bearer", "scope": scope.replace(' ', ","),
        "expires_in": lasts, "refresh_token": refresh, "refresh_token_expires_in": lasts.map(|_| 15_897_600),
    });
    let answer: serde_json::Map<_, _> =
        answer.as_object().unwrap().clone().into_iter().filter(|(_, v)| !v.is_null()).collect();
    state.granted.push(Granted { id, login, scope, token, refresh });
    Json(answer.into())
}

/// What a person's token may, if it is one.
pub(super) fn person(shared: &Shared, headers: &HeaderMap) -> Option<Granted> {
    let bearer = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    shared.state().granted.iter().find(|granted| granted.token == bearer).cloned()
}

pub(super) async fn whose(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    match person(&shared, &headers) {
        Some(granted) => {
            Json(json!({ "id": granted.id, "login": granted.login, "name": null })).into_response()
        }
        None => StatusCode::FORBIDDEN.into_response(),
    }
}
