//! Where followers of one run meet: what a thousand of them want to know after a nudge is found out once and written once. Lines that this
//! server has just stored are put on the table as they are; the database is not asked for them.
//!
//! Refuses to remember: everything here is a moment old, of a bounded size, and gone with the last follower. What is not here is read.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex as Lock, PoisonError, Weak},
    time::{Duration, Instant},
};

use domain::{
    RunId, Status,
    live::{LiveEvent, LogEvent},
    view::LogLine,
};
use tokio::sync::Mutex;

use super::Told;
use crate::{
    Control,
    error::Result,
    hot::{Log, Row, unbroken},
    logs::{self, Which},
    store::{self, events, logs::block, runs},
};

/// Without a nudge, and while nothing but lines come, what is known counts for so long.
const FRESH: Duration = Duration::from_millis(500);
/// Pieces of logs that are kept as they are told.
const PIECES: usize = 8;
/// Rows that were just stored and are kept, of all stages together; the largest has some hundred KiB.
const ROWS: usize = 16;

/// The tables at which somebody sits.
#[derive(Default)]
pub(crate) struct Desk(Lock<HashMap<RunId, Weak<Table>>>);

/// Followers of one run.
pub(crate) struct Table {
    run: RunId,
    facts: Mutex<Option<Known>>,
    changes: Mutex<Option<Arc<Changes>>>,
    pieces: Mutex<VecDeque<Piece>>,
    rows: Lock<VecDeque<(Log, Row)>>,
}

struct Known {
    nudged: u64,
    at: Instant,
    facts: Arc<Facts>,
}

/// How a run stands.
#[derive(Clone)]
pub(super) struct Facts {
    /// Whether it is at its end.
    pub over: bool,
    /// The number of its newest event.
    pub event: i64,
    /// The log of each attempt so far.
    pub logs: Vec<Growing>,
}

/// A log, and under what a cursor knows it.
#[derive(Clone)]
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
    pub told: Vec<Told>,
}

/// Lines of a log as they are told.
struct Piece {
    log: Log,
    first: u64,
    next: u64,
    told: Told,
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
            rows: Lock::default(),
        });
        tables.insert(run, Arc::downgrade(&table));
        table
    }

    /// The table of a run at which somebody sits.
    pub(crate) fn seated(&self, run: RunId) -> Option<Arc<Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&run)?.upgrade()
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

    /// These rows were just stored, and the nudge that tells of them comes next.
    pub(crate) fn grew(&self, log: Log, new: Vec<Row>) {
        let (Some(first), Some(next)) = (new.first().map(|r| r.first), new.last().map(|r| r.next)) else {
            return;
        };
        {
            let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            rows.extend(new.into_iter().map(|row| (log, row)));
            let surplus = rows.len().saturating_sub(ROWS);
            rows.drain(..surplus);
        }
        // While somebody is finding out, or when these lines are not the next ones, the nudge makes everybody look.
        let Ok(mut known) = self.facts.try_lock() else { return };
        let Some(known) = known.as_mut() else { return };
        let grown = known.facts.logs.iter().position(|g| g.which.log == log && g.which.lines == first);
        if let Some(grown) = grown {
            Arc::make_mut(&mut known.facts).logs[grown].which.lines = next;
            known.nudged += 1;
        }
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
                told.push(Told::of(&LiveEvent::Stage(Box::new(stage.clone())))?);
            }
        }
        told.push(Told::of(&LiveEvent::Run(Box::new(run)))?);
        let event = news.last().map_or(after, |e| e.seq);
        let changes = Arc::new(Changes { after, event, told });
        *known = Some(Arc::clone(&changes));
        Ok(changes)
    }

    /// Lines from a number on, up to `limit`, and the number after the last of them; nothing when there are none.
    pub(super) async fn lines(
        &self,
        control: &Control,
        which: Which,
        from: u64,
        limit: u64,
    ) -> Result<Option<(Told, u64)>> {
        // Held while lines are read: who wants the same ones waits for them.
        let mut pieces = self.pieces.lock().await;
        if let Some(piece) = pieces.iter().find(|piece| piece.log == which.log && piece.first == from) {
            return Ok(Some((piece.told.clone(), piece.next)));
        }
        let lines = match self.stored(which, from, limit)? {
            Some(lines) => lines,
            None => control.lines(which, from, limit).await?,
        };
        let Some(next) = lines.last().map(|l| l.seq + 1) else { return Ok(None) };
        let Log { stage, attempt } = which.log;
        let told = Told::of(&LiveEvent::Log(LogEvent { stage, attempt, lines }))?;
        pieces.truncate(PIECES - 1);
        pieces.push_front(Piece { log: which.log, first: from, next, told: told.clone() });
        Ok(Some((told, next)))
    }

    /// The same from rows that this server has just stored; none when the line is not among them.
    fn stored(&self, which: Which, from: u64, limit: u64) -> Result<Option<Vec<LogLine>>> {
        let rows: Vec<Row> = {
            let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            rows.iter().filter(|(log, _)| *log == which.log).map(|(_, row)| row.clone()).collect()
        };
        let rows = unbroken(rows, from, which.lines);
        let Some(first) = rows.first() else { return Ok(None) };
        let skip = (from - first.first) as usize;
        let mut lines = Vec::new();
        for row in &rows {
            lines.extend(block::lines(row.first, &row.body)?);
            if lines.len() >= skip + limit as usize {
                break;
            }
        }
        lines.truncate(skip + limit as usize);
        lines.drain(..skip);
        Ok(Some(lines))
    }
}
