//! What is set about GitHub: where it is, who Seamless is there, and who may log in through it.
//!
//! Refuses halves: what goes together is set together.

use std::{fs, sync::Arc};

use control::login::Allowed;
use domain::Role;
use secrecy::{ExposeSecret, SecretString};

/// What is set about GitHub.
#[derive(Clone)]
pub struct GitHub {
    /// `GITHUB_URL` and `GITHUB_API_URL`: where it is. Default `https://github.com` and `https://api.github.com`, and for an Enterprise
    /// Server its address with `/api/v3`.
    pub place: github::Place,
    /// `GITHUB_TOKEN`, or `GITHUB_APP_ID` with `GITHUB_APP_PRIVATE_KEY` (or `_FILE`): who Seamless is there. Default nobody: it
    /// listens, and neither makes hooks nor tells of runs.
    pub credentials: Option<Arc<github::Credentials>>,
    /// `GITHUB_CLIENT_ID` and `GITHUB_CLIENT_SECRET`: the app through which people log in, an OAuth app or a GitHub App. Default none:
    /// whoever owns this machine, by the printed link.
    pub sign_in: Option<(String, SecretString)>,
    /// `GITHUB_WEBHOOK_SECRET`: with what it signs hooks that Seamless did not make, as a GitHub App's. Default none.
    pub webhook_secret: Option<SecretString>,
}

impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitHub").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Who may log in: `name`, `organisation`, `organisation/team`, each with or without `:role`.
pub(super) fn allowed(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Allowed {
    let mut list = |name: &str| -> Vec<(String, Role)> {
        let text = get(name).unwrap_or_default().to_lowercase();
        let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
        words
            .filter_map(|word| {
                let (who, role) = word.split_once(':').unwrap_or((word, Role::Developer.as_str()));
                let plain = |part: &str| {
                    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                };
                match role.parse() {
                    Ok(role) if who.split('/').all(plain) => Some((who.to_owned(), role)),
                    Ok(_) => {
                        problems.push(format!("{name} holds {word:?}: give names as they are on GitHub"));
                        None
                    }
                    Err(e) => {
                        problems.push(format!("{name} holds {word:?}: {e}"));
                        None
                    }
                }
            })
            .collect()
    };
    let users = list("SEAMLESS_ALLOWED_USERS");
    let organisations = list("SEAMLESS_ALLOWED_ORGS")
        .into_iter()
        .map(|(who, role)| match who.split_once('/') {
            Some((organisation, team)) => (organisation.to_owned(), Some(team.to_owned()), role),
            None => (who, None, role),
        })
        .collect();
    Allowed { users, organisations }
}

pub(super) fn github(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> GitHub {
    let mut address = |name: &str, default: &str| {
        let text = get(name).unwrap_or_else(|| default.into());
        text.parse::<url::Url>()
            .ok()
            .filter(|u| ["http", "https"].contains(&u.scheme()) && u.has_host())
            .unwrap_or_else(|| {
                problems.push(format!("{name} is {text:?}: give an address such as {default}"));
                url::Url::parse(default).unwrap_or_else(|_| unreachable!())
            })
    };
    let url = address("GITHUB_URL", "https://github.com");
    let usual = match url.host_str() {
        Some("github.com") => "https://api.github.com".to_owned(),
        _ => format!("{}/api/v3", url.as_str().trim_end_matches('/')),
    };
    let place = github::Place { api: address("GITHUB_API_URL", &usual), url };
    let credentials = credentials(get, problems).map(Arc::new);
    let webhook_secret = get("GITHUB_WEBHOOK_SECRET").map(SecretString::from);
    if webhook_secret.as_ref().is_some_and(|s| s.expose_secret().len() < 16) {
        problems.push("GITHUB_WEBHOOK_SECRET is too short: give at least 16 random characters".into());
    }
    let sign_in = match (get("GITHUB_CLIENT_ID"), get("GITHUB_CLIENT_SECRET")) {
        (Some(id), Some(secret)) => Some((id.trim().to_owned(), secret.trim().to_owned().into())),
        (None, None) => None,
        _ => {
            problems
                .push("GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET go together: set both or neither".into());
            None
        }
    };
    GitHub { place, credentials, sign_in, webhook_secret }
}

/// A token or an app, not both, and an app whole.
fn credentials(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Vec<String>,
) -> Option<github::Credentials> {
    const KEY: &str = "GITHUB_APP_PRIVATE_KEY";
    let (token, id) = (get("GITHUB_TOKEN"), get("GITHUB_APP_ID"));
    let key = match (get(KEY), get("GITHUB_APP_PRIVATE_KEY_FILE")) {
        (Some(_), Some(_)) => {
            problems.push(format!("{KEY} and {KEY}_FILE are the same setting: set one of them"));
            None
        }
        (Some(key), None) => Some(SecretString::from(key)),
        (None, Some(path)) => match fs::read_to_string(&path) {
            Ok(key) => Some(key.into()),
            Err(e) => {
                problems.push(format!("{KEY}_FILE is {path:?}, which cannot be read: {e}"));
                None
            }
        },
        (None, None) => None,
    };
    match (token, id, key) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            problems.push("GITHUB_TOKEN and GITHUB_APP_ID are two ways to the same: set one of them".into());
            None
        }
        (Some(token), None, None) => Some(github::Credentials::Token(token.trim().to_owned().into())),
        (None, Some(id), Some(key)) => match github::App::new(id.trim(), &key) {
            Ok(app) => Some(github::Credentials::App(Box::new(app))),
            Err(e) => {
                problems.push(format!("{KEY} cannot be used: {e}; download a new one from the app's page"));
                None
            }
        },
        (None, Some(_), None) => {
            problems.push(format!("GITHUB_APP_ID is set, but no {KEY} or {KEY}_FILE that can be used"));
            None
        }
        (None, None, Some(_)) => {
            problems.push(format!("{KEY} is set, but no GITHUB_APP_ID to go with it"));
            None
        }
        (None, None, None) => None,
    }
}
