//! Logging in at the forge: leaving for it, coming back, and who may in.
//!
//! What has to be remembered in between lies sealed in the browser's own cookie, so that strangers cannot fill the database; a login
//! that was finished is remembered until its cookie would have ended, so that none is finished twice.
//!
//! Refuses to lead anywhere but to this server's own pages afterwards.

use domain::{Role, Timestamp, view::Door};
use entity::person;
use sea_orm::ConnectionTrait;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::{
    Control,
    error::{Error, Result},
    forge::ForgeError,
    identity::{Identity, Somebody},
    seal::{new_token, token_hash},
    store::{access, backend, people},
};

/// How long one may take at the forge, in milliseconds.
pub const PATIENCE_MS: i64 = 10 * 60_000;
/// What the cookie is sealed for.
const PURPOSE: &str = "login";

/// Who may in besides those who were invited, and as what.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// People by their names, in lower case.
    pub users: Vec<(String, Role)>,
    /// Organisations, or teams in them.
    pub organisations: Vec<(String, Option<String>, Role)>,
}

impl Allowed {
    /// Whether they name nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.organisations.is_empty()
    }
}

/// Rights that are asked for at the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// To know who it is, and whether they may in.
    #[default]
    Identity,
    /// To see their private repositories too, for connecting one.
    Repositories,
}

/// A login that begins: where to, and what the browser keeps meanwhile.
pub struct Leaving {
    /// The forge's page.
    pub address: String,
    /// The cookie's value.
    pub cookie: SecretString,
}

/// A login that was finished.
pub struct Arrived {
    /// The session's cookie.
    pub cookie: SecretString,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Where to go on.
    pub next: String,
}

/// Why somebody does not get in; each has its words on the login page.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// This browser began no such login, or it took too long.
    #[error("this login was not begun in this browser, or more than ten minutes ago")]
    NotBegun,
    /// It was finished already.
    #[error("this login was used already")]
    Spent,
    /// They said no at the forge.
    #[error("the login was declined at GitHub")]
    Declined,
    /// The printed code is wrong.
    #[error("the set-up code is wrong, was used, or its time is over")]
    BadCode,
    /// Nobody owns this server yet, and they brought no code.
    #[error("nobody owns this server yet: {0} brought no set-up code")]
    NoOwner(String),
    /// They are on no list.
    #[error("{0} is on no list")]
    Stranger(String),
    /// The forge does not answer, or not as it should.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// Anything of our own.
    #[error(transparent)]
    Own(#[from] Error),
}

#[derive(Serialize, Deserialize)]
struct Begun {
    state: String,
    verifier: String,
    next: String,
    /// The hash of the set-up code that was typed.
    code: Option<String>,
    until: i64,
}

/// A path of this server, or its front page: never another site, however it is written.
pub fn local(next: &str) -> &str {
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let own = next.starts_with('/') && !next.starts_with("//") && !next.starts_with("/login");
    if plain && own && next.len() <= 500 { next } else { "/" }
}

impl Control {
    fn identity(&self) -> Result<&dyn Identity> {
        self.ports.identity.as_deref().ok_or_else(|| {
            Error::Conflict("set GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET for logging in with GitHub".into())
        })
    }

    /// Whether people can log in at the forge; settled when the server starts.
    pub fn has_sign_in(&self) -> bool {
        self.ports.identity.is_some()
    }

