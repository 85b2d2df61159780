//! A stand-in server that speaks the runner's protocol strictly and fails on request, repositories, and a target.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::{RunId, StageId, StageKind, protocol::*, view::Stream};
use lines::{block, wire};
use runner::{Cause, Ending, Target, stage::Adoption};
use tokio_util::sync::CancellationToken;

pub use crate::target::FakeTarget;

/// What the server does with the next log batch.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Stores nothing, answers 503.
    Refuse,
    /// Stores it, but the answer is lost with the connection.
    LoseAnswer,
    /// Stores it and answers 503 all the same.
    StoreAndFail,
    /// Stores nothing, and asks to be left alone for so many seconds.
    Busy(u64),
    /// Has forgotten so many of its last lines.
    Forget(usize),
}

#[derive(Default)]
pub struct Inner {
    pub job: Option<Job>,
    pub lines: Vec<NewLine>,
    pub batches: Vec<usize>,
    pub finishes: Vec<Finish>,
    pub beats: u32,
    pub cancel: bool,
    pub fenced: bool,
    /// Keeps only each line's length: for logs that would fill the memory.
    pub brief: bool,
    pub faults: VecDeque<Fault>,
    /// Has forgotten all lines when it is told of the end for the first time.
    pub forgets: bool,
    /// Nothing may be sent before.
    pub busy_until: Option<std::time::Instant>,
    /// Whether it knows JSON alone.
    pub plain: bool,
    /// What commands asked to have masked, as the last batch said.
    pub masks: Vec<String>,
}

