//! What the daemon tells of one attempt's containers, as it happens: which started and which ended.
//!
//! Refuses to fall silent: once the daemon has stopped telling, everybody who asks hears why, however often.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
};

use super::super::{Docker, DockerError, labels, stream};
use crate::{context::Context, reason::Failure};

/// What an event is shown as.
const SHOWN: &str = "{{.Action}}\t{{.Actor.ID}}\t{{.TimeNano}}\t{{index .Actor.Attributes \"com.docker.compose.service\"}}\t{{index .Actor.Attributes \"exitCode\"}}";

/// Something that happened to a container of the attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// What, in Docker's word: `start`, `die` and more.
    pub action: String,
    /// The container.
    pub id: String,
    /// When, in nanoseconds since 1970.
    pub nanos: String,
    /// The service it belongs to.
    pub service: String,
    /// Its exit code, where it ended.
    pub code: i32,
}

impl Event {
    fn read(line: &str) -> Self {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default().to_owned();
        let (action, id, nanos, service) = (field(), field(), field(), field());
        Self { action, id, nanos, service, code: field().parse().unwrap_or(-1) }
    }
}

/// What the daemon tells.
pub(super) enum Events {
    /// Nobody listens: not yet, or not any more.
    Unasked,
    /// Somebody does. The call ends with this.
    Open {
        /// The call.
        _call: Box<Child>,
        /// What it prints.
        lines: Lines<BufReader<ChildStdout>>,
    },
    /// It ended by itself. Whoever asks why may be dropped meanwhile; then the next one asks.
    Ended,
    /// It ended for this reason.
    Lost(String),
}

impl Events {
    /// Begins to listen, to what happened in the last second, too.
    pub fn listen(stage: &Context, docker: &Docker) -> Result<Self, Failure> {
        let since = crate::sink::now().0 - 1000;
        let since = format!("{}.{:03}", since / 1000, since % 1000);
        let attempt = format!("label={}={}", labels::ATTEMPT, stage.tree.cookie());
        let filters = ["--filter", "type=container", "--filter", &attempt, "--format", SHOWN];
        let arguments: Vec<&str> = ["events", "--since", &since].into_iter().chain(filters).collect();
        let mut command = stream::call(stage, docker, &arguments);
        command.stderr(Stdio::null());
        let mut call = stream::spawn("events", &mut command).map_err(stream::Undone::from)?;
        let pipe = call.stdout.take().ok_or_else(|| Failure::new("the daemon's events cannot be read"))?;
        Ok(Self::Open { _call: Box::new(call), lines: BufReader::new(pipe).lines() })
    }

    /// The next one; never, where nobody listens. Dropped half-way, it loses nothing.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self, docker: &Docker) -> Result<Event, Failure> {
        loop {
            match self {
                Self::Unasked => return std::future::pending().await,
                Self::Open { lines, .. } => match lines.next_line().await {
                    Ok(Some(line)) => return Ok(Event::read(&line)),
                    _ => *self = Self::Ended,
                },
                Self::Ended => {
                    let away = docker.version().await.err();
                    *self = Self::Lost(away.as_ref().map_or_else(restarted, went_away));
                }
                Self::Lost(why) => return Err(Failure::new(why.clone())),
            }
        }
    }
}

/// The reason of a test whose daemon is gone.
pub(super) fn went_away(error: &DockerError) -> String {
    format!("the Docker daemon went away in the middle of the test: {error}")
}

fn restarted() -> String {
    "the Docker daemon was started again in the middle of the test: rerun".into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use tokio::process::Command;

    use super::*;

    #[test]
    fn a_line_is_an_event() {
        let event = |id: &str, code| Event {
            action: "die".into(),
            id: id.into(),
            nanos: "17".into(),
            service: "orders".into(),
            code,
        };
        assert_eq!(Event::read("die\tab\t17\torders\t3"), event("ab", 3));
        assert_eq!(Event::read("die\tab\t17\torders\t"), event("ab", -1));
    }

    /// Whoever hears the end may be dropped while the daemon is asked for the reason: what they waited for came first.
    #[tokio::test]
    async fn the_end_is_told_to_everybody() {
        let folder = tempfile::tempdir().unwrap();
        // A daemon that is connected to, and says nothing.
        let path = folder.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let host = Some(format!("unix://{}", path.display()));
        let docker = Docker::of(&domain::containers::ContainerSettings { host, ..Default::default() });
        let mut call = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(call.stdout.take().unwrap()).lines();
        let mut events = Events::Open { _call: Box::new(call), lines };
        tokio::select! {
            _ = events.next(&docker) => panic!("the daemon does not answer"),
            asked = listener.accept() => drop(asked.unwrap()),
        }
        drop(listener);
        for _ in 0..2 {
            let told = tokio::time::timeout(Duration::from_secs(60), events.next(&docker)).await;
            let why = told.expect("the end is told again").unwrap_err().reason;
            assert!(why.starts_with("the Docker daemon went away in the middle of the test: "), "{why}");
        }
    }
}
