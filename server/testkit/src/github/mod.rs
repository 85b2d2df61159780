//! A stand-in for GitHub, written here: repositories over Git's own HTTP backend, and as much of the REST API as Seamless asks for,
//! with state that a test can look at and change.
//!
//! What it leaves unproven: that GitHub itself answers like this. It follows GitHub's API description, refuses what that description
//! refuses where Seamless could get it wrong (unknown states, wrong tokens, a second hook for one address, a merge of another head, a code
//! without its verifier, a refresh token used twice),
//! and counts requests against a limit, but its limits are not GitHub's, its ids are small, and it renders nothing. The payloads it
//! sends have the fields that decide and few others; GitHub's own examples are judged elsewhere.

mod api;
mod git;
mod hooks;
mod oauth;
mod state;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, routing::any};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Repository;

pub use state::{Delivery, Granted, Hook, State};

/// The token that may do everything.
pub const TOKEN: &str = "ghp_standinTokenThatMayDoEverything0001";

/// The secret of the app through which people log in.
pub const APP_SECRET: &str = "standinSecretOfTheAppForLoggingIn";

/// A running stand-in.
pub struct GitHub {
    /// Its address, for `GITHUB_URL`.
    pub url: String,
    shared: Shared,
    folder: TempDir,
    server: tokio::task::JoinHandle<()>,
}

/// What handlers and tests both hold.
#[derive(Clone)]
pub(crate) struct Shared {
    state: Arc<Mutex<State>>,
    root: PathBuf,
    http: reqwest::Client,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GitHub {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("seamless-test-github-").tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let state = State { url: url.clone(), ..State::default() };
        let shared = Shared { state: Arc::new(Mutex::new(state)), root: folder.path().to_owned(), http };
        let router = Router::new()
            .nest("/api/v3", api::router(shared.clone()))
            .nest("/login/oauth", oauth::router())
            .route("/{owner}/{repository}/{*rest}", any(git::serve))
            .with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, folder, server }
    }

    /// The environment of a server that uses it with the token that may do everything.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("GITHUB_URL", self.url.clone()),
            ("GITHUB_API_URL", format!("{}/api/v3", self.url)),
            ("GITHUB_TOKEN", TOKEN.into()),
        ]
    }

    /// The environment of a server that uses it as an app.
    pub fn app_environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.environment();
        environment.retain(|(name, _)| *name != "GITHUB_TOKEN");
        environment.push(("GITHUB_APP_ID", "4711".into()));
        environment.push(("GITHUB_APP_PRIVATE_KEY", include_str!("../../fixtures/github-app.pem").into()));
        environment
    }

    /// What is added to either for people to log in, through an OAuth app or a GitHub App, which the id tells.
    pub fn sign_in(&self, id: &str) -> Vec<(&'static str, String)> {
        vec![("GITHUB_CLIENT_ID", id.into()), ("GITHUB_CLIENT_SECRET", APP_SECRET.into())]
    }

    /// Its state, to look at and to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// A new, public repository `owner/name`, empty.
    pub fn repository(&self, full_name: &str) -> Repository {
        let (owner, name) = full_name.split_once('/').unwrap();
        let repository = Repository::empty(&self.folder.path().join(owner), name);
        // As on GitHub: whoever pushes does so over HTTP or here; what is proposed has refs of its own.
        for (key, value) in [("http.receivepack", "true"), ("uploadpack.allowAnySHA1InWant", "true")] {
            repository.git(&["--git-dir", &repository.path(), "config", key, value]);
        }
        self.state().repositories.insert(full_name.to_lowercase(), state::Repo::new(full_name));
        repository
    }

    /// A repository that is listed and nothing else: nobody can clone it.
    pub fn listed(&self, full_name: &str, admin: bool) {
        let repository = state::Repo { admin, ..state::Repo::new(full_name) };
        self.state().repositories.insert(full_name.to_lowercase(), repository);
    }

    /// Makes a repository private: Git and the API then want the token.
    pub fn make_private(&self, full_name: &str) {
        self.state().repository(full_name).private = true;
    }

    /// Tells the hooks of a repository of an event, as GitHub does: one delivery each, signed, remembered. Answers once every one was
    /// answered, with the statuses.
    pub async fn tell(&self, full_name: &str, event: &str, payload: Value) -> Vec<u16> {
        hooks::tell(&self.shared, full_name, event, payload).await
    }

    /// Pushes what the clone has as a branch, and tells the hooks.
    pub async fn push(&self, full_name: &str, repository: &Repository, branch: &str) -> Vec<u16> {
        let payload = self.pushed(full_name, repository, branch);
        self.tell(full_name, "push", payload).await
    }

    /// Pushes what the clone has as a branch, and says what GitHub would.
    pub fn pushed(&self, full_name: &str, repository: &Repository, branch: &str) -> Value {
        let reference = format!("refs/heads/{branch}");
        let before = repository.git(&["ls-remote", "origin", &reference]);
        let known = before.split_whitespace().next().map(str::to_owned);
        let (created, before) = (known.is_none(), known.unwrap_or_else(|| "0".repeat(40)));
        let after = repository.git(&["rev-parse", "HEAD"]);
        repository.git(&["push", "--quiet", "--force", "origin", &format!("HEAD:{reference}")]);
        let message = repository.git(&["log", "-1", "--format=%B"]);
        let range = if created { after.clone() } else { format!("{before}..{after}") };
        let commits: Vec<Value> = repository
            .git(&["rev-list", "--reverse", &range])
            .lines()
            .map(|sha| {
                let files = repository.git(&["show", "--format=", "--name-only", sha]);
                json!({ "id": sha, "modified": files.lines().collect::<Vec<_>>(), "added": [], "removed": [] })
            })
            .collect();
        json!({
            "ref": reference, "before": before, "after": after, "created": created, "deleted": false, "forced": false,
            "repository": self.named(full_name), "pusher": { "name": "ada" }, "sender": { "login": "ada" },
            "head_commit": { "id": after, "message": message }, "commits": commits,
        })
    }

    /// Proposes what the clone has, from a repository or a fork of it, and says what GitHub would: `opened` for a new number,
    /// `synchronize` for a known one.
    pub fn proposed(&self, full_name: &str, repository: &Repository, number: u64, from: &str) -> Value {
        let head = repository.git(&["rev-parse", "HEAD"]);
        repository.git(&["push", "--quiet", "--force", "origin", &format!("HEAD:refs/pull/{number}/head")]);
        let base = repository.git(&["ls-remote", "origin", "refs/heads/main"]);
        let base = base.split_whitespace().next().unwrap_or_default().to_owned();
        let mut state = self.state();
        let pulls = &mut state.repository(full_name).pulls;
        let before = pulls.insert(number, state::Pull { head: head.clone(), merged: None });
        let mut payload = json!({
            "action": if before.is_some() { "synchronize" } else { "opened" }, "number": number,
            "pull_request": {
                "number": number, "draft": false, "user": { "login": "eve" },
                "head": { "sha": head, "ref": "proposal", "repo": { "full_name": from } },
                "base": { "sha": base, "ref": "main", "repo": { "full_name": full_name } },
            },
            "repository": { "full_name": full_name }, "sender": { "login": "eve" },
        });
        if let Some(before) = before {
            payload["before"] = before.head.into();
            payload["after"] = head.into();
        }
        payload
    }

    fn named(&self, full_name: &str) -> Value {
        json!({ "full_name": full_name, "name": full_name.split('/').nth(1), "default_branch": "main" })
    }

    /// Where its bare repositories are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.server.abort();
    }
}
