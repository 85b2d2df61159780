//! The REST API as a program uses it, and waiting for what it will say.

use std::time::{Duration, Instant};

use domain::{
    RunId, StageId, StageKind, Status,
    view::{Deployment, LogLine, LogPage, Page, Run, Service},
};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long anything may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks until there is something to see, and fails with what it was waiting for when that takes too long.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub kind: String,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Holds it to a status; the answer is the body as JSON.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// Holds it to a status; the answer is the body as what it should be.
    #[track_caller]
    pub fn to<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Holds it to problem details of a status; the answer is its detail.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        let body = self.is(status);
        assert_eq!(self.kind, "application/problem+json", "{}", self.text);
        assert_eq!(body["status"], status, "{body}");
        for field in ["type", "title", "instance"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {body}");
        }
        body["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// Holds it to a validation problem that names exactly these fields.
    #[track_caller]
    pub fn names(&self, fields: &[&str]) {
        self.problem(422);
        let body = self.json();
        let mut named: Vec<&str> =
            body["errors"].as_array().unwrap().iter().filter_map(|e| e["field"].as_str()).collect();
        let mut fields = fields.to_vec();
        named.sort_unstable();
        fields.sort_unstable();
        assert_eq!(named, fields, "{body}");
        assert!(
            body["errors"]
                .as_array()
                .unwrap()
                .iter()
                .all(|e| e["message"].as_str().is_some_and(|m| !m.is_empty()))
        );
    }
}

/// A client with a token.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    /// The server's address.
    pub base: String,
    /// What it proves itself with.
    pub token: String,
}

impl Api {
    /// A client of the server at `base`.
    pub fn new(base: &str, token: &str) -> Self {
        // Nothing here is asked over TLS, and reading the machine's certificates takes its time.
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none());
        Self { http: http.build().unwrap(), base: base.into(), token: token.into() }
    }

    /// A request with the token; `path` begins at the server's root.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    /// Sends a request and reads the answer; none when the server is away.
    pub async fn send(&self, request: RequestBuilder) -> Option<Answer> {
        let answer = request.timeout(Duration::from_secs(60)).send().await.ok()?;
        let status = answer.status().as_u16();
        let kind =
            answer.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        Some(Answer { status, kind, text: answer.text().await.ok()? })
    }

    /// The body of any address, without a token; none unless it answers 2xx.
    pub async fn plain(&self, url: &str) -> Option<String> {
        let answer = self.http.get(url).timeout(Duration::from_secs(20)).send().await.ok()?;
        if answer.status().is_success() { answer.text().await.ok() } else { None }
    }

    /// A call of `/api/v1`.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.request(method, &format!("/api/v1{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await.unwrap_or_else(|| panic!("the server does not answer {method} {path}"))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(&body)).await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(&body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    /// Connects a service.
    pub async fn connect(&self, settings: &Value) -> Service {
        self.post("/services", settings.clone()).await.to(201)
    }

    /// Starts a run of a service's branch.
    pub async fn start(&self, service: &Service) -> Run {
        self.post(&format!("/services/{}/runs", service.id), json!({})).await.to(202)
    }

    /// A run.
    pub async fn run(&self, run: RunId) -> Run {
        self.get(&format!("/runs/{run}")).await.to(200)
    }

    /// A service's newest runs, newest first.
    pub async fn runs(&self, service: &Service) -> Vec<Run> {
        self.get(&format!("/services/{}/runs", service.id)).await.to::<Page<Run>>(200).items
    }

    /// Waits for the run of a commit, as its push starts it.
    pub async fn run_of(&self, service: &Service, sha: &str) -> Run {
        let what = format!("a run of {} at {sha}", service.settings.name);
        until(&what, async || self.runs(service).await.into_iter().find(|r| r.commit.sha == sha)).await
    }

    /// Waits until a run stands as asked.
    pub async fn run_until(&self, run: RunId, what: &str, mut seen: impl FnMut(&Run) -> bool) -> Run {
        let mut last = None;
        let begun = Instant::now();
        loop {
            let now = self.run(run).await;
            if seen(&now) {
                return now;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited {PATIENCE:?} in vain for a run to be {what}; it is {last:?}"
            );
            last = Some(now);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// Waits for a run's end.
    pub async fn ended(&self, run: RunId) -> Run {
        self.run_until(run, "over", |r| r.status.is_terminal()).await
    }

    /// Waits for a run's end, which must be a success.
    pub async fn succeeded(&self, run: RunId) -> Run {
        let run = self.ended(run).await;
        assert_eq!(run.status, Status::Success, "{}", told(&run));
        run
    }

    /// Waits until a stage stands so.
    pub async fn stage_is(&self, run: RunId, kind: StageKind, status: Status) -> Run {
        let what = format!("{status} at {kind}");
        self.run_until(run, &what, |r| r.stage(kind).is_some_and(|s| s.status == status)).await
    }

    /// Every line of a stage attempt's log, page by page.
    pub async fn log(&self, stage: StageId, attempt: u32) -> Vec<LogLine> {
        let mut lines = Vec::new();
        loop {
            let path = format!("/stages/{stage}/log?attempt={attempt}&from={}&limit=1000", lines.len());
            let page: LogPage = self.get(&path).await.to(200);
            if page.lines.is_empty() {
                return lines;
            }
            lines.extend(page.lines);
        }
    }

    /// The texts of what a stage's command printed in its newest attempt.
    pub async fn printed(&self, run: &Run, kind: StageKind) -> Vec<String> {
        let stage = run.stage(kind).unwrap();
        let lines = self.log(stage.id, stage.attempt).await;
        lines.into_iter().filter(|l| l.stream != domain::view::Stream::System).map(|l| l.text).collect()
    }

    /// A service's deployments in one environment, newest first.
    pub async fn deployments(&self, service: &Service, environment: &str) -> Vec<Deployment> {
        let path = format!("/services/{}/deployments?environment={environment}", service.id);
        self.get(&path).await.to::<Page<Deployment>>(200).items
    }
}

/// A run in a few words, for messages.
pub(crate) fn told(run: &Run) -> String {
    let stages = run.stages.iter().map(|s| {
        let error = s.error.as_ref().map(|e| e.text.as_str()).unwrap_or_default();
        format!(
            "\n  {} {} (attempt {}) {} {error}",
            s.kind,
            s.status,
            s.attempt,
            s.reason.clone().unwrap_or_default()
        )
    });
    format!(
        "run {} of {} is {}: {:?}{}",
        run.number,
        run.service.name,
        run.status,
        run.reason,
        stages.collect::<String>()
    )
}
