//! Where lines of a stage's log go in: masked, numbered, written to the spool, from which the shipper takes them.
//!
//! Refuses to keep lines in memory: what is not yet with the server is on the disk.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{Timestamp, protocol::NewLine, view::Stream};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::Notify,
};

use crate::{
    journal::Journal,
    lines::{LONGEST, Splitter},
    mask::Masks,
    spool::Spool,
};

/// More than this unsent makes children wait, as long as the server answers.
const BACKLOG: u64 = 64 << 20;
/// How soon a child that waits for room on the disk is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// A handle to a stage's log; cheap to clone.
#[derive(Clone)]
pub struct LogSink(Arc<Shared>);

struct Shared {
    masks: Masks,
    journal: Mutex<Journal>,
    /// Lines came in, or the log was closed.
    arrived: Notify,
    /// The server took lines, or went away, or came back.
    moved: Notify,
}

impl LogSink {
    /// The log of a stage, spooled to this file.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(spool: &Path, masks: Masks) -> io::Result<Self> {
        Ok(Self::over(Journal::new(Spool::create(spool)?), masks))
    }

    /// A log of its own that goes nowhere, for tests; [`LogSink::lines`] reads it back.
    ///
    /// # Panics
    /// When no temporary file can be made.
    #[allow(clippy::expect_used)]
    pub fn capture() -> Self {
        Self::over(Journal::new(Spool::unnamed().expect("a temporary file")), Masks::default())
    }

    pub(crate) fn over(journal: Journal, masks: Masks) -> Self {
        let (arrived, moved) = (Notify::new(), Notify::new());
        Self(Arc::new(Shared { masks, journal: Mutex::new(journal), arrived, moved }))
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.0.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines came in, or the log was closed.
    pub(crate) fn arrived(&self) -> &Notify {
        &self.0.arrived
    }

    /// The server has everything before `next`.
    pub(crate) fn acknowledge(&self, next: u64) {
        let mut journal = self.journal();
        journal.acknowledged = next;
        journal.reachable = true;
        journal.spool.acknowledge(next);
        journal.settle();
        drop(journal);
        self.0.moved.notify_waiters();
    }

    /// The server does not answer: children need not wait for it.
    pub(crate) fn unreachable(&self) {
        self.journal().reachable = false;
        self.0.moved.notify_waiters();
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        self.journal().close();
        self.0.arrived.notify_one();
    }

    /// The secrets that are masked here.
    pub fn masks(&self) -> &Masks {
        &self.0.masks
    }

    /// Every line that is still in the spool.
    pub fn lines(&self) -> Vec<NewLine> {
        let mut journal = self.journal();
        let (mut from, mut all) = (journal.spool.first(), Vec::new());
        while let Ok(some) = journal.spool.read(from, 10_000, 1 << 20) {
            if some.is_empty() {
                break;
            }
            from += some.len() as u64;
            all.extend(some);
        }
        all
    }

    /// Says something in Seamless's own name.
    pub fn system(&self, text: impl AsRef<str>) {
        self.line(Stream::System, text);
    }

    /// Adds a few lines. Secrets that go over several calls are not found: for a child's output, [`LogSink::copy`] is the
    /// way.
    pub fn line(&self, stream: Stream, text: impl AsRef<str>) {
        let lines = self.prepared(stream, text.as_ref());
        self.journal().add_own(lines);
        self.0.arrived.notify_one();
    }

    /// Adds what a child printed, and waits when the server does not keep up or the disk is full.
    pub async fn push(&self, stream: Stream, text: impl AsRef<str>) {
        let lines = self.prepared(stream, text.as_ref());
        self.add(&lines, &mut |_, _| ()).await;
    }

    /// Takes in a child's output until it ends, masked and cut into lines; waits when the server does not keep up.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn copy(&self, stream: Stream, from: impl AsyncRead + Unpin) -> io::Result<()> {
        self.copy_seen(stream, from, |_, _| ()).await
    }

    /// The same, with each line shown together with its number.
    pub(crate) async fn copy_seen(
        &self,
        stream: Stream,
        from: impl AsyncRead + Unpin,
        see: impl FnMut(u64, &str),
    ) -> io::Result<()> {
        self.copy_named(stream, "", from, see).await
    }

    /// The same for a log in which several speak: `head` says who, at the beginning of each line. It is not shown to `see`.
    pub(crate) async fn copy_named(
        &self,
        stream: Stream,
        head: &str,
        mut from: impl AsyncRead + Unpin,
        mut see: impl FnMut(u64, &str),
    ) -> io::Result<()> {
        let mut see = |seq, text: &str| see(seq, text.strip_prefix(head).unwrap_or(text));
        let (mut masker, mut splitter) = (self.0.masks.stream(), Splitter::default());
        let (mut buffer, mut clear, mut texts) = (vec![0; LONGEST], Vec::new(), Vec::new());
        loop {
            let read = from.read(&mut buffer).await?;
            clear.clear();
            masker.feed(&buffer[..read], &mut clear);
            if read == 0 {
                masker.finish(&mut clear);
            }
            splitter.feed(&clear, &mut texts);
            if read == 0 {
                splitter.finish(&mut texts);
            }
            if !texts.is_empty() {
                let at = now();
                let named = |text: String| if head.is_empty() { text } else { format!("{head}{text}") };
                let lines: Vec<_> =
                    texts.drain(..).map(|text| NewLine { at, stream, text: named(text) }).collect();
                self.add(&lines, &mut see).await;
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    fn prepared(&self, stream: Stream, text: &str) -> Vec<NewLine> {
        let (mut splitter, mut texts, at) = (Splitter::default(), Vec::new(), now());
        splitter.feed(self.0.masks.text(text).as_bytes(), &mut texts);
        splitter.finish(&mut texts);
        texts.into_iter().map(|text| NewLine { at, stream, text }).collect()
    }

    async fn add(&self, lines: &[NewLine], see: &mut impl FnMut(u64, &str)) {
        loop {
            let mut moved = std::pin::pin!(self.0.moved.notified());
            moved.as_mut().enable();
            if self.try_add(lines, see) {
                self.0.arrived.notify_one();
                return;
            }
            // Lines are taken in only once they are on the disk: until then the child waits.
            let _ = tokio::time::timeout(AGAIN, moved).await;
        }
    }

    fn try_add(&self, lines: &[NewLine], see: &mut impl FnMut(u64, &str)) -> bool {
        let mut journal = self.journal();
        if journal.reachable && journal.spool.unread() > BACKLOG {
            return false;
        }
        let before = journal.spool.next();
        if let Err(error) = journal.add(lines) {
            tracing::warn!(%error, "log lines cannot be spooled for now");
            return false;
        }
        let first = journal.spool.next().saturating_sub(lines.len() as u64).max(before);
        lines.iter().zip(first..).for_each(|(line, seq)| see(seq, &line.text));
        true
    }
}

/// The moment, in whole milliseconds.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
