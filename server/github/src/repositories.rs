//! Repositories that somebody can administer: a person's or a token's, or those in which the app is installed.
//!
//! <https://docs.github.com/en/rest/repos/repos>, `/apps/installations`. GitHub finds repositories by name only among all there are, so
//! all that somebody has are listed, and looked through by who asks.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use control::forge::{ForgeError, Listed};
use domain::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    Credentials,
    client::{Client, locked},
};

/// Repositories on a page of GitHub's.
const PAGE: usize = 100;
/// Most pages that are asked for of one list.
const MOST_PAGES: usize = 10;
/// For how long a list is believed: whoever leafs through it asks once.
const FRESH: Duration = Duration::from_secs(60);

/// Repositories, and whether there are more.
type List = (Vec<Listed>, bool);

/// What was listed, with the keyed hash of the token it was listed with.
#[derive(Default)]
pub(crate) struct Known {
    keyed: RandomState,
    lists: std::sync::Mutex<Vec<(u64, Instant, List)>>,
}

#[derive(Deserialize)]
struct Permissions {
    #[serde(default)]
    admin: bool,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    private: bool,
    description: Option<String>,
    default_branch: Option<String>,
    pushed_at: Option<Timestamp>,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    disabled: bool,
    permissions: Option<Permissions>,
}

#[derive(Deserialize)]
struct Installed {
    repositories: Vec<Repository>,
}

pub(crate) async fn all(client: &Client, person: Option<&SecretString>) -> Result<List, ForgeError> {
    let known = &client.listed;
    let whose = known.keyed.hash_one(person.map(|token| token.expose_secret()));
    let fresh = |at: &Instant| at.elapsed() < FRESH;
    if let Some((_, _, list)) = locked(&known.lists).iter().find(|(of, at, _)| *of == whose && fresh(at)) {
        return Ok(list.clone());
    }
    let mut found = match (person, client.credentials()) {
        (Some(token), _) | (None, Some(Credentials::Token(token))) => of_token(client, token).await?,
        (None, Some(Credentials::App(_))) => of_app(client).await?,
        (None, None) => return Err(ForgeError::NoCredentials),
    };
    found.0.sort_by(|a, b| b.pushed_at.cmp(&a.pushed_at).then_with(|| a.full_name.cmp(&b.full_name)));
    let mut lists = locked(&known.lists);
    lists.retain(|(of, at, _)| *of != whose && fresh(at));
    lists.push((whose, Instant::now(), found.clone()));
    Ok(found)
}

async fn of_token(client: &Client, token: &SecretString) -> Result<List, ForgeError> {
    let (mut found, mut more) = (Vec::new(), false);
    for page in 1..=MOST_PAGES {
        let path = format!("/user/repos?sort=pushed&per_page={PAGE}&page={page}");
        let some: Vec<Repository> = client.ask(&path, token).await?;
        more = some.len() == PAGE;
        let admin = |r: &Repository| r.permissions.as_ref().is_some_and(|p| p.admin);
        found.extend(some.into_iter().filter(admin).filter_map(listed));
        if !more {
            break;
        }
    }
    Ok((found, more))
}

/// Who installed the app in a repository may administer it, and the app was given what it needs there.
async fn of_app(client: &Client) -> Result<List, ForgeError> {
    let (mut found, mut more) = (Vec::new(), false);
    for token in client.installations().await? {
        for page in 1..=MOST_PAGES {
            let path = format!("/installation/repositories?per_page={PAGE}&page={page}");
            let some: Installed = client.ask(&path, &token).await?;
            let full = some.repositories.len() == PAGE;
            found.extend(some.repositories.into_iter().filter_map(listed));
            if !full {
                break;
            }
            more |= page == MOST_PAGES;
        }
    }
    Ok((found, more))
}

fn listed(r: Repository) -> Option<Listed> {
    (!r.archived && !r.disabled).then(|| Listed {
        full_name: r.full_name,
        private: r.private,
        description: r.description.unwrap_or_default(),
        default_branch: r.default_branch.unwrap_or_default(),
        pushed_at: r.pushed_at,
    })
}
