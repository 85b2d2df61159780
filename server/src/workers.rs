//! The workers: each has a name, an owner (the tracker) and an ending (the token). They take no input: a nudge only says "look now",
//! and without one they look after a while. A failed look is logged and made again. Of several servers each does what only needs the
//! database; what one is enough for is leased, and what is a machine's is done by servers of that machine's data folder.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use control::{Control, engine::executions::Executions, hot::News, nudge::Nudge};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{inbox, serve};

/// Starts every worker.
pub fn start(
    control: &Control,
    inbox: inbox::Inbox,
    data: &Path,
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let workers = Workers { control, tracker, shutdown };
    let data = data.to_owned();
    workers.look("alive", 3, Whose::Each, move |control| {
        let data = data.clone();
        async move { serve::list(&control, &data).await }
    });
    let intake = move |control: Control| {
        let inbox = inbox.clone();
        async move {
            inbox.take_in(&control).await?;
            control.intake().await.map(drop)
        }
    };
    workers.look_when("intake", 2, Whose::Each, |n| async move { n.wait_intake().await }, intake);
    workers.look_when(
        "dispatch",
        1,
        Whose::Each,
        |n| async move { n.wait_dispatch().await },
        |c| async move { c.dispatch().await.map(drop) },
    );
    if let Some(engine) = control.executions() {
        let driver = engine.clone();
        workers.look_when(
            "drive",
            1,
            Whose::One(15),
            |n| async move { n.wait_drive().await },
            move |c| {
                let engine = driver.clone();
                async move { c.drive(engine.as_ref()).await }
            },
        );
        workers.listen(engine);
    } else {
        workers.look("let-go", 60, Whose::One(70), |c| async move { c.let_go().await });
    }
    workers.look("reconcile", 2, Whose::Each, |c| async move { c.reconcile().await });
    workers.look("heads", 15, Whose::Folders(40), |c| async move { c.look_at_heads(false).await });
    workers.look("missed-hooks", 300, Whose::Folders(310), |c| async move { c.look_at_heads(true).await });
    if control.acts_on_forge() {
        workers.look_when(
            "forge-hooks",
            60,
            Whose::One(70),
            |n| async move { n.wait_hooks().await },
            |c| async move { c.tend_hooks().await },
        );
        workers.look_when(
            "forge-reports",
            2,
            Whose::One(15),
            |n| async move { n.wait_reports().await },
            |c| async move { c.report().await },
        );
        let count = |asked: usize| {
            metrics::counter!("seamless_github_redeliveries_total").increment(asked as u64);
        };
        workers.look("missed-deliveries", 300, Whose::One(310), move |c| async move {
            c.ask_again().await.map(count)
        });
        workers.look(
            "refused-deliveries",
            5,
            Whose::Each,
            move |c| async move { c.ask_owed().await.map(count) },
        );
    }
    if control.notifies() {
        workers.look_when(
            control::notify::READER,
            2,
            Whose::One(control::notify::TURN.as_secs()),
            |n| async move { n.wait_notices().await },
            |c| async move {
                let sent = c.notify().await?;
                metrics::counter!("seamless_notifications_sent_total").increment(sent as u64);
                Ok(())
            },
        );
    }
    if control.has_sign_in() {
        workers.look("people", 300, Whose::One(310), |c| async move { c.watch_people().await });
    }
    workers.look("ensure", 10, Whose::Folders(25), |c| async move { c.ensure_deployed().await });
    workers.look("sweep", 60, Whose::Folders(70), |c| async move { c.sweep().await });
    // What is retained is the database's, what is cleaned is this folder's.
    workers.look("retain", 3600, Whose::One(3700), |c| async move { c.retain().await.map(drop) });
    workers.look("clean", 3600, Whose::Folders(3700), |c| async move { c.clean().await });
    workers.look("archive", 5, Whose::Each, |c| async move {
        // As long as there is a whole lot of them, without a pause; the lease is taken anew for each lot.
        while c.turn("archive", Duration::from_secs(15)).await?
            && c.archive().await? == control::logs::MANY as usize
        {}
        Ok(())
    });
    if let Some(mut news) = control.news() {
        let (nudges, ending) = (control.nudges().clone(), shutdown.clone());
        tracker.spawn(async move {
            loop {
                let heard = tokio::select! {
                    () = ending.cancelled() => break,
                    heard = news.recv() => heard,
                };
                match heard {
                    Ok(heard) => nudges.heard(heard),
                    Err(RecvError::Lagged(_)) => nudges.heard(News::Missed),
                    Err(RecvError::Closed) => break,
                }
            }
            tracing::debug!(worker = "news", "worker ended");
        });
        workers.look("redis", 1, Whose::Each, |c| async move {
            let up = c.hot_state().is_some_and(|state| state.ails().is_none());
            metrics::gauge!("seamless_redis_up").set(f64::from(u8::from(up)));
            let [hits, misses] = c.hot_reads();
            metrics::counter!("seamless_redis_reads_total", "found" => "yes").absolute(hits);
            metrics::counter!("seamless_redis_reads_total", "found" => "no").absolute(misses);
            c.tell_of_hot().await
        });
    }
    workers.look("gauges", 10, Whose::Each, |c| async move {
        let gauges = c.gauges().await?;
        metrics::gauge!("seamless_stages_queued").set(gauges.queued as f64);
        metrics::gauge!("seamless_stages_in_progress").set(gauges.in_progress as f64);
        metrics::gauge!("seamless_runs_open").set(gauges.open_runs as f64);
        metrics::gauge!("seamless_github_untold").set(c.forge().await?.untold as f64);
        Ok(())
    });
}

