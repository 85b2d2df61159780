//! The stand-in's repositories over HTTP, by Git's own backend.

use std::process::Stdio;

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Shared, TOKEN};

pub(super) async fn serve(
    State(shared): State<Shared>,
    method: Method,
    Path((owner, repository, rest)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let name = repository.strip_suffix(".git").unwrap_or(&repository);
    let full_name = format!("{owner}/{name}").to_lowercase();
    let login = login(&headers);
    let allowed = {
        let mut state = shared.state();
        if let Some(login) = &login {
            state.logins.push(login.clone());
        }
        let known = login.as_ref().is_some_and(|(_, password)| {
            password == TOKEN
                || state.issued.iter().any(|(token, of)| token == password && of.contains(&full_name))
        });
        state.repositories.get(&full_name).map(|repo| !repo.private || known)
    };
    // Like GitHub: what one may not see is not there, but who says nothing is asked who they are.
    if allowed != Some(true) {
        return match login {
            None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")])
                .into_response(),
            Some(_) => (StatusCode::NOT_FOUND, "remote: Repository not found.\n").into_response(),
        };
    }
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("GIT_PROTOCOL", text("git-protocol"))
        .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", format!("/{owner}/{name}.git/{rest}"))
        .env("QUERY_STRING", query.unwrap_or_default())
        .env("CONTENT_TYPE", text("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("REMOTE_USER", login.map(|l| l.0).unwrap_or_default())
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = backend.stdin.take().unwrap();
    tokio::spawn(async move {
        let _ = stdin.write_all(&body).await;
    });
    let said = backend.wait_with_output().await.unwrap().stdout;
    let end = said.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(said.len());
    let mut answer = Response::new(Bytes::copy_from_slice(said.get(end + 4..).unwrap_or_default()).into());
    for line in String::from_utf8_lossy(&said[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|c| c.parse().ok());
            *answer.status_mut() = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn login(headers: &HeaderMap) -> Option<(String, String)> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(given).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.into(), password.into()))
}
