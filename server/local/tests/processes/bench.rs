//! A data folder, a target and a host of their own for one test; whatever they started ends with it.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use control::ports::Host;
use domain::{
    DeploymentId, EnvironmentName,
    protocol::{DeployWork, JobVariable, Launch},
};
use local::{
    KeeperArgs, Keepers, ProcessTarget, ThisHost,
    keeper::{
        state::Place,
        wire::{Answer, Report, Request, ask},
    },
};
use runner::{LogSink, Target, TargetError};
use tokio_util::sync::CancellationToken;

pub const PRODUCTION: EnvironmentName = EnvironmentName::Production;

/// This program as a keeper.
pub fn keeper() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(2).collect();
    let get = |name: &str| args.iter().skip_while(|a| *a != name).nth(1).cloned().unwrap();
    let args = KeeperArgs {
        data: get("--data").into(),
        service: get("--service"),
        environment: get("--environment").parse().unwrap(),
        address: get("--address").parse::<IpAddr>().unwrap(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(local::keeper::main(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub target: ProcessTarget,
    pub host: ThisHost,
    pub port: u16,
}

/// A port nobody has, and no other test of this run gets.
pub fn own_port() -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 33_000 - 1 - ((u64::from(std::process::id()) * 37 + n) % 900) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn deployment_id() -> DeploymentId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let millis = u64::try_from(runner::sink::now().0).unwrap();
    DeploymentId::from_parts(millis, u128::from(std::process::id()) << 32 | u128::from(n))
}

fn keepers(data: &Path) -> Keepers {
    Keepers {
        program: std::env::current_exe().unwrap(),
        data: data.into(),
        address: IpAddr::from([127, 0, 0, 1]),
    }
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("local-").tempdir().unwrap();
        let keepers = keepers(folder.path());
        Self {
            target: ProcessTarget::new(keepers.clone()),
            host: ThisHost::new(keepers),
            port: own_port(),
            folder,
        }
    }

    /// How its keepers are started.
    pub fn keepers(&self) -> Keepers {
        keepers(self.folder.path())
    }

    pub fn place(&self) -> Place {
        Place::new(self.folder.path(), "orders", PRODUCTION)
    }

    /// An artifact of the test service.
    pub fn artifact(&self, version: &str) -> String {
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("service.py"), include_str!("service.py")).unwrap();
        fs::write(source.path().join("version"), version).unwrap();
        runner::artifact::bundle(source.path(), &self.folder.path().join("artifacts")).unwrap().digest
    }

    /// A deployment of a version, healthy by its path.
    pub fn work(&self, version: &str) -> DeployWork {
        DeployWork {
            deployment: deployment_id(),
            environment: PRODUCTION,
            port: self.port,
            launch: self.launch(version),
            neighbours: vec![variable("SEAMLESS_URL_STOCK", "http://127.0.0.1:1")],
            ecs: None,
            back_to: None,
            refused: None,
        }
    }

    pub fn launch(&self, version: &str) -> Launch {
        Launch {
            service: "orders".into(),
            artifact: self.artifact(version),
            commit: format!("{version:0<40}"),
            start: "exec python3 service.py".into(),
            context: None,
            health_path: Some("/health".into()),
            health_timeout_s: 20,
            variables: Vec::new(),
            container: None,
        }
    }

    pub async fn deploy(&self, work: &DeployWork) -> Result<Vec<String>, (TargetError, Vec<String>)> {
        let log = LogSink::capture();
        let done = self.target.deploy(work, &log, &CancellationToken::new()).await;
        let lines = log.lines().into_iter().map(|line| line.text).collect();
        match done {
            Ok(()) => Ok(lines),
            Err(e) => Err((e, lines)),
        }
    }

    pub async fn report(&self) -> Report {
        match ask(&self.place(), &Request::Status, Duration::from_secs(5)).await.unwrap() {
            Some(Answer::Status(report)) => report,
            other => panic!("no report: {other:?}"),
        }
    }

    /// Waits until what runs looks like that.
    pub async fn until(&self, what: &str, mut looks: impl FnMut(&Report) -> bool) -> Report {
        for _ in 0..600 {
            let report = self.report().await;
            if looks(&report) {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never {what}: {:?}", self.report().await);
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        get(self.port, path).await
    }

    pub fn keeper_log(&self) -> PathBuf {
        self.place().keeper_log()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let host = self.host.clone();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(host.retire("orders"))
        });
        if std::thread::panicking() {
            eprintln!("keeper.log:\n{}", fs::read_to_string(self.keeper_log()).unwrap_or_default());
        }
        ended.join().unwrap().unwrap();
    }
}

pub fn variable(name: &str, value: &str) -> JobVariable {
    JobVariable { name: name.into(), value: value.into(), secret: false }
}

/// One request over a connection of its own.
pub async fn get(port: u16, path: &str) -> (u16, String) {
    let mut client = Client::open(port).await.unwrap();
    client.get(path).await.unwrap()
}

/// A client that keeps its connection.
pub struct Client {
    sender: hyper::client::conn::http1::SendRequest<http_body_util::Full<bytes::Bytes>>,
}

impl Client {
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub async fn get(&mut self, path: &str) -> anyhow::Result<(u16, String)> {
        self.send("GET", path, "").await
    }

    pub async fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "orders.test")
            .body(http_body_util::Full::from(body.to_owned()))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}