    fn scopes(&self, wanted: Wanted) -> Vec<&'static str> {
        let mut scopes = Vec::new();
        if !self.setup.allowed.organisations.is_empty() {
            scopes.push("read:org");
        }
        if wanted == Wanted::Repositories {
            scopes.push("repo");
        }
        scopes
    }

    /// What the login page says.
    pub async fn door(&self) -> Result<Door> {
        let Some(identity) = &self.ports.identity else { return Ok(Door::default()) };
        Ok(Door {
            site: Some(self.ports.forge.site()),
            scopes: if identity.takes_scopes() {
                self.scopes(Wanted::Identity).into_iter().map(str::to_owned).collect()
            } else {
                Vec::new()
            },
            needs_code: self.setup.allowed.is_empty()
                && !people::all(self.store.read()).await?.iter().any(is_owner),
        })
    }

    /// Begins a login; whoever types the printed code becomes an owner by it.
    pub async fn begin_login(
        &self,
        wanted: Wanted,
        next: &str,
        code: Option<&str>,
    ) -> Result<Leaving, Denied> {
        let identity = self.identity()?;
        // A pasted link is as good as the code in it.
        let code = code.map(|c| c.trim().rsplit('/').next().unwrap_or_default()).filter(|c| !c.is_empty());
        let code = code.map(token_hash);
        if let Some(code) = &code
            && !access::has_link(self.store.read(), code, self.now()).await?
        {
            return Err(Denied::BadCode);
        }
        let (state, verifier) = (new_token()?, new_token()?);
        let begun = Begun {
            state: state.expose_secret().into(),
            verifier: verifier.expose_secret().into(),
            next: local(next).into(),
            code,
            until: self.now().0 + PATIENCE_MS,
        };
        let text = serde_json::to_string(&begun).map_err(Error::from)?;
        let cookie = self.sealer.seal(PURPOSE, &text)?.into();
        Ok(Leaving { address: identity.address(&state, &verifier, &self.scopes(wanted)), cookie })
    }

    /// Finishes a login with what the browser came back with; `before` is the session it had, which ends.
    pub async fn finish_login(
        &self,
        cookie: Option<&str>,
        state: &str,
        code: Option<&str>,
        agent: &str,
        before: Option<&str>,
    ) -> Result<Arrived, Denied> {
        let identity = self.identity()?;
        let opened = cookie.and_then(|c| self.sealer.open(PURPOSE, c).ok());
        let begun: Begun =
            opened.and_then(|text| serde_json::from_str(&text).ok()).ok_or(Denied::NotBegun)?;
        let same = bool::from(begun.state.as_bytes().ct_eq(state.as_bytes()));
        if !same || begun.until < self.now().0 {
            return Err(Denied::NotBegun);
        }
        let code = code.ok_or(Denied::Declined)?;
        let spent = token_hash(&format!("state {state}"));
        if !access::spend(self.store.write(), spent, self.now(), Timestamp(begun.until)).await? {
            return Err(Denied::Spent);
        }
        let grant = match identity.exchange(code, &begun.verifier.into()).await {
            Err(ForgeError::Revoked) => return Err(Denied::Spent),
            answer => answer?,
        };
        let who = identity.whose(&grant.token).await?;
        let known = people::known(self.store.read(), who.id, &who.login).await?;
        let (role, came_by) = self.admit(&grant.token, &who, known.as_ref(), begun.code.as_deref()).await?;
        // What an owner made of them while GitHub was asked stands, and of two logins at once the second finds the first.
        let tx = self.store.begin().await?;
        backend::lock(&tx, backend::Lock::People).await?;
        let known = people::known(&tx, who.id, &who.login).await?;
        let role = match &known {
            Some(row) if begun.code.is_none() => row.role.parse().map_err(Error::from)?,
            None if came_by == "invitation" => return Err(Denied::Stranger(who.login)),
            _ => role,
        };
        let now = self.now();
        let new = known.is_none();
        let mut row = match known {
            Some(row) => row,
            None => self.newcomer()?,
        };
        free_name(&tx, &who, &row.id).await?;
        row.forge_id = Some(who.id);
        row.login_key = who.login.to_lowercase();
        (row.login, row.name) = (who.login, who.name);
        (row.role, row.came_by) = (role.as_str().into(), came_by.into());
        row.token = Some(grant.seal(&self.sealer)?);
        row.scopes = grant.scopes;
        (row.seen_at, row.checked_at) = (Some(now.0), Some(now.0));
        if new {
            people::add(&tx, row.clone()).await?;
        } else {
            people::keep(&tx, row.clone()).await?;
        }
        tx.commit().await.map_err(Error::from)?;
        if let Some(before) = before {
            access::remove_session_of(self.store.write(), &token_hash(before)).await?;
        }
        let (cookie, expires_at) = self.begin_session(Some(&row), agent).await?;
        tracing::info!(login = row.login, role = row.role, "logged in");
        Ok(Arrived { cookie, expires_at, next: begun.next })
    }

    /// As what somebody may in, and why.
    async fn admit(
        &self,
        token: &SecretString,
        who: &Somebody,
        known: Option<&person::Model>,
        code: Option<&str>,
    ) -> Result<(Role, &'static str), Denied> {
        if let Some(code) = code {
            let used = access::use_link(self.store.write(), code, self.now()).await?;
            return if used { Ok((Role::Owner, "code")) } else { Err(Denied::BadCode) };
        }
        let role = known.map(|k| k.role.parse::<Role>()).transpose().map_err(Error::from)?;
        match (known.map(|k| k.came_by.as_str()), role) {
            (Some("code"), Some(role)) => return Ok((role, "code")),
            (Some("invitation"), Some(role)) => return Ok((role, "invitation")),
            _ => {}
        }
        if let Some(listed) = self.listed(token, &who.login).await? {
            // What an owner made of them since stays.
            return Ok((role.unwrap_or(listed), "list"));
        }
        let owned = people::all(self.store.read()).await?.iter().any(is_owner);
        if owned || !self.setup.allowed.is_empty() {
            Err(Denied::Stranger(who.login.clone()))
        } else {
            Err(Denied::NoOwner(who.login.clone()))
        }
    }

    /// The highest role that the lists give somebody.
    async fn listed(&self, token: &SecretString, login: &str) -> Result<Option<Role>, Denied> {
        let allowed = &self.setup.allowed;
        let key = login.to_lowercase();
        let mut best = allowed.users.iter().filter(|(user, _)| *user == key).map(|(_, role)| *role).max();
        for (organisation, team, role) in &allowed.organisations {
            if best < Some(*role)
                && self.identity()?.belongs(token, login, organisation, team.as_deref()).await?
            {
                best = Some(*role);
            }
        }
        Ok(best)
    }

    /// Asks the forge whether those who are logged in are still who they were, and still on the lists. Idempotent.
    pub async fn watch_people(&self) -> Result<()> {
        let Some(identity) = &self.ports.identity else { return Ok(()) };
        for person in people::with_access(self.store.read(), self.now()).await? {
            // What goes wrong with one of them is no reason not to look at the others.
            if let Err(error) = self.watch(identity.as_ref(), &person).await {
                tracing::debug!(login = person.login, %error, "a login could not be looked at");
            }
        }
        Ok(())
    }

    async fn watch(&self, identity: &dyn Identity, person: &person::Model) -> Result<(), Denied> {
        let Some((token, sealed)) = self.forge_login(&person.id).await? else { return Ok(()) };
        let ended = match identity.whose(&token).await {
            Err(ForgeError::Revoked) => true,
            // Nobody is logged out because the forge is away.
            Err(error) => return Err(error.into()),
            // A token that speaks for somebody else is not theirs any more.
            Ok(who) if Some(who.id) != person.forge_id => true,
            Ok(_) => person.came_by == "list" && self.listed(&token, &person.login).await?.is_none(),
        };
        if ended {
            tracing::info!(login = person.login, "may not in any more, or took the login back");
            self.login_ended(&person.id, &sealed).await?;
        }
        Ok(())
    }
}

/// A name that somebody gave up may be somebody else's now.
async fn free_name(db: &impl ConnectionTrait, who: &Somebody, id: &str) -> Result<()> {
    if let Some(mut other) = people::called(db, &who.login).await?
        && other.id != id
    {
        other.login_key = format!("{} {}", other.login_key, other.id);
        people::keep(db, other).await?;
    }
    Ok(())
}

/// Who can act as an owner: somebody who was here.
pub(crate) fn is_owner(person: &person::Model) -> bool {
    person.role == Role::Owner.as_str() && person.forge_id.is_some()
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn one_comes_back_to_this_server_alone() {
        for own in ["/", "/runs", "/runs?status=failure", "/services/new?repository=a%2Fb#x"] {
            assert_eq!(local(own), own);
        }
        for foreign in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            " /runs",
            "javascript:alert(1)",
            "runs",
            "/runs\r\nLocation: x",
            "/login/github",
        ] {
            assert_eq!(local(foreign), "/", "{foreign:?}");
        }
    }
}
