//! Errors at the edge: problem details for programs, logged once with their chain when they are ours.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use control::Error;
use domain::problem::{FieldError, Problem};
use serde::de::DeserializeOwned;

/// An error on its way out.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    next_seq: Option<u64>,
    after_s: Option<u64>,
}

impl Refusal {
    /// Somebody we do not know.
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who is asking?", detail)
    }

    /// A body that cannot be used as it is.
    pub fn unreadable(status: StatusCode, detail: &str) -> Self {
        Self::new(status, "unreadable", "The body could not be read", detail)
    }

    /// No such address.
    pub fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here",
            "no such address; see /api/v1/openapi.json",
        )
    }

    /// A body that did not arrive, or was too large.
    pub fn unread(why: BytesRejection) -> Self {
        Self::new(why.status(), "unreadable", "The body could not be read", why.body_text())
    }

    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), errors: Vec::new(), next_seq: None, after_s: None }
    }

    /// Wrong fields.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail =
            errors.iter().map(|f| format!("{}: {}", f.field, f.message)).collect::<Vec<_>>().join("; ");
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Some fields are wrong", detail)
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", text)
            }
            Error::Invalid(errors) => Self::invalid(errors),
            Error::Conflict(_) => {
                Self::new(StatusCode::CONFLICT, "conflict", "That does not fit what is there now", text)
            }
            Error::Hole { next_seq } => Self {
                next_seq: Some(next_seq),
                ..Self::new(StatusCode::CONFLICT, "hole", "Lines are missing", text)
            },
            Error::Refused(_) => Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who is asking?", text),
            Error::Forbidden { .. } => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "That takes another role", text)
            }
            Error::Busy { after_s } => Self {
                after_s: Some(after_s),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much at once", text)
            },
            Error::TooLarge(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "That is too much for one call", text)
            }
            Error::Unavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Something outside does not answer",
                text,
            ),
            Error::Internal(cause) => {
                tracing::error!(error = &*cause as &dyn std::error::Error, "a request failed inside");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Something went wrong inside Seamless",
                    text,
                )
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("/docs/errors#{}", self.kind),
            title: self.title.into(),
            status: self.status.as_u16(),
            detail: self.detail,
            instance: INSTANCE.try_with(Clone::clone).unwrap_or_default(),
            errors: self.errors,
        };
        let mut body = serde_json::to_value(&problem).unwrap_or_default();
        if let (Some(next), Some(map)) = (self.next_seq, body.as_object_mut()) {
            map.insert("next_seq".into(), next.into());
        }
        let mut response = (self.status, Json(body)).into_response();
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(after) = self.after_s {
            response.headers_mut().insert(header::RETRY_AFTER, after.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

tokio::task_local! {
    static INSTANCE: String;
}

/// Remembers the request's path, so that a problem can name it.
pub async fn instance(request: Request, next: axum::middleware::Next) -> Response {
    let path = request.uri().path().to_owned();
    INSTANCE.scope(path, next.run(request)).await
}

/// A JSON body whose every mistake is named: the field, and what is wrong with it.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = Bytes::from_request(request, state).await.map_err(Refusal::unread)?;
        let text = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
        parse(text).map(Body)
    }
}

/// Reads JSON; the error names the field.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refusal> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut from).map_err(|e| {
        let path = e.path().to_string();
        let message = e.inner().to_string();
        if e.inner().is_syntax() || e.inner().is_eof() {
            return Refusal::new(StatusCode::BAD_REQUEST, "unreadable", "The body is not JSON", message);
        }
        Refusal::invalid(vec![named(&path, message)])
    })?;
    from.end().map_err(|e| {
        Refusal::new(StatusCode::BAD_REQUEST, "unreadable", "The body is not JSON", e.to_string())
    })?;
    Ok(value)
}

/// serde names a missing or unknown field in its words only.
fn named(path: &str, message: String) -> FieldError {
    let quoted = message
        .split('`')
        .nth(1)
        .filter(|_| message.starts_with("missing field") || message.starts_with("unknown field"));
    let parent = path.trim_end_matches('.');
    let field = match quoted {
        Some(name) if parent.is_empty() || parent == name || parent.ends_with(&format!(".{name}")) => {
            if parent.is_empty() {
                name.to_owned()
            } else {
                parent.to_owned()
            }
        }
        Some(name) if message.starts_with("missing field") => format!("{parent}.{name}"),
        _ => parent.to_owned(),
    };
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    FieldError { field: if field.is_empty() { "body".into() } else { field }, message }
}

/// A query string whose every mistake is named.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(e) => {
                let message = e.body_text();
                let message = message.split_once(": ").map_or(message.as_str(), |(_, rest)| rest).to_owned();
                let (field, message) = match message.split_once(": ") {
                    Some((field, why)) => (field.to_owned(), why.to_owned()),
                    None => ("query".to_owned(), message),
                };
                Err(Refusal::invalid(vec![FieldError { field, message }]))
            }
        }
    }
}

/// A typed part of the path; anything else is a thing that is not there.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let found = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        found.map(|axum::extract::Path(value)| Path(value)).map_err(|e| {
            Refusal::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", e.body_text())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use domain::service::ServiceSettings;

    fn field(text: &str) -> String {
        parse::<ServiceSettings>(text.as_bytes()).unwrap_err().errors.remove(0).field
    }

    #[test]
    fn the_wrong_field_is_named() {
        assert_eq!(field(r#"{"repository":"b"}"#), "name");
        assert_eq!(field(r#"{"name":"a","repository":"b","nam":1}"#), "nam");
        assert_eq!(field(r#"{"name":"a","repository":"b","commands":{"biuld":"x"}}"#), "commands.biuld");
        assert_eq!(field(r#"{"name":"a","repository":"b","staging":"yes"}"#), "staging");
        assert_eq!(field(r#"{"name":"a","repository":"b","port":70000}"#), "port");
    }
}
