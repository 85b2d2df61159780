//! What is said over a keeper's socket: one JSON value per line, one request per connection.
//!
//! While a deploy goes on, closing the sending side of the connection means "cancel"; so a deployer that is killed
//! cancels by dying.

use std::time::Duration;

use domain::{DeploymentId, Timestamp, protocol::DeployWork, view::Stream};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

use super::state::Place;

/// The longest request or answer.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What a keeper is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Make this the live version.
    Deploy(Box<DeployWork>),
    /// What runs?
    Status,
    /// Let go of kept containers that were stopped this many seconds ago or earlier.
    Tidy(u64),
    /// Stop the live version, forget it, and end.
    Stop,
}

/// What a keeper answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A line for the log of the deploy.
    Line {
        /// Whose words.
        stream: Stream,
        /// The words.
        text: String,
    },
    /// The deploy is over.
    Deployed(End),
    /// What runs.
    Status(Report),
    /// It is tidy, or busy with something else.
    Tidied,
    /// It is stopped.
    Stopped,
    /// The request made no sense.
    Refused(String),
}

/// How a deploy ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is live.
    Live,
    /// It is not, and what was live before still is.
    Failed(String),
    /// The same, because it was told to.
    Cancelled,
}

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The live deployment.
    pub deployment: Option<DeploymentId>,
    /// `healthy`, `unhealthy`, `drifted`, `unknown`, `stopped` or `none`.
    pub health: String,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// The stable port.
    pub port: Option<u16>,
    /// The process that serves.
    pub pid: Option<i32>,
    /// How often it was started again after it ended by itself.
    pub restarts: u32,
    /// Since when it is live.
    pub since: Option<Timestamp>,
    /// The keeper's own process.
    pub keeper: u32,
}

/// One connection, either side.
pub struct Line {
    stream: BufReader<UnixStream>,
}

impl Line {
    /// Over an open connection.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// To the keeper of a place, if one listens.
    pub async fn open(place: &Place) -> std::io::Result<Self> {
        let stream = place.with_socket(|path| std::os::unix::net::UnixStream::connect(path))?;
        stream.set_nonblocking(true)?;
        Ok(Self::new(UnixStream::from_std(stream)?))
    }

    /// Says something.
    pub async fn say<T: Serialize>(&mut self, what: &T) -> std::io::Result<()> {
        let mut bytes = serde_json::to_vec(what)?;
        bytes.push(b'\n');
        self.stream.get_mut().write_all(&bytes).await
    }

    /// Hears something; `None` when the other side has closed.
    pub async fn hear<T: for<'de> Deserialize<'de>>(&mut self) -> std::io::Result<Option<T>> {
        let mut bytes = Vec::new();
        (&mut self.stream).take(LONGEST).read_until(b'\n', &mut bytes).await?;
        if bytes.last() != Some(&b'\n') {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// Closes the sending side.
    pub async fn hush(&mut self) -> std::io::Result<()> {
        self.stream.get_mut().shutdown().await
    }

    /// Both halves, for a side that listens while it speaks.
    pub fn into_inner(self) -> UnixStream {
        self.stream.into_inner()
    }
}

/// Asks a keeper one thing and hears one answer; `None` when no keeper listens.
pub async fn ask(place: &Place, request: &Request, patience: Duration) -> std::io::Result<Option<Answer>> {
    let asked = async {
        let mut line = match Line::open(place).await {
            Ok(line) => line,
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(e) => return Err(e),
        };
        line.say(request).await?;
        line.hear().await
    };
    match tokio::time::timeout(patience, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the keeper does not answer")),
    }
}
