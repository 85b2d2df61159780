//! The containers of one run's test: made, started, listened to, and taken down whatever happens.
//!
//! What becomes of them is heard from the daemon's events, their output from its logs. Everything carries the attempt's label
//! and is removed by it, so that what comes after a crash finds the same things. Refuses to go by names.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::view::{ErrorLine, Stream};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    task::JoinSet,
    time::timeout,
};

use super::{
    super::{Docker, DockerError, labels, leftovers, stream},
    events::{Event, Events},
};
use crate::{
    command::Watch,
    context::{Context, cannot},
    reason::{Failure, Judge},
};

/// How long stopping may take: each container has a grace of its own, and they are stopped side by side.
const STOP: Duration = Duration::from_secs(90);
/// How long the last lines may take to come once nothing runs any more.
const LAST_LINES: Duration = Duration::from_secs(5);
/// How long Compose may take to notice for itself that the daemon is away.
const NOTICE: Duration = Duration::from_secs(20);
/// So many of its last lines tell why `docker compose` failed.
const LAST: usize = 20;

/// What became of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Died {
    /// The service.
    pub service: String,
    /// The exit code.
    pub code: i32,
}

/// One run's containers.
pub(super) struct Project<'a> {
    pub(super) stage: &'a Context,
    /// Its name: no other run's.
    pub name: String,
    pub(super) docker: Docker,
    file: PathBuf,
    events: Events,
    logs: JoinSet<()>,
    judges: HashMap<String, Arc<Mutex<Judge>>>,
    running: BTreeMap<String, String>,
    /// When a container ended last, for those that are started again.
    over: HashMap<String, String>,
    /// The one whose lines are the command's own and carry no name.
    pub nameless: Option<&'static str>,
    /// Compose at work, with its plugin: the process group.
    composing: Option<rustix::process::Pid>,
    /// Whether Compose was ended before its time, so that something it asked for may still come.
    interrupted: bool,
    built: bool,
}

impl<'a> Project<'a> {
    /// Of a stage; nothing is made yet.
    pub fn new(stage: &'a Context, docker: Docker) -> Self {
        let name = format!("seamless-{}-{}", stage.job.stage, stage.job.attempt).to_lowercase();
        let file = stage.data.run(stage.job.run).join(format!("compose.{}.json", stage.job.attempt));
        Self {
            stage,
            name,
            docker,
            file,
            events: Events::Unasked,
            logs: JoinSet::new(),
            judges: HashMap::new(),
            running: BTreeMap::new(),
            over: HashMap::new(),
            nameless: None,
            composing: None,
            interrupted: false,
            built: false,
        }
    }

