//! Runs one command of a person through `sh -c`, with its output going into the log as it comes.
//!
//! When it has ended, nothing of it stays: neither a process nor an open pipe. Refuses to pass on the runner's own
//! environment or standard input.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::view::{ErrorLine, Stream};
use tokio::{
    io::AsyncRead,
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    context::{Context, cannot},
    reason::{Failure, Judge, short},
    sink::LogSink,
    tree,
};

/// Looks at each line of a child's output as it goes by.
pub(crate) trait Watch: Send + 'static {
    /// A line goes by, with its number in the log.
    fn see(&mut self, stream: Stream, seq: u64, text: &str);
}

/// What looks, shared between the two pipes.
pub(crate) type Shared<W> = Arc<Mutex<W>>;

/// The one that looked, whatever happened meanwhile.
pub(crate) fn seen<W>(watch: &Shared<W>) -> std::sync::MutexGuard<'_, W> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long what a command left behind may take to end by itself: `tee` still writes when the shell is gone.
const LINGER: Duration = Duration::from_millis(500);
/// How long it may take after SIGTERM.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// What is to become of processes that a command leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// They are ended, and the log says so.
    End,
    /// Others of this stage must live on; whoever started them ends them all.
    Leave,
}

/// Runs a command in a folder; `extra` is added to the stated environment.
pub(crate) async fn run(
    stage: &Context,
    folder: &Path,
    command: &str,
    extra: &[(String, String)],
    leftovers: Leftovers,
) -> Result<(), Failure> {
    stage.make_folders()?;
    stage.log.system(format!("$ {command}"));
    let mut child =
        spawn(stage, folder, command, extra).map_err(|e| cannot("start a shell in", folder, &e))?;
    let judge = Arc::new(Mutex::new(Judge::default()));
    let status = follow(stage, &mut child, &judge, leftovers)
        .await
        .map_err(|e| cannot("wait for a shell in", folder, &e))?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(seen(&judge).failure(command, status, "on this machine")),
        None => Err(was_ended(command, seen(&judge).verdict())),
    }
}

/// The failure of a command that the stage's end ended.
pub(crate) fn was_ended(command: &str, error: Option<ErrorLine>) -> Failure {
    Failure { reason: format!("{} was ended", short(command)), error, exit_code: None }
}

/// Takes in a child's output until it has ended; none when the stage had to end first, and the child with it.
pub(crate) async fn follow<W: Watch>(
    stage: &Context,
    child: &mut Child,
    watch: &Shared<W>,
    leftovers: Leftovers,
) -> std::io::Result<Option<ExitStatus>> {
    let mut pumps = JoinSet::new();
    if let Some(pipe) = child.stdout.take() {
        pumps.spawn(pump(stage.log.clone(), Stream::Stdout, pipe, watch.clone()));
    }
    if let Some(pipe) = child.stderr.take() {
        pumps.spawn(pump(stage.log.clone(), Stream::Stderr, pipe, watch.clone()));
    }
    let status = tokio::select! {
        status = child.wait() => status?,
        () = stage.ending.ended() => {
            cut(stage, child, &mut pumps).await;
            return Ok(None);
        }
    };
    match leftovers {
        Leftovers::End => clear(stage, &mut pumps).await,
        // Somebody may hold the pipe who is not to be ended yet; what the command itself printed is long there.
        Leftovers::Leave => drop(timeout(2 * LINGER, drain(&mut pumps)).await),
    }
    Ok(Some(status))
}

fn spawn(
    stage: &Context,
    folder: &Path,
    command: &str,
    extra: &[(String, String)],
) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(folder)
        .env_clear()
        .envs(stage.environment())
        .envs(extra.iter().map(|(name, value)| (name, value)))
        .env("PWD", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

async fn pump<W: Watch>(log: LogSink, stream: Stream, pipe: impl AsyncRead + Unpin, watch: Shared<W>) {
    let see = |seq, text: &str| seen(&watch).see(stream, seq, text);
    if let Err(error) = log.copy_seen(stream, pipe, see).await {
        log.system(format!("the rest of its output could not be read: {error}"));
    }
}

async fn drain(pumps: &mut JoinSet<()>) {
    while pumps.join_next().await.is_some() {}
}

/// The stage must end: so must the command and everything of it.
async fn cut(stage: &Context, child: &mut Child, pumps: &mut JoinSet<()>) {
    stage.tree.end(tree::GRACE).await;
    let _ = child.wait().await;
    // What was printed until now still goes into the log, as far as there is room for it.
    let _ = timeout(LEFTOVER_GRACE, drain(pumps)).await;
    pumps.abort_all();
}

/// The command has ended: whatever of it stays goes too.
async fn clear(stage: &Context, pumps: &mut JoinSet<()>) {
    let end = Instant::now() + LINGER;
    while !stage.tree.surely_gone() && !stage.tree.living().is_empty() {
        if Instant::now() < end {
            sleep(Duration::from_millis(10)).await;
            continue;
        }
        let ended = stage.tree.end(LEFTOVER_GRACE).await;
        let names: Vec<_> = ended.iter().map(|p| format!("{} ({})", p.name, p.pid)).collect();
        stage.log.system(format!(
            "processes that the command left running were ended: {} (a stage leaves nothing running)",
            names.join(", ")
        ));
    }
    tokio::select! {
        () = drain(pumps) => {}
        () = stage.ending.ended() => pumps.abort_all(),
    }
}
