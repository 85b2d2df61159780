//! The runner's side of `/runner/v1`.
//!
//! A server that is away is waited for without end, or another is found; a server that knows this attempt no more is obeyed at once.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use domain::protocol::{
    Claim, Claimed, Credentials, Finish, Heartbeat, HeartbeatAnswer, Job, LogAnswer, LogBatch,
};
use lines::wire;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::sleep;

use crate::servers::Servers;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A server that hangs, or whose database does, must not keep for longer what another one would take.
const SOON: Duration = Duration::from_secs(10);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server does not answer, or answers that it cannot: ask again.
    #[error("the server does not answer: {0}")]
    Away(String),
    /// This attempt is not the stage's any more.
    #[error("the server refuses this attempt: {0}")]
    Fenced(String),
    /// Lines are missing before those that were sent.
    #[error("the server wants line {0} first")]
    Hole(u64),
    /// The batch is larger than the server takes.
    #[error("the server takes no batch of that size")]
    TooLarge,
    /// The server is there, but has its hands full: ask again after this long.
    #[error("the server asks to be left alone for {0:?}")]
    Busy(Duration),
    /// The server does not read what was sent in this form.
    #[error("the server does not read that form")]
    Unread,
}

/// This attempt is not the stage's any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced;

/// Waits a little longer each time.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    /// Starts with the shortest pause.
    pub fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// Waits.
    pub async fn pause(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// Speaks for one stage attempt; cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    servers: Arc<Servers>,
    bearer: header::HeaderValue,
}

/// Speaks for a task that has no attempt yet.
pub struct Claims(Client);

impl Claims {
    /// A client that knows the server.
    ///
    /// # Errors
    /// When the address is of a kind that is not understood.
    pub fn new(server: &str, data: &Path) -> Result<Self, String> {
        Ok(Self(Client::to(server, data, "")?))
    }

    /// Claims a stage; asks until the server answers.
    ///
    /// # Errors
    /// When the server will not give it to this task.
    pub async fn claim(&self, claim: &Claim) -> Result<Claimed, Fenced> {
        insist("claim", || self.0.post("claim", claim)).await
    }
}

impl Client {
    /// A client with these credentials.
    ///
    /// # Errors
    /// When the token cannot be sent, or the address is of a kind that is not understood.
    pub fn new(credentials: &Credentials) -> Result<Self, String> {
        Self::to(&credentials.server, Path::new(&credentials.data), &credentials.token)
    }

    fn to(server: &str, data: &Path, token: &str) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let servers = Servers::new(server, data);
        if servers.known().iter().all(|address| address.starts_with("http://")) {
            // Reading the machine's certificates takes longer than everything else before the first call.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|e| format!("no HTTP client: {e}"))?;
        let mut bearer = header::HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "the token holds characters that cannot be sent".to_owned())?;
        bearer.set_sensitive(true);
        Ok(Self { http, servers: Arc::new(servers), bearer })
    }

    /// Calls the server that answered last; one that cannot be reached, or cannot do it, is passed over from then on.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, CallError> {
        let server = self.servers.current();
        let request = self
            .http
            .request(method, format!("{server}/runner/v1/{path}"))
            .header(header::AUTHORIZATION, self.bearer.clone());
        let answer = self.answer(with(request)).await;
        if let Err(CallError::Away(_)) = &answer {
            self.servers.failed(&server);
        }
        answer
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let away = |e: reqwest::Error| CallError::Away(e.without_url().to_string());
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let after = retry_after(answer.headers());
        let body = answer.bytes().await.map_err(away)?;
        if status.is_success() {
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).map_err(|e| CallError::Away(format!("not understood: {e}")));
        }
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        Err(match (status, refusal.next_seq) {
            (StatusCode::CONFLICT, Some(next)) => CallError::Hole(next),
            (
                StatusCode::CONFLICT | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::GONE,
                _,
            ) => CallError::Fenced(refusal.detail.unwrap_or_else(|| status.to_string())),
            (StatusCode::PAYLOAD_TOO_LARGE, _) => CallError::TooLarge,
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => CallError::Unread,
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) if after.is_some() => {
                CallError::Busy(after.unwrap_or_default())
            }
            _ => CallError::Away(status.to_string()),
        })
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        self.call(Method::POST, path, |request| request.json(body).timeout(SOON)).await
    }

    /// What to do; asks until the server answers.
    ///
    /// # Errors
    /// When this attempt is not the stage's any more.
    pub async fn job(&self) -> Result<Job, Fenced> {
        insist("job", || self.call(Method::GET, "job", |request| request)).await
    }

    /// A sign of life.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn heartbeat(&self) -> Result<HeartbeatAnswer, CallError> {
        let soon = Duration::from_secs(5);
        self.call(Method::POST, "heartbeat", |request| request.json(&Heartbeat {}).timeout(soon)).await
    }

    /// Sends lines as they are stored; see [`lines::wire`].
    ///
    /// # Errors
    /// As the server answers.
    pub async fn packed(&self, batch: Vec<u8>) -> Result<LogAnswer, CallError> {
        self.call(Method::POST, "log", |request| {
            request.header(header::CONTENT_TYPE, wire::KIND).body(batch).timeout(SOON)
        })
        .await
    }

    /// Sends lines to a server that reads nothing but JSON.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn log(&self, batch: &LogBatch) -> Result<LogAnswer, CallError> {
        self.post("log", batch).await
    }

    /// Reports the end; asks until the server answers. Answers the line that the server wants first, where it misses any.
    ///
    /// # Errors
    /// When this attempt is not the stage's any more.
    pub async fn finish(&self, finish: &Finish) -> Result<Option<u64>, Fenced> {
        let told = || async {
            match self.post::<serde_json::Value>("finish", finish).await {
                Err(CallError::Hole(wanted)) => Ok(Some(wanted)),
                answer => answer.map(|_| None),
            }
        };
        insist("finish", told).await
    }
}

/// How long the server wants to be left alone, in whole seconds; no longer than a minute, whatever it says.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    next_seq: Option<u64>,
    detail: Option<String>,
}

async fn insist<T, F: Future<Output = Result<T, CallError>>>(
    what: &str,
    call: impl Fn() -> F,
) -> Result<T, Fenced> {
    let mut backoff = Backoff::new();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(CallError::Fenced(why)) => {
                tracing::warn!(what, why, "this attempt is over for the server");
                return Err(Fenced);
            }
            Err(error) => {
                tracing::info!(what, %error, "asking again");
                backoff.pause().await;
            }
        }
    }
}
