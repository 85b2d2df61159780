//! Lines on their way into the database: checked and packed beside the async threads, then stored together with whatever else waits.
//!
//! Nothing waits for others to come: whoever is first is stored at once, and what comes meanwhile goes into the next transaction as one
//! group. Acknowledged is what is committed, nothing else. What is on its way is bounded in bytes; who finds no room is told when to come
//! again. See [ADR 10](../../../docs/adr/0010-lines-are-stored-as-they-are-sent.md).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use domain::protocol::{LogAnswer, LogBatch};
use lines::{
    block::{self, Unfit},
    mask::Masks,
    wire,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    Control,
    error::{Error, Result},
    hot::Log,
    runner::Proven,
    store::logs::{self, Batch, LIGHTLY, Piece, Stored},
};

/// Batches that one transaction stores at most,
const GROUP: usize = 128;
/// and bytes.
const GROUP_BYTES: usize = 8 << 20;
/// Work on bodies up to this size is done at once; on larger ones beside the async threads.
const SMALL: usize = 8 << 10;
/// How long a call waits for room before it is sent away.
const PATIENCE: Duration = Duration::from_secs(2);
/// Calls that wait for room at most; each holds a connection and no body.
const WAITING: usize = 1024;
/// What even the smallest batch takes while it is worked on, in KiB.
const LEAST_KIB: u64 = 16;
/// What the largest batch takes, in KiB.
const MOST_KIB: u64 = 16 << 10;

/// Room in memory for one batch, until it is stored.
#[derive(Debug)]
pub struct Room(#[allow(dead_code)] OwnedSemaphorePermit);

struct Waiting {
    batch: Batch,
    answer: oneshot::Sender<Result<Stored>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Tasks that take from it.
    writers: usize,
}

/// What is on its way.
pub(crate) struct Ingest {
    queue: Mutex<Queue>,
    room: Arc<Semaphore>,
    asking: AtomicUsize,
}

impl Ingest {
    /// With room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let kib = (bytes >> 10).clamp(MOST_KIB as usize, Semaphore::MAX_PERMITS);
        Self { queue: Mutex::default(), room: Arc::new(Semaphore::new(kib)), asking: AtomicUsize::new(0) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next group; none when nothing waits.
    fn group(&self) -> Vec<Waiting> {
        let (mut queue, mut group, mut size) = (self.queue(), Vec::new(), 0);
        while let Some(next) = queue.waiting.front() {
            size += next.batch.pieces.iter().map(|p| p.body.len()).sum::<usize>();
            if group.len() == GROUP || (size > GROUP_BYTES && !group.is_empty()) {
                break;
            }
            group.extend(queue.waiting.pop_front());
        }
        group
    }
}

/// One of the tasks that store; however it ends, the next batch finds that it is gone.
struct Writer {
    control: Control,
    counted: bool,
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.counted {
            self.control.ingest.queue().writers -= 1;
        }
    }
}

impl Writer {
    /// Stores what waits, group by group, until nothing does.
    async fn write(mut self) {
        loop {
            let group = self.control.ingest.group();
            if !group.is_empty() {
                store(&self.control, group).await;
                continue;
            }
            let mut queue = self.control.ingest.queue();
            if queue.waiting.is_empty() {
                // Given up under the lock: who comes next sees it and makes another.
                queue.writers -= 1;
                self.counted = false;
                return;
            }
        }
    }
}

async fn store(control: &Control, group: Vec<Waiting>) {
    let (batches, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|w| (w.batch, w.answer)).unzip();
    let results = match commit(control, &batches).await {
        Ok(results) => results,
        Err(error) if batches.len() == 1 => vec![Err(error)],
        Err(error) => {
            // One that the database does not take must not hold up the others.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                batches = batches.len(),
                "stored one by one"
            );
            let mut results = Vec::with_capacity(batches.len());
            for batch in &batches {
                let alone = commit(control, std::slice::from_ref(batch)).await;
                results.push(
                    alone.and_then(|mut one| one.pop().unwrap_or_else(|| Err(Error::internal("no answer")))),
                );
            }
            results
        }
    };
    for (answer, result) in answers.into_iter().zip(results) {
        let _ = answer.send(result); // who asked may have gone; the lines are stored all the same
    }
}

async fn commit(control: &Control, batches: &[Batch]) -> Result<Vec<Result<Stored>>> {
    let tx = control.store.begin().await?;
    let results = logs::append(&tx, batches, control.now()).await?;
    tx.commit().await?;
    Ok(results)
}

