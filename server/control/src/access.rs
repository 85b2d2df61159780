//! Who may in: one-time login links and browser sessions; what programs have is `tokens`. Of every secret only a hash is kept.

use domain::{Role, SessionId, Timestamp, UserId, view::SessionView};
use entity::{person, session};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Actor, Control,
    error::{Error, Result},
    seal::{new_token, token_hash},
    store::{access, people},
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
        self.begin_session(None, agent).await
    }

    /// A new session, always with a new cookie: whatever the browser came with is worth nothing afterwards.
    pub(crate) async fn begin_session(
        &self,
        person: Option<&person::Model>,
        agent: &str,
    ) -> Result<(SecretString, Timestamp)> {
        let now = self.now();
        let cookie = new_token()?;
        let expires = now.plus(self.setup.limits.session_ms);
        let row = session::Model {
            id: self.new_id::<SessionId>()?.to_string(),
            token_hash: token_hash(cookie.expose_secret()),
            user_name: person.map_or_else(|| "admin".into(), |p| p.login.clone()),
            person_id: person.map(|p| p.id.clone()),
            agent: agent.chars().take(200).collect(),
            created_at: now.0,
            expires_at: expires.0,
        };
        access::add_session(self.store.write(), row).await?;
        Ok((cookie, expires))
    }

    /// The session of a cookie.
    pub async fn session(&self, cookie: &str) -> Result<Option<Session>> {
        let now = self.now();
        let Some(row) = access::session(self.store.read(), &token_hash(cookie), now).await? else {
            return Ok(None);
        };
        let actor = match &row.person_id {
            None => Actor::named(row.user_name),
            // What they may is asked each time: a role that was changed holds from the next click on.
            Some(id) => {
                let Some(person) = people::get(self.store.read(), id).await? else { return Ok(None) };
                if person.seen_at.is_none_or(|at| now.0 - at > 60_000) {
                    people::seen(self.store.write(), id, now).await?;
                }
                Actor { name: person.login, role: person.role.parse()?, person: Some(id.parse::<UserId>()?) }
            }
        };
        Ok(Some(Session { id: row.id.parse()?, actor, expires_at: Timestamp(row.expires_at) }))
    }

    /// The sessions of whoever asks; of everybody, for an owner.
    pub async fn sessions(&self, actor: &Actor, current: SessionId) -> Result<Vec<SessionView>> {
        let rows = access::sessions(self.store.read(), self.now()).await?;
        rows.into_iter()
            .filter(|row| owns(actor, row))
            .map(|row| {
                let id: SessionId = row.id.parse()?;
                Ok(SessionView {
                    id,
                    user: row.user_name,
                    agent: row.agent,
                    created_at: Timestamp(row.created_at),
                    expires_at: Timestamp(row.expires_at),
                    current: id == current,
                })
            })
            .collect()
    }

    /// Ends a session: one's own, or anybody's for an owner.
    pub async fn revoke_session(&self, actor: &Actor, id: SessionId) -> Result<()> {
        let rows = access::sessions(self.store.read(), self.now()).await?;
        let found = rows.into_iter().find(|row| row.id == id.to_string());
        let Some(row) = found.filter(|row| owns(actor, row)) else {
            return Err(Error::not_found("session", id));
        };
        access::remove_session(self.store.write(), &row.id).await?;
        Ok(())
    }
}

/// Whether a session is for them to see and to end. Whoever owns the machine has no person, and is an owner.
fn owns(actor: &Actor, row: &session::Model) -> bool {
    actor.role == Role::Owner || actor.person.is_some_and(|id| row.person_id == Some(id.to_string()))
}
