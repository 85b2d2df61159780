//! People and their roles; and what the login page says.
//!
//! Refuses to tell of others than members to owners.

use domain::{
    Role, UserId,
    view::{Door, Member},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Answer, Dated};

#[cfg(feature = "ssr")]
use super::server::{actor, control, dated, refuse};

/// Who may what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// Everybody who may log in.
    pub members: Vec<Member>,
    /// Whether people can log in with GitHub.
    pub github: bool,
}

/// What the login page says; it is asked before anybody is known.
#[server(name = ReadDoor, prefix = "/fn", endpoint = "door")]
pub async fn door() -> Answer<Door> {
    control()?.door().await.map_err(refuse)
}

/// Who may what, for an owner; nothing for others, whose settings page does without.
#[server(name = ReadPeople, prefix = "/fn", endpoint = "people")]
pub async fn people() -> Answer<Option<Dated<People>>> {
    let (control, actor) = (control()?, actor()?);
    if actor.must(Role::Owner).is_err() {
        return Ok(None);
    }
    let members = control.members(&actor).await.map_err(refuse)?;
    Ok(Some(dated(People { members, github: control.has_sign_in() })))
}

/// Lets somebody in.
#[server(prefix = "/fn", endpoint = "invite")]
pub async fn invite(login: String, role: Role) -> Answer<Member> {
    control()?.invite(&actor()?, &login, role).await.map_err(refuse)
}

/// Makes somebody something else.
#[server(prefix = "/fn", endpoint = "set_role")]
pub async fn set_role(id: UserId, role: Role) -> Answer<Member> {
    control()?.set_role(&actor()?, id, role).await.map_err(refuse)
}

/// Lets somebody in no longer.
#[server(prefix = "/fn", endpoint = "remove_member")]
pub async fn remove_member(id: UserId) -> Answer<()> {
    control()?.remove_member(&actor()?, id).await.map_err(refuse)
}
