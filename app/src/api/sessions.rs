//! The browser's own things: its sessions and its theme.
//!
//! Refuses to touch the session cookie; the server's login and middleware own it.

use domain::{SessionId, view::SessionView};
use leptos::prelude::*;

use super::{Answer, Dated};
use crate::theme::Theme;

#[cfg(feature = "ssr")]
use super::server::{actor, control, dated, refuse};

/// Every session of the person who asks.
#[server(name = ReadSessions, prefix = "/fn", endpoint = "sessions")]
pub async fn sessions() -> Answer<Dated<Vec<SessionView>>> {
    control()?.sessions(&actor()?, expect_context::<SessionId>()).await.map(dated).map_err(refuse)
}

/// Ends a session; ending one's own leads to the login page.
#[server(prefix = "/fn", endpoint = "revoke_session")]
pub async fn revoke_session(id: SessionId) -> Answer<()> {
    control()?.revoke_session(&actor()?, id).await.map_err(refuse)?;
    if id == expect_context::<SessionId>() {
        leptos_axum::redirect("/login");
    }
    Ok(())
}

/// Remembers light, dark, or as the system does, in a cookie.
#[server(prefix = "/fn", endpoint = "set_theme")]
pub async fn set_theme(theme: Theme) -> Answer<Theme> {
    let cookie = format!("theme={}; Path=/; Max-Age=31536000; SameSite=Lax", theme.as_str());
    if let (Some(response), Ok(value)) =
        (use_context::<leptos_axum::ResponseOptions>(), http::HeaderValue::from_str(&cookie))
    {
        response.append_header(http::header::SET_COOKIE, value);
    }
    Ok(theme)
}
