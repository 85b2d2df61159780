//! People: who they are here, and what they let Seamless act with on GitHub.
//!
//! Refuses to hand a person's token to anything but that person's own requests.

use domain::{Role, Timestamp, UserId, view::Member};
use entity::person;
use sea_orm::ConnectionTrait;
use secrecy::SecretString;

use crate::{
    Actor, Control,
    error::{Error, Result},
    forge::ForgeError,
    identity::Grant,
    login::is_owner,
    store::{backend, people},
};

/// A token that ends within this is renewed, in milliseconds.
const NEARLY_MS: i64 = 5 * 60_000;
/// Who began to renew one and was not heard of for so long has fallen, in milliseconds.
const RENEWED_WITHIN_MS: i64 = 60_000;

impl Control {
    /// Everybody who may log in.
    pub async fn members(&self, actor: &Actor) -> Result<Vec<Member>> {
        actor.must(Role::Owner)?;
        let all = people::all(self.store.read()).await?;
        all.into_iter().map(|row| member(row, actor)).collect()
    }

    /// A row for somebody of whom nothing is known yet.
    pub(crate) fn newcomer(&self) -> Result<person::Model> {
        Ok(person::Model {
            id: self.new_id::<UserId>()?.to_string(),
            forge_id: None,
            login: String::new(),
            login_key: String::new(),
            name: String::new(),
            role: Role::Viewer.as_str().into(),
            came_by: "list".into(),
            invited_by: None,
            token: None,
            scopes: String::new(),
            created_at: self.now().0,
            seen_at: None,
            checked_at: None,
        })
    }

    /// Lets somebody in, by their name on the forge.
    pub async fn invite(&self, actor: &Actor, login: &str, role: Role) -> Result<Member> {
        actor.must(Role::Owner)?;
        let login = login.trim().trim_start_matches('@');
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if login.is_empty() || login.len() > 39 || !login.chars().all(fits) {
            return Err(Error::field("login", "give a name as it is on GitHub, such as octocat"));
        }
        let tx = self.store.begin().await?;
        backend::lock(&tx, backend::Lock::People).await?;
        if let Some(mut there) = people::called(&tx, login).await? {
            if there.came_by != "list" {
                return Err(Error::field("login", format!("{} is a member already", there.login)));
            }
            // Who came by a list stays, whatever becomes of the list.
            (there.role, there.came_by) = (role.as_str().into(), "invitation".into());
            there.invited_by = Some(actor.name.clone());
            people::keep(&tx, there.clone()).await?;
            tx.commit().await?;
            return member(there, actor);
        }
        let row = person::Model {
            login: login.into(),
            login_key: login.to_lowercase(),
            role: role.as_str().into(),
            came_by: "invitation".into(),
            invited_by: Some(actor.name.clone()),
            ..self.newcomer()?
        };
        people::add(&tx, row.clone()).await?;
        tx.commit().await?;
        tracing::info!(login, %role, by = actor.name, "invited");
        member(row, actor)
    }

    /// Makes somebody something else; from their next click on.
    pub async fn set_role(&self, actor: &Actor, id: UserId, role: Role) -> Result<Member> {
        actor.must(Role::Owner)?;
        let tx = self.store.begin().await?;
        backend::lock(&tx, backend::Lock::People).await?;
        let mut row = self.person(&tx, id).await?;
        if role != Role::Owner {
            another_owner(&tx, &row, "be made anything else").await?;
        }
        row.role = role.as_str().into();
        people::keep(&tx, row.clone()).await?;
        tx.commit().await?;
        tracing::info!(login = row.login, %role, by = actor.name, "has another role");
        member(row, actor)
    }

    /// Lets somebody in no longer, and ends their sessions.
    pub async fn remove_member(&self, actor: &Actor, id: UserId) -> Result<()> {
        actor.must(Role::Owner)?;
        let tx = self.store.begin().await?;
        backend::lock(&tx, backend::Lock::People).await?;
        let row = self.person(&tx, id).await?;
        another_owner(&tx, &row, "be removed").await?;
        people::remove(&tx, &row.id).await?;
        tx.commit().await?;
        tracing::info!(login = row.login, by = actor.name, "removed");
        Ok(())
    }

