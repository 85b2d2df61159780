//! Calls of GitHub's REST API: proven, within its limits, and asked again only for what is new.
//!
//! Refuses to retry: whoever asks knows when to come back, and is told how long to wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use control::forge::{ForgeError, Limit};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{Credentials, Place, repositories};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A token that ends within this is not used any more, in seconds.
const NEARLY_S: i64 = 300;
/// How long a limit is kept to that does not say until when, in seconds; GitHub asks for a minute at least.
const LIMITED_S: i64 = 60;

/// Milliseconds since 1970.
pub(crate) fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

struct Known {
    tag: String,
    body: Value,
}

/// See the module.
pub(crate) struct Client {
    /// Made at the first call: most commands make none.
    http: OnceLock<reqwest::Client>,
    api: String,
    credentials: Option<Arc<Credentials>>,
    /// Tokens of installations by repository and purpose, with their ends.
    tokens: Mutex<HashMap<(String, bool), (SecretString, i64)>>,
    /// What was answered with an ETag, by path.
    known: Mutex<HashMap<String, Known>>,
    limit: Mutex<Limit>,
    /// Lists of repositories, as they were a moment ago.
    pub listed: repositories::Known,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct Issued {
    token: SecretString,
    expires_at: domain::Timestamp,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
    #[serde(default)]
    suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

impl Client {
    pub fn new(place: &Place, credentials: Option<Arc<Credentials>>) -> Self {
        Self {
            http: OnceLock::new(),
            api: place.api.as_str().trim_end_matches('/').to_owned(),
            credentials,
            tokens: Mutex::default(),
            known: Mutex::default(),
            limit: Mutex::default(),
            listed: repositories::Known::default(),
        }
    }

    fn http(&self) -> Result<&reqwest::Client, ForgeError> {
        made_once(&self.http, reqwest::redirect::Policy::default())
    }

    /// Whether there is anybody to act as, in a word for people.
    pub fn acts_as(&self) -> Option<&'static str> {
        self.credentials.as_deref().map(|credentials| match credentials {
            Credentials::Token(_) => "token",
            Credentials::App(_) => "app",
        })
    }

    /// What is left of the limit.
    pub fn limit(&self) -> Limit {
        locked(&self.limit).clone()
    }

    /// Forgets what was allowed.
    pub fn forget(&self) {
        locked(&self.tokens).clear();
    }

    /// The token to act with on a repository; `reading` is one that may read the code and nothing else, where that can be had.
    pub async fn token(&self, repository: &str, reading: bool) -> Result<SecretString, ForgeError> {
        let app = match self.credentials.as_deref() {
            None => return Err(ForgeError::NoCredentials),
            Some(Credentials::Token(token)) => return Ok(token.clone()),
            Some(Credentials::App(app)) => app,
        };
        let key = (repository.to_owned(), reading);
        if let Some((token, end)) = locked(&self.tokens).get(&key)
            && *end > now_s() + NEARLY_S
        {
            return Ok(token.clone());
        }
        let proof = app.token(now_s()).map_err(ForgeError::Refused)?;
        let path = format!("/repos/{repository}/installation");
        let answer = self.send(Method::GET, &path, &proof, None, None).await?;
        let installation: Installation = read(answer).await?;
        let name = repository.split('/').nth(1).unwrap_or_default();
        let mut wanted = json!({ "repositories": [name] });
        if reading {
            wanted["permissions"] = json!({ "contents": "read" });
        }
        let issued = self.issue(&installation, &proof, Some(&wanted)).await?;
        locked(&self.tokens).insert(key, (issued.token.clone(), issued.expires_at.0 / 1000));
        Ok(issued.token)
    }

    /// Who it acts as.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_deref()
    }

