//! The hot copy: the newest rows of logs that grow, where many readers can have them without asking the database; and news between
//! servers.
//!
//! Refuses to be believed: a row is durable in the database before it comes here, whatever is missing here is read there, and news
//! say "look again" and nothing else. Losing all of it at any moment loses nothing.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use domain::{RunId, StageId};
use serde_json::json;
use tokio::sync::{Semaphore, broadcast};

use crate::{
    Control,
    error::Result,
    ports::PortError,
    store::events::{self, NewEvent},
};

/// The log of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Log {
    /// The stage.
    pub stage: StageId,
    /// The attempt.
    pub attempt: u32,
}

/// Lines of a log as they lie in the database, see `store::logs::block`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number of its first line.
    pub first: u64,
    /// Number of the line after its last.
    pub next: u64,
    /// The lines.
    pub body: Vec<u8>,
}

/// What servers tell each other: where to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A run has new lines.
    Lines(RunId),
    /// Something changed that the overview shows; of which run, if it is one.
    Changed(Option<RunId>),
    /// Stages may be ready to start.
    Dispatch,
    /// Who listens has missed some: look at everything.
    Missed,
}

/// How the hot copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It takes and gives.
    Answers,
    /// It does neither, for this reason, in words for people.
    Away(String),
    /// It gives what it has, and takes no more.
    Full(String),
}

impl State {
    /// What people are told while something is wrong.
    pub fn ails(&self) -> Option<&str> {
        match self {
            State::Answers => None,
            State::Away(why) | State::Full(why) => Some(why),
        }
    }
}

/// Keeps rows of logs outside of the database, and carries news. Whatever it does takes a fraction of a second, or fails.
#[async_trait]
pub trait Hot: Send + Sync {
    /// Keeps rows of a log for two days.
    async fn put(&self, log: Log, rows: &[Row]) -> Result<(), PortError>;
    /// Rows in order: the last that begins at or before `from`, and up to `most` after it.
    async fn rows(&self, log: Log, from: u64, most: u64) -> Result<Vec<Row>, PortError>;
    /// Tells other servers, soon, or never when they cannot be reached.
    fn tell(&self, news: News);
    /// What other servers tell from now on.
    fn listen(&self) -> broadcast::Receiver<News>;
    /// How it is.
    fn state(&self) -> State;
}

/// Rows of batches on their way to the hot copy at a time; what comes beyond them is left out, and read from the database.
const ON_THE_WAY: usize = 64;

/// The hot copy, where there is one.
#[derive(Clone)]
pub(crate) struct Copy {
    hot: Arc<dyn Hot>,
    turns: Arc<Semaphore>,
    /// How often it had what was asked for, and how often not.
    asked: Arc<[AtomicU64; 2]>,
}

impl Copy {
    pub(crate) fn of(hot: Arc<dyn Hot>) -> Self {
        Self { hot, turns: Arc::new(Semaphore::new(ON_THE_WAY)), asked: Arc::default() }
    }

    pub(crate) fn hot(&self) -> &dyn Hot {
        &*self.hot
    }

    /// Puts rows there in the background, then calls back: whoever is told of the rows should find them. Nobody waits for this.
    pub(crate) fn put(&self, log: Log, rows: Vec<Row>, done: impl FnOnce() + Send + 'static) {
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else { return done() };
        let hot = Arc::clone(&self.hot);
        // It ends by itself, within the fraction of a second that the port allows.
        tokio::spawn(async move {
            if let Err(error) = hot.put(log, &rows).await {
                tracing::debug!(stage = %log.stage, %error, "lines are in the database alone");
            }
            drop(turn);
            done();
        });
    }

    /// Rows that hold line `at` and what comes after it without a hole, none of which goes beyond `end`. Empty when it has none.
    pub(crate) async fn rows(&self, log: Log, at: u64, end: u64, most: u64) -> Vec<Row> {
        let found = self.hot.rows(log, at, most).await.unwrap_or_default();
        let rows = unbroken(found, at, end);
        self.asked[usize::from(rows.is_empty())].fetch_add(1, Ordering::Relaxed);
        rows
    }

    fn asked(&self) -> [u64; 2] {
        [0, 1].map(|which: usize| self.asked[which].load(Ordering::Relaxed))
    }
}

