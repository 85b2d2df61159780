//! Long calls within a stage: their output goes into its log as it comes, and they end with it.
//!
//! Refuses to outlive the stage: what is called here carries the stage's cookie, so that whoever comes after a crash ends it.

use std::{collections::VecDeque, io::ErrorKind};

use domain::view::Stream;
use tokio::process::{Child, Command};

use super::{Docker, DockerError};
use crate::{
    command::{Leftovers, Watch, follow, seen},
    context::Context,
    reason::Failure,
    tree,
};

/// So many of its last lines tell why a call failed.
const LAST: usize = 20;

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Undone {
    /// The stage had to end.
    Ended,
    /// Docker did not do it.
    Docker(DockerError),
}

impl From<DockerError> for Undone {
    fn from(error: DockerError) -> Self {
        Undone::Docker(error)
    }
}

impl From<Undone> for Failure {
    fn from(undone: Undone) -> Self {
        Failure::new(match undone {
            Undone::Ended => "ended".to_owned(),
            Undone::Docker(error) => error.to_string(),
        })
    }
}

/// Remembers the last lines of standard error.
#[derive(Debug, Default)]
struct Last(VecDeque<String>);

impl Watch for Last {
    fn see(&mut self, stream: Stream, _: u64, text: &str) {
        if stream == Stream::Stderr {
            self.0.push_back(text.to_owned());
            if self.0.len() > LAST {
                self.0.pop_front();
            }
        }
    }
}

/// A call of the program as part of a stage.
pub(crate) fn call<I, S>(stage: &Context, docker: &Docker, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let mut command = docker.command(arguments);
    command.env(tree::COOKIE, stage.tree.cookie()).process_group(0);
    command
}

/// Starts a call; `asked` names it in errors.
pub(crate) fn spawn(asked: &str, command: &mut Command) -> Result<Child, DockerError> {
    command.spawn().map_err(|e| match e.kind() {
        ErrorKind::NotFound => DockerError::NoProgram,
        _ => not_run(asked, &e),
    })
}

fn not_run(asked: &str, error: &std::io::Error) -> DockerError {
    DockerError::Other(format!("`docker {asked}` could not be run: {error}"))
}

/// Asks something that is answered soon, unless the stage ends first.
pub(crate) async fn ask(stage: &Context, docker: &Docker, arguments: &[&str]) -> Result<String, Undone> {
    tokio::select! {
        answer = docker.ask(arguments) => Ok(answer?.stdout),
        () = stage.ending.ended() => Err(Undone::Ended),
    }
}

/// Runs a long call, shown in the log.
pub(crate) async fn stream(
    stage: &Context,
    docker: &Docker,
    asked: &str,
    command: Command,
) -> Result<(), Undone> {
    let last = std::sync::Arc::new(std::sync::Mutex::new(Last::default()));
    if run(stage, asked, command, &last).await? {
        return Ok(());
    }
    let said = seen(&last).0.make_contiguous().join("\n");
    Err(DockerError::read(asked, &docker.host(), &said).into())
}

/// Runs a long call to its end; answers whether it went well.
pub(crate) async fn run<W: Watch>(
    stage: &Context,
    asked: &str,
    mut command: Command,
    watch: &crate::command::Shared<W>,
) -> Result<bool, Undone> {
    let mut child = spawn(asked, &mut command)?;
    let status = follow(stage, &mut child, watch, Leftovers::End).await.map_err(|e| not_run(asked, &e))?;
    status.map(|status| status.success()).ok_or(Undone::Ended)
}