    /// Tokens of every account in which the app is installed.
    pub async fn installations(&self) -> Result<Vec<SecretString>, ForgeError> {
        let Some(Credentials::App(app)) = self.credentials.as_deref() else {
            return Err(ForgeError::NoCredentials);
        };
        let proof = app.token(now_s()).map_err(ForgeError::Refused)?;
        let all: Vec<Installation> = self.ask("/app/installations?per_page=100", &proof).await?;
        let mut tokens = Vec::new();
        for installation in all.into_iter().filter(|i| i.suspended_at.is_none()) {
            tokens.push(self.issue(&installation, &proof, None).await?.token);
        }
        Ok(tokens)
    }

    async fn issue(
        &self,
        installation: &Installation,
        proof: &SecretString,
        wanted: Option<&Value>,
    ) -> Result<Issued, ForgeError> {
        let path = format!("/app/installations/{}/access_tokens", installation.id);
        read(self.send(Method::POST, &path, proof, wanted, None).await?).await
    }

    /// Reads what is about no single repository.
    pub async fn ask<T: DeserializeOwned>(&self, path: &str, token: &SecretString) -> Result<T, ForgeError> {
        read(self.send(Method::GET, path, token, None, None).await?).await
    }

    /// A call about a repository; `path` begins after its name.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        repository: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, ForgeError> {
        let token = self.token(repository, false).await?;
        let path = format!("/repos/{repository}{path}");
        read(self.send(method, &path, &token, body.as_ref(), None).await?).await
    }

    /// The same, for what has no answer worth reading.
    pub async fn tell(
        &self,
        method: Method,
        repository: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<(), ForgeError> {
        let token = self.token(repository, false).await?;
        let path = format!("/repos/{repository}{path}");
        self.send(method, &path, &token, body.as_ref(), None).await.map(drop)
    }

    /// A page of a list, and where the next one is.
    pub async fn page<T: DeserializeOwned>(
        &self,
        repository: &str,
        path: &str,
    ) -> Result<(T, Option<String>), ForgeError> {
        let token = self.token(repository, false).await?;
        let path = format!("/repos/{repository}{path}");
        let answer = self.send(Method::GET, &path, &token, None, None).await?;
        let links = answer.headers().get(header::LINK).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let cursor = next_cursor(links);
        Ok((read(answer).await?, cursor))
    }

    /// Reads what seldom changes: GitHub counts no request whose answer is still the one before.
    pub async fn look<T: DeserializeOwned>(&self, repository: &str, path: &str) -> Result<T, ForgeError> {
        let token = self.token(repository, false).await?;
        let path = format!("/repos/{repository}{path}");
        let tag = locked(&self.known).get(&path).map(|known| known.tag.clone());
        let answer = self.send(Method::GET, &path, &token, None, tag.as_deref()).await?;
        let body = if answer.status() == StatusCode::NOT_MODIFIED {
            let known = locked(&self.known);
            known.get(&path).map(|known| known.body.clone()).unwrap_or_default()
        } else {
            let tag = answer.headers().get(header::ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let body: Value = read(answer).await?;
            if let Some(tag) = tag {
                locked(&self.known).insert(path, Known { tag, body: body.clone() });
            }
            body
        };
        serde_json::from_value(body).map_err(unexpected)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: &SecretString,
        body: Option<&Value>,
        tag: Option<&str>,
    ) -> Result<Response, ForgeError> {
        if let Some(until) = locked(&self.limit).until.filter(|until| *until > now_s()) {
            return Err(ForgeError::Limited { until_ms: until * 1000 });
        }
        let mut request = by(self.http()?.request(method, format!("{}{path}", self.api)), token);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let answer = request.send().await.map_err(|e| {
            metrics::counter!("seamless_github_requests_total", "status" => "none").increment(1);
            ForgeError::Away(format!("GitHub cannot be reached: {}", e.without_url()))
        })?;
        let status = answer.status();
        metrics::counter!("seamless_github_requests_total", "status" => status.as_str().to_owned())
            .increment(1);
        let number = |name: &str| number(&answer, name);
        let (left, reset) = (number("x-ratelimit-remaining"), number("x-ratelimit-reset"));
        if let Some(left) = left {
            metrics::gauge!("seamless_github_requests_left").set(left as f64);
            let mut limit = locked(&self.limit);
            (limit.left, limit.reset) = (Some(left), reset);
        }
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        if limited(&answer) {
            let until = number("retry-after")
                .map(|wait| now_s() + wait)
                .or(reset.filter(|_| left == Some(0)))
                .unwrap_or_else(|| now_s() + LIMITED_S);
            locked(&self.limit).until = Some(until);
            return Err(ForgeError::Limited { until_ms: until * 1000 });
        }
        let said = answer.json::<Refusal>().await.map(|r| r.message).unwrap_or_default();
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => ForgeError::Missing(path.to_owned()),
            StatusCode::UNAUTHORIZED => {
                self.forget();
                ForgeError::Refused("GitHub does not know the token or key that Seamless was given".into())
            }
            s if s.is_server_error() => ForgeError::Away(format!("GitHub answers {status}")),
            _ => ForgeError::Refused(format!("GitHub refuses ({}): {said}", status.as_u16())),
        })
    }
}

