//! The way to one running version: connections that are kept, requests that are counted.
//!
//! Refuses to send a request with a body twice.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::SendRequest,
};
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;

use super::health::Address;

/// A body on its way to a version.
pub type Outgoing = UnsyncBoxBody<Bytes, hyper::Error>;

/// How many idle connections are kept.
const KEPT: usize = 64;
/// How long an idle connection is used again for a request that can be sent twice.
const IDLE: Duration = Duration::from_secs(30);
/// The same for one that cannot: shorter than any server's own patience.
const FRESH: Duration = Duration::from_millis(900);

/// The way to one version.
#[derive(Debug)]
pub struct Upstream {
    at: Address,
    idle: Mutex<Vec<(SendRequest<Outgoing>, Instant)>>,
    in_flight: AtomicUsize,
    done: Notify,
}

/// A request that is on its way or being answered.
#[derive(Debug)]
pub struct Flight(Arc<Upstream>);

impl Drop for Flight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.done.notify_waiters();
        }
    }
}

/// No body.
pub fn nothing() -> Outgoing {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

impl Upstream {
    /// To the version there.
    pub fn new(at: Address) -> Arc<Self> {
        Arc::new(Self { at, idle: Mutex::default(), in_flight: AtomicUsize::new(0), done: Notify::new() })
    }

    /// Counts a request, from the moment its version is chosen.
    pub fn enter(self: &Arc<Self>) -> Flight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        Flight(self.clone())
    }

    /// How many requests are on their way or being answered.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Returns when no request is in flight any more.
    pub async fn drained(&self) {
        loop {
            let done = self.done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            done.await;
        }
    }

    /// Closes the connections that nobody uses.
    pub fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self, most: Duration) -> Option<SendRequest<Outgoing>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| !connection.is_closed() && since.elapsed() < IDLE);
        let (_, since) = idle.last()?;
        if since.elapsed() > most {
            return None;
        }
        idle.pop().map(|(connection, _)| connection)
    }

    fn give_back(&self, connection: SendRequest<Outgoing>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !connection.is_closed() && idle.len() < KEPT {
            idle.push((connection, Instant::now()));
        }
    }

    async fn open(&self) -> io::Result<SendRequest<Outgoing>> {
        let stream = tokio::time::timeout(Duration::from_secs(5), self.at.connect())
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends when either side closes; errors reach the request that waits.
        tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    /// Sends a request and returns the answer's head; its body keeps the flight and the connection.
    ///
    /// # Errors
    /// When the version cannot be reached or breaks off. A kept connection that the version has just closed is no
    /// error: the request goes out once more if that can do no harm.
    pub async fn send(&self, request: Request<Outgoing>, flight: Flight) -> io::Result<Response<Answer>> {
        let bodyless = request.body().is_end_stream();
        let again = bodyless.then(|| copy(&request));
        let mut request = request;
        let most = if bodyless { IDLE } else { FRESH };
        while let Some(mut kept) = self.take(most) {
            if kept.ready().await.is_err() {
                continue;
            }
            match kept.try_send_request(request).await {
                Ok(answer) => return Ok(Answer::wrap(answer, kept, flight)),
                Err(mut failed) => {
                    request = match (failed.take_message(), again) {
                        (Some(unsent), _) => unsent,
                        (None, Some(again)) => again,
                        (None, None) => return Err(io::Error::other(failed.into_error())),
                    };
                    break;
                }
            }
        }
        let mut fresh = self.open().await?;
        let answer = fresh.send_request(request).await.map_err(io::Error::other)?;
        Ok(Answer::wrap(answer, fresh, flight))
    }
}

fn copy(request: &Request<Outgoing>) -> Request<Outgoing> {
    let mut copy = Request::new(nothing());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    // What is needed to take over the connection after `101`.
    *copy.version_mut() = Version::HTTP_11;
    copy
}

/// An answer's body: while it lives, its request is in flight; at its end, the connection is kept for another.
#[derive(Debug)]
pub struct Answer {
    body: Incoming,
    connection: Option<SendRequest<Outgoing>>,
    flight: Option<Flight>,
}

impl Answer {
    fn wrap(answer: Response<Incoming>, connection: SendRequest<Outgoing>, flight: Flight) -> Response<Self> {
        let switched = answer.status() == http::StatusCode::SWITCHING_PROTOCOLS;
        answer.map(|body| {
            let mut answer = Self { body, connection: Some(connection), flight: Some(flight) };
            if answer.body.is_end_stream() && !switched {
                answer.finish();
            }
            answer
        })
    }

    fn finish(&mut self) {
        if let (Some(connection), Some(flight)) = (self.connection.take(), self.flight.as_ref()) {
            flight.0.give_back(connection);
        }
    }

    /// Takes the flight out, for a connection that outlives the answer.
    pub fn keep_flying(&mut self) -> Option<Flight> {
        self.connection = None;
        self.flight.take()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => {
                self.finish();
                self.flight = None;
            }
            Some(Err(_)) => self.connection = None,
            Some(Ok(_)) if self.body.is_end_stream() => self.finish(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a request may be answered by an upgrade of its connection, such as to a WebSocket.
pub fn wants_upgrade<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() != Method::CONNECT
        && headers.contains_key(http::header::UPGRADE)
        && headers
            .get_all(http::header::CONNECTION)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}
