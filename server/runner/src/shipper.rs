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
        let (waiting, closed, pressing) = {
            let journal = log.journal();
            let waiting = journal.spool.next() > next;
            (waiting, journal.closed, journal.closed || journal.spool.unread() >= ENOUGH)
        };
        if !waiting {
            if closed && !log.journal().waits_for_room() {
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
        let read = log.journal().spool.read(next, MOST_LINES, most);
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