/// The client of these calls, made when it is first needed.
pub(crate) fn made_once(
    made: &OnceLock<reqwest::Client>,
    redirects: reqwest::redirect::Policy,
) -> Result<&reqwest::Client, ForgeError> {
    if let Some(made) = made.get() {
        return Ok(made);
    }
    let new = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(redirects)
        .user_agent(concat!("seamless/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| ForgeError::Away(format!("nothing can be asked over TLS here: {e}")))?;
    Ok(made.get_or_init(|| new))
}

/// A call to the REST API in somebody's name.
pub(crate) fn by(request: RequestBuilder, token: &SecretString) -> RequestBuilder {
    request
        .bearer_auth(token.expose_secret())
        .header(header::ACCEPT, "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
}

fn number(answer: &Response, name: &str) -> Option<i64> {
    answer.headers().get(name)?.to_str().ok()?.parse().ok()
}

/// Whether it was refused because of too many calls, and for no other reason.
pub(crate) fn limited(answer: &Response) -> bool {
    answer.status() == StatusCode::TOO_MANY_REQUESTS
        || (answer.status() == StatusCode::FORBIDDEN
            && (number(answer, "x-ratelimit-remaining") == Some(0)
                || number(answer, "retry-after").is_some()))
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, ForgeError> {
    answer.json().await.map_err(|e| unexpected(e.without_url()))
}

fn unexpected(error: impl std::fmt::Display) -> ForgeError {
    ForgeError::Away(format!("GitHub answers something unexpected: {error}"))
}

/// The cursor of the next page in a `Link` header.
fn next_cursor(links: &str) -> Option<String> {
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let address = next.split('<').nth(1)?.split('>').next()?;
    let url = url::Url::parse(address).ok()?;
    url.query_pairs().find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oauth2::http;
    use reqwest::Response;

    use super::{limited, next_cursor};

    #[test]
    fn too_many_calls_are_told_from_a_no() {
        let answer = |status: u16, header: &str, value: &str| {
            let answer = http::Response::builder().status(status).header(header, value);
            limited(&Response::from(answer.body("").unwrap()))
        };
        assert!(answer(429, "x-ratelimit-remaining", "7"));
        assert!(answer(403, "x-ratelimit-remaining", "0"));
        assert!(answer(403, "retry-after", "60"));
        assert!(!answer(403, "x-ratelimit-remaining", "7"), "this one is a no");
        assert!(!answer(404, "x-ratelimit-remaining", "0"));
    }

    #[test]
    fn pages_follow_each_other() {
        let links = "<https://api.github.com/x?per_page=100>; rel=\"first\", <https://api.github.com/x?per_page=100&cursor=v1_12%2B3>; rel=\"next\"";
        assert_eq!(next_cursor(links).as_deref(), Some("v1_12+3"));
        assert_eq!(next_cursor(""), None);
    }
}
