//! The one error of all server functions: a status, a sentence for people, and which fields are wrong.
//!
//! Refuses to carry anything internal; causes are logged here, at the edge, once.

use domain::problem::FieldError;
use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};

use crate::{form::ServiceForm, text::words};

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do about it.
    pub message: String,
    /// The fields that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
    /// What was typed, so that a form without JavaScript does not come back empty; never a secret. Pages alone read it, which only the
    /// server makes: islands are spared the code for it.
    #[cfg_attr(feature = "hydrate", serde(skip))]
    #[cfg_attr(not(feature = "hydrate"), serde(default, skip_serializing_if = "Option::is_none"))]
    pub form: Option<Box<ServiceForm>>,
}

impl ApiError {
    /// An error of a status.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: words::sentence(&message.into()), fields: Vec::new(), form: None }
    }

    /// Wrong fields.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let message = match fields.as_slice() {
            [one] => words::sentence(&one.message),
            _ => format!("{} things need a change; each is marked below.", fields.len()),
        };
        Self { status: 422, message, fields, form: None }
    }

    /// What is wrong with a field or anything below it.
    pub fn of(&self, field: &str) -> Option<String> {
        let below = |f: &FieldError| {
            f.field == field || f.field.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'))
        };
        let found: Vec<_> = self
            .fields
            .iter()
            .filter(|f| below(f))
            .map(|f| match f.field.strip_prefix(field).map(|rest| rest.trim_start_matches('.')) {
                Some(name) if !name.is_empty() => format!("{name}: {}", f.message),
                _ => f.message.clone(),
            })
            .collect();
        (!found.is_empty()).then(|| found.join("; "))
    }
}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(value: ServerFnErrorErr) -> Self {
        match value {
            ServerFnErrorErr::Request(_) => ApiError::new(
                503,
                "The server does not answer just now. Nothing was changed; try again in a moment.",
            ),
            ServerFnErrorErr::Args(what) | ServerFnErrorErr::MissingArg(what) => {
                ApiError::new(400, format!("The form could not be read: {what}"))
            }
            ServerFnErrorErr::Deserialization(_) => ApiError::new(
                502,
                "The answer could not be read. The server may have been updated; reload the page.",
            ),
            other => ApiError::new(500, other.to_string()),
        }
    }
}

#[cfg(feature = "ssr")]
impl From<control::Error> for ApiError {
    fn from(error: control::Error) -> Self {
        use control::Error as E;
        let message = error.to_string();
        match error {
            E::NotFound { .. } => ApiError::new(404, message),
            E::Invalid(fields) => ApiError::invalid(fields),
            E::Conflict(_) => ApiError::new(409, message),
            E::Refused(_) | E::Forbidden { .. } => ApiError::new(403, message),
            E::Unavailable(_) | E::Busy { .. } => ApiError::new(503, message),
            other => {
                tracing::error!(error = ?other, "a page could not be served");
                ApiError::new(500, message)
            }
        }
    }
}

#[cfg(feature = "ssr")]
impl ApiError {
    /// Sets the answer's HTTP status. A plain form is sent back to its page instead, with the error in the address.
    #[must_use]
    pub fn answer(self) -> Self {
        let parts = leptos::prelude::use_context::<http::request::Parts>();
        let from = parts.as_ref().and_then(|parts| parts.headers.get(http::header::REFERER)?.to_str().ok());
        self.answer_at(from.unwrap_or_default())
    }

    /// The same for a form whose page is known: browsers leave out of where they come from what is longer than 4096 characters, and
    /// what was typed may be.
    #[must_use]
    pub fn answer_at(self, page: &str) -> Self {
        use http::{StatusCode, header, request::Parts};
        use leptos::{prelude::*, server_fn::error::ServerFnUrlError};
        let parts = use_context::<Parts>();
        let posted = parts.as_ref().filter(|p| p.method == http::Method::POST);
        let plain_form = posted.filter(|p| {
            p.headers
                .get(header::ACCEPT)
                .and_then(|v| v.to_str().ok())
                .is_some_and(|a| a.contains("text/html"))
        });
        match plain_form {
            Some(parts) => {
                // The page may still carry an older error; only the new one shall be shown. The name of the host is not used.
                let mut back =
                    if page.starts_with('/') { format!("http://here{page}") } else { page.to_owned() };
                ServerFnUrlError::<ApiError>::strip_error_info(&mut back);
                if let Ok(url) = ServerFnUrlError::new(parts.uri.path(), self.clone()).to_url(&back) {
                    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
                    leptos_axum::redirect(&format!("{}{query}", url.path()));
                }
            }
            None => {
                if let (Some(response), Ok(status)) =
                    (use_context::<leptos_axum::ResponseOptions>(), StatusCode::from_u16(self.status))
                {
                    response.set_status(status);
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_finds_its_errors_and_those_below_it() {
        let field = |field: &str, message: &str| FieldError { field: field.into(), message: message.into() };
        let error = ApiError::invalid(vec![
            field("port", "taken"),
            field("variables.KEY", "too short"),
            field("portal", "no"),
        ]);
        assert_eq!(error.of("port").as_deref(), Some("taken"));
        assert_eq!(error.of("variables").as_deref(), Some("KEY: too short"));
        assert_eq!(error.of("name"), None);
    }
}
