//! The keeper's socket: takes requests until there is nothing left to keep.
//!
//! Refuses nobody who can open the socket: it lies in a folder that only its owner may enter.

use std::{fs, os::fd::AsFd, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Shared,
    deploy::Talk,
    spawn::READY,
    wire::{Answer, End, Line, Request},
};

/// A keeper that nobody asks anything and that keeps nothing ends after this.
const BORED: Duration = Duration::from_secs(20);
/// How often the containers' network is looked for.
const GATES: Duration = Duration::from_secs(5);
/// How many lines wait for a deployer who reads slowly.
const BACKLOG: usize = 2_000;

/// Serves requests until the keeper is told to end or has nothing to keep.
pub async fn run(shared: Arc<Shared>) -> anyhow::Result<()> {
    more_files();
    let listener = shared
        .place
        .with_socket(|path| {
            // We hold the lock, so whoever made it is gone.
            let _ = fs::remove_file(path);
            std::os::unix::net::UnixListener::bind(path)
        })
        .context("the control socket cannot be made")?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let log = fs::OpenOptions::new().create(true).append(true).open(shared.place.keeper_log())?;
    println!("{READY}");
    rustix::stdio::dup2_stdout(log.as_fd())?;
    rustix::stdio::dup2_stderr(log.as_fd())?;
    drop(log);
    tracing::info!(service = shared.place.service, environment = %shared.place.environment, "keeper is up");
    shared.restore().await;

    let talks = TaskTracker::new();
    let over = CancellationToken::new();
    let mut gates = tokio::time::interval(GATES);
    gates.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    talks.spawn(talk(shared.clone(), stream, over.clone()));
                }
            }
            () = over.cancelled() => break,
            _ = gates.tick() => shared.tend_gate(),
            _ = terminate.recv() => { shared.close(false).await; break }
            _ = interrupt.recv() => { shared.close(false).await; break }
            () = tokio::time::sleep(BORED), if talks.is_empty() && shared.state().is_idle() => break,
        }
    }
    talks.close();
    let _ = tokio::time::timeout(Duration::from_secs(5), talks.wait()).await;
    let _ = shared.place.with_socket(|path| fs::remove_file(path));
    tracing::info!("keeper ends");
    Ok(())
}

/// Two open files per request are many more than what a login shell allows.
fn more_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map(|most| most.min(65_536)).or(Some(65_536));
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn talk(shared: Arc<Shared>, stream: UnixStream, over: CancellationToken) {
    let mut line = Line::new(stream);
    let answer = match line.hear::<Request>().await {
        Ok(Some(Request::Status)) => {
            shared.tend_gate();
            Answer::Status(shared.report())
        }
        Ok(Some(Request::Tidy(seconds))) => {
            // A deploy tidies up by itself.
            if let Ok(_turn) = shared.turn.try_lock() {
                shared.age_out(Some(Duration::from_secs(seconds))).await;
            }
            Answer::Tidied
        }
        Ok(Some(Request::Stop)) => {
            shared.close(true).await;
            over.cancel();
            Answer::Stopped
        }
        Ok(Some(Request::Deploy(work))) => return deploy(shared, *work, line, over).await,
        Ok(None) => return,
        Err(e) => Answer::Refused(e.to_string()),
    };
    let _ = line.say(&answer).await;
}

async fn deploy(
    shared: Arc<Shared>,
    work: domain::protocol::DeployWork,
    line: Line,
    over: CancellationToken,
) {
    let (mut from, mut to) = line.into_inner().into_split();
    let cancel = shared.closing.child_token();
    let (say, mut said) = mpsc::channel::<Answer>(BACKLOG);
    // The other side's silence is a wish to go on; its end of file a wish to stop.
    let listening = tokio::spawn({
        let cancel = cancel.clone();
        async move {
            let mut byte = [0u8; 1];
            while matches!(from.read(&mut byte).await, Ok(1..)) {}
            cancel.cancel();
        }
    });
    let speaking = tokio::spawn(async move {
        while let Some(answer) = said.recv().await {
            let mut bytes = serde_json::to_vec(&answer).unwrap_or_default();
            bytes.push(b'\n');
            if tokio::io::AsyncWriteExt::write_all(&mut to, &bytes).await.is_err() {
                return;
            }
        }
    });
    let talk = Talk::new(say);
    let end = shared.deploy(work, &talk, &cancel).await;
    tracing::info!(?end, "a deploy is over");
    let nothing_live = shared.state().is_idle() && end != End::Live;
    // A listener who does not read must not keep the keeper.
    let last = async { tokio::join!(talk.end(end), speaking) };
    let _ = tokio::time::timeout(Duration::from_secs(10), last).await;
    listening.abort();
    if nothing_live && shared.turn.try_lock().is_ok() {
        over.cancel();
    }
}
