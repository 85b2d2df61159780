//! Where followers of one run meet: what a thousand of them want to know after a nudge is found out once, and the newest lines are
//! unpacked once.
//!
//! Refuses to remember: everything here is a moment old, of a bounded size, and gone with the last follower.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex as Lock, PoisonError, Weak},
    time::{Duration, Instant},
};

use domain::{RunId, Status, live::LiveEvent, view::LogLine};
use tokio::sync::Mutex;

use crate::{
    Control,
    error::Result,
    hot::Log,
    logs::{self, Which},
    store::{self, events, runs},
};

/// Without a nudge, what is known counts for so long.
const FRESH: Duration = Duration::from_millis(500);
/// Pieces of logs that are kept unpacked.
const PIECES: usize = 8;

/// The tables at which somebody sits.
#[derive(Default)]
pub(crate) struct Desk(Lock<HashMap<RunId, Weak<Table>>>);

/// Followers of one run.
pub(crate) struct Table {
    run: RunId,
    facts: Mutex<Option<Known>>,
    changes: Mutex<Option<Arc<Changes>>>,
    pieces: Mutex<VecDeque<Piece>>,
}

struct Known {
    nudged: u64,
    at: Instant,
    facts: Arc<Facts>,
}

/// How a run stands.
pub(super) struct Facts {
    /// Whether it is at its end.
    pub over: bool,
    /// The number of its newest event.
    pub event: i64,
    /// The log of each attempt so far.
    pub logs: Vec<Growing>,
}

/// A log, and under what a cursor knows it.
pub(super) struct Growing {
    /// Ordinal of its stage, and the attempt.
    pub key: (u8, u32),
    /// The log, and how long it is.
    pub which: Which,
}

/// What happened to a run after an event.
pub(super) struct Changes {
    after: i64,
    /// The last of it.
    pub event: i64,
    /// The messages that tell of it.
    pub told: Vec<LiveEvent>,
}

struct Piece {
    log: Log,
    lines: Arc<Vec<LogLine>>,
}

impl Desk {
    /// Sits down at a run's table.
    pub(crate) fn table(&self, run: RunId) -> Arc<Table> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(&run).and_then(Weak::upgrade) {
            return table;
        }
        tables.retain(|_, table| table.strong_count() > 0);
        let table = Arc::new(Table {
            run,
            facts: Mutex::default(),
            changes: Mutex::default(),
            pieces: Mutex::default(),
        });
        tables.insert(run, Arc::downgrade(&table));
        table
    }
}

impl Table {
    /// How the run stands, not before the nudge of that number.
    pub(super) async fn facts(&self, control: &Control, nudged: u64) -> Result<Arc<Facts>> {
        let mut known = self.facts.lock().await;
        if let Some(known) = known.as_ref().filter(|k| k.nudged == nudged && k.at.elapsed() < FRESH) {
            return Ok(Arc::clone(&known.facts));
        }
        let at = Instant::now();
        let facts = Arc::new(self.find_out(control).await?);
        *known = Some(Known { nudged, at, facts: Arc::clone(&facts) });
        Ok(facts)
    }

    async fn find_out(&self, control: &Control) -> Result<Facts> {
        let db = control.store.read();
        let row = runs::get(db, self.run).await?;
        let stages =
            runs::stages_of(db, std::slice::from_ref(&row.id)).await?.remove(&row.id).unwrap_or_default();
        let over = row.status.parse::<Status>()?.is_terminal();
        let hot = row.ended_at.is_none_or(|at| control.now().0 - at < logs::HOT_MS);
        let mut all = Vec::new();
        for stage in stages {
            let (id, current) = (stage.id.parse()?, stage.attempt as u32);
            for attempt in 1..=current {
                let lines = match attempt == current {
                    true => stage.lines as u64,
                    false => store::logs::count(db, id, attempt).await?,
                };
                let complete = attempt < current || stage.status != Status::InProgress.as_str();
                let which = Which { log: Log { stage: id, attempt }, complete, lines, hot };
                all.push(Growing { key: (stage.ordinal as u8, attempt), which });
            }
        }
        // Last: what it tells of is at least as new as everything above.
        let event = events::newest_of(db, &row.id).await?;
        Ok(Facts { over, event, logs: all })
    }

    /// What happened after one event up to another.
    pub(super) async fn changes(&self, control: &Control, after: i64, to: i64) -> Result<Arc<Changes>> {
        let mut known = self.changes.lock().await;
        if let Some(known) = known.as_ref().filter(|k| k.after == after && k.event >= to) {
            return Ok(Arc::clone(known));
        }
        let db = control.store.read();
        let news = events::after(db, after, Some(&self.run.to_string()), 500).await?;
        let run = control.run(self.run).await?;
        let mut told = Vec::new();
        for stage in &run.stages {
            let word = format!("\"stage\":\"{}\"", stage.kind);
            if news.iter().any(|e| e.payload.contains(&word)) {
                told.push(LiveEvent::Stage(Box::new(stage.clone())));
            }
        }
        told.push(LiveEvent::Run(Box::new(run)));
        let event = news.last().map_or(after, |e| e.seq);
        let changes = Arc::new(Changes { after, event, told });
        *known = Some(Arc::clone(&changes));
        Ok(changes)
    }

    /// Lines from a number on, up to `limit`.
    pub(super) async fn lines(
        &self,
        control: &Control,
        which: Which,
        from: u64,
        limit: u64,
    ) -> Result<Vec<LogLine>> {
        let mut pieces = self.pieces.lock().await;
        let holds = |piece: &&Piece| {
            let (first, last) = (piece.lines.first(), piece.lines.last());
            piece.log == which.log
                && first.is_some_and(|l| l.seq <= from)
                && last.is_some_and(|l| l.seq >= from)
        };
        let lines = match pieces.iter().find(holds) {
            Some(piece) => Arc::clone(&piece.lines),
            None => {
                let lines = Arc::new(control.lines(which, from, limit).await?);
                pieces.truncate(PIECES - 1);
                pieces.push_front(Piece { log: which.log, lines: Arc::clone(&lines) });
                lines
            }
        };
        drop(pieces);
        let skip = lines.first().map_or(0, |l| from.saturating_sub(l.seq)) as usize;
        Ok(lines[skip.min(lines.len())..].to_vec())
    }
}
