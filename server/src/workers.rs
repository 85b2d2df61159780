//! The workers: each has a name, an owner (the tracker) and an ending (the token). They take no input: a nudge only says "look now",
//! and without one they look after a while. A failed look is logged and made again. Of several servers each does what only needs the
//! database; what one is enough for is leased, and what is a machine's is done by servers of that machine's data folder.

use std::{future::Future, path::Path, time::Duration};

use control::{Control, hot::News};
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
    let (c, data) = (control.clone(), data.to_owned());
    spawn(tracker, shutdown, "alive", Duration::from_secs(3), never, move || {
        let (control, data) = (c.clone(), data.clone());
        async move { serve::list(&control, &data).await }
    });
    let nudges = control.nudges().clone();
    let c = control.clone();
    spawn(
        tracker,
        shutdown,
        "intake",
        Duration::from_secs(2),
        {
            let nudges = nudges.clone();
            move || {
                let nudges = nudges.clone();
                async move { nudges.wait_intake().await }
            }
        },
        move || {
            let (control, inbox) = (c.clone(), inbox.clone());
            async move {
                inbox.take_in(&control).await?;
                control.intake().await.map(drop)
            }
        },
    );
    let c = control.clone();
    spawn(
        tracker,
        shutdown,
        "dispatch",
        Duration::from_secs(1),
        {
            let nudges = nudges.clone();
            move || {
                let nudges = nudges.clone();
                async move { nudges.wait_dispatch().await }
            }
        },
        move || {
            let control = c.clone();
            async move { control.dispatch().await.map(drop) }
        },
    );
    let c = control.clone();
    spawn(tracker, shutdown, "reconcile", Duration::from_secs(2), never, move || {
        let control = c.clone();
        async move { control.reconcile().await }
    });
    let c = control.clone();
    spawn(tracker, shutdown, "heads", Duration::from_secs(15), never, move || {
        let control = c.clone();
        async move {
            if control.turn_here("heads", Duration::from_secs(40)).await? {
                control.look_at_heads(false).await?;
            }
            Ok(())
        }
    });
    let c = control.clone();
    spawn(tracker, shutdown, "missed-hooks", Duration::from_secs(300), never, move || {
        let control = c.clone();
        async move {
            if control.turn_here("missed-hooks", Duration::from_secs(310)).await? {
                control.look_at_heads(true).await?;
            }
            Ok(())
        }
    });
    let c = control.clone();
    let nudged = nudges.clone();
    spawn(
        tracker,
        shutdown,
        "forge-hooks",
        Duration::from_secs(60),
        move || {
            let nudges = nudged.clone();
            async move { nudges.wait_hooks().await }
        },
        move || {
            let control = c.clone();
            async move {
                if control.turn("hooks", Duration::from_secs(70)).await? {
                    control.tend_hooks().await?;
                }
                Ok(())
            }
        },
    );
    let c = control.clone();
    let nudged = nudges.clone();
    spawn(
        tracker,
        shutdown,
        "forge-reports",
        Duration::from_secs(2),
        move || {
            let nudges = nudged.clone();
            async move { nudges.wait_reports().await }
        },
        move || {
            let control = c.clone();
            async move {
                if control.turn("reports", Duration::from_secs(15)).await? {
                    control.report().await?;
                }
                Ok(())
            }
        },
    );
    let c = control.clone();
    spawn(tracker, shutdown, "missed-deliveries", Duration::from_secs(300), never, move || {
        let control = c.clone();
        async move {
            if control.turn("missed-deliveries", Duration::from_secs(310)).await? {
                let asked = control.ask_again().await?;
                metrics::counter!("seamless_github_redeliveries_total").increment(asked as u64);
            }
            Ok(())
        }
    });
    let c = control.clone();
    spawn(tracker, shutdown, "ensure", Duration::from_secs(10), never, move || {
        let control = c.clone();
        async move {
            if control.turn_here("ensure", Duration::from_secs(25)).await? {
                control.ensure_deployed().await?;
            }
            Ok(())
        }
    });
    let c = control.clone();
    spawn(tracker, shutdown, "sweep", Duration::from_secs(60), never, move || {
        let control = c.clone();
        async move {
            if control.turn_here("sweep", Duration::from_secs(70)).await? {
                control.sweep().await?;
            }
            Ok(())
        }
    });
    let c = control.clone();
    spawn(tracker, shutdown, "clean", Duration::from_secs(3600), never, move || {
        let control = c.clone();
        async move {
            // Neither waits for the other to succeed. What is retained is the database's, what is cleaned is this folder's.
            let retained = match control.turn("retain", Duration::from_secs(3700)).await? {
                true => control.retain().await.map(drop),
                false => Ok(()),
            };
            if control.turn_here("clean", Duration::from_secs(3700)).await? {
                control.clean().await?;
            }
            retained
        }
    });
    let c = control.clone();
    spawn(tracker, shutdown, "archive", Duration::from_secs(5), never, move || {
        let control = c.clone();
        async move {
            // As long as there is a whole lot of them, without a pause.
            while control.turn("archive", Duration::from_secs(15)).await?
                && control.archive().await? == control::logs::MANY as usize
            {}
            Ok(())
        }
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
        let c = control.clone();
        spawn(tracker, shutdown, "redis", Duration::from_secs(1), never, move || {
            let control = c.clone();
            async move {
                let state = control.hot_state();
                let up = state.is_some_and(|state| state.ails().is_none());
                metrics::gauge!("seamless_redis_up").set(f64::from(u8::from(up)));
                let [hits, misses] = control.hot_reads();
                metrics::counter!("seamless_redis_reads_total", "found" => "yes").absolute(hits);
                metrics::counter!("seamless_redis_reads_total", "found" => "no").absolute(misses);
                control.tell_of_hot().await
            }
        });
    }
    let c = control.clone();
    spawn(tracker, shutdown, "gauges", Duration::from_secs(10), never, move || {
        let control = c.clone();
        async move {
            let gauges = control.gauges().await?;
            metrics::gauge!("seamless_stages_queued").set(gauges.queued as f64);
            metrics::gauge!("seamless_stages_in_progress").set(gauges.in_progress as f64);
            metrics::gauge!("seamless_runs_open").set(gauges.open_runs as f64);
            metrics::gauge!("seamless_github_untold").set(control.forge().await?.untold as f64);
            Ok(())
        }
    });
}

async fn never() {
    std::future::pending().await
}

/// Works at once, then whenever nudged or after `every`.
fn spawn<N, NF, W, WF>(
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
    name: &'static str,
    every: Duration,
    nudged: N,
    work: W,
) where
    N: Fn() -> NF + Send + 'static,
    NF: Future<Output = ()> + Send,
    W: Fn() -> WF + Send + 'static,
    WF: Future<Output = control::Result<()>> + Send,
{
    let shutdown = shutdown.clone();
    tracker.spawn(async move {
        loop {
            if let Err(error) = work().await {
                tracing::error!(
                    worker = name,
                    error = &error as &dyn std::error::Error,
                    "a look failed; it is made again"
                );
                metrics::counter!("seamless_worker_failures_total", "worker" => name).increment(1);
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = nudged() => {}
                () = tokio::time::sleep(every) => {}
            }
        }
        tracing::debug!(worker = name, "worker ended");
    });
}
