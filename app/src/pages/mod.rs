//! One module per page.
//!
//! Refuses to share what a page alone needs; what two pages need is a component.

mod approvals;
mod connect;
mod deliveries;
mod keeping;
mod login;
mod members;
mod missing;
mod notifications;
mod overview;
mod run;
mod runs;
mod service;
mod settings;
mod strangers;
mod tokens;

pub use approvals::ApprovalsPage;
pub use connect::{ConnectPage, NewOnEcsPage};
pub use deliveries::DeliveriesPage;
pub use login::LoginPage;
pub use missing::Missing;
pub use notifications::NotificationsPage;
pub use overview::OverviewPage;
pub use run::RunPage;
pub use runs::RunsPage;
pub use service::{ServicePage, ServiceSettingsPage};
pub use settings::SettingsPage;

use leptos::{
    prelude::*,
    server_fn::{ServerFn, error::ServerFnUrlError},
};
use leptos_router::hooks::{use_params_map, use_query_map};

use crate::{api::ApiError, form::Purpose};

/// The id in the address, or the error that it is none.
fn id_in_address<T: std::str::FromStr + Send + Sync + Clone + PartialEq + 'static>()
-> Memo<Result<T, ApiError>> {
    let params = use_params_map();
    Memo::new(move |_| {
        let text = params.read().get("id").unwrap_or_default();
        text.parse().map_err(|_| ApiError::new(404, format!("Nothing has the id {text:?}.")))
    })
}

/// What was typed in the form of a service before its way led over a service on ECS, if it did.
fn came_back() -> Option<Purpose> {
    Purpose::read(&use_query_map().get_untracked().get("for")?)
}

/// What the form that led here could not do, if it was `F`'s.
///
/// A form is posted, and its answer leads back to its page; an error rides in the address.
fn refusal<F: ServerFn>() -> Option<ApiError> {
    let query = use_query_map().get_untracked();
    let (path, error) = (query.get("__path")?, query.get("__err")?);
    (path == F::PATH).then(|| ServerFnUrlError::<ApiError>::decode_err(&error))
}
