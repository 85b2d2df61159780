//! Takes lines from the spool to the server, in order and without a hole, until the server has them all.
//!
//! A line that comes after quiet goes at once. A steady stream goes ten times a second, or as soon as 64 KiB are together.

use std::time::Duration;

use domain::protocol::LogBatch;
use tokio::time::{Instant, sleep_until};

use crate::{
    client::{Backoff, CallError, Client, Fenced},
    sink::LogSink,
};

/// A steady stream goes this often.
const EVERY: Duration = Duration::from_millis(100);
/// So much does not wait.
const ENOUGH: u64 = 64 << 10;
/// Batches that may go at once after quiet: the first lines of a command come in several pieces.
const AT_ONCE: u32 = 4;
/// Text in one batch when many lines wait. Written as JSON it may grow to six times that.
const MOST_BYTES: usize = 256 << 10;
/// Lines in one batch.
const MOST_LINES: usize = 4000;

/// Allows a few sends at once, then one per [`EVERY`].
struct Pace {
    free: u32,
    since: Instant,
}

impl Pace {
    fn refill(&mut self) {
        while self.free < AT_ONCE && self.since.elapsed() >= EVERY {
            self.free += 1;
            self.since += EVERY;
        }
        if self.free == AT_ONCE {
            self.since = Instant::now();
        }
    }

    fn next(&self) -> Instant {
        if self.free > 0 { self.since } else { self.since + EVERY }
    }
}

/// Ships until the log is closed and the server has all of it.
///
/// # Errors
/// When this attempt is not the stage's any more.
pub(crate) async fn ship(client: &Client, log: &LogSink) -> Result<(), Fenced> {
    let (mut next, mut most) = (0, MOST_BYTES);
    let mut pace = Pace { free: AT_ONCE, since: Instant::now() };
    let mut backoff = Backoff::new();
    loop {
        // Told before the look, so that what comes in between is not slept over.
        let arrived = log.arrived().notified();
        let (waiting, closed, pressing, beside) = {
            let journal = log.journal();
            let waiting = journal.spool.next() > next;
            let pressing = journal.closed || journal.spool.unread() >= ENOUGH;
            (waiting, journal.closed, pressing, journal.beside(next))
        };
        if !waiting && beside.is_none() {
            if closed {
                return Ok(());
            }
            arrived.await;
            continue;
        }
        pace.refill();
        if !pressing && pace.next() > Instant::now() {
            tokio::select! {
                () = sleep_until(pace.next()) => {}
                () = arrived => {}
            }
            continue;
        }
        let passing = beside.as_ref().map_or(0, Vec::len);
        let read = beside.map_or_else(|| log.journal().spool.read(next, MOST_LINES, most), Ok);
        let lines = match read {
            Ok(lines) => lines,
            Err(error) => {
                tracing::error!(%error, next, "the spool cannot be read");
                backoff.pause().await;
                continue;
            }
        };
        let batch = LogBatch { first_seq: next, lines };
        pace.free = pace.free.saturating_sub(1);
        match client.log(&batch).await {
            Ok(answer) => {
                if passing > 0 {
                    log.journal().passed(next, passing);
                }
                next = follow(log, answer.next_seq, next);
                (backoff, most) = (Backoff::new(), MOST_BYTES);
                log.acknowledge(next);
            }
            Err(CallError::Hole(wanted)) => {
                tracing::info!(wanted, sent = next, "going back to where the server is");
                let there = follow(log, wanted, next);
                if there == next {
                    backoff.pause().await;
                }
                next = there;
            }
            Err(CallError::TooLarge) if batch.lines.len() > 1 => most = (most / 2).max(1),
            Err(CallError::Fenced(why)) => {
                tracing::warn!(why, "this attempt is over for the server");
                return Err(Fenced);
            }
            Err(error @ (CallError::Away(_) | CallError::TooLarge)) => {
                tracing::info!(%error, "asking again");
                log.unreachable();
                backoff.pause().await;
            }
        }
    }
}

/// Where to go on: where the server is, as far as the spool reaches.
fn follow(log: &LogSink, wanted: u64, next: u64) -> u64 {
    let journal = log.journal();
    let (first, end) = (journal.spool.first(), journal.spool.next());
    if wanted < first || wanted > end {
        tracing::error!(wanted, first, end, "the server asks for lines that are not here");
    }
    if wanted > end { next } else { wanted.max(first) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use axum::{Json, Router, routing::post};
    use domain::{
        StageId,
        protocol::{Credentials, LogAnswer},
    };

    use super::*;
    use crate::{journal::Journal, mask::Masks, spool::Spool};

    #[tokio::test]
    async fn without_any_room_on_the_disk_our_own_lines_arrive_all_the_same() {
        let stored = Arc::new(Mutex::new(Vec::new()));
        let store = stored.clone();
        let log = post(move |Json(batch): Json<LogBatch>| async move {
            let mut stored = store.lock().unwrap();
            assert_eq!(batch.first_seq, stored.len() as u64);
            stored.extend(batch.lines.into_iter().map(|l| l.text));
            Json(LogAnswer { next_seq: stored.len() as u64 })
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/runner/v1/log", log)).await });
        let stage = StageId::from_parts(1, 1);
        let credentials = Credentials { server, token: "t".into(), data: String::new(), stage, attempt: 1 };
        let client = Client::new(&credentials).unwrap();

        let full = Spool::create(std::path::Path::new("/dev/full")).unwrap();
        let log = LogSink::over(Journal::new(full), Masks::default());
        let shipping = tokio::spawn({
            let log = log.clone();
            async move { ship(&client, &log).await }
        });
        log.system("one");
        while log.journal().acknowledged < 1 {
            tokio::task::yield_now().await;
        }
        log.system("two\nthree");
        log.close();
        shipping.await.unwrap().unwrap();
        assert_eq!(*stored.lock().unwrap(), ["one", "two", "three"]);
        assert_eq!(log.journal().spool.next(), 3);
    }
}