/// After so many seconds a server asks again whether work that another has is its own now: as long as a fallen one is believed to live.
const AGAIN: u64 = 15;

/// Whose work it is, where several servers share a database; leases in seconds.
#[derive(Debug, Clone, Copy)]
enum Whose {
    /// Every server's.
    Each,
    /// One server's of each data folder at a time.
    Folders(u64),
    /// One server's at a time.
    One(u64),
}

impl Whose {
    async fn turn(self, control: &Control, name: &str) -> control::Result<bool> {
        match self {
            Whose::Each => Ok(true),
            Whose::Folders(lasts) => control.turn_here(name, Duration::from_secs(lasts)).await,
            Whose::One(lasts) => control.turn(name, Duration::from_secs(lasts)).await,
        }
    }
}

struct Workers<'a> {
    control: &'a Control,
    tracker: &'a TaskTracker,
    shutdown: &'a CancellationToken,
}

impl Workers<'_> {
    /// Takes what an engine tells, as long as there is something; looking waits for it by itself.
    fn listen(&self, engine: Arc<dyn Executions>) {
        let (control, shutdown) = (self.control.clone(), self.shutdown.clone());
        self.tracker.spawn(async move {
            loop {
                let heard = tokio::select! {
                    () = shutdown.cancelled() => break,
                    heard = control.listen(engine.as_ref()) => heard,
                };
                match heard {
                    Ok(heard) => {
                        metrics::counter!("seamless_engine_messages_total").increment(heard.done as u64);
                        metrics::counter!("seamless_engine_messages_aside_total")
                            .increment(heard.aside as u64);
                    }
                    Err(error) => {
                        tracing::error!(
                            worker = "listen",
                            error = &error as &dyn std::error::Error,
                            "the engine cannot be heard; it is tried again"
                        );
                        metrics::counter!("seamless_worker_failures_total", "worker" => "listen")
                            .increment(1);
                        tokio::select! {
                            () = shutdown.cancelled() => break,
                            () = tokio::time::sleep(Duration::from_secs(5)) => {}
                        }
                    }
                }
            }
            tracing::debug!(worker = "listen", "worker ended");
        });
    }

    /// Works at once, then after every so many seconds.
    fn look<W, WF>(&self, name: &'static str, every: u64, whose: Whose, work: W)
    where
        W: Fn(Control) -> WF + Send + 'static,
        WF: Future<Output = control::Result<()>> + Send,
    {
        self.look_when(name, every, whose, |_| std::future::pending(), work);
    }

    /// Works at once, then whenever nudged, or after so many seconds.
    fn look_when<N, NF, W, WF>(&self, name: &'static str, every: u64, whose: Whose, nudged: N, work: W)
    where
        N: Fn(Nudge) -> NF + Send + 'static,
        NF: Future<Output = ()> + Send,
        W: Fn(Control) -> WF + Send + 'static,
        WF: Future<Output = control::Result<()>> + Send,
    {
        let (control, shutdown) = (self.control.clone(), self.shutdown.clone());
        self.tracker.spawn(async move {
            loop {
                let mut pause = every;
                let looked = match whose.turn(&control, name).await {
                    Ok(true) => work(control.clone()).await,
                    other => {
                        // Another's: whether it still lives is asked sooner than the work is due.
                        pause = every.min(AGAIN);
                        other.map(drop)
                    }
                };
                if let Err(error) = looked {
                    tracing::error!(
                        worker = name,
                        error = &error as &dyn std::error::Error,
                        "a look failed; it is made again"
                    );
                    metrics::counter!("seamless_worker_failures_total", "worker" => name).increment(1);
                }
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = nudged(control.nudges().clone()) => {}
                    () = tokio::time::sleep(Duration::from_secs(pause)) => {}
                }
            }
            tracing::debug!(worker = name, "worker ended");
        });
    }
}
