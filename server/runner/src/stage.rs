//! One stage attempt from its job to its end: the work, and around it the signs of life, the clock, the log and the report.
//!
//! Refuses to end without a report as long as the server may want one: a server that is away is waited for.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use domain::{
    protocol::{Credentials, Finish, Job, Outcome, Outputs, Work},
    service::SHORTEST_SECRET,
};
use futures::FutureExt;
use lines::mask::{Masks, maskable};
use tokio::{
    task::JoinSet,
    time::{interval, sleep, timeout},
};

use crate::{
    client::{CallError, Client},
    context::{Context, cannot},
    docker::{Docker, labels, leftovers},
    ending::{Cause, Ending},
    paths::Data,
    reason::{Failure, limit},
    shipper,
    sink::{LogSink, SPOOL},
    target::Target,
    tree::{self, Tree, Undertaker},
    work,
};

/// How an attempt ended for its runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server was told, whatever it was.
    Reported(Outcome),
    /// The credentials are of no use.
    NoCredentials,
    /// The server knows this attempt no more; everything it started is gone.
    Fenced,
    /// It was told to stop before there was anything to report.
    Stopped,
}

impl End {
    /// The exit code of a runner that the server started.
    pub fn code(self) -> i32 {
        match self {
            End::Reported(_) => 0,
            End::NoCredentials => 2,
            End::Fenced => 3,
            End::Stopped => 143,
        }
    }
}

/// How often the server is told that this runner lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a deploy may take to undo itself when it is told to stop.
const UNDO: Duration = Duration::from_secs(60);

/// Whose processes belong to the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// This process is a subreaper and does nothing but this stage: every descendant is the stage's.
    All,
    /// Other things go on in this process: only what carries the cookie is the stage's.
    Cookie,
}

/// Does one stage attempt.
pub async fn attempt(
    credentials: &Credentials,
    target: Arc<dyn Target>,
    ending: Ending,
    adoption: Adoption,
) -> End {
    let client = match Client::new(credentials) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error, "no way to the server");
            return End::NoCredentials;
        }
    };
    let job = tokio::select! {
        job = client.job() => job,
        () = ending.ended() => return End::Stopped,
    };
    let Ok(job) = job else { return End::Fenced };
    let data = Data::new(&credentials.data);
    let folder = data.stage(credentials.stage, credentials.attempt);
    let masks = Masks::new(job.secrets().map(|v| v.value.as_str()).chain(job.passwords()));
    let log = match std::fs::create_dir_all(&folder).and_then(|()| LogSink::open(&folder, masks, job.log)) {
        Ok(log) => log,
        Err(error) => {
            return report(
                &client,
                None,
                failed(cannot("write", &folder.join(SPOOL), &error), &ending, &job, 0),
            )
            .await;
        }
    };
    for short in job.secrets().filter(|v| !maskable(&v.value)) {
        log.system(format!(
            "warning: the secret {} is too short to be masked in this log: give it {SHORTEST_SECRET} characters or more",
            short.name
        ));
    }

    let mut helpers = JoinSet::new();
    helpers.spawn(beat(client.clone(), ending.clone(), adoption));
    helpers.spawn(watch_clock(ending.clone(), Duration::from_secs(u64::from(job.timeout_s))));
    let shipping = tokio::spawn({
        let (client, log, ending) = (client.clone(), log.clone(), ending.clone());
        async move {
            let shipped = shipper::ship(&client, &log, 0).await;
            if shipped.is_err() {
                ending.end(Cause::Fenced);
            }
            shipped
        }
    });

    let cookie = format!("{}.{}", credentials.stage, credentials.attempt);
    // What a deploy starts stays, and is a child of this process for as long as this process lives.
    let tree = match (&job.work, adoption) {
        (Work::Deploy(_), _) | (_, Adoption::Cookie) => Tree::new(cookie),
        (_, Adoption::All) => Tree::adopting(cookie),
    };
    let stage = Context { job, data, log: log.clone(), tree, ending: ending.clone() };
    let mut outputs = Outputs::default();
    let result = perform(&stage, target, &mut outputs).await;
    match (ending.cause(), &stage.job.work) {
        (Some(_), _) => drop(stage.tree.end(tree::GRACE).await),
        // A deploy that ended by itself leaves nothing but what it deployed.
        (None, Work::Deploy(_)) => {}
        (None, _) => drop(stage.tree.end(Duration::from_secs(2)).await),
    }

    if result.is_err() && may_have_containers(&stage.job) {
        let instance = labels::instance(stage.data.root());
        // One that cannot be removed now is removed by the server's sweep.
        if let Err(error) = leftovers::remove(&Docker::here(), &instance, stage.tree.cookie()).await {
            tracing::warn!(%error, "containers of this stage could not be removed");
        }
    }

    if ending.cause() == Some(Cause::Fenced) {
        return End::Fenced;
    }
    let mut finish = match result {
        Ok(()) => Finish {
            outcome: Outcome::Success,
            reason: None,
            error: None,
            exit_code: None,
            lines: 0,
            outputs: Outputs::default(),
        },
        Err(failure) => {
            let finish = failed(failure, &ending, &stage.job, 0);
            log.system(finish.reason.as_deref().unwrap_or("failed"));
            finish
        }
    };
    finish.outputs = outputs;
    finish.reason = finish.reason.map(|reason| log.masks().text(&reason).into_owned());
    log.close();
    if let Some(error) = &mut finish.error {
        error.seq = log.journal().place(error.seq);
    }
    if !matches!(shipping.await, Ok(Ok(()))) {
        return End::Fenced;
    }
    finish.lines = log.journal().next();
    let displaced = ending.cause() == Some(Cause::Displaced) && finish.outcome != Outcome::Success;
    if displaced && !matches!(stage.job.work, Work::Deploy(_)) {
        // Its lines are safe, and another task does it again. A deploy is not done again unasked: that it was undone is its verdict.
        return End::Stopped;
    }
    let end = report(&client, Some(&log), finish).await;
    let _ = std::fs::remove_file(folder.join(SPOOL)); // the server has all of it; what stays is cleaned with the folder
    helpers.shutdown().await;
    end
}

