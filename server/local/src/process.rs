//! The process target: versions are supervised processes of this machine, each service behind its own keeper.
//!
//! Refuses to hold anything itself: it asks the keeper, passes on what it says, and may die at any moment.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    protocol::{DeployWork, JobVariable, Launch},
    view::Stream,
};
use runner::{LogSink, Started, Stop, Target, TargetError};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::keeper::{
    output::{Hear, LONGEST, Tail, turn_over},
    process::{self, Process},
    spawn::Keepers,
    state::Place,
    supervise::{Waited, healthy},
    version::Version,
    wire::{Answer, End, Line, Request},
};

/// Deploys to processes of this machine.
#[derive(Debug, Clone)]
pub struct ProcessTarget {
    keepers: Keepers,
}

/// How one conversation with a keeper ended.
enum Talked {
    Over(End),
    /// The keeper died before it said how the deploy ended.
    BrokenOff,
}

impl ProcessTarget {
    /// With keepers started this way.
    pub fn new(keepers: Keepers) -> Self {
        Self { keepers }
    }

    async fn talk(
        &self,
        work: &DeployWork,
        log: &LogSink,
        cancel: &CancellationToken,
    ) -> Result<Talked, TargetError> {
        let place = Place::new(&self.keepers.data, &work.launch.service, work.environment);
        let unreachable =
            |e| TargetError::new(format!("the keeper of {} could not be asked: {e}", work.launch.service));
        let mut line: Line = self.keepers.reach(&place).await.map_err(unreachable)?;
        if line.say(&Request::Deploy(Box::new(work.clone()))).await.is_err() {
            return Ok(Talked::BrokenOff);
        }
        let mut hushed = false;
        let (stream, mut to) = line.into_inner().into_split();
        let mut lines = tokio::io::BufReader::new(stream);
        loop {
            let mut bytes = Vec::new();
            let heard = loop {
                tokio::select! {
                    // Reading up to a line end may be broken off and taken up again: what was read stays in `bytes`.
                    read = tokio::io::AsyncBufReadExt::read_until(&mut lines, b'\n', &mut bytes) => break read,
                    () = cancel.cancelled(), if !hushed => {
                        hushed = true;
                        let _ = tokio::io::AsyncWriteExt::shutdown(&mut to).await;
                    }
                }
            };
            if heard.is_err() || bytes.last() != Some(&b'\n') {
                return Ok(Talked::BrokenOff);
            }
            match serde_json::from_slice(&bytes) {
                Ok(Answer::Line { stream, text }) => log.push(stream, text).await,
                Ok(Answer::Deployed(end)) => return Ok(Talked::Over(end)),
                Ok(Answer::Refused(why)) => return Err(TargetError::new(why)),
                Ok(_) => {}
                Err(e) => {
                    return Err(TargetError::new(format!("the keeper says what nobody understands: {e}")));
                }
            }
        }
    }
}

#[async_trait]
impl Target for ProcessTarget {
    async fn deploy(
        &self,
        work: &DeployWork,
        log: &LogSink,
        cancel: &CancellationToken,
    ) -> Result<(), TargetError> {
        for _ in 0..3 {
            match self.talk(work, log, cancel).await? {
                Talked::Over(End::Live) => return Ok(()),
                Talked::Over(End::Failed(why)) => return Err(TargetError::new(why)),
                Talked::Over(End::Cancelled) => {
                    return Err(TargetError::new("the deploy was cancelled; nothing was switched"));
                }
                Talked::BrokenOff if cancel.is_cancelled() => {
                    return Err(TargetError::new("the deploy was cancelled while its keeper was away"));
                }
                // The next keeper knows whether the switch was made; asking for the same deployment again is safe.
                Talked::BrokenOff => log.system("The keeper ended unexpectedly; starting it again."),
            }
        }
        Err(TargetError::new(
            "the keeper of this service ends again and again; look at keeper.log in its folder",
        ))
    }

    async fn start_for_test(
        &self,
        launch: &Launch,
        extra: &[JobVariable],
        cookie: &str,
        log: &LogSink,
    ) -> Result<Started, TargetError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let say = |what: &str, e: &dyn std::fmt::Display| {
            TargetError::new(format!("{}: {what}: {e}", launch.service))
        };
        let port = extra
            .iter()
            .find(|v| v.name == "PORT")
            .and_then(|v| v.value.parse().ok())
            .ok_or_else(|| TargetError::new(format!("{}: no port was chosen for it", launch.service)))?;
        let data = &self.keepers.data;
        let tests = data.join("work").join("tests");
        std::fs::create_dir_all(&tests).map_err(|e| say("no folder could be made for it", &e))?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}-", launch.service))
            .tempdir_in(&tests)
            .map_err(|e| say("no folder could be made for it", &e))?;
        let content = folder.path().join("content");
        let (artifacts, digest, into) = (data.join("artifacts"), launch.artifact.clone(), content.clone());
        tokio::task::spawn_blocking(move || runner::artifact::unpack(&artifacts, &digest, &into))
            .await
            .map_err(|e| say("its artifact could not be unpacked", &e))?
            .map_err(|e| TargetError::new(format!("{}: {e}", launch.service)))?;

        let home = data.join("caches").join(&launch.service).join("home");
        let tmp = folder.path().join("tmp");
        for needed in [&home, &tmp] {
            std::fs::create_dir_all(needed).map_err(|e| say("no folder could be made for it", &e))?;
        }
        let mut variables = process::environment(launch, "test", extra, &home, &tmp);
        variables.insert("SEAMLESS_STAGE_ATTEMPT".into(), cookie.into());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        variables.insert("SEAMLESS_DEPLOYMENT".into(), format!("test-{cookie}-{count}"));
        let output = folder.path().join("output.log");
        let mut tail = Tail::new(output.clone());
        let version = Process::spawn(launch, &content, variables, &output, port)
            .map(Version::Process)
            .map_err(|e| say("it could not be started", &e))?;

        let ear = Named { name: launch.service.clone(), log: log.clone() };
        let waited = healthy(&version, launch, &mut tail, &ear, &CancellationToken::new()).await;
        if let Waited::Failed(why) = waited {
            version.end(GRACE).await;
            return Err(TargetError::new(format!("{}: {why}", launch.service)));
        }
        let quiet = CancellationToken::new();
        let printing = tokio::spawn({
            let quiet = quiet.clone();
            async move {
                while !quiet.is_cancelled() {
                    tokio::select! {
                        () = quiet.cancelled() => {}
                        () = sleep(Duration::from_millis(100)) => {}
                    }
                    ear.hear(tail.look(quiet.is_cancelled())).await;
                    let _ = turn_over(&output, LONGEST);
                }
            }
        });
        let stop = TestVersion { version, quiet, printing, folder: folder.keep() };
        Ok(Started { port, url: format!("http://127.0.0.1:{port}"), stop: Box::new(stop) })
    }
}

/// How long a version under test may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// A stage's log, where several services speak, so each line says which.
struct Named {
    name: String,
    log: LogSink,
}

#[async_trait]
impl Hear for Named {
    async fn hear(&self, lines: Vec<String>) {
        for line in lines {
            self.log.push(Stream::Stdout, format!("{} | {line}", self.name)).await;
        }
    }
}

struct TestVersion {
    version: Version,
    quiet: CancellationToken,
    printing: JoinHandle<()>,
    folder: PathBuf,
}

#[async_trait]
impl Stop for TestVersion {
    async fn stop(self: Box<Self>) {
        self.version.end(GRACE).await;
        self.quiet.cancel();
        let _ = self.printing.await;
        let folder = self.folder;
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
    }
}
