//! The stable port: takes every request, sends each to the version that is live at that moment.
//!
//! Clients keep their connections over a switch. Refuses to answer in a version's name: when there is none, or it
//! does not answer, a plain page says so.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::upstream::{Upstream, nothing, wants_upgrade};

type Page = UnsyncBoxBody<Bytes, hyper::Error>;

/// How long a client's connection may idle; longer than most clients keep theirs.
const CLIENT_IDLE: Duration = Duration::from_secs(120);

/// Headers that concern one connection only (RFC 9110, 7.6.1).
const HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
];

/// Where requests go now.
#[derive(Debug)]
pub struct Front {
    service: String,
    route: Mutex<Result<Arc<Upstream>, String>>,
}

impl Front {
    /// A front with nothing behind it.
    pub fn new(service: &str, why: &str) -> Arc<Self> {
        Arc::new(Self { service: service.into(), route: Mutex::new(Err(why.into())) })
    }

    /// From now on requests go there; gives back where they went before.
    pub fn point(&self, to: Result<Arc<Upstream>, String>) -> Option<Arc<Upstream>> {
        std::mem::replace(&mut *self.route.lock().unwrap_or_else(PoisonError::into_inner), to).ok()
    }

    /// Where requests go.
    pub fn target(&self) -> Option<Arc<Upstream>> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner).as_ref().ok().cloned()
    }

    /// Takes connections until `stop`; then lets the open ones finish what they do.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(self.clone().talk(stream, peer.ip(), stop.clone()));
                }
                // Too many open files, most likely: some will be closed soon.
                Err(e) => {
                    tracing::warn!(error = %e, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn talk(self: Arc<Self>, stream: TcpStream, peer: IpAddr, stop: CancellationToken) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let front = self.clone();
            async move { Ok::<_, Infallible>(front.answer(request, peer).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(CLIENT_IDLE)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        // A broken connection concerns the client alone, and it knows.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Page> {
        let html = request
            .headers()
            .get(header::ACCEPT)
            .is_some_and(|a| a.to_str().is_ok_and(|a| a.contains("text/html")));
        let chosen = {
            let route = self.route.lock().unwrap_or_else(PoisonError::into_inner);
            // Counted under the lock: after a switch nobody enters the old version unseen.
            route.as_ref().map(|upstream| (upstream.clone(), upstream.enter())).map_err(Clone::clone)
        };
        let (upstream, flight) = match chosen {
            Ok(chosen) => chosen,
            Err(why) => {
                return page(
                    html,
                    StatusCode::SERVICE_UNAVAILABLE,
                    &format!("{} is not available", self.service),
                    &why,
                );
            }
        };
        if request.method() == Method::CONNECT {
            return page(
                html,
                StatusCode::METHOD_NOT_ALLOWED,
                "CONNECT is not possible here",
                "This is no forward proxy.",
            );
        }
        let mut request = request;
        let upgrade = wants_upgrade(&request);
        let client_upgrade = upgrade.then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        parts.uri = match parts.uri.path_and_query() {
            Some(path) => Uri::from(path.clone()),
            None => Uri::from_static("/"),
        };
        parts.version = http::Version::HTTP_11;
        forward_headers(&mut parts.headers, peer, upgrade);
        let body = if body.is_end_stream() { nothing() } else { body.boxed_unsync() };
        let sent = upstream.send(Request::from_parts(parts, body), flight).await;
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(e) => {
                tracing::warn!(error = %e, "the live version does not answer");
                let why = if e.kind() == io::ErrorKind::ConnectionRefused {
                    "Nothing listens on its port. If it has just crashed, it is being started again; try once more in a moment."
                } else {
                    "It broke off before it answered. Its own log says why."
                };
                return page(
                    html,
                    StatusCode::BAD_GATEWAY,
                    &format!("{} does not answer", self.service),
                    why,
                );
            }
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let server_upgrade = hyper::upgrade::on(&mut answer);
            let flight = answer.body_mut().keep_flying();
            if let Some(client_upgrade) = client_upgrade {
                tokio::spawn(async move {
                    let _flight = flight;
                    if let (Ok(client), Ok(server)) = tokio::join!(client_upgrade, server_upgrade) {
                        let _ = tokio::io::copy_bidirectional(
                            &mut TokioIo::new(client),
                            &mut TokioIo::new(server),
                        )
                        .await;
                    }
                });
            }
            return answer.map(|_| nothing());
        }
        strip(answer.headers_mut(), false);
        answer.map(BodyExt::boxed_unsync)
    }
}

fn strip(headers: &mut HeaderMap, keep_upgrade: bool) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP
        .iter()
        .chain(&named)
        .chain([&HeaderName::from_static("keep-alive"), &HeaderName::from_static("proxy-connection")])
    {
        if keep_upgrade && (*name == header::CONNECTION || *name == header::UPGRADE) {
            continue;
        }
        headers.remove(name);
    }
}

fn forward_headers(headers: &mut HeaderMap, peer: IpAddr, upgrade: bool) {
    let trailers =
        headers.get(header::TE).is_some_and(|te| te.to_str().is_ok_and(|te| te.contains("trailers")));
    strip(headers, upgrade);
    // `100 Continue` was the front's to say.
    headers.remove(header::EXPECT);
    if upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    } else if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let name = HeaderName::from_static("x-forwarded-for");
    let before: Vec<&str> = headers.get_all(&name).iter().filter_map(|v| v.to_str().ok()).collect();
    let all = before.into_iter().chain([peer.to_string().as_str()]).collect::<Vec<_>>().join(", ");
    if let Ok(value) = HeaderValue::from_str(&all) {
        headers.insert(name, value);
    }
    // A proxy before this one knows better.
    if let (Some(host), false) =
        (headers.get(header::HOST).cloned(), headers.contains_key("x-forwarded-host"))
    {
        headers.insert("x-forwarded-host", host);
    }
    if !headers.contains_key("x-forwarded-proto") {
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    }
}

fn page(html: bool, status: StatusCode, title: &str, text: &str) -> Response<Page> {
    let body = if html {
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <title>{title}</title><body style=\"font:1rem/1.5 system-ui;max-width:40rem;margin:20vh auto;padding:0 1rem\">\
             <h1>{title}</h1><p>{text}</p></body></html>\n"
        )
    } else {
        format!("{title}. {text}\n")
    };
    let kind = if html { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
    let mut response =
        Response::new(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status != StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

/// Takes hold of a stable port without listening yet.
///
/// # Errors
/// In words, when somebody else has it.
pub fn hold_port(address: IpAddr, port: u16) -> Result<tokio::net::TcpSocket, String> {
    let at = SocketAddr::new(address, port);
    let hold = || {
        let socket =
            if at.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(at)?;
        Ok(socket)
    };
    hold().map_err(|e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse => {
            let who = crate::proc::listener(port).map(|who| format!(" ({who})")).unwrap_or_default();
            format!(
                "port {port} is taken by another program{who}; stop it, or give this service another port in its settings"
            )
        }
        io::ErrorKind::PermissionDenied => format!("port {port} may not be used by this user; choose one from 1024 up"),
        _ => format!("port {port} could not be opened: {e}"),
    })
}
