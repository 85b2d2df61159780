//! What a container prints, followed into the version's log.
//!
//! Refuses to stand between the container and its log: the follower writes to the file itself, so a keeper that dies loses no line.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use runner::docker::Docker;
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

/// Whoever follows it.
#[derive(Debug)]
pub struct Log {
    follows: watch::Receiver<bool>,
    again: Arc<Notify>,
    task: AbortHandle,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Log {
    /// The follower writes to the file itself, and carries the mark: whoever comes after a keeper that died ends it.
    pub fn follow(docker: Docker, id: String, mark: &str, file: PathBuf, since: Option<String>) -> Self {
        let (tell, follows) = watch::channel(true);
        let again = Arc::new(Notify::new());
        let (signal, mark) = (again.clone(), mark.to_owned());
        let mut since = since;
        let task = tokio::spawn(async move {
            loop {
                tell.send_replace(true);
                if let Err(error) = once(&docker, &id, &mark, &file, since.as_deref()).await {
                    tracing::warn!(%error, "what a container prints could not be followed");
                }
                since = Some(heard_until(&file).unwrap_or_else(now));
                tell.send_replace(false);
                signal.notified().await;
            }
        });
        Self { follows, again, task: task.abort_handle() }
    }

    /// Whether somebody does.
    pub fn goes_on(&self) -> bool {
        *self.follows.borrow()
    }

    /// Goes on, after the container was started again.
    pub fn go_on(&self) {
        self.again.notify_one();
    }

    /// Returns when there is nothing more to follow.
    pub async fn quiet(&self) {
        let mut follows = self.follows.clone();
        let _ = follows.wait_for(|follows| !follows).await;
    }
}

async fn once(docker: &Docker, id: &str, mark: &str, file: &Path, since: Option<&str>) -> io::Result<()> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    let mut arguments = vec!["logs", "--follow"];
    if let Some(since) = since {
        arguments.extend(["--since", since]);
    }
    arguments.push(id);
    let mut command = docker.command(arguments);
    if let Some((name, value)) = mark.split_once('=') {
        command.env(name, value);
    }
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn()?.wait().await.map(drop)
}

/// Now, as Docker takes it.
pub fn now() -> String {
    seconds(SystemTime::now())
}

/// Until when a container's output was written down. Files are dated by a clock that goes by hundredths of a second.
pub fn heard_until(log: &Path) -> Option<String> {
    let written = std::fs::metadata(log).and_then(|m| m.modified()).ok()?;
    Some(seconds(written + Duration::from_millis(10)))
}

/// As Docker takes it: seconds since 1970 with nanoseconds.
fn seconds(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}