    async fn person(&self, db: &impl ConnectionTrait, id: UserId) -> Result<person::Model> {
        people::get(db, &id.to_string()).await?.ok_or_else(|| Error::not_found("member", id))
    }

    /// What whoever asks let Seamless act with on the forge; none for tokens, for the machine's owner, and where it ended and cannot be
    /// renewed: they have to log in there.
    pub async fn forge_token_of(&self, actor: &Actor) -> Result<Option<SecretString>> {
        let Some(person) = actor.person else { return Ok(None) };
        Ok(self.forge_login(&person.to_string()).await?.map(|(token, _)| token))
    }

    /// A person's token, renewed where it is about to end, and how it is kept.
    pub(crate) async fn forge_login(&self, id: &str) -> Result<Option<(SecretString, String)>> {
        let Some(row) = people::get(self.store.read(), id).await? else { return Ok(None) };
        let Some(sealed) = row.token else { return Ok(None) };
        let mut grant = Grant::open(&self.sealer, &sealed, &row.scopes)?;
        let now = self.now();
        let left = grant.expires_at.map_or(i64::MAX, |at| at.0 - now.0);
        let works = |grant: Grant, sealed: String| (left > 0).then_some((grant.token, sealed));
        let (Some(identity), Some(refresh)) = (&self.ports.identity, grant.refresh.clone()) else {
            return Ok(works(grant, sealed));
        };
        if left > NEARLY_MS {
            return Ok(works(grant, sealed));
        }
        // What asks for another token is good once: of all requests and servers, whoever marks it uses it.
        let busy = grant.renewing.is_some_and(|since| now.since(since) < RENEWED_WITHIN_MS);
        grant.renewing = Some(now);
        let marked = grant.seal(&self.sealer)?;
        let db = self.store.write();
        if busy || !people::swap_token(db, id, &sealed, Some(&marked)).await? {
            return works(grant, sealed).map(Some).ok_or_else(|| {
                Error::Unavailable("your login at GitHub is being renewed; try again in a moment".into())
            });
        }
        match identity.renew(&refresh).await {
            Ok(new) => {
                let renewed = new.seal(&self.sealer)?;
                people::swap_token(db, id, &marked, Some(&renewed)).await?;
                Ok(Some((new.token, renewed)))
            }
            Err(ForgeError::Revoked) => {
                self.login_ended(id, &marked).await?;
                Ok(None)
            }
            Err(error) => {
                people::swap_token(db, id, &marked, Some(&sealed)).await?;
                works(grant, sealed).map(Some).ok_or_else(|| Error::Unavailable(error.to_string()))
            }
        }
    }

    /// Somebody took back on the forge what Seamless acted with, or may not in any more: it is forgotten here, their sessions end, and
    /// tokens they made rest until they log in again. Nothing, if they did so meanwhile.
    pub(crate) async fn login_ended(&self, id: &str, sealed: &str) -> Result<()> {
        let tx = self.store.begin().await?;
        if people::swap_token(&tx, id, sealed, None).await? {
            people::end_sessions(&tx, id).await?;
        }
        Ok(tx.commit().await?)
    }
}

fn member(row: person::Model, actor: &Actor) -> Result<Member> {
    let id: UserId = row.id.parse()?;
    Ok(Member {
        id,
        role: row.role.parse()?,
        login: row.login,
        name: row.name,
        came_by: row.came_by,
        invited_by: row.invited_by,
        seen_at: row.seen_at.map(Timestamp),
        you: actor.person == Some(id),
    })
}

/// Refuses what would leave nobody who owns this server. Who was invited and never came is nobody yet.
async fn another_owner(db: &impl ConnectionTrait, row: &person::Model, to: &str) -> Result<()> {
    if !is_owner(row) || people::all(db).await?.iter().any(|other| other.id != row.id && is_owner(other)) {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "the only owner is {}, who cannot {to}: make somebody else an owner first, who has logged in",
        row.login
    )))
}
