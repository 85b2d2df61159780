//! Whether a version answers: 2xx on its health path, or an open port when it has none.
//!
//! Refuses to guess: what is wrong is said as it was seen.

use std::{
    io::ErrorKind,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncReadExt,
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// Docker takes connections for a container's port whether anybody listens inside or not, and hangs up in this time if not.
const HANG_UP: Duration = Duration::from_millis(200);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a version answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// A name, or an address.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Whether somebody else takes the connections and hands them on, as Docker does.
    #[serde(default)]
    pub forwarded: bool,
    /// For a container of this machine: the way when its daemon has died and forwards nothing any more.
    #[serde(default)]
    pub around: Option<Around>,
}

/// The way round a daemon that has died, while its container runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// Where the daemon listens while it lives.
    pub socket: PathBuf,
    /// The service in the container's own network.
    pub inside: SocketAddr,
}

impl Around {
    /// Only while the daemon is away: a living one may have given the address to somebody else.
    async fn connect(&self) -> std::io::Result<TcpStream> {
        match UnixStream::connect(&self.socket).await {
            Ok(_) => Err(ErrorKind::ConnectionRefused.into()),
            Err(_) => TcpStream::connect(self.inside).await,
        }
    }
}

impl Address {
    /// A port of this machine.
    pub fn here(port: u16) -> Self {
        Self { host: "127.0.0.1".into(), port, forwarded: false, around: None }
    }

    /// Connects; to whichever loopback address the service listens on, where it is this machine.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = match TcpStream::connect((self.host.as_str(), self.port)).await {
            Ok(stream) => stream,
            Err(e) if self.host != "127.0.0.1" => return Err(e),
            Err(e) if self.around.is_some() => match &self.around {
                Some(around) => around.connect().await.map_err(|_| e)?,
                None => return Err(e),
            },
            Err(e) => TcpStream::connect((Ipv6Addr::LOCALHOST, self.port)).await.map_err(|_| e)?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Why a version is not healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ill {
    /// Nothing listens.
    Closed,
    /// It listens but does not answer.
    Silent,
    /// It answers something else.
    Answered(u16),
    /// It answers no HTTP.
    Garbled(String),
}

impl Ill {
    /// In words, for a health path and for how long it went on.
    pub fn words(&self, path: Option<&str>, port: u16, seconds: Option<u64>) -> String {
        let get = path.map(|p| format!("GET {p} ")).unwrap_or_default();
        let during = seconds.map(|s| format!(" for {s} s")).unwrap_or_default();
        match self {
            Ill::Closed => format!(
                "nothing listened on port {port}{during}: the service must listen on the port that it gets in the variable PORT"
            ),
            Ill::Silent => format!("{get}was not answered within {} s{during}", PATIENCE.as_secs()),
            Ill::Answered(status) => format!("{get}answered {status}{during}"),
            Ill::Garbled(what) => format!("{get}got no HTTP answer ({what}){during}"),
        }
    }
}

/// Whether a connection that was forwarded reached anybody.
async fn lasts(mut stream: TcpStream) -> Result<(), Ill> {
    match timeout(HANG_UP, stream.read(&mut [0])).await {
        Ok(Ok(0) | Err(_)) => Err(Ill::Closed),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// Asks once.
pub async fn check(at: &Address, path: Option<&str>) -> Result<(), Ill> {
    let stream = match timeout(PATIENCE, at.connect()).await {
        Err(_) => return Err(Ill::Silent),
        Ok(Err(_)) => return Err(Ill::Closed),
        Ok(Ok(stream)) => stream,
    };
    let Some(path) = path else {
        return if at.forwarded { lasts(stream).await } else { Ok(()) };
    };
    let ask = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get(path)
            .header(header::HOST, format!("{}:{}", at.host, at.port))
            .header(header::USER_AGENT, "seamless-health")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new());
        let status = match request {
            Ok(request) => sender.send_request(request).await.map(|answer| answer.status()),
            Err(_) => Ok(http::StatusCode::BAD_REQUEST),
        };
        connection.abort();
        status
    };
    match timeout(PATIENCE, ask).await {
        Err(_) => Err(Ill::Silent),
        Ok(Err(e)) => Err(Ill::Garbled(e.to_string())),
        Ok(Ok(status)) if status.is_success() => Ok(()),
        Ok(Ok(status)) => Err(Ill::Answered(status.as_u16())),
    }
}