/// The stand-in.
#[derive(Clone)]
pub struct Server {
    pub inner: Arc<Mutex<Inner>>,
    pub data: Arc<tempfile::TempDir>,
    pub address: SocketAddr,
    serving: Arc<Mutex<CancellationToken>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            inner: Arc::default(),
            data: Arc::new(tempfile::Builder::new().prefix("seamless-runner-").tempdir().unwrap()),
            address: listener.local_addr().unwrap(),
            serving: Arc::default(),
        };
        server.serve(listener);
        server
    }

    fn serve(&self, listener: tokio::net::TcpListener) {
        let router = Router::new()
            .route("/runner/v1/job", get(job))
            .route("/runner/v1/heartbeat", post(heartbeat))
            .route("/runner/v1/log", post(log))
            .route("/runner/v1/finish", post(finish))
            .layer(DefaultBodyLimit::max(2 << 20))
            .with_state(self.inner.clone());
        let stop = CancellationToken::new();
        *self.serving.lock().unwrap() = stop.clone();
        tokio::spawn(async move {
            let serve = async { axum::serve(listener, router).await };
            tokio::select! { _ = serve => {}, () = stop.cancelled() => {} }
        });
    }

    /// The server is gone; nobody listens any more.
    pub fn leave(&self) {
        self.serving.lock().unwrap().cancel();
    }

    /// It is back at the same address, with everything it had stored.
    pub async fn come_back(&self) {
        loop {
            if let Ok(listener) = tokio::net::TcpListener::bind(self.address).await {
                return self.serve(listener);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// A job for a fresh stage of one run.
    pub fn job(&self, kind: StageKind, work: Work) -> Job {
        let run = self.inner().job.as_ref().map_or_else(|| RunId::from_parts(1, random()), |j| j.run);
        Job {
            run,
            run_number: 7,
            stage: StageId::from_parts(2, random()),
            attempt: 1,
            kind,
            service: "orders".into(),
            branch: "main".into(),
            commit: "0".repeat(40),
            context: None,
            timeout_s: 120,
            aside: false,
            variables: Vec::new(),
            toolchain: None,
            log: LogRules::default(),
            work,
        }
    }

    /// A job that runs a command in a workspace that is there.
    pub fn command(&self, command: impl AsRef<str>) -> Job {
        let job = self.job(StageKind::UnitTest, Work::Command { command: command.as_ref().to_owned() });
        std::fs::create_dir_all(self.workspace(&job)).unwrap();
        job
    }

    pub fn workspace(&self, job: &Job) -> PathBuf {
        runner::paths::Data::new(self.data()).workspace(job.run)
    }

    /// Hands the job out from now on; the log begins anew.
    pub fn offer(&self, job: Job) -> Credentials {
        let credentials = Credentials {
            server: format!("http://{}", self.address),
            token: "right".into(),
            data: self.data().to_string_lossy().into_owned(),
            stage: job.stage,
            attempt: job.attempt,
        };
        let mut inner = self.inner();
        (inner.job, inner.lines, inner.batches) = (Some(job), Vec::new(), Vec::new());
        inner.finishes.clear();
        credentials
    }

    /// Does a job within this process.
    pub async fn run(&self, job: Job) -> (i32, Option<Finish>) {
        self.run_with(job, Arc::new(FakeTarget::default()), Ending::default()).await
    }

    pub async fn run_with(&self, job: Job, target: Arc<dyn Target>, ending: Ending) -> (i32, Option<Finish>) {
        let credentials = self.offer(job);
        let code = runner::stage::attempt(&credentials, target, ending, Adoption::Cookie).await.code();
        let finishes = self.inner().finishes.clone();
        assert!(finishes.len() <= 1, "{finishes:?}");
        (code, finishes.into_iter().next())
    }

    /// Does a job that must fail; answers how.
    pub async fn fails(&self, job: Job) -> Finish {
        let (code, finish) = self.run(job).await;
        let finish = finish.unwrap();
        assert_eq!((code, finish.outcome), (0, Outcome::Failure), "{finish:?}\n{}", self.log());
        finish
    }

    /// Does a job that must go well.
    pub async fn succeeds(&self, job: Job) -> Finish {
        let (code, finish) = self.run(job).await;
        let finish = finish.unwrap();
        assert_eq!((code, finish.outcome), (0, Outcome::Success), "{finish:?}\n{}", self.log());
        finish
    }

    /// The whole log as text.
    pub fn log(&self) -> String {
        self.inner().lines.iter().map(|l| format!("{:?}: {}\n", l.stream, l.text)).collect()
    }

    /// What the child printed.
    pub fn printed(&self) -> Vec<String> {
        self.inner().lines.iter().filter(|l| l.stream != Stream::System).map(|l| l.text.clone()).collect()
    }

    /// Waits until the log holds this text.
    pub async fn sees(&self, text: &str) {
        eventually(&format!("a log with {text:?}"), || self.log().contains(text)).await;
    }
}

/// Waits for something that is sure to come.
pub async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(std::time::Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    u128::from(RandomState::new().hash_one(0)) << 16
}

type Shared = State<Arc<Mutex<Inner>>>;

fn refused(inner: &Inner, headers: &HeaderMap) -> Option<Response> {
    if headers.get("authorization").is_none_or(|v| v != "Bearer right") {
        return Some(StatusCode::UNAUTHORIZED.into_response());
    }
    let body = serde_json::json!({"title": "stale attempt", "detail": "another attempt has taken over"});
    inner.fenced.then(|| (StatusCode::CONFLICT, Json(body)).into_response())
}

async fn job(State(inner): Shared, headers: HeaderMap) -> Response {
    let inner = inner.lock().unwrap();
    refused(&inner, &headers).unwrap_or_else(|| Json(&inner.job).into_response())
}

async fn heartbeat(State(inner): Shared, headers: HeaderMap, Json(_): Json<Heartbeat>) -> Response {
    let mut inner = inner.lock().unwrap();
    inner.beats += 1;
    refused(&inner, &headers)
        .unwrap_or_else(|| Json(HeartbeatAnswer { cancel: inner.cancel }).into_response())
}

async fn finish(State(inner): Shared, headers: HeaderMap, Json(finish): Json<Finish>) -> Response {
    let mut inner = inner.lock().unwrap();
    if let Some(refused) = refused(&inner, &headers) {
        return refused;
    }
    if std::mem::take(&mut inner.forgets) {
        inner.lines.clear();
        return (StatusCode::CONFLICT, Json(serde_json::json!({"next_seq": 0}))).into_response();
    }
    assert_eq!(finish.lines, inner.lines.len() as u64, "the whole log comes before the end");
    inner.finishes.push(finish);
    StatusCode::NO_CONTENT.into_response()
}

async fn log(State(inner): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut inner = inner.lock().unwrap();
    let batch = if headers.get("content-type").is_some_and(|kind| kind == wire::KIND) {
        if inner.plain {
            return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
        }
        let (head, at) = wire::read(&body).unwrap();
        block::check(&body[at..]).unwrap();
        let lines = block::lines(head.first_seq, &body[at..]).unwrap();
        let lines = lines.into_iter().map(|l| NewLine { at: l.at, stream: l.stream, text: l.text }).collect();
        LogBatch { first_seq: head.first_seq, lines, masks: head.masks }
    } else {
        serde_json::from_slice(&body).unwrap()
    };
    inner.masks.clone_from(&batch.masks);
    if let Some(refused) = refused(&inner, &headers) {
        return refused;
    }
    if let Some(until) = inner.busy_until.take() {
        assert!(std::time::Instant::now() >= until, "asked again too early");
    }
    let fault = inner.faults.pop_front();
    match fault {
        Some(Fault::Refuse) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::Busy(seconds)) => {
            inner.busy_until = Some(std::time::Instant::now() + Duration::from_secs(seconds));
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())]).into_response();
        }
        Some(Fault::Forget(lines)) => {
            let kept = inner.lines.len().saturating_sub(lines);
            inner.lines.truncate(kept);
        }
        _ => {}
    }
    let (first, have) = (batch.first_seq as usize, inner.lines.len());
    if first > have {
        return (StatusCode::CONFLICT, Json(serde_json::json!({"next_seq": have}))).into_response();
    }
    let brief = inner.brief;
    for (seq, mut line) in (first..).zip(batch.lines) {
        if brief {
            line.text = line.text.len().to_string();
        }
        match inner.lines.get(seq) {
            Some(stored) => assert_eq!(stored, &line, "a line never changes"),
            None => inner.lines.push(line),
        }
    }
    let size = inner.lines.len() - have;
    inner.batches.push(size);
    match fault {
        Some(Fault::StoreAndFail) => StatusCode::BAD_GATEWAY.into_response(),
        Some(Fault::LoseAnswer) => {
            let broken = futures::stream::iter([Err::<&str, _>(std::io::Error::other("cut"))]);
            Response::new(Body::from_stream(broken))
        }
        _ => Json(LogAnswer { next_seq: inner.lines.len() as u64 }).into_response(),
    }
}

/// A repository with commits made here.
pub struct Repository {
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Repository {
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders");
        std::fs::create_dir(&path).unwrap();
        let repository = Self { path, _folder: folder };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(&self.path)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits these files; answers the commit.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.path.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn prepare(&self, server: &Server, commit: &str, command: Option<&str>) -> Job {
        let work = Work::Prepare {
            repository: self.path.to_string_lossy().into_owned(),
            reference: "refs/heads/main".into(),
            login: None,
            command: command.map(str::to_owned),
        };
        Job { commit: commit.into(), ..server.job(StageKind::Prepare, work) }
    }
}

/// Ends the stage for a cause once the log holds a text.
pub fn end_when(server: &Server, text: &'static str, cause: Cause) -> Ending {
    server.inner().lines.clear();
    let (server, ending) = (server.clone(), Ending::default());
    let told = ending.clone();
    tokio::spawn(async move {
        server.sees(text).await;
        told.end(cause);
    });
    ending
}
