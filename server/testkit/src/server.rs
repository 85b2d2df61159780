//! `seamless serve`, the real one: started, killed, started again on the same data and the same port, and cleared away with everything
//! it left behind.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use domain::protocol::Credentials;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Api, free_port, postgres, proc, rows, until};

/// Where a server keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A file in its data folder.
    Sqlite,
    /// A database of its own in a real PostgreSQL.
    Postgres,
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its rows are.
    pub store: Store,
    /// Stages at a time.
    pub slots: usize,
    /// The Docker daemon, as `DOCKER_HOST` names it; none when absent.
    pub docker: Option<String>,
    /// `REDIS_URL`.
    pub redis: Option<String>,
    /// Runners do nothing: the test speaks for them, see [`Server::credentials`].
    pub by_hand: bool,
    /// More of its environment.
    pub environment: Vec<(&'static str, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            store: Store::Sqlite,
            slots: 4,
            docker: None,
            redis: None,
            by_hand: false,
            environment: Vec::new(),
        }
    }
}

/// A running server and everything it needs.
pub struct Server {
    /// A client with a token.
    pub api: Api,
    binary: PathBuf,
    folder: Arc<TempDir>,
    log: String,
    port: u16,
    database: Option<String>,
    slots: usize,
    docker: Option<String>,
    redis: Option<String>,
    by_hand: bool,
    environment: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl Server {
    /// Starts `binary` (a test crate knows it as `env!("CARGO_BIN_EXE_seamless")`) on SQLite.
    pub async fn start(binary: &str) -> Self {
        Self::start_with(binary, Options::default()).await
    }

    /// Starts `binary`.
    pub async fn start_with(binary: &str, options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("seamless-test-").tempdir().unwrap();
        for name in ["data", "git", "home", "scratch"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        // Pages without the files that browsers load for them: what is read here needs none.
        fs::create_dir_all(folder.path().join("site/pkg")).unwrap();
        fs::write(folder.path().join("site/pkg/version"), "none").unwrap();
        let port = free_port();
        let database = (options.store == Store::Postgres).then(postgres::fresh_database);
        let api = Api::new(&format!("http://127.0.0.1:{port}"), "");
        let Options { slots, docker, redis, by_hand, environment, .. } = options;
        let (folder, log, binary) = (Arc::new(folder), "server.log".into(), binary.into());
        let mut server = Self {
            api,
            binary,
            folder,
            log,
            port,
            database,
            slots,
            docker,
            redis,
            by_hand,
            environment,
            child: None,
        };
        server.restart().await;
        let token = server.command(&["token", "create", "--name", "tests"]).output().unwrap();
        let said = String::from_utf8(token.stdout).unwrap();
        server.api.token = said.split_whitespace().last().expect("no token was printed").to_owned();
        server
    }

    /// Starts another server on the same data folder and database, on a port of its own. It may reach database and Redis by another
    /// way; by the same where none is given.
    pub async fn beside(&self, database: Option<String>, redis: Option<String>) -> Self {
        let port = free_port();
        let mut server = Self {
            api: Api::new(&format!("http://127.0.0.1:{port}"), &self.api.token),
            binary: self.binary.clone(),
            folder: Arc::clone(&self.folder),
            log: format!("server-{port}.log"),
            port,
            database: database.or_else(|| self.database.clone()),
            slots: self.slots,
            docker: self.docker.clone(),
            redis: redis.or_else(|| self.redis.clone()),
            by_hand: self.by_hand,
            environment: self.environment.clone(),
            child: None,
        };
        server.restart().await;
        server
    }

    /// Ends PostgreSQL as a fall would, and starts it again.
    pub fn restart_postgres(&self) {
        postgres::restart();
    }

    /// Starts it again on the same data and port, and waits until it is ready.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let own = self.folder.path().join("seamless");
        let mut command = self.command(&["serve"]);
        if self.by_hand {
            // Started from a name of its own, by which it starts its runners.
            let _ = fs::remove_file(&own);
            fs::hard_link(&self.binary, &own).or_else(|_| fs::copy(&self.binary, &own).map(drop)).unwrap();
            command = self.command_of(&own, &["serve"]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let url = format!("{}/readyz", self.api.base);
        until("the server to be ready", async || {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().unwrap()) {
                panic!("the server ended at its start: {status}\n{}", self.log());
            }
            self.api.plain(&url).await
        })
        .await;
        if self.by_hand {
            // From here on that name is a runner that hands its credentials over and does nothing but live.
            let draft = self.folder.path().join("by-hand");
            let script = "#!/bin/sh\ncat >\"$SEAMLESS_DATA/by-hand-$SEAMLESS_STAGE_ATTEMPT.new\"\n\
                mv \"$SEAMLESS_DATA/by-hand-$SEAMLESS_STAGE_ATTEMPT.new\" \"$SEAMLESS_DATA/by-hand-$SEAMLESS_STAGE_ATTEMPT\"\nexec sleep 3600\n";
            fs::write(&draft, script).unwrap();
            fs::set_permissions(&draft, fs::Permissions::from_mode(0o700)).unwrap();
            fs::rename(&draft, &own).unwrap();
        }
    }

    /// What an attempt's runner was started with, once it was; of a server whose runners do nothing.
    pub async fn credentials(&self, stage: domain::StageId, attempt: u32) -> Credentials {
        let file = self.data().join(format!("by-hand-{stage}.{attempt}"));
        let text = until("a runner to be started", async || fs::read(&file).ok()).await;
        serde_json::from_slice(&text).unwrap()
    }

    /// A command of the binary with this server's environment and nothing else.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&self.binary, arguments)
    }

    fn command_of(&self, binary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path().join("home"))
            .env("SEAMLESS_DATA", self.data())
            .env("SEAMLESS_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("SEAMLESS_SLOTS", self.slots.to_string())
            .env("SEAMLESS_SITE", self.folder.path().join("site"))
            // A test that wants containers says so; others must not find a daemon by chance.
            .env("DOCKER_HOST", self.docker.as_deref().unwrap_or("unix:///nonexistent/docker.sock"))
            // So that a page fault in a test leaves the line where it was.
            .env("RUST_BACKTRACE", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", database);
        }
        if let Some(redis) = &self.redis {
            command.env("REDIS_URL", redis);
        }
        command
    }

    /// Where its rows are, as `DATABASE_URL` names it.
    pub fn database(&self) -> String {
        let file = || format!("sqlite:{}", self.data().join("seamless.db").display());
        self.database.clone().unwrap_or_else(file)
    }

    /// Names another database, for the next start and for commands.
    pub fn use_database(&mut self, url: &str) {
        self.database = Some(url.to_owned());
    }

    /// Ends it without a word, and returns when it is really dead.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("it does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to end, and returns when it has.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("it does not run");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        until("the server to end", async || child.try_wait().unwrap()).await;
    }

