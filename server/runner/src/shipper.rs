//! Takes lines from the spool to the server, in order and without a hole, until the server has them all.
//!
//! A line that comes after quiet goes at once. A steady stream goes as often as the server is quick, from ten to fifty times a second, or as
//! soon as 64 KiB are together.

use std::time::Duration;

use domain::protocol::{LogAnswer, LogBatch, NewLine};
use lines::{
    block,
    wire::{self, Head},
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    client::{Backoff, CallError, Client, Fenced},
    sink::LogSink,
};

/// A steady stream goes this often to a server that has better things to do,
const SELDOM: Duration = Duration::from_millis(100);
/// and this often to one that answers at once.
const OFTEN: Duration = Duration::from_millis(20);
/// Between calls lies so many times what one takes: a server with much to do hears from each runner less often.
const SHARE: u32 = 3;
/// So much does not wait.
const ENOUGH: u64 = 64 << 10;
/// Batches that may go at once after quiet: the first lines of a command come in several pieces.
const AT_ONCE: u32 = 4;
/// Text in one batch when many lines wait; the last line may be longer than what is left of it.
const MOST_BYTES: usize = block::MOST_TEXT / 2;
/// Lines in one batch.
const MOST_LINES: usize = block::MOST_LINES / 2;
/// How hard it is squeezed. It is stored as it is sent, and packed again when the stage is over.
const LIGHTLY: i32 = 1;

/// Allows a few sends at once, then one now and then.
struct Pace {
    free: u32,
    since: Instant,
    every: Duration,
}

impl Pace {
    fn refill(&mut self) {
        while self.free < AT_ONCE && self.since.elapsed() >= self.every {
            self.free += 1;
            self.since += self.every;
        }
        if self.free == AT_ONCE {
            self.since = Instant::now();
        }
    }

    fn next(&self) -> Instant {
        if self.free > 0 { self.since } else { self.since + self.every }
    }

    /// A call took so long.
    fn took(&mut self, call: Duration) {
        self.every = (call * SHARE).clamp(OFTEN, SELDOM);
    }
}

/// In which form the server takes lines: packed, until it says that it does not.
struct Form {
    packed: bool,
}

impl Form {
    async fn send(&mut self, client: &Client, batch: LogBatch) -> Result<LogAnswer, CallError> {
        if self.packed
            && let Some(body) = pack(&batch)
        {
            match client.packed(body).await {
                Err(CallError::Unread) => {
                    tracing::info!("the server reads nothing but JSON");
                    self.packed = false;
                }
                answer => return answer,
            }
        }
        client.log(&batch).await
    }
}

fn pack(batch: &LogBatch) -> Option<Vec<u8>> {
    let head = Head { first_seq: batch.first_seq, masks: batch.masks.clone() };
    wire::write(&head, &block::pack(&batch.lines, LIGHTLY).ok()?).ok()
}

/// Ships from this line on until the log is closed and the server has all of it.
///
/// # Errors
/// When this attempt is not the stage's any more.
pub(crate) async fn ship(client: &Client, log: &LogSink, from: u64) -> Result<(), Fenced> {
    let (mut next, mut most) = (from, MOST_BYTES);
    let mut pace = Pace { free: AT_ONCE, since: Instant::now(), every: SELDOM };
    let (mut backoff, mut form) = (Backoff::new(), Form { packed: true });
    loop {
        // Told before the look, so that what comes in between is not slept over.
        let arrived = log.arrived().notified();
        let (waiting, closed, pressing, beside) = {
            let journal = log.journal();
            let waiting = journal.next() > next;
            let pressing = journal.closed || journal.unread() >= ENOUGH;
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
        let read = beside.map_or_else(|| log.journal().read(next, MOST_LINES, most), Ok);
        let lines: Vec<NewLine> = match read {
            Ok(lines) => lines,
            Err(error) => {
                tracing::error!(%error, next, "the spool cannot be read");
                backoff.pause().await;
                continue;
            }
        };
        let count = lines.len();
        let batch = LogBatch { first_seq: next, lines, masks: log.added() };
        pace.free = pace.free.saturating_sub(1);
        let begun = Instant::now();
        let answer = form.send(client, batch).await;
        pace.took(begun.elapsed());
        match answer {
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
            Err(CallError::TooLarge) if count > 1 => most = (most / 2).max(1),
            // It is there: children wait, as they do for one that is slow.
            Err(error @ CallError::Busy(pause)) => {
                tracing::info!(%error, "waiting");
                sleep(pause).await;
            }
            Err(CallError::Fenced(why)) => {
                tracing::warn!(why, "this attempt is over for the server");
                return Err(Fenced);
            }
            Err(error @ (CallError::Away(_) | CallError::TooLarge | CallError::Unread)) => {
                tracing::info!(%error, "asking again");
                log.unreachable();
                backoff.pause().await;
            }
        }
    }
}

/// Where to go on: where the server is, unless that is beyond all there is.
fn follow(log: &LogSink, wanted: u64, next: u64) -> u64 {
    let end = log.journal().next();
    if wanted > end {
        tracing::error!(wanted, end, "the server asks for lines that are not here yet");
        return next;
    }
    wanted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use axum::{Json, Router, routing::post};
    use domain::{
        StageId,
        protocol::{Credentials, LogAnswer, LogRules},
    };

    use super::*;
    use lines::mask::Masks;

    use crate::{journal::Journal, spool::Spool};

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
        let log =
            LogSink::over(Journal::new(full, std::env::temp_dir(), LogRules::default()), Masks::default());
        let shipping = tokio::spawn({
            let log = log.clone();
            async move { ship(&client, &log, 0).await }
        });
        log.system("one");
        while log.journal().acknowledged < 1 {
            tokio::task::yield_now().await;
        }
        log.system("two\nthree");
        log.close();
        shipping.await.unwrap().unwrap();
        assert_eq!(*stored.lock().unwrap(), ["one", "two", "three"]);
        assert_eq!(log.journal().next(), 3);
    }
}
