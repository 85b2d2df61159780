//! Where repositories are developed, as use cases see it: what it says in its hooks, and what can be asked of it.
//!
//! Refuses to know any forge's own words and types; the crate `github` translates.

use async_trait::async_trait;
use domain::Timestamp;
use secrecy::SecretString;

use crate::{inbox::GitHook, ports::PortError};

/// What a forge's hook means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A ref moved, or a pull request did.
    Hook(Box<GitHook>),
    /// Somebody wants a commit checked again.
    Again {
        /// The commit.
        sha: String,
        /// Who.
        by: Option<String>,
    },
    /// The repository has another name now, or another owner.
    Renamed {
        /// What it was called.
        from: String,
    },
    /// The repository is gone.
    Gone,
    /// What Seamless may do there has changed; in words for people.
    Access(String),
    /// Nothing that a run would follow from; in words for people.
    Nothing(String),
}

/// A hook's payload, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Of which repository, `owner/name` as it is called now.
    pub repository: Option<String>,
    /// What happened.
    pub news: News,
}

/// Why the forge did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// There is nobody to act as.
    #[error("Seamless was given no token and no app for GitHub")]
    NoCredentials,
    /// Too much was asked; from then on it may be asked again.
    #[error("GitHub's limit of requests is reached")]
    Limited {
        /// Until when, in milliseconds since 1970.
        until_ms: i64,
    },
    /// It is not there, or not for us to see.
    #[error("GitHub has no {0}, or does not show it to Seamless")]
    Missing(String),
    /// The person whose token it was took it back, or it ended.
    #[error("GitHub does not know this login any more: log in again")]
    Revoked,
    /// It does not allow it; asking again does not help by itself.
    #[error("{0}")]
    Refused(String),
    /// It does not answer, or not well; asking again may help.
    #[error("{0}")]
    Away(String),
}

/// What is left of what may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limit {
    /// Requests, as GitHub last said.
    pub left: Option<i64>,
    /// When it starts anew, in seconds since 1970.
    pub reset: Option<i64>,
    /// Until when nothing is asked, because it was too much.
    pub until: Option<i64>,
}

/// A repository that somebody can administer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `owner/name`.
    pub full_name: String,
    /// Whether not everybody sees it.
    pub private: bool,
    /// What its owners say of it.
    pub description: String,
    /// Its default branch.
    pub default_branch: String,
    /// When somebody last pushed.
    pub pushed_at: Option<Timestamp>,
}

/// A hook as it should be.
#[derive(Debug, Clone)]
pub struct WantedHook {
    /// Where it sends to.
    pub url: String,
    /// With what it signs.
    pub secret: SecretString,
}

/// What a hook is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookState {
    /// As it should be.
    Right,
    /// Somebody changed it.
    Changed,
    /// Somebody deleted it.
    Gone,
}

/// A delivery that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The forge's number for the attempt.
    pub id: String,
    /// The delivery's GUID; the same for every attempt.
    pub guid: String,
}

/// Where a commit stands, in the forge's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// What it is about; a later one with the same name takes its place.
    pub context: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: &'static str,
    /// At most 140 characters.
    pub description: String,
    /// Where to look.
    pub url: String,
}

/// A deployment to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownDeployment {
    /// The commit.
    pub sha: String,
    /// Where.
    pub environment: String,
    /// Whether users meet it there.
    pub production: bool,
    /// A word about it.
    pub description: String,
}

/// A username and a password for Git, for one host and a short time.
#[derive(Debug, Clone)]
pub struct Login {
    /// For which addresses, such as `https://github.com`.
    pub site: String,
    /// Who.
    pub username: String,
    /// With what.
    pub password: SecretString,
}

/// GitHub, or what speaks like it. Repositories are named as [`Forge::full_name`] says.
#[async_trait]
pub trait Forge: Send + Sync {
    /// `owner/name` in lower case, if an address as it was connected is one of this forge.
    fn full_name(&self, repository: &str) -> Option<String>;

    /// The address at which Git finds a repository: `owner/name` in full, others as they are.
    fn address(&self, repository: &str) -> String;

    /// What a payload means whose signature was verified.
    ///
    /// # Errors
    /// When it is not what that event has, in words for the inbox.
    fn read(&self, event: &str, payload: &str) -> Result<Said, PortError>;

    /// As whom it can be asked anything, in a word; nobody when absent.
    fn acts_as(&self) -> Option<&'static str>;
    /// Its address for people.
    fn site(&self) -> String;
    /// What is left of its limit.
    fn limit(&self) -> Limit;
    /// Forgets what it allowed.
    fn forget(&self);

    /// The repositories that a person can administer, by that person's token, or else those that Seamless can; the last pushed to
    /// first, and whether there are more than were listed.
    async fn repositories(&self, person: Option<&SecretString>) -> Result<(Vec<Listed>, bool), ForgeError>;
    /// Makes a hook, or takes over one that sends to the same address; answers its number.
    async fn make_hook(&self, repository: &str, wanted: &WantedHook) -> Result<i64, ForgeError>;
    /// What a hook is like.
    async fn look_at_hook(&self, repository: &str, id: i64, url: &str) -> Result<HookState, ForgeError>;
    /// Makes a hook what it should be.
    async fn mend_hook(&self, repository: &str, id: i64, wanted: &WantedHook) -> Result<(), ForgeError>;
    /// Removes a hook; one that is gone is removed.
    async fn remove_hook(&self, repository: &str, id: i64) -> Result<(), ForgeError>;
    /// Deliveries of a hook since a moment that were never taken, oldest first.
    async fn missed(&self, repository: &str, hook: i64, since: Timestamp) -> Result<Vec<Missed>, ForgeError>;
    /// Asks for a delivery once more.
    async fn redeliver(&self, repository: &str, hook: i64, delivery: &str) -> Result<(), ForgeError>;
    /// The head of a branch; costs nothing where it has not moved.
    async fn head(&self, repository: &str, branch: &str) -> Result<Option<String>, ForgeError>;

    /// Says where a commit stands.
    async fn tell_status(&self, repository: &str, sha: &str, status: &CommitStatus)
    -> Result<(), ForgeError>;
    /// Writes a comment on a pull request, or replaces the text of one; answers its number.
    async fn comment(
        &self,
        repository: &str,
        pull_request: u64,
        known: Option<i64>,
        text: &str,
    ) -> Result<i64, ForgeError>;
    /// Shows a deployment; answers its number.
    async fn deployment(&self, repository: &str, shown: &ShownDeployment) -> Result<i64, ForgeError>;
    /// Says where a deployment stands: `queued`, `in_progress`, `success`, `failure` or `inactive`.
    async fn tell_deployment(
        &self,
        repository: &str,
        id: i64,
        state: &str,
        description: &str,
        url: &str,
    ) -> Result<(), ForgeError>;
    /// Merges a pull request, if its head is still this commit.
    async fn merge(&self, repository: &str, pull_request: u64, sha: &str) -> Result<(), ForgeError>;

    /// What Git may log in with to read a repository, where it needs to.
    async fn login(&self, repository: &str) -> Result<Login, ForgeError>;
}