impl Ingest {
    /// Room for a batch whose body has so many bytes; as much as the largest takes when that is not known.
    async fn room(&self, bytes: Option<u64>) -> Result<Room> {
        let busy = Error::Busy { after_s: 1 };
        // Unpacked it is several times that.
        let kib = bytes.map_or(MOST_KIB, |bytes| (bytes >> 10).saturating_mul(8)).clamp(LEAST_KIB, MOST_KIB);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        if let Ok(permit) = self.room.clone().try_acquire_many_owned(kib) {
            return Ok(Room(permit));
        }
        let asking = Asking::count(&self.asking);
        if asking.before >= WAITING {
            return Err(busy);
        }
        match tokio::time::timeout(PATIENCE, self.room.clone().acquire_many_owned(kib)).await {
            Ok(Ok(permit)) => Ok(Room(permit)),
            _ => Err(busy),
        }
    }
}

/// One of those who wait for room, also if it goes away meanwhile.
struct Asking<'a> {
    all: &'a AtomicUsize,
    before: usize,
}

impl<'a> Asking<'a> {
    fn count(all: &'a AtomicUsize) -> Self {
        Self { all, before: all.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Control {
    /// Room for a batch whose body has so many bytes, as far as that is known.
    ///
    /// # Errors
    /// [`Error::Busy`] when there is none for a while: the database does not keep up.
    pub async fn log_room(&self, bytes: Option<u64>) -> Result<Room> {
        self.ingest.room(bytes).await
    }

    /// Stores log lines.
    pub async fn log(&self, proven: &Proven, _room: &Room, batch: LogBatch) -> Result<LogAnswer> {
        let masks = self.masks(proven, &batch.masks).await?;
        let size = batch.lines.iter().map(|l| l.text.len()).sum();
        let first_seq = batch.first_seq;
        let pieces = aside(size, move || packed(&batch, &masks)).await?;
        self.keep(proven, first_seq, pieces).await
    }

    /// Stores log lines that came as they are stored; see [`lines::wire`].
    pub async fn log_packed(&self, proven: &Proven, _room: &Room, body: Bytes) -> Result<LogAnswer> {
        let unread = |_| Error::field("body", "is no batch of lines");
        let (head, from) = wire::read(&body).map_err(unread)?;
        let masks = self.masks(proven, &head.masks).await?;
        let piece = aside(body.len(), move || checked(&body[from..], &masks)).await?;
        self.keep(proven, head.first_seq, vec![piece]).await
    }

    async fn keep(&self, proven: &Proven, first_seq: u64, pieces: Vec<Piece>) -> Result<LogAnswer> {
        let batch = Batch { stage: proven.stage, attempt: proven.attempt, first_seq, pieces };
        let (answer, answered) = oneshot::channel();
        let most = self.store.writers();
        let another = {
            let mut queue = self.ingest.queue();
            queue.waiting.push_back(Waiting { batch, answer });
            let another = queue.writers < most;
            queue.writers += usize::from(another);
            another
        };
        if another {
            // It ends by itself as soon as nothing waits, and everything that waits is somebody's open call.
            tokio::spawn(Writer { control: self.clone(), counted: true }.write());
        }
        let stored = answered.await.map_err(|_| Error::internal("lines were not stored"))??;
        self.tell_of_lines(&proven.run, Log { stage: proven.stage, attempt: proven.attempt }, stored.rows);
        Ok(LogAnswer { next_seq: stored.next_seq })
    }
}

/// Does what keeps a core busy: small work at once, the rest beside the async threads.
async fn aside<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if size <= SMALL {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

fn packed(batch: &LogBatch, masks: &Masks) -> Result<Vec<Piece>> {
    block::cut(&batch.lines)
        .map(|lines| {
            let body = block::pack(lines, LIGHTLY)?;
            let text = if masks.is_empty() { None } else { masks.lines(&block::text(&body)?) };
            let body = match text {
                Some(text) => block::with_text(&body, &text, LIGHTLY)?,
                None => body,
            };
            Ok(Piece { lines: lines.len() as u64, body })
        })
        .collect()
}

fn checked(body: &[u8], masks: &Masks) -> Result<Piece> {
    let checked = block::check(body).map_err(|unfit| match unfit {
        Unfit::Damaged => Error::field("body", unfit.to_string()),
        Unfit::TooLarge => Error::TooLarge(unfit.to_string()),
    })?;
    let body = match masks.lines(&checked.text) {
        Some(text) => block::with_text(body, &text, LIGHTLY)?,
        None => body.to_vec(),
    };
    Ok(Piece { lines: checked.lines, body })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn who_finds_no_room_is_told_when_to_come_again() {
        let ingest = Ingest::new(32 << 20);
        let first = ingest.room(None).await.unwrap();
        let _second = ingest.room(Some(64 << 20)).await.unwrap();
        assert!(
            matches!(ingest.room(Some(100)).await, Err(Error::Busy { after_s: 1 })),
            "all of it is taken"
        );
        let (third, ()) = tokio::join!(ingest.room(Some(100)), async { drop(first) });
        assert!(third.is_ok(), "who waits gets what somebody gives back");
        assert_eq!(ingest.asking.load(Ordering::Relaxed), 0);
    }
}
