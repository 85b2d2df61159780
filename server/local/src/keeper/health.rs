//! Whether a version answers: 2xx on its health path, or an open port when it has none.
//!
//! Refuses to guess: what is wrong is said as it was seen.

use std::{net::Ipv6Addr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, time::timeout};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a version answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// A name, or an address.
    pub host: String,
    /// The port there.
    pub port: u16,
}

impl Address {
    /// A port of this machine.
    pub fn here(port: u16) -> Self {
        Self { host: "127.0.0.1".into(), port }
    }

    /// Connects; to whichever loopback address the service listens on, where it is this machine.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = match TcpStream::connect((self.host.as_str(), self.port)).await {
            Ok(stream) => stream,
            Err(e) if self.host != "127.0.0.1" => return Err(e),
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

/// Asks once.
pub async fn check(at: &Address, path: Option<&str>) -> Result<(), Ill> {
    let stream = match timeout(PATIENCE, at.connect()).await {
        Err(_) => return Err(Ill::Silent),
        Ok(Err(_)) => return Err(Ill::Closed),
        Ok(Ok(stream)) => stream,
    };
    let Some(path) = path else { return Ok(()) };
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
