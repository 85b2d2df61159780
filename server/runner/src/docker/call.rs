//! Calls the `docker` program.
//!
//! Refuses to wait for ever for an answer, and to let a call outlive whoever asked.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use domain::containers::ContainerSettings;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::DockerError;

/// How long a question may take; what works for long (build, pull, compose) is called in other ways.
const PATIENCE: Duration = Duration::from_secs(60);

/// What of our own environment the program needs beside [`DAEMON`]: where its plugins are, and the ways to the network.
const PASSED: [&str; 10] = [
    "PATH",
    "HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Variables that a process which starts others must pass on, so that those find the same daemon, and get in over SSH.
pub const DAEMON: [&str; 6] = [
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "SSH_AUTH_SOCK",
];

/// Whether a variable of that name in its environment would change what the program itself does.
pub(crate) fn disturbs(name: &str) -> bool {
    const HEADS: [&str; 8] =
        ["DOCKER_", "BUILDX_", "BUILDKIT_", "COMPOSE_", "OTEL_", "LD_", "XDG_", "GODEBUG"];
    const OTHERS: [&str; 4] = ["GOGC", "GOMEMLIMIT", "GOTRACEBACK", "GOMAXPROCS"];
    DAEMON.contains(&name)
        || PASSED.contains(&name)
        || OTHERS.contains(&name)
        || HEADS.iter().any(|head| name.starts_with(head))
}

/// A Docker daemon, and how it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Docker {
    host: Option<String>,
    certificates: Option<String>,
    config: Option<PathBuf>,
}

/// What a call printed.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// On standard output.
    pub stdout: String,
    /// On standard error.
    pub stderr: String,
}

impl Docker {
    /// The daemon that this process's environment names.
    pub fn here() -> Self {
        Self::default()
    }

    /// The daemon of an environment's settings.
    pub fn of(settings: &ContainerSettings) -> Self {
        Self { host: settings.host.clone(), certificates: settings.certificates.clone(), config: None }
    }

    /// With a folder of its own for logins, in the place of the user's `~/.docker`.
    #[must_use]
    pub fn with_config(mut self, folder: &Path) -> Self {
        self.config = Some(folder.to_owned());
        self
    }

    /// Where the daemon is, for people.
    pub fn host(&self) -> String {
        self.host
            .clone()
            .or_else(|| std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()))
            .unwrap_or_else(|| "unix:///var/run/docker.sock".into())
    }

    /// The address at which ports that its containers publish are reached: the loopback one for a daemon on this machine.
    pub fn address(&self) -> String {
        let host = self.host();
        let Some((scheme, rest)) = host.split_once("://") else { return "127.0.0.1".into() };
        if scheme == "unix" {
            return "127.0.0.1".into();
        }
        let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let name = match rest.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(v6),
            None => rest.split([':', '/']).next().unwrap_or(rest),
        };
        if name == "localhost" { "127.0.0.1".into() } else { name.to_owned() }
    }

    /// The program with these arguments, a stated environment and no input.
    pub fn command<I, S>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        let mut command = Command::new("docker");
        command.args(arguments).env_clear();
        command.envs(DAEMON.iter().chain(&PASSED).filter_map(|name| Some((name, std::env::var_os(name)?))));
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host).env_remove("DOCKER_CONTEXT");
            command.env_remove("DOCKER_TLS_VERIFY").env_remove("DOCKER_CERT_PATH");
        }
        if let Some(folder) = &self.certificates {
            command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", folder);
        }
        if let Some(folder) = &self.config {
            command.env("DOCKER_CONFIG", folder);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Asks something that is answered soon.
    ///
    /// # Errors
    /// In words that a person can act on.
    pub async fn ask(&self, arguments: &[&str]) -> Result<Output, DockerError> {
        self.finish(arguments.first().unwrap_or(&""), self.command(arguments), PATIENCE).await
    }

    /// Runs a prepared command to its end; `asked` names it in errors.
    ///
    /// # Errors
    /// In words that a person can act on.
    pub async fn finish(
        &self,
        asked: &str,
        mut command: Command,
        patience: Duration,
    ) -> Result<Output, DockerError> {
        let output = match tokio::time::timeout(patience, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::NotFound => return Err(DockerError::NoProgram),
            Ok(Err(e)) => return Err(DockerError::Other(format!("`docker {asked}` could not be run: {e}"))),
            Err(_) => return Err(DockerError::Slow(patience.as_secs())),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() {
            return Ok(Output { stdout, stderr });
        }
        Err(DockerError::read(asked, &self.host(), if stderr.trim().is_empty() { &stdout } else { &stderr }))
    }

    /// Asks for something that is answered in JSON, as `docker inspect` does.
    ///
    /// # Errors
    /// In words; also when the answer is not what was expected.
    pub async fn ask_json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, DockerError> {
        let output = self.ask(arguments).await?;
        serde_json::from_str(&output.stdout).map_err(|e| {
            DockerError::Other(format!(
                "`docker {}` answered what nobody understands: {e}",
                arguments.join(" ")
            ))
        })
    }

    /// The daemon's version, when it answers.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn version(&self) -> Result<String, DockerError> {
        let asked = self.ask(&["version", "--format", "{{.Server.Version}}"]).await?;
        Ok(asked.stdout.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_where_published_ports_are() {
        let address = |host: &str| {
            Docker::of(&ContainerSettings { host: Some(host.into()), ..ContainerSettings::default() })
                .address()
        };
        assert_eq!(address("unix:///run/docker.sock"), "127.0.0.1");
        assert_eq!(address("ssh://deploy@web-1.example.org"), "web-1.example.org");
        assert_eq!(address("tcp://10.0.0.5:2376"), "10.0.0.5");
        assert_eq!(address("tcp://[fd00::5]:2376"), "fd00::5");
    }
}
