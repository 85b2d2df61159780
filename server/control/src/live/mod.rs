//! What a live stream sends next: reads facts after a cursor, then waits for a nudge or a few seconds.
//!
//! The cursor is the whole memory, so a stream may end at any line and go on at another server. A slow reader makes its own stream
//! slow and nobody else's. What many readers of one run want to know at the same time is found out once, and written once (`desk`).

mod desk;

use std::{sync::Arc, time::Duration};

use domain::{
    RunId, StageId,
    live::{Cursor, LiveEvent},
};
use tokio::sync::watch;

use crate::{
    Control,
    error::{Error, Result},
    hot::State,
    store::{events, logs, runs},
};

pub(crate) use desk::Desk;
use desk::Table;

/// How long a stream waits before it looks by itself, and how long while news of other servers do not come.
const LOOK_AFTER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));
/// Most lines in one message.
const LINES: u64 = 2_000;

/// One message, as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where a stream goes on after it.
    pub cursor: Cursor,
    /// What it is.
    pub told: Told,
}

/// What is told to many, in JSON, written once.
#[derive(Debug, Clone)]
pub struct Told {
    /// The event's name.
    pub name: &'static str,
    /// Its data.
    pub data: Arc<str>,
}

impl Told {
    fn of(event: &LiveEvent) -> Result<Self> {
        let data = match event {
            LiveEvent::Run(run) => serde_json::to_string(run),
            LiveEvent::Stage(stage) => serde_json::to_string(stage),
            LiveEvent::Log(log) => serde_json::to_string(log),
            LiveEvent::Changed | LiveEvent::End => Ok("{}".into()),
        };
        Ok(Self { name: event.name(), data: data.map_err(Error::internal)?.into() })
    }

    /// Whether nothing comes after it.
    pub fn is_end(&self) -> bool {
        self.name == LiveEvent::End.name()
    }
}

/// Follows one run, or everything.
pub struct Follower {
    control: Control,
    /// Where followers of the same run meet; none for who follows everything.
    table: Option<Arc<Table>>,
    cursor: Cursor,
    nudge: watch::Receiver<u64>,
    first: bool,
}

impl Control {
    /// Follows a run after a cursor. Without one, from the run's beginning: everything it has is sent first.
    pub async fn follow_run(&self, run: RunId, cursor: Option<Cursor>) -> Result<Follower> {
        runs::get(self.store.read(), run).await?;
        let first = cursor.is_none();
        let cursor = cursor.unwrap_or_default();
        let table = Some(self.desk.table(run));
        Ok(Follower { control: self.clone(), table, cursor, nudge: self.nudge.follow(Some(run)), first })
    }

    /// Follows everything after a cursor; without one, from now on.
    pub async fn follow_all(&self, cursor: Option<Cursor>) -> Result<Follower> {
        let nudge = self.nudge.follow(None);
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => Cursor { event: events::newest(self.store.read()).await?, ..Cursor::default() },
        };
        Ok(Follower { control: self.clone(), table: None, cursor, nudge, first: false })
    }
}

impl Follower {
    /// The next messages, at least one; after a run's end comes one that [is the end](Told::is_end).
    pub async fn next(&mut self) -> Result<Vec<Message>> {
        loop {
            let nudged = *self.nudge.borrow_and_update();
            let messages = match self.table.clone() {
                Some(table) => self.of_run(&table, nudged).await?,
                None => self.of_all().await?,
            };
            if !messages.is_empty() {
                return Ok(messages);
            }
            let alone = self.control.hot.as_ref().is_some_and(|c| matches!(c.hot().state(), State::Away(_)));
            let patience = if alone { LOOK_AFTER.1 } else { LOOK_AFTER.0 };
            let _ = tokio::time::timeout(patience, self.nudge.changed()).await;
        }
    }

    async fn of_all(&mut self) -> Result<Vec<Message>> {
        let news = events::after(self.control.store.read(), self.cursor.event, None, 500).await?;
        let Some(last) = news.last() else { return Ok(Vec::new()) };
        self.cursor.event = last.seq;
        let mut ids: Vec<String> = news.iter().filter_map(|e| e.run_id.clone()).collect();
        ids.sort();
        ids.dedup();
        let mut messages = Vec::new();
        for id in &ids {
            if let Ok(run) = self.control.run(id.parse()?).await {
                messages.push(self.message(Told::of(&LiveEvent::Run(Box::new(run)))?));
            }
        }
        if messages.is_empty() {
            messages.push(self.message(Told::of(&LiveEvent::Changed)?));
        }
        Ok(messages)
    }

    async fn of_run(&mut self, table: &Table, nudged: u64) -> Result<Vec<Message>> {
        // Where things stand is known before the lines: a line that comes in between is sent next time, never passed over.
        let facts = table.facts(&self.control, nudged).await?;
        let mut messages = Vec::new();
        let fresh = facts.event > self.cursor.event;
        if std::mem::take(&mut self.first) || fresh {
            let changes = table.changes(&self.control, self.cursor.event, facts.event).await?;
            self.cursor.event = changes.event.max(self.cursor.event);
            messages.extend(changes.told.iter().map(|told| self.message(told.clone())));
        }
        let mut behind = false;
        for log in &facts.logs {
            let at = self.cursor.lines.get(&log.key).copied().unwrap_or(0);
            if log.which.lines <= at {
                continue;
            }
            let Some((told, next)) = table.lines(&self.control, log.which, at, LINES).await? else {
                continue;
            };
            behind = true;
            self.cursor.lines.insert(log.key, next);
            messages.push(self.message(told));
        }
        if facts.over && !behind && !fresh {
            messages.push(self.message(Told::of(&LiveEvent::End)?));
        }
        Ok(messages)
    }

    fn message(&self, told: Told) -> Message {
        Message { cursor: self.cursor.clone(), told }
    }
}

impl Control {
    /// The cursor at which a page that shows a run as it stands now goes on. `shown` is the log position of the stage it shows.
    pub(crate) async fn cursor_of(
        &self,
        run: &domain::view::Run,
        event: i64,
        shown: Option<(StageId, u32, u64)>,
    ) -> Cursor {
        let mut cursor = Cursor { event, ..Cursor::default() };
        for stage in &run.stages {
            for attempt in 1..=stage.attempt {
                let next = match shown {
                    Some((id, of, next)) if id == stage.id && of == attempt => next,
                    // Of other stages nothing is shown yet; their pages begin with what is stored.
                    _ if attempt == stage.attempt => stage.lines,
                    _ => logs::count(self.store.read(), stage.id, attempt).await.unwrap_or(0),
                };
                cursor.lines.insert((stage.kind.ordinal() as u8, attempt), next);
            }
        }
        cursor
    }

    /// The newest event's number.
    pub(crate) async fn newest_event(&self) -> Result<i64> {
        events::newest(self.store.read()).await
    }

    /// The event log after a number.
    pub async fn events(
        &self,
        after: i64,
        run: Option<RunId>,
        limit: u64,
    ) -> Result<domain::view::Page<domain::view::Event>> {
        let found =
            events::after(self.store.read(), after, run.map(|r| r.to_string()).as_deref(), limit).await?;
        events::page(found, limit)
    }
}