    /// Says what a repository's own hook would say; the answer is what whoever pushes is shown.
    pub fn tell_hook(&self, service: &str, lines: &str) -> String {
        let data = self.data();
        let mut command = self.command(&["hook", "--data", &data.to_string_lossy(), "--service", service]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where its repositories are.
    pub fn repositories(&self) -> PathBuf {
        self.folder.path().join("git")
    }

    /// A path for what a test's commands and the test tell each other.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join("scratch").join(name)
    }

    /// What its database answers to a question for one number, asked beside the server.
    pub async fn number(&self, sql: &str) -> i64 {
        let url = self.database();
        let read_only = if url.starts_with("sqlite:") { "?mode=ro" } else { "" };
        rows::number(&format!("{url}{read_only}"), sql).await
    }

    /// Holds the database's write lock, as a process that hangs would, until what is answered goes (SQLite alone).
    pub async fn hold_database(&self) -> sea_orm::DatabaseTransaction {
        assert!(self.database.is_none(), "only SQLite has one lock for all");
        let file = format!("sqlite:{}", self.data().join("seamless.db").display());
        let database = sea_orm::Database::connect(file).await.unwrap();
        let immediate = sea_orm::TransactionOptions {
            sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        sea_orm::TransactionTrait::begin_with_options(&database, immediate).await.unwrap()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join(&self.log)
    }

    /// What it printed, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Every process that has to do with it: runners, commands, keepers, deployed services, itself.
    pub fn processes(&self) -> Vec<proc::Process> {
        let mark = self.folder.path().to_string_lossy().into_owned();
        proc::all().into_iter().filter(|p| p.names(&mark)).collect()
    }

    /// The processes of a stage attempt: its runner, and what its commands started.
    pub fn attempt(&self, stage: domain::StageId, attempt: u32) -> Vec<proc::Process> {
        let mark = format!("{stage}.{attempt}");
        self.processes()
            .into_iter()
            .filter(|p| p.variable("SEAMLESS_STAGE_ATTEMPT") == Some(mark.as_str()))
            .collect()
    }

    /// The deployments of a service that have processes, one entry for each process.
    pub fn serving(&self, service: &str, environment: &str) -> Vec<String> {
        let own = self.processes().into_iter().filter(|p| {
            p.variable("SEAMLESS_SERVICE") == Some(service)
                && p.variable("SEAMLESS_ENVIRONMENT") == Some(environment)
        });
        own.filter_map(|p| p.variable("SEAMLESS_DEPLOYMENT").map(str::to_owned)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Another server may still need what runs here.
        let begun = Instant::now();
        while Arc::strong_count(&self.folder) == 1 {
            let left = self.processes();
            if left.is_empty() || begun.elapsed() > Duration::from_secs(10) {
                break;
            }
            left.iter().for_each(proc::Process::kill9);
            std::thread::sleep(Duration::from_millis(20));
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", tail(&self.log()));
            for log in runner_logs(&self.data()) {
                eprintln!("--- {}\n{}", log.display(), tail(&fs::read_to_string(&log).unwrap_or_default()));
            }
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Those in which something is written.
fn runner_logs(data: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(data.join("stages")).into_iter().flatten().flatten();
    let logs = folders.map(|f| f.path().join("runner.log"));
    logs.filter(|log| fs::metadata(log).is_ok_and(|m| m.len() > 0)).take(5).collect()
}
