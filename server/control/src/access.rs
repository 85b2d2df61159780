//! Who may in: one-time login links, browser sessions, API tokens. Of every secret only a hash is kept.

use domain::{SessionId, Timestamp, TokenId, view::SessionView};
use entity::{api_token, session};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Actor, Control,
    error::{Error, Result},
    seal::{new_token, token_hash},
    store::access,
};

/// How long a login link works.
const LINK_MS: i64 = 15 * 60 * 1000;

/// A session that was verified.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub actor: Actor,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Control {
    /// The secret part of a new one-time login link.
    pub async fn new_login_link(&self) -> Result<SecretString> {
        let token = new_token()?;
        let now = self.now();
        access::add_link(self.store.write(), token_hash(token.expose_secret()), now, now.plus(LINK_MS))
            .await?;
        Ok(token)
    }

    /// Uses a login link up and begins a session; the answer is the cookie's value and its end.
    pub async fn log_in(&self, link: &str, agent: &str) -> Result<(SecretString, Timestamp)> {
        let now = self.now();
        if !access::use_link(self.store.write(), &token_hash(link), now).await? {
            return Err(Error::Refused(
                "this login link was used already, has expired or is not ours; run `seamless login` on the server for a new one".into(),
            ));
        }
        let cookie = new_token()?;
        let expires = now.plus(self.setup.limits.session_ms);
        let row = session::Model {
            id: self.new_id::<SessionId>()?.to_string(),
            token_hash: token_hash(cookie.expose_secret()),
            user_name: "admin".into(),
            agent: agent.chars().take(200).collect(),
            created_at: now.0,
            expires_at: expires.0,
        };
        access::add_session(self.store.write(), row).await?;
        Ok((cookie, expires))
    }

    /// The session of a cookie.
    pub async fn session(&self, cookie: &str) -> Result<Option<Session>> {
        let Some(row) = access::session(self.store.read(), &token_hash(cookie), self.now()).await? else {
            return Ok(None);
        };
        Ok(Some(Session {
            id: row.id.parse()?,
            actor: Actor::named(row.user_name),
            expires_at: Timestamp(row.expires_at),
        }))
    }

    /// All sessions.
    pub async fn sessions(&self, current: SessionId) -> Result<Vec<SessionView>> {
        let rows = access::sessions(self.store.read(), self.now()).await?;
        rows.into_iter()
            .map(|row| {
                let id: SessionId = row.id.parse()?;
                Ok(SessionView {
                    id,
                    agent: row.agent,
                    created_at: Timestamp(row.created_at),
                    expires_at: Timestamp(row.expires_at),
                    current: id == current,
                })
            })
            .collect()
    }

    /// Ends a session.
    pub async fn revoke_session(&self, id: SessionId) -> Result<()> {
        if access::remove_session(self.store.write(), &id.to_string()).await? {
            Ok(())
        } else {
            Err(Error::not_found("session", id))
        }
    }

    /// Makes an API token; it is shown this once.
    pub async fn new_api_token(&self, name: &str) -> Result<SecretString> {
        let name = name.trim();
        if name.is_empty() || name.len() > 100 {
            return Err(Error::field("name", "give 1 to 100 characters that say what the token is for"));
        }
        let token = SecretString::from(format!("seamless_{}", new_token()?.expose_secret()));
        let row = api_token::Model {
            id: self.new_id::<TokenId>()?.to_string(),
            name: name.into(),
            token_hash: token_hash(token.expose_secret()),
            created_at: self.now().0,
            expires_at: None,
            used_at: None,
        };
        access::add_token(self.store.write(), row).await?;
        Ok(token)
    }

    /// Who a bearer token speaks for.
    pub async fn bearer(&self, token: &str) -> Result<Option<Actor>> {
        let now = self.now();
        let Some(row) = access::token(self.store.read(), &token_hash(token), now).await? else {
            return Ok(None);
        };
        if row.used_at.is_none_or(|at| now.0 - at > 60_000) {
            access::touch_token(self.store.write(), &row.id, now).await?;
        }
        Ok(Some(Actor::named(format!("token {}", row.name))))
    }
}
