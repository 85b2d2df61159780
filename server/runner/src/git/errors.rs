//! What git says when it fails, as reasons that a person can act on.

use crate::reason::Failure;

/// Why git could not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitError {
    /// The stage had to end.
    Ended,
    /// There is no repository at that address, or it may not be seen.
    NoRepository,
    /// It wants a user and a password, or a key.
    NeedsPassword,
    /// It cannot be reached now.
    Unreachable(String),
    /// It has no commit yet.
    Empty,
    /// The ref or commit is not there.
    NoCommit,
    /// The disk is full.
    NoSpace,
    /// Something else, in git's own words.
    Other(String),
}

impl GitError {
    /// The meaning of what git printed on its standard error.
    pub fn read(stderr: &str) -> Self {
        let lower = stderr.to_lowercase();
        let says = |any: &[&str]| any.iter().any(|s| lower.contains(s));
        if says(&["no space left on device", "disk quota exceeded"]) {
            return Self::NoSpace;
        }
        if says(&[
            "could not read username",
            "could not read password",
            "authentication failed",
            "terminal prompts disabled",
            "permission denied (publickey",
            "host key verification failed",
            "invalid username or",
            "error: 401",
            "error: 403",
            "http basic: access denied",
        ]) {
            return Self::NeedsPassword;
        }
        if says(&[
            "couldn't find remote ref",
            "not our ref",
            "unadvertised object",
            "bad object",
            "unknown revision",
        ]) {
            return Self::NoCommit;
        }
        if says(&[
            "does not appear to be a git repository",
            "repository not found",
            "not found",
            "error: 404",
            "no such file or directory",
            "does not exist",
            "not a git repository",
        ]) && !says(&["could not resolve host", "command not found"])
        {
            return Self::NoRepository;
        }
        let told = told(stderr);
        if says(&[
            "could not resolve host",
            "couldn't connect",
            "failed to connect",
            "connection refused",
            "connection timed out",
            "connection reset",
            "operation timed out",
            "network is unreachable",
            "early eof",
            "unexpected disconnect",
            "hung up unexpectedly",
            "error: 5",
            "gnutls",
            "ssl_error",
        ]) {
            return Self::Unreachable(told);
        }
        Self::Other(told)
    }

    /// Whether trying again may help.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// The same about a part of the repository: a submodule.
    #[must_use]
    pub fn of_submodule(self) -> Self {
        let why = match self {
            Self::Ended | Self::NoSpace => return self,
            Self::NoRepository => "its repository does not exist, or this machine may not read it".to_owned(),
            Self::NeedsPassword => "its repository needs a password or a key".to_owned(),
            Self::Empty => "its repository is empty".to_owned(),
            Self::NoCommit => "its commit is not in its repository".to_owned(),
            Self::Unreachable(told) | Self::Other(told) => told,
        };
        Self::Other(format!("a submodule could not be fetched: {why}"))
    }

    /// The reason, for a repository and a commit.
    pub fn reason(&self, repository: &str, commit: &str) -> Failure {
        let short = commit.get(..12).unwrap_or(commit);
        Failure::new(match self {
            Self::Ended => "ended".to_owned(),
            Self::NoRepository => format!(
                "the repository {repository} does not exist, or this machine may not read it: check the address in the service's settings"
            ),
            Self::NeedsPassword => format!(
                "the repository {repository} needs a password or a key: give this machine a git credential or an SSH key for it, or use a local path"
            ),
            Self::Unreachable(told) => format!("the repository {repository} cannot be reached: {told}"),
            Self::Empty => format!("the repository {repository} is empty: push a commit first"),
            Self::NoCommit => format!(
                "commit {short} is gone from {repository}: it was removed, perhaps by a forced push; start a run of a newer commit"
            ),
            Self::NoSpace => {
                "the disk is full: the repository could not be fetched (free some space, then rerun)".into()
            }
            Self::Other(told) => format!("git failed for {repository}: {told}"),
        })
    }
}

/// The line that names the failure: the first `fatal:` or `error:`, or the last one there is.
fn told(stderr: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|l| !l.is_empty());
    let line = lines()
        .find_map(|l| l.strip_prefix("fatal: ").or_else(|| l.strip_prefix("error: ")))
        .or_else(|| lines().next_back())
        .unwrap_or("git said nothing");
    line.chars().take(300).collect()
}
