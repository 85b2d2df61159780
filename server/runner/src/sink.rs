//! Where lines of a stage's log go in: masked, numbered, written to the spool, from which the shipper takes them.
//!
//! Refuses to keep lines in memory: what is not yet with the server is on the disk.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use domain::{
    Timestamp,
    protocol::{Behind, LogRules, NewLine},
    service::SHORTEST_SECRET,
    view::Stream,
};
use lines::{
    added::{self, Heard, Listener},
    mask::{Masks, maskable},
    split::{LONGEST, Splitter},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::Notify,
};

use crate::{journal::Journal, spool::Spool};

/// The spool's name in its folder.
pub(crate) const SPOOL: &str = "spool";
/// More than this unsent makes children wait, as long as the server answers; unless they need not, by the log's rules.
const BACKLOG: u64 = 64 << 20;
/// How soon a child that waits for room on the disk is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// A handle to a stage's log; cheap to clone.
#[derive(Clone)]
pub struct LogSink(Arc<Shared>);

struct Shared {
    masks: RwLock<Masks>,
    /// What commands asked to have masked, in order.
    added: Mutex<Vec<String>>,
    journal: Mutex<Journal>,
    /// Lines came in, or the log was closed.
    arrived: Notify,
    /// The server took lines, or went away, or came back.
    moved: Notify,
}

impl LogSink {
    /// The log of a stage, spooled to a file in this folder.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(folder: &Path, masks: Masks, rules: LogRules) -> io::Result<Self> {
        let spool = Spool::create(&folder.join(SPOOL))?;
        Ok(Self::over(Journal::new(spool, folder.to_owned(), rules), masks))
    }

    /// A log of its own that goes nowhere, for tests; [`LogSink::lines`] reads it back.
    ///
    /// # Panics
    /// When no temporary file can be made.
    #[allow(clippy::expect_used)]
    pub fn capture() -> Self {
        let spool = Spool::unnamed().expect("a temporary file");
        Self::over(Journal::new(spool, std::env::temp_dir(), LogRules::default()), Masks::default())
    }

    pub(crate) fn over(journal: Journal, masks: Masks) -> Self {
        let (arrived, moved) = (Notify::new(), Notify::new());
        let (masks, added) = (RwLock::new(masks), Mutex::default());
        Self(Arc::new(Shared { masks, added, journal: Mutex::new(journal), arrived, moved }))
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
        self.journal().acknowledge(next);
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

    /// The secrets that are masked here, as of now.
    pub fn masks(&self) -> Masks {
        self.0.masks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What commands asked to have masked so far: the server is told with every batch, so that it need not remember.
    pub(crate) fn added(&self) -> Vec<String> {
        self.0.added.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Masks these too, from here on; what cannot be masked is said.
    fn mask(&self, values: Vec<String>) {
        let (long, short): (Vec<_>, Vec<_>) = values.into_iter().partition(|value| maskable(value));
        if !short.is_empty() {
            self.system(format!(
                "warning: {} given to ::add-mask:: under {SHORTEST_SECRET} characters: not masked",
                if short.len() == 1 { "a value".into() } else { format!("{} values", short.len()) }
            ));
        }
        let (mut fresh, mut beyond) = (Vec::new(), 0);
        let mut added = self.0.added.lock().unwrap_or_else(PoisonError::into_inner);
        let mut size: usize = added.iter().map(String::len).sum();
        for value in long {
            if added.contains(&value) {
            } else if added.len() < added::MOST && size + value.len() <= added::MOST_BYTES {
                size += value.len();
                added.push(value.clone());
                fresh.push(value);
            } else {
                beyond += 1;
            }
        }
        drop(added);
        if beyond > 0 {
            self.system(format!(
                "warning: {beyond} more given to ::add-mask:: than are masked: at most {} values of {} KiB in all",
                added::MOST,
                added::MOST_BYTES >> 10
            ));
        }
        let mut masks = self.0.masks.write().unwrap_or_else(PoisonError::into_inner);
        *masks = masks.with(fresh.iter().map(String::as_str));
    }

    /// Every line that is still in the spool.
    pub fn lines(&self) -> Vec<NewLine> {
        let mut journal = self.journal();
        let (mut from, mut all) = (journal.first(), Vec::new());
        while let Ok(some) = journal.read(from, 10_000, 1 << 20) {
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
        let (mut listener, mut masker, mut splitter) =
            (Listener::default(), self.masks().stream(), Splitter::default());
        let (mut buffer, mut clear, mut texts) = (vec![0; LONGEST], Vec::new(), Vec::new());
        loop {
            let read = from.read(&mut buffer).await?;
            clear.clear();
            // Another stream may have told of secrets meanwhile.
            masker.follow(&self.masks());
            let mut asked = Vec::new();
            let mut hear = |heard: Heard<'_>| match heard {
                Heard::Text(text) => {
                    if !asked.is_empty() {
                        self.mask(std::mem::take(&mut asked));
                        masker.follow(&self.masks());
                    }
                    masker.feed(text, &mut clear);
                }
                Heard::Mask(value) => asked.push(value),
                Heard::TooLong => self.system(format!(
                    "warning: a value given to ::add-mask:: is longer than {} KiB: not masked",
                    added::LONGEST >> 10
                )),
            };
            listener.feed(&buffer[..read], &mut hear);
            if read == 0 {
                listener.finish(&mut hear);
                masker.finish(&mut clear);
            }
            if !asked.is_empty() {
                self.mask(asked);
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
        splitter.feed(self.masks().text(text).as_bytes(), &mut texts);
        splitter.finish(&mut texts);
        texts.into_iter().map(|text| NewLine { at, stream, text }).collect()
    }

    async fn add(&self, lines: &[NewLine], see: &mut impl FnMut(u64, &str)) {
        let mut rest = lines;
        while !rest.is_empty() {
            let mut moved = std::pin::pin!(self.0.moved.notified());
            moved.as_mut().enable();
            let taken = self.try_add(rest, see);
            rest = &rest[taken..];
            if taken > 0 {
                self.0.arrived.notify_one();
            } else {
                // Lines are taken in only once they are on the disk: until then the child waits.
                let _ = tokio::time::timeout(AGAIN, moved).await;
            }
        }
    }

    /// How many were taken in.
    fn try_add(&self, lines: &[NewLine], see: &mut impl FnMut(u64, &str)) -> usize {
        let mut journal = self.journal();
        let waits = journal.rules().behind == Behind::Wait;
        if waits && journal.reachable && journal.unread() > BACKLOG {
            return 0;
        }
        match journal.add(lines) {
            Ok((count, first)) => {
                drop(journal);
                lines[..count].iter().zip(first..).for_each(|(line, seq)| see(seq, &line.text));
                count
            }
            Err(error) => {
                tracing::warn!(%error, "log lines cannot be spooled for now");
                0
            }
        }
    }
}

/// The moment, in whole milliseconds.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
