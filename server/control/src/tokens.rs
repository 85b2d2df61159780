//! API tokens: what programs prove themselves with. People make their own, and a token never may more than who made it may now.
//!
//! Refuses to show a token twice: only its hash is kept. On its way from the form that made it to the page that shows it, it lies sealed
//! in the cookie of that very session.

use domain::{Role, SessionId, Timestamp, TokenId, view::TokenView};
use entity::{api_token, person};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Actor, Control,
    error::{Error, Result},
    seal::{new_token, token_hash},
    store::{access, people},
};

/// Longest life of one that is made in the browser, in days.
const MOST_DAYS: u32 = 366;
/// Most that one person has at a time.
const MOST: usize = 50;
const DAY_MS: i64 = 24 * 3_600_000;
/// For how long the page that shows a new one may be on its way, in milliseconds.
pub const SHOWN_WITHIN_MS: i64 = 2 * 60_000;

impl Control {
    /// Makes an API token for whoever asks; it is shown this once. Without `days` it does not end by itself, which only the machine's
    /// owner may want.
    pub async fn new_api_token(
        &self,
        actor: &Actor,
        name: &str,
        role: Role,
        days: Option<u32>,
    ) -> Result<SecretString> {
        // Nobody hands on what they may not do themselves.
        actor.must(role)?;
        let name = name.trim();
        if name.is_empty() || name.len() > 100 {
            return Err(Error::field("name", "give 1 to 100 characters that say what the token is for"));
        }
        let fits = days.map_or(actor.person.is_none(), |days| (1..=MOST_DAYS).contains(&days));
        if !fits {
            return Err(Error::field("days", format!("give 1 to {MOST_DAYS} days after which it ends")));
        }
        let now = self.now();
        let person = actor.person.map(|id| id.to_string());
        let db = self.store.write();
        access::forget_tokens(db, now.plus(-30 * DAY_MS)).await?;
        if let Some(person) = &person {
            let there = access::tokens(db).await?;
            let own = there.iter().filter(|token| token.person_id.as_ref() == Some(person)).count();
            if own >= MOST {
                return Err(Error::Conflict(format!(
                    "you have {own} tokens: revoke one that is not used any more"
                )));
            }
        }
        let token = SecretString::from(format!("seamless_{}", new_token()?.expose_secret()));
        let row = api_token::Model {
            id: self.new_id::<TokenId>()?.to_string(),
            name: name.into(),
            token_hash: token_hash(token.expose_secret()),
            role: role.as_str().into(),
            person_id: person,
            created_at: now.0,
            expires_at: days.map(|days| now.plus(i64::from(days) * DAY_MS).0),
            used_at: None,
        };
        access::add_token(db, row).await?;
        tracing::info!(name, %role, by = actor.name, "an API token was made");
        Ok(token)
    }

    /// The tokens of whoever asks; everybody's, for an owner.
    pub async fn api_tokens(&self, actor: &Actor) -> Result<Vec<TokenView>> {
        let people = people::all(self.store.read()).await?;
        let rows = access::tokens(self.store.read()).await?;
        rows.into_iter()
            .filter(|row| owns(actor, row))
            .map(|row| {
                let maker = row.person_id.as_ref().map(|id| people.iter().find(|person| person.id == *id));
                let role = may(&row, maker)?;
                Ok(TokenView {
                    id: row.id.parse()?,
                    name: row.name,
                    role: role.map_or_else(|| row.role.parse(), Ok)?,
                    by: maker.flatten().map(|person| person.login.clone()),
                    rests: role.is_none(),
                    created_at: Timestamp(row.created_at),
                    expires_at: row.expires_at.map(Timestamp),
                    used_at: row.used_at.map(Timestamp),
                })
            })
            .collect()
    }

    /// Lets a token do nothing any more: one's own, or anybody's for an owner.
    pub async fn revoke_token(&self, actor: &Actor, id: TokenId) -> Result<()> {
        let rows = access::tokens(self.store.read()).await?;
        let found = rows.into_iter().find(|row| row.id == id.to_string());
        let Some(row) = found.filter(|row| owns(actor, row)) else {
            return Err(Error::not_found("token", id));
        };
        access::remove_token(self.store.write(), &row.id).await?;
        tracing::info!(name = row.name, by = actor.name, "an API token was revoked");
        Ok(())
    }

    /// Who a bearer token speaks for.
    pub async fn bearer(&self, token: &str) -> Result<Option<Actor>> {
        let now = self.now();
        let Some(row) = access::token(self.store.read(), &token_hash(token), now).await? else {
            return Ok(None);
        };
        let maker = match &row.person_id {
            Some(id) => Some(people::get(self.store.read(), id).await?),
            None => None,
        };
        // What they may is asked each time, as for their browsers.
        let Some(role) = may(&row, maker.as_ref().map(Option::as_ref))? else { return Ok(None) };
        if row.used_at.is_none_or(|at| now.0 - at > 60_000) {
            access::touch_token(self.store.write(), &row.id, now).await?;
        }
        let name = match maker.flatten() {
            Some(person) => format!("token {} of {}", row.name, person.login),
            None => format!("token {}", row.name),
        };
        Ok(Some(Actor { name, role, person: None }))
    }

    /// Seals a new token for the page that shows it, which only this session can open, and only now.
    pub fn seal_for_page(&self, session: SessionId, token: &SecretString) -> Result<String> {
        let until = self.now().plus(SHOWN_WITHIN_MS).0;
        self.sealer.seal(&purpose(session), &format!("{until} {}", token.expose_secret()))
    }

    /// What was sealed so; none when it is anything else, or late.
    pub fn open_for_page(&self, session: SessionId, sealed: &str) -> Option<String> {
        let text = self.sealer.open(&purpose(session), sealed).ok()?;
        let (until, token) = text.split_once(' ')?;
        (until.parse::<i64>().ok()? > self.now().0).then(|| token.to_owned())
    }

    /// Whether browsers reach this server over TLS, so that its cookies are for TLS alone.
    pub fn over_tls(&self) -> bool {
        self.setup.url.starts_with("https://")
    }
}

fn purpose(session: SessionId) -> String {
    format!("a new token for {session}")
}

/// What a token may: nothing where who made it is gone, or is not vouched for by the forge any more. The outer absence is a token that
/// nobody in particular made.
fn may(row: &api_token::Model, maker: Option<Option<&person::Model>>) -> Result<Option<Role>> {
    let role: Role = row.role.parse()?;
    Ok(match maker {
        None => Some(role),
        Some(Some(person)) if person.token.is_some() => Some(role.min(person.role.parse()?)),
        Some(_) => None,
    })
}

/// Whether a token is for them to see and to revoke.
fn owns(actor: &Actor, row: &api_token::Model) -> bool {
    actor.role == Role::Owner || actor.person.is_some_and(|id| row.person_id == Some(id.to_string()))
}
