//! API tokens: made, listed and revoked by whoever they are for.
//!
//! Refuses to put a token into an address or into the answer of the form: it goes, sealed, into a cookie of this session for the page that
//! comes next, which shows it once.

use domain::{Role, TokenId, view::TokenView};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Answer, Dated};

#[cfg(feature = "ssr")]
use super::server::{actor, control, dated, refuse};

/// What the page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Those there are.
    pub tokens: Vec<TokenView>,
    /// One that was just made: what proves it, this once.
    pub made: Option<String>,
    /// The roles that whoever asks can hand on.
    pub roles: Vec<Role>,
}

/// The tokens of whoever asks; everybody's, for an owner.
#[server(name = ReadTokens, prefix = "/fn", endpoint = "tokens")]
pub async fn tokens() -> Answer<Dated<Tokens>> {
    let (control, actor) = (control()?, actor()?);
    let made = jar::take(&control);
    let tokens = control.api_tokens(&actor).await.map_err(refuse)?;
    let roles = Role::ALL.into_iter().filter(|role| *role <= actor.role).collect();
    Ok(dated(Tokens { tokens, made, roles }))
}

/// Makes one, which the settings page shows once.
#[server(prefix = "/fn", endpoint = "make_token")]
pub async fn make_token(name: String, role: Role, days: u32) -> Answer<()> {
    let control = control()?;
    let token = control.new_api_token(&actor()?, &name, role, Some(days)).await.map_err(refuse)?;
    let sealed = control.seal_for_page(expect_context::<domain::SessionId>(), &token).map_err(refuse)?;
    jar::put(&control, &sealed, control::tokens::SHOWN_WITHIN_MS / 1000);
    leptos_axum::redirect("/settings#tokens");
    Ok(())
}

/// Lets a token do nothing any more.
#[server(prefix = "/fn", endpoint = "revoke_token")]
pub async fn revoke_token(id: TokenId) -> Answer<()> {
    control()?.revoke_token(&actor()?, id).await.map_err(refuse)
}

#[cfg(feature = "ssr")]
mod jar {
    //! The cookie between the form and the page.

    use control::Control;
    use domain::SessionId;
    use http::{HeaderValue, header, request::Parts};
    use leptos::prelude::*;
    use leptos_axum::ResponseOptions;

    const NAME: &str = "seamless_made";

    /// Sets it for so many seconds; removes it for none.
    pub fn put(control: &Control, value: &str, age: i64) {
        let secure = if control.over_tls() { "; Secure" } else { "" };
        let text =
            format!("{NAME}={value}; Path=/settings; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
        if let (Some(response), Ok(value)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(&text))
        {
            response.append_header(header::SET_COOKIE, value);
        }
    }

    /// What a new token was sealed as, opened; not to be found a second time.
    pub fn take(control: &Control) -> Option<String> {
        let (parts, session) = (use_context::<Parts>()?, use_context::<SessionId>()?);
        let cookies = parts.headers.get(header::COOKIE)?.to_str().ok()?;
        let sealed = cookies.split(';').find_map(|c| c.trim().strip_prefix(NAME)?.strip_prefix('='))?;
        put(control, "", 0);
        control.open_for_page(session, sealed)
    }
}