    /// What everything of it carries.
    pub fn labels(&self) -> [(&'static str, String); 3] {
        [
            (labels::INSTANCE, labels::instance(self.stage.data.root())),
            (labels::ATTEMPT, self.stage.tree.cookie().to_owned()),
            (labels::SERVICE, self.stage.job.service.clone()),
        ]
    }

    /// Writes the file, for nobody else to read, and begins to listen.
    pub fn open(&mut self, project: &serde_json::Value) -> Result<(), Failure> {
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(".compose-")
                .tempfile_in(self.file.parent().unwrap_or(Path::new(".")))?; // 0600 from birth
            serde_json::to_writer_pretty(&mut file, project)?;
            file.persist(&self.file).map_err(|e| e.error)
        };
        std::fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))
            .and_then(|()| write())
            .map_err(|e| cannot("write", &self.file, &e))?;
        self.events = Events::listen(self.stage, &self.docker)?;
        Ok(())
    }

    /// `docker compose` on the file.
    fn compose(&self, rest: &[&str]) -> tokio::process::Command {
        let file = self.file.to_string_lossy();
        let head = [
            "compose",
            "--file",
            &file,
            "--project-name",
            &self.name,
            "--ansi",
            "never",
            "--progress",
            "plain",
        ];
        let mut command = stream::call(self.stage, &self.docker, head.iter().chain(rest));
        // Files of the kind `secrets: {x: {environment: NAME}}` are filled from here.
        command.envs(super::resolve::variables(self.stage));
        command
    }

    /// Runs `docker compose` to its end, or until `enough` says so of a container that ended. What Compose says goes into the
    /// log, but for the coming and going of single things.
    pub async fn run(
        &mut self,
        rest: &[&str],
        mut enough: impl FnMut(&Died) -> bool,
    ) -> Result<(), DockerError> {
        let mut command = self.compose(rest);
        let mut child = stream::spawn("compose", &mut command)?;
        // Should this be dropped half-way, whoever takes down knows that more may come.
        self.composing = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let mut pipes = JoinSet::new();
        if let Some(pipe) = child.stdout.take() {
            pipes.spawn(tell(self.stage.log.clone(), BufReader::new(pipe).lines(), last.clone()));
        }
        if let Some(pipe) = child.stderr.take() {
            pipes.spawn(tell(self.stage.log.clone(), BufReader::new(pipe).lines(), last.clone()));
        }
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                happened = self.died() => match happened {
                    Ok(died) if enough(&died) => {
                        self.end_compose();
                        let _ = child.wait().await;
                        return Ok(());
                    }
                    Ok(_) => {}
                    // The daemon is away: Compose will say so, or be ended.
                    Err(_) => match timeout(NOTICE, child.wait()).await {
                        Ok(status) => break status,
                        Err(_) => {
                            self.end_compose();
                            break child.wait().await;
                        }
                    },
                },
            }
        };
        self.composing = None;
        while pipes.join_next().await.is_some() {}
        if status.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        let said: Vec<String> = last.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        Err(DockerError::read("compose", &self.docker.host(), &said.join("\n")))
    }

    /// Ends Compose where it is, and the plugin that does its work.
    fn end_compose(&mut self) {
        if let Some(group) = self.composing.take() {
            self.interrupted = true;
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL); // gone is as good
        }
    }

    /// Builds what the file says is built.
    pub async fn build(&mut self, services: &[String]) -> Result<(), Failure> {
        self.built = true;
        let mut arguments = vec!["build"];
        arguments.extend(services.iter().map(String::as_str));
        self.run(&arguments, |_| false).await.map_err(|error| {
            Failure::new(format!(
                "the images of the Compose file ({}) could not be built: {error}",
                services.join(", ")
            ))
        })
    }

    /// Starts containers that were made.
    pub async fn start(&mut self, ids: &[&str]) -> Result<(), DockerError> {
        let arguments: Vec<&str> = std::iter::once("start").chain(ids.iter().copied()).collect();
        self.docker.ask(&arguments).await.map(drop)
    }

    /// The next end of a container. Those that start meanwhile are listened to. Dropped half-way, it loses nothing.
    pub async fn died(&mut self) -> Result<Died, Failure> {
        loop {
            let Event { action, id, nanos, service, code } = self.events.next(&self.docker).await?;
            match action.as_str() {
                "start" => {
                    self.running.insert(id.clone(), service.clone());
                    self.follow(&service, &id);
                }
                "die" => {
                    self.running.remove(&id);
                    self.over.insert(id, nanos);
                    return Ok(Died { service, code });
                }
                _ => {}
            }
        }
    }

    /// Takes a container's output into the log, from this start on: it may print before the daemon tells that it started.
    fn follow(&mut self, service: &str, id: &str) {
        let nanos = self.over.get(id).map_or("", String::as_str);
        let since = match nanos.len().checked_sub(9) {
            Some(at) if at > 0 => format!("{}.{}", &nanos[..at], &nanos[at..]),
            _ => "0".into(),
        };
        let mut command = stream::call(self.stage, &self.docker, ["logs", "--follow", "--since", &since, id]);
        let mut child = match stream::spawn("logs", &mut command) {
            Ok(child) => child,
            Err(error) => return self.stage.log.system(format!("{service}: {error}")),
        };
        let judge = self.judges.entry(service.to_owned()).or_default().clone();
        let head = if self.nameless == Some(service) { String::new() } else { format!("{service} | ") };
        let log = self.stage.log.clone();
        self.logs.spawn(async move {
            let see = |stream| {
                let judge = judge.clone();
                move |seq, text: &str| {
                    judge.lock().unwrap_or_else(PoisonError::into_inner).see(stream, seq, text)
                }
            };
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let read = async {
                if let Some(pipe) = out {
                    let _ = log.copy_named(Stream::Stdout, &head, pipe, see(Stream::Stdout)).await;
                }
            };
            let read_err = async {
                if let Some(pipe) = err {
                    let _ = log.copy_named(Stream::Stderr, &head, pipe, see(Stream::Stderr)).await;
                }
            };
            tokio::join!(read, read_err);
            let _ = child.wait().await;
        });
    }

    /// What a service printed that is best looked at first.
    pub fn judge(&mut self, service: &str) -> Arc<Mutex<Judge>> {
        self.judges.entry(service.to_owned()).or_default().clone()
    }

    /// The line of a service to look at first.
    pub fn error_of(&self, service: &str) -> Option<ErrorLine> {
        self.judges.get(service)?.lock().unwrap_or_else(PoisonError::into_inner).verdict()
    }

    /// Waits until everything that ended containers printed is in the log; the others go on.
    pub async fn settle(&mut self) {
        let over =
            async { while self.logs.len() > self.running.len() && self.logs.join_next().await.is_some() {} };
        let _ = timeout(LAST_LINES, over).await;
    }

    /// Ends and removes everything, and forgets the file.
    pub async fn take_down(&mut self) {
        let in_time = self.stage.ending.cause().is_none();
        self.end_compose();
        if in_time && !self.running.is_empty() {
            // Each container's own grace, so that what it prints at its end is seen.
            let ids: Vec<String> = self.running.keys().cloned().collect();
            let command = self.docker.command(std::iter::once("stop").chain(ids.iter().map(String::as_str)));
            let stopped = self.docker.finish("stop", command, STOP);
            let _ =
                tokio::select! { done = stopped => done.map(drop), () = self.stage.ending.ended() => Ok(()) };
        }
        let instance = labels::instance(self.stage.data.root());
        // What was asked of the daemon just before Compose was ended may still come.
        let rounds = if self.interrupted { 4 } else { 1 };
        for round in 1..=rounds {
            if in_time && round == 1 {
                self.running.clear();
                self.settle().await;
            }
            match leftovers::remove(&self.docker, &instance, self.stage.tree.cookie()).await {
                Ok(_) if round < rounds => tokio::time::sleep(Duration::from_millis(100)).await,
                Ok(_) => {}
                Err(error) => {
                    self.stage.log.system(format!(
                        "what this test started could not be taken down: {error}. The server removes it when the daemon answers again"
                    ));
                    break;
                }
            }
        }
        if self.built {
            self.remove_images().await;
        }
        self.running.clear();
        let _ = timeout(LAST_LINES, async { while self.logs.join_next().await.is_some() {} }).await;
        self.logs.abort_all();
        self.events = Events::Unasked;
        let _ = std::fs::remove_file(&self.file);
    }

    /// What Compose built was built for this run alone; the layers stay with the builder.
    async fn remove_images(&self) {
        let attempt = format!("label={}={}", labels::ATTEMPT, self.stage.tree.cookie());
        let Ok(listed) = self.docker.ask(&["image", "ls", "--quiet", "--filter", &attempt]).await else {
            return;
        };
        let mut ids: Vec<&str> = listed.stdout.split_ascii_whitespace().collect();
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            let arguments: Vec<&str> = ["image", "rm", "--force"].into_iter().chain(ids).collect();
            let _ = self.docker.ask(&arguments).await; // what stays is an image like any other and goes by its age
        }
    }
}

/// Lines of Compose's own: into the log when they say more than that a container comes or goes.
async fn tell<R: tokio::io::AsyncRead + Unpin>(
    log: crate::sink::LogSink,
    mut lines: Lines<BufReader<R>>,
    last: Arc<Mutex<VecDeque<String>>>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        let words = line.trim();
        let small = ["Container ", "Network ", "Volume "].iter().any(|head| words.starts_with(head));
        if words.is_empty() || small {
            continue;
        }
        log.push(Stream::System, words).await;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(words.to_owned());
        if last.len() > LAST {
            last.pop_front();
        }
    }
}
