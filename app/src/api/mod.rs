//! The server functions: what pages read and forms post, each a few lines over `control`.
//!
//! Refuses to decide anything: rules and rights are `control`'s, identity is the server's.

mod cloud;
mod connect;
mod deliveries;
mod error;
mod members;
mod notifications;
mod overview;
mod pipelines;
mod runs;
mod services;
mod sessions;
mod tokens;

use domain::Timestamp;
use serde::{Deserialize, Serialize};

pub use cloud::*;
pub use connect::*;
pub use deliveries::*;
pub use error::ApiError;
pub use members::*;
pub use notifications::*;
pub use overview::*;
pub use pipelines::*;
pub use runs::*;
pub use services::*;
pub use sessions::*;
pub use tokens::*;

/// What a server function answers.
pub type Answer<T> = Result<T, ApiError>;

/// Something with the server's clock, for relative times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated<T> {
    /// The thing.
    pub value: T,
    /// The server's clock.
    pub now: Timestamp,
}

/// Where the form of a service is, that of a new one or of a draft, up to where its next parameter goes.
#[cfg(feature = "ssr")]
fn form_address(service: Option<&str>, draft: Option<&str>, form: &crate::form::ServiceForm) -> String {
    use crate::text::words::in_address;
    match (service, draft) {
        (Some(id), _) => format!("/services/{}/settings?", in_address(id)),
        (None, Some(draft)) => format!("/services/new?draft={}&", in_address(draft)),
        (None, None) => {
            let [repository, branch, folder] =
                [&form.repository, &form.branch, &form.context].map(|t| in_address(t));
            format!("/services/new?repository={repository}&branch={branch}&folder={folder}&")
        }
    }
}

#[cfg(feature = "ssr")]
mod server {
    //! What every server function asks of its surroundings.

    use control::{Actor, Control};
    use domain::Timestamp;
    use leptos::prelude::*;

    use super::{Answer, ApiError, Dated};

    /// The use cases. There are none any more when whoever asked went away before the page was made.
    pub fn control() -> Answer<Control> {
        use_context().ok_or_else(gone)
    }

    /// Who asks.
    pub fn actor() -> Answer<Actor> {
        use_context().ok_or_else(gone)
    }

    fn gone() -> ApiError {
        ApiError::new(503, "the page was left before it was made")
    }

    /// Adds the clock.
    pub fn dated<T>(value: T) -> Dated<T> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Dated { value, now: Timestamp(now.as_millis() as i64) }
    }

    /// Turns a use case's error into an answer with the right HTTP status.
    pub fn refuse(error: control::Error) -> ApiError {
        ApiError::from(error).answer()
    }

    /// Text that is not blank.
    pub fn filled(text: Option<String>) -> Option<String> {
        text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
    }
}
