//! What the stand-in knows.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// One attempt to deliver.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its number.
    pub id: u64,
    /// The same for all attempts at one delivery.
    pub guid: String,
    /// The event.
    pub event: String,
    /// What was sent.
    pub payload: Value,
    /// What was answered; 0 when nobody did.
    pub status: u16,
    /// Whether it repeats another one.
    pub redelivery: bool,
    /// When, in seconds since 1970.
    pub at: i64,
}

/// A hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Its number.
    pub id: u64,
    /// Where it sends to.
    pub url: String,
    /// With what it signs.
    pub secret: String,
    /// For what.
    pub events: Vec<String>,
    /// Whether it sends at all.
    pub active: bool,
    /// What it sent, oldest first.
    pub deliveries: Vec<Delivery>,
}

/// A pull request.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Its newest commit.
    pub head: String,
    /// The commit that was merged.
    pub merged: Option<String>,
}

/// A repository.
#[derive(Debug, Clone)]
pub struct Repo {
    /// `owner/name`.
    pub full_name: String,
    /// Whether the token is needed to read it.
    pub private: bool,
    /// Whether the token's person can administer it.
    pub admin: bool,
    /// Its hooks.
    pub hooks: Vec<Hook>,
    /// Commit statuses as they came, with the commit.
    pub statuses: Vec<(String, Value)>,
    /// Comments by number: the pull request, and every text it had.
    pub comments: BTreeMap<u64, (u64, Vec<String>)>,
    /// Deployments by number: what was asked for, and the statuses as they came.
    pub deployments: BTreeMap<u64, (Value, Vec<Value>)>,
    /// Pull requests.
    pub pulls: HashMap<u64, Pull>,
}

impl Repo {
    pub(crate) fn new(full_name: &str) -> Self {
        Self {
            full_name: full_name.to_owned(),
            private: false,
            admin: true,
            hooks: Vec::new(),
            statuses: Vec::new(),
            comments: BTreeMap::new(),
            deployments: BTreeMap::new(),
            pulls: HashMap::new(),
        }
    }
}

/// What a person let others act with.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Whose number.
    pub id: i64,
    /// Whose name.
    pub login: String,
    /// What it may, with blanks between.
    pub scope: String,
    /// The token.
    pub token: String,
    /// With what another is asked for.
    pub refresh: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct State {
    /// Its own address.
    pub url: String,
    /// By `owner/name` in lower case.
    pub repositories: HashMap<String, Repo>,
    /// Tokens that were issued to the app, and for which repositories.
    pub issued: Vec<(String, Vec<String>)>,
    /// Every request: method, path, and what was answered.
    pub requests: Vec<(String, String, u16)>,
    /// So many of the next requests to the API are answered with this status.
    pub failing: (usize, u16),
    /// Requests that are left before the limit; none counts when absent.
    pub left: Option<u64>,
    /// Usernames and passwords that Git was given.
    pub logins: Vec<(String, String)>,
    /// Who comes to log in.
    pub visitor: (i64, String),
    /// For how many seconds people's tokens work; for ever when absent, as an OAuth app's do.
    pub lasts: Option<u64>,
    /// What people let others act with now.
    pub granted: Vec<Granted>,
    /// Codes that were not exchanged yet, with what was asked for.
    pub codes: HashMap<String, HashMap<String, String>>,
    /// How often a token was renewed.
    pub renewed: usize,
    /// How often a code or a renewal was refused.
    pub refused: usize,
    /// The last number that was given out.
    pub last: u64,
}

impl State {
    /// A repository that must be there.
    pub fn repository(&mut self, full_name: &str) -> &mut Repo {
        self.repositories.get_mut(&full_name.to_lowercase()).expect("a repository of the stand-in")
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The states a commit got in one context, in order.
    pub fn states(&mut self, full_name: &str, sha: &str, context: &str) -> Vec<String> {
        let of_it = self.repository(full_name).statuses.iter();
        let of_it = of_it.filter(|(commit, status)| commit == sha && status["context"] == context);
        of_it.map(|(_, status)| status["state"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
