//! Git as the runner needs it: a mirror per repository, a checkout per run.
//!
//! Refuses to ask anybody for anything: a repository that needs a password is an error that says so.

mod checkout;
mod errors;
mod login;
mod mirror;

use std::{path::Path, process::Stdio, time::Duration};

use domain::protocol::GitLogin;
use tokio::{process::Command, time::timeout};

pub use errors::GitError;
pub use login::login_settings;

use crate::{ending::Ending, paths::Data, sink::LogSink, tree};

/// Longest single call of git; transfers that stall are ended long before by git itself.
const LONGEST: Duration = Duration::from_secs(3600);

/// Calls git for one stage.
pub(crate) struct Git<'a> {
    pub data: &'a Data,
    pub cookie: &'a str,
    pub ending: &'a Ending,
    pub log: &'a LogSink,
    pub login: Option<&'a GitLogin>,
}

impl Git<'_> {
    /// Runs git in a folder; answers what it printed.
    async fn git(&self, folder: &Path, args: &[&str]) -> Result<String, GitError> {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            // A server that was started from a hook has a repository of its own in its environment.
            if !matches!(
                name.to_str(),
                Some("GIT_SSH" | "GIT_SSH_COMMAND" | "GIT_CONFIG_GLOBAL" | "GIT_EXEC_PATH")
            ) {
                command.env_remove(name);
            }
        }
        if std::env::var_os("GIT_SSH_COMMAND").is_none() && std::env::var_os("GIT_SSH").is_none() {
            command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=15");
        }
        let mut settings = vec![
            ("safe.directory", "*"),
            ("protocol.file.allow", "always"),
            ("advice.detachedHead", "false"),
            ("http.lowSpeedLimit", "1"),
            ("http.lowSpeedTime", "60"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("core.fsync", "none"),
        ];
        let login = self.login.map(login_settings);
        if let Some((own, environment)) = &login {
            settings.extend(own.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            command.envs(environment.iter().map(|(name, value)| (*name, value)));
        }
        for (i, (key, value)) in settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{i}"), key).env(format!("GIT_CONFIG_VALUE_{i}"), value);
        }
        command
            .env("GIT_CONFIG_COUNT", settings.len().to_string())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("SSH_ASKPASS", "true")
            .env("GIT_LFS_SKIP_SMUDGE", "0")
            .env("LC_ALL", "C.UTF-8")
            .env(tree::COOKIE, self.cookie)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let output = tokio::select! {
            output = timeout(LONGEST, command.output()) => output,
            () = self.ending.ended() => return Err(GitError::Ended),
        };
        let output = match output {
            Err(_) => return Err(GitError::Other(format!("git {} took too long", args.join(" ")))),
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::NotFound && folder.is_dir() => {
                return Err(GitError::Other(
                    "not found: `git` does not exist on this machine; install it".into(),
                ));
            }
            Ok(Err(e)) => return Err(GitError::Other(format!("git could not be started: {e}"))),
            Ok(Ok(output)) => output,
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(GitError::read(&String::from_utf8_lossy(&output.stderr)))
    }
}

/// `owner/name` is GitHub's; everything else is a path or a URL as it stands.
pub fn address(repository: &str) -> String {
    let word = |w: &str| {
        !w.is_empty()
            && !w.starts_with('.')
            && w.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match repository.split_once('/') {
        Some((owner, name)) if word(owner) && word(name) && !Path::new(repository).exists() => {
            format!("https://github.com/{owner}/{name}.git")
        }
        _ => repository.to_owned(),
    }
}

/// An address without the user and password that it may hold.
pub fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("acme/orders"), "https://github.com/acme/orders.git");
        for same in ["/srv/orders.git", "./orders", "git@host:a/b.git", "https://host/a/b", "../a/b"] {
            assert_eq!(address(same), same);
        }
        assert_eq!(without_password("https://me:pa@ss@host/a@b"), "https://host/a@b");
        assert_eq!(without_password("/srv/a@b"), "/srv/a@b");
    }
}
