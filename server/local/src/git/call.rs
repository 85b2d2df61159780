//! One call of the Git program, and the meaning of what it says when it fails.
//!
//! Refuses to wait for ever, to ask anybody for anything, and to be led by this process's own Git settings.

use std::{io, process::Stdio, time::Duration};

use control::ports::GitError;
use domain::protocol::GitLogin;
use runner::{login_settings, without_password};
use tokio::{process::Command, time::timeout};

/// What went wrong, before it is known for which repository: in the runner's words, so that both say the same.
pub use runner::GitError as Wrong;

/// For whoever asked about a repository.
pub trait Of {
    /// The error as the server tells it.
    fn of(self, repository: &str) -> GitError;
}

impl Of for Wrong {
    fn of(self, repository: &str) -> GitError {
        let repository = without_password(repository);
        let other =
            |message: &str| GitError::Other { repository: repository.clone(), message: message.into() };
        match self {
            Wrong::NoRepository => GitError::NoRepository(repository),
            Wrong::NeedsPassword => GitError::NeedsPassword(repository),
            Wrong::Empty => GitError::Empty(repository),
            Wrong::NoCommit => other("a ref is gone that was there a moment ago; try again"),
            Wrong::NoSpace => other("the disk is full; free some space, then try again"),
            Wrong::Ended => other("it was ended"),
            Wrong::Unreachable(message) | Wrong::Other(message) => other(&message),
        }
    }
}

/// A call of Git that asks nobody and knows no repository but the one it is given.
pub fn command(args: &[&str]) -> Command {
    command_as(args, None)
}

fn command_as(args: &[&str], login: Option<&GitLogin>) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // A server that was started from a hook has a repository of its own in its environment.
        if name.starts_with("GIT_") && !["GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXEC_PATH"].contains(&&*name) {
            command.env_remove(&*name);
        }
    }
    if std::env::var_os("GIT_SSH_COMMAND").is_none() && std::env::var_os("GIT_SSH").is_none() {
        command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=15");
    }
    let mut settings = vec![
        ("safe.directory", "*"),
        ("protocol.file.allow", "always"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("core.quotePath", "false"),
        ("http.lowSpeedLimit", "1"),
        ("http.lowSpeedTime", "30"),
    ];
    let login = login.map(login_settings);
    if let Some((own, environment)) = &login {
        settings.extend(own.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
    }
    for (i, (key, value)) in settings.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{i}"), key).env(format!("GIT_CONFIG_VALUE_{i}"), value);
    }
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "true")
        .env("SSH_ASKPASS", "true")
        .env("LC_ALL", "C.UTF-8");
    command.args(args).current_dir("/").kill_on_drop(true).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs Git to its end; answers what it printed.
pub async fn run(args: &[&str], patience: Duration) -> Result<Vec<u8>, Wrong> {
    run_as(args, patience, None).await
}

/// The same, with something to log in with.
pub async fn run_as(args: &[&str], patience: Duration, login: Option<&GitLogin>) -> Result<Vec<u8>, Wrong> {
    match timeout(patience, command_as(args, login).output()).await {
        Err(_) => Err(Wrong::Other(format!("it did not answer within {} s", patience.as_secs()))),
        Ok(Err(e)) if e.kind() == io::ErrorKind::NotFound => {
            Err(Wrong::Other("the program `git` is not on this machine; install it".into()))
        }
        Ok(Err(e)) => Err(Wrong::Other(format!("the program `git` could not be started: {e}"))),
        Ok(Ok(output)) if output.status.success() => Ok(output.stdout),
        Ok(Ok(output)) => Err(Wrong::read(&String::from_utf8_lossy(&output.stderr))),
    }
}