async fn report(client: &Client, log: Option<&LogSink>, finish: Finish) -> End {
    loop {
        match (client.finish(&finish).await, log) {
            (Ok(None), _) => return End::Reported(finish.outcome),
            // It has forgotten lines that it had, as one does that was restored from a backup.
            (Ok(Some(wanted)), Some(log)) if shipper::ship(client, log, wanted).await.is_ok() => {}
            _ => return End::Fenced,
        }
    }
}

/// The work itself; a fault of ours in it is a failure like any other.
async fn perform(stage: &Context, target: Arc<dyn Target>, outputs: &mut Outputs) -> Result<(), Failure> {
    let deploys = matches!(stage.job.work, Work::Deploy(_));
    let doing = AssertUnwindSafe(work::perform(stage, target.as_ref(), outputs)).catch_unwind();
    tokio::pin!(doing);
    let done = tokio::select! {
        done = &mut doing => Ok(done),
        // Everything else hears of the end by itself and takes its processes down; this is for what does not.
        () = async {
            stage.ending.ended().await;
            sleep(if deploys { UNDO } else { tree::GRACE * 2 }).await;
        } => Err(()),
    };
    match done {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => {
            Err(Failure::new("the runner failed while it worked on this stage; its own log says where"))
        }
        Err(()) => Err(Failure::new("ended")),
    }
}

fn failed(failure: Failure, ending: &Ending, job: &Job, lines: u64) -> Finish {
    let title = job.kind.title();
    let (outcome, reason) = match ending.cause() {
        None | Some(Cause::Fenced) => (Outcome::Failure, failure.reason),
        Some(Cause::Cancelled) => (Outcome::Cancelled, "cancelled".into()),
        Some(Cause::Stopped) => (Outcome::Cancelled, "the runner was told to stop".into()),
        Some(Cause::Displaced) => {
            (Outcome::Failure, "the machine it ran on goes away, and the task with it".into())
        }
        Some(Cause::TimedOut) => (
            Outcome::Failure,
            format!(
                "{title} did not end within {}: see what it waited for, or raise the service's stage timeout",
                limit(job.timeout_s)
            ),
        ),
    };
    let error = failure.error.filter(|_| outcome == Outcome::Failure);
    let exit_code = failure.exit_code.filter(|_| outcome == Outcome::Failure);
    Finish { outcome, reason: Some(reason), error, exit_code, lines, outputs: Outputs::default() }
}

/// Whether this stage starts containers that must not outlive it.
fn may_have_containers(job: &Job) -> bool {
    match &job.work {
        Work::Deploy(_) => false,
        Work::Integrate { candidate, neighbours, .. } => {
            std::iter::once(candidate).chain(neighbours).any(|launch| launch.container.is_some())
        }
        _ => job.toolchain.is_some(),
    }
}

async fn beat(client: Client, ending: Ending, adoption: Adoption) {
    let mut ticks = interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await; // asking for the job was the first
    let mut undertaker = Undertaker::default();
    for round in 1u64.. {
        ticks.tick().await;
        match client.heartbeat().await {
            Ok(answer) if answer.cancel => ending.end(Cause::Cancelled),
            Err(CallError::Fenced(_)) => ending.end(Cause::Fenced),
            _ => {}
        }
        if adoption == Adoption::All && round.is_multiple_of(5) {
            undertaker.visit();
        }
    }
}

async fn watch_clock(ending: Ending, limit: Duration) {
    if timeout(limit, ending.ended()).await.is_err() {
        ending.end(Cause::TimedOut);
    }
}
