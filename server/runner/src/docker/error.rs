//! What Docker says when it does not do what it was asked, in words that a person can act on.
//!
//! Refuses to guess: what it does not know it passes on as Docker said it.

/// Why Docker did not do what it was asked. The text tells a person what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerError {
    /// The program is not there.
    #[error(
        "the program `docker` is not on this machine: install Docker's command line, or deploy this service as a process"
    )]
    NoProgram,
    /// The program cannot do that: a plugin is missing.
    #[error("`docker {0}` is not there: install Docker's plugin for it (docker-{0}), then rerun")]
    NoPlugin(String),
    /// Nobody answers.
    #[error("the Docker daemon at {host} does not answer: start it, then rerun ({said})")]
    Away {
        /// Where it should be.
        host: String,
        /// Docker's own words.
        said: String,
    },
    /// The registry wants another login.
    #[error(
        "the registry refused the login: check SEAMLESS_REGISTRY_USERNAME and SEAMLESS_REGISTRY_PASSWORD ({0})"
    )]
    Login(String),
    /// The registry does not answer.
    #[error("the registry does not answer: check SEAMLESS_REGISTRY and the network ({0})")]
    RegistryAway(String),
    /// It is not there.
    #[error("{0}")]
    Missing(String),
    /// No room.
    #[error(
        "the disk of the Docker daemon is full: free some space (`docker system df` shows what takes it), then rerun"
    )]
    DiskFull,
    /// It took too long.
    #[error("Docker did not answer within {0} s")]
    Slow(u64),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl DockerError {
    /// From what the program printed on standard error, when asked `asked` of the daemon at `host`.
    pub fn read(asked: &str, host: &str, stderr: &str) -> Self {
        let said = last_words(stderr);
        let text = stderr.to_ascii_lowercase();
        let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        if any(&[
            "cannot connect to the docker daemon",
            "failed to connect to the docker api",
            "is the docker daemon running",
            "error during connect",
            "docker.sock: connect",
        ]) {
            DockerError::Away { host: host.to_owned(), said }
        } else if any(&["is not a docker command", "unknown command: docker", "unknown docker command"])
            // Without the plugin, its options are taken for the program's own.
            || (asked == "compose" && any(&["unknown flag: --file", "unknown shorthand flag"]))
        {
            DockerError::NoPlugin(asked.to_owned())
        } else if any(&["no space left on device"]) {
            DockerError::DiskFull
        } else if any(&[
            "unauthorized",
            "authentication required",
            "no basic auth credentials",
            "401 unauthorized",
            "denied: requested access",
        ]) {
            DockerError::Login(said)
        } else if any(&[
            "no such image",
            "no such container",
            "no such object",
            "no such network",
            "manifest unknown",
            "not found: manifest",
        ]) || (text.contains("network ") && text.trim_end().ends_with(" not found"))
        {
            DockerError::Missing(said)
        } else if any(&[
            "failed to do request",
            "dial tcp",
            "connection refused",
            "no such host",
            "i/o timeout",
            "tls handshake timeout",
        ]) {
            DockerError::RegistryAway(said)
        } else {
            DockerError::Other(said)
        }
    }
}

/// The last line that says something, without Docker's own preface.
fn last_words(stderr: &str) -> String {
    let hint = |line: &str| line.starts_with("See 'docker") || line.starts_with("Run 'docker");
    let line = stderr.lines().map(str::trim).rfind(|line| !line.is_empty() && !hint(line));
    let line = line.unwrap_or("Docker did not say why");
    let line = line.strip_prefix("docker: ").unwrap_or(line);
    let line =
        line.strip_prefix("Error response from daemon: ").or(line.strip_prefix("ERROR: ")).unwrap_or(line);
    line.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_says_becomes_what_to_do() {
        let read = |said: &str| DockerError::read("build", "unix:///run/d.sock", said);
        assert!(matches!(
            read("Cannot connect to the Docker daemon at unix:///run/d.sock. Is the docker daemon running?"),
            DockerError::Away { .. }
        ));
        assert!(
            matches!(read("Error response from daemon: No such image: a:b"), DockerError::Missing(said) if said == "No such image: a:b")
        );
        assert!(matches!(read("Error response from daemon: network a-b not found"), DockerError::Missing(_)));
        assert!(matches!(
            read("docker: 'buildx' is not a docker command.\nSee 'docker --help'"),
            DockerError::NoPlugin(_)
        ));
        assert!(matches!(read("unauthorized: authentication required"), DockerError::Login(_)));
        assert!(matches!(read("write /var/lib/x: no space left on device"), DockerError::DiskFull));
        assert!(matches!(
            read("dial tcp 127.0.0.1:5000: connect: connection refused"),
            DockerError::RegistryAway(_)
        ));
        assert_eq!(read(""), DockerError::Other("Docker did not say why".into()));
    }
}
