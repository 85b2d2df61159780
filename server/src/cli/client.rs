//! A client of the REST API for the command line.

use std::time::Duration;

use anyhow::{Context, bail};
use domain::{problem::Problem, protocol::ADDRESSES};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{config::Config, serve};

/// File with the command line's own token.
const TOKEN_FILE: &str = "cli-token";

/// Knows the server and proves itself to it.
pub struct Client {
    http: reqwest::Client,
    /// The server's address.
    pub server: String,
    token: SecretString,
}

impl Client {
    /// By `SEAMLESS_URL` and `SEAMLESS_TOKEN`, else through the data folder of the server on this machine.
    ///
    /// # Errors
    /// When neither leads to a server.
    pub async fn find() -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let set = |name| std::env::var(name).ok().filter(|v: &String| !v.trim().is_empty());
        if let (Some(server), Some(token)) = (set("SEAMLESS_URL"), set("SEAMLESS_TOKEN")) {
            return Ok(Self { http, server: server.trim_end_matches('/').into(), token: token.into() });
        }
        let config = Config::from_env()?;
        let servers = std::fs::read_to_string(config.data.join(ADDRESSES)).with_context(|| {
            format!(
                "no server has run on {}: start one with `seamless serve`, or set SEAMLESS_URL and SEAMLESS_TOKEN",
                config.data.display()
            )
        })?;
        let token = match set("SEAMLESS_TOKEN") {
            Some(token) => token.into(),
            None => own_token(&config).await?,
        };
        let server = answering(&http, &servers).await;
        Ok(Self { http, server, token })
    }

    /// Calls the API.
    ///
    /// # Errors
    /// The problem's own words.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.server))
            .bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer =
            request.send().await.with_context(|| format!("the server at {} does not answer", self.server))?;
        if answer.status().is_success() {
            return Ok(answer.json().await?);
        }
        let status = answer.status();
        match answer.json::<Problem>().await {
            Ok(problem) if problem.errors.is_empty() => bail!("{}", problem.detail),
            Ok(problem) => {
                let fields: Vec<_> =
                    problem.errors.iter().map(|f| format!("  {}: {}", f.field, f.message)).collect();
                bail!("{}:\n{}", problem.title, fields.join("\n"))
            }
            Err(_) => bail!("the server answered {status}"),
        }
    }

    /// Reads from the API.
    ///
    /// # Errors
    /// The problem's own words.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// Opens a live stream.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn stream(&self, path: &str, after: Option<&str>) -> anyhow::Result<reqwest::Response> {
        let mut request =
            self.http.get(format!("{}{path}", self.server)).bearer_auth(self.token.expose_secret());
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        Ok(request.send().await?.error_for_status()?)
    }
}

/// The first server of a list that answers; the first of all when none does, for the message that tells so.
async fn answering(http: &reqwest::Client, servers: &str) -> String {
    for server in servers.lines() {
        if http.get(format!("{server}/healthz")).timeout(Duration::from_secs(2)).send().await.is_ok() {
            return server.to_owned();
        }
    }
    servers.lines().next().unwrap_or_default().to_owned()
}

/// The command line's token: kept in the data folder for its owner alone, made where it is missing.
async fn own_token(config: &Config) -> anyhow::Result<SecretString> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let path = config.data.join(TOKEN_FILE);
    if let Ok(token) = std::fs::read_to_string(&path)
        && !token.trim().is_empty()
    {
        return Ok(token.trim().to_owned().into());
    }
    let token = serve::control(config)
        .await?
        .new_api_token(&control::Actor::named("admin"), "command line", domain::Role::Owner, None)
        .await?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(token.expose_secret().as_bytes())?;
    Ok(token)
}