/// After a start it is not told that nothing was reached yet, for so long, in milliseconds.
const SETTLING_MS: i64 = 3_000;

impl Control {
    /// Rows of a run's log are durable: they go into the hot copy, and then whoever follows is told.
    pub(crate) fn tell_of_lines(&self, run: &str, log: Log, rows: Vec<Row>) {
        let Ok(run) = run.parse() else { return };
        let (nudge, table) = (self.nudge.clone(), self.desk.seated(run).map(|table| (table, rows.clone())));
        let told = move || {
            if let Some((table, rows)) = table {
                table.grew(log, rows);
            }
            nudge.lines(run);
        };
        match &self.hot {
            Some(hot) if !rows.is_empty() => hot.put(log, rows, told),
            _ => told(),
        }
    }

    /// How the hot copy is, if there is to be one.
    pub fn hot_state(&self) -> Option<State> {
        self.hot.as_ref().map(|copy| copy.hot().state())
    }

    /// How often the hot copy had what was asked for, and how often not.
    pub fn hot_reads(&self) -> [u64; 2] {
        self.hot.as_ref().map_or([0, 0], Copy::asked)
    }

    /// What other servers tell, if there is a way.
    pub fn news(&self) -> Option<broadcast::Receiver<News>> {
        self.hot.as_ref().map(|copy| copy.hot().listen())
    }

    /// What people should know about this server's surroundings while it lasts, in whole sentences.
    pub fn notices(&self) -> Vec<String> {
        let ails = self.hot_state().and_then(|state| Some(state.ails()?.to_owned()));
        let settled = self.now().since(self.started()) >= SETTLING_MS;
        let told = |why| {
            format!("{why}. Runs and logs go on; everything is read from the database until it is back.")
        };
        ails.filter(|_| settled).map(told).into_iter().collect()
    }

    /// Tells once that the hot copy went away or came back, so that pages show it at once.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tell_of_hot(&self) -> Result<()> {
        let notices = self.notices();
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if *told == notices {
                return Ok(());
            }
            told.clone_from(&notices);
        }
        let kind = if notices.is_empty() { "redis_back" } else { "redis_away" };
        let event = NewEvent { run: None, service: None, kind, payload: json!({ "why": notices.first() }) };
        let tx = self.store.begin().await?;
        events::append(&tx, vec![event], self.now()).await?;
        tx.commit().await?;
        self.nudge.changed(None);
        Ok(())
    }
}

/// Of rows in order those that hold `at` and go on without a hole or an overlap.
pub(crate) fn unbroken(found: Vec<Row>, at: u64, end: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(found.len());
    for row in found {
        let fits = match rows.last() {
            None => row.first <= at && at < row.next,
            Some(last) => row.first == last.next,
        };
        match (fits && row.next <= end, rows.is_empty()) {
            (true, _) => rows.push(row),
            // One that ends before, or a second copy of the same lines: the next may be it.
            (false, true) => {}
            (false, false) if row.first < rows[rows.len() - 1].next => {}
            (false, false) => break,
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: u64, next: u64) -> Row {
        Row { first, next, body: Vec::new() }
    }

    fn kept(rows: &[(u64, u64)], at: u64, end: u64) -> Vec<(u64, u64)> {
        let rows = rows.iter().map(|(first, next)| row(*first, *next)).collect();
        unbroken(rows, at, end).iter().map(|r| (r.first, r.next)).collect()
    }

    #[test]
    fn a_hole_ends_what_is_taken_and_nothing_is_taken_twice() {
        assert_eq!(kept(&[(0, 4), (4, 6), (6, 9)], 5, 9), [(4, 6), (6, 9)]);
        assert_eq!(kept(&[(0, 4), (6, 9)], 2, 9), [(0, 4)], "the hole is the database's");
        assert_eq!(kept(&[(0, 4), (6, 9)], 4, 9), [], "the row before does not hold it");
        assert_eq!(kept(&[(0, 4), (0, 4), (4, 6), (4, 6), (6, 7)], 0, 7), [(0, 4), (4, 6), (6, 7)]);
        assert_eq!(kept(&[(0, 100), (4, 6), (100, 120)], 50, 120), [(0, 100), (100, 120)]);
        assert_eq!(
            kept(&[(0, 4), (4, 6)], 0, 4),
            [(0, 4)],
            "what the database does not know yet is not shown"
        );
    }
}
