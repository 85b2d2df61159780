//! Starts runners that outlive the server, and knows whether they live.
//!
//! A runner's life is told by a lock: it inherits its credentials file, locked, as its standard input, and the kernel
//! lets go of the lock exactly when the runner is gone. Refuses to trust process numbers for that.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use control::ports::{Attempt, Launcher, PortError};
use domain::{StageId, protocol::Credentials};
use runner::docker::Docker;
use rustix::{fs::FlockOperation, io::Errno, process::Signal};
use secrecy::ExposeSecret;
use tokio::process::Command;

use crate::{docker::sweep, lock, proc};

/// What a runner needs of our environment; what its commands get is stated elsewhere. Git wants the proxies, and the
/// agent, which comes with the daemon's variables.
const PASSED: [&str; 13] = [
    "PATH",
    "HOME",
    "RUST_LOG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// What says to AWS's SDK who asks, for runners that deploy: they run no command of anybody's.
const FOR_AWS: [&str; 18] = [
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_EC2_METADATA_DISABLED",
];

/// How long a daemon may take to give up what a runner left with it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts runners as processes of this machine.
#[derive(Debug)]
pub struct ProcessLauncher {
    program: PathBuf,
    data: PathBuf,
    server: String,
    /// Looking whether an attempt lives takes its lock for a moment; a start must not mistake that for a life.
    looking: Mutex<()>,
}

impl ProcessLauncher {
    /// Runners are `program runner`; they report to `server`, an address such as `http://127.0.0.1:3000`.
    pub fn new(program: PathBuf, data: &Path, server: impl Into<String>) -> Self {
        Self { program, data: data.into(), server: server.into(), looking: Mutex::default() }
    }

    /// Runners are this very program.
    ///
    /// # Errors
    /// When this program cannot find itself.
    pub fn of_this_program(data: &Path, server: impl Into<String>) -> io::Result<Self> {
        Ok(Self::new(std::env::current_exe()?, &std::path::absolute(data)?, server))
    }

    fn folder(&self, stage: StageId, attempt: u32) -> PathBuf {
        self.data.join("stages").join(format!("{stage}.{attempt}"))
    }

    fn start(&self, attempt: &Attempt) -> io::Result<()> {
        let _one = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder(attempt.stage, attempt.attempt);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut credentials = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("credentials"))?;
        match rustix::fs::flock(&credentials, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(()), // it lives: starting twice is one start
            Err(other) => return Err(other.into()),
        }
        credentials.set_len(0)?;
        credentials.write_all(&serde_json::to_vec(&Credentials {
            server: self.server.clone(),
            token: attempt.token.expose_secret().to_owned(),
            data: self.data.display().to_string(),
            stage: attempt.stage,
            attempt: attempt.attempt,
        })?)?;
        credentials.rewind()?;
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join("runner.log"))?;
        let mut command = Command::new(&self.program);
        command.arg("runner").current_dir(&folder).process_group(0);
        let passed = PASSED.iter().chain(&runner::TOOLCHAINS).chain(&runner::docker::DAEMON);
        let cloud = FOR_AWS.iter().filter(|_| attempt.kind.environment().is_some());
        let passed = passed.chain(cloud);
        command.env_clear().envs(passed.filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .env("SEAMLESS_DATA", &self.data)
            .env("SEAMLESS_STAGE_ATTEMPT", cookie(attempt.stage, attempt.attempt));
        command.stdin(Stdio::from(credentials)).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        if let Some(pid) = child.id() {
            fs::write(folder.join("pid"), pid.to_string())?;
        }
        // Dropping the handle does not end the runner; waiting keeps it from staying as a zombie.
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) if !status.success() => tracing::info!(%status, "a runner ended"),
                _ => {}
            }
        });
        Ok(())
    }

    fn locked(&self, stage: StageId, attempt: u32) -> io::Result<bool> {
        let _one = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        lock::held(&self.folder(stage, attempt).join("credentials"))
    }
}

/// What every process of an attempt carries in its environment, after `SEAMLESS_STAGE_ATTEMPT=`.
pub fn cookie(stage: StageId, attempt: u32) -> String {
    format!("{stage}.{attempt}")
}

#[async_trait]
impl Launcher for ProcessLauncher {
    async fn launch(&self, attempt: &Attempt) -> Result<(), PortError> {
        self.start(attempt).map_err(|e| PortError::new(format!("the runner could not be started: {e}")))
    }

    async fn alive(&self, stage: StageId, attempt: u32) -> Result<bool, PortError> {
        self.locked(stage, attempt)
            .map_err(|e| PortError::new(format!("whether the runner lives is unknown: {e}")))
    }

    async fn kill(&self, stage: StageId, attempt: u32) -> Result<(), PortError> {
        let mark = format!("SEAMLESS_STAGE_ATTEMPT={}", cookie(stage, attempt));
        let pid = fs::read_to_string(self.folder(stage, attempt).join("pid"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let root = pid.and_then(proc::identity).filter(|id| id.carries(&mark));
        // The whole family first, while it is still one: the orphans of a dead runner are nobody's.
        let family = proc::families(root.as_slice());
        if let Some(root) = root {
            root.signal(Signal::KILL);
        }
        family.iter().for_each(|id| id.signal(Signal::KILL));
        proc::end(root, &mark, Duration::ZERO).await;
        // A daemon that hangs must not keep others waiting: the sweep comes by again.
        let (docker, name) = (Docker::here(), cookie(stage, attempt));
        let _ = tokio::time::timeout(PATIENCE, sweep::attempt(&docker, &self.data, &name)).await;
        if self.alive(stage, attempt).await? {
            return Err(PortError::new(
                "the runner does not end, even when killed; it may hang in a file system",
            ));
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<(), PortError> {
        // What cannot be looked at counts as alive.
        let alive = |stage, attempt| self.locked(stage, attempt).unwrap_or(true);
        sweep::all(&Docker::here(), &self.data, alive).await;
        Ok(())
    }
}
