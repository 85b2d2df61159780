//! The event log. Appended in the transaction of the fact it tells of.
//!
//! On PostgreSQL appends take one advisory lock, because numbers from a sequence become visible in commit order only when
//! appenders stand in line; a reader behind its cursor would otherwise pass over a late commit for ever. SQLite has one writer.

use domain::{
    Timestamp,
    view::{Event, Page},
};
use entity::event;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*,
};

use super::backend::{Lock, lock};
use crate::error::Result;

/// An event that is not numbered yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Of which run.
    pub run: Option<String>,
    /// Of which service.
    pub service: Option<String>,
    /// What happened.
    pub kind: &'static str,
    /// The particulars.
    pub payload: serde_json::Value,
}

/// Appends events; returns the last one's number.
pub async fn append<C: ConnectionTrait>(db: &C, events: Vec<NewEvent>, now: Timestamp) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    lock(db, Lock::Events).await?;
    let rows = events.into_iter().map(|e| event::ActiveModel {
        run_id: Set(e.run),
        service_id: Set(e.service),
        kind: Set(e.kind.into()),
        payload: Set(e.payload.to_string()),
        at: Set(now.0),
        ..Default::default()
    });
    event::Entity::insert_many(rows).exec_without_returning(db).await?;
    Ok(())
}

/// Number of the newest event.
pub async fn newest<C: ConnectionTrait>(db: &C) -> Result<i64> {
    let last = event::Entity::find().order_by_desc(event::Column::Seq).limit(1).one(db).await?;
    Ok(last.map_or(0, |e| e.seq))
}

/// Number of a run's newest event.
pub async fn newest_of<C: ConnectionTrait>(db: &C, run: &str) -> Result<i64> {
    let last = event::Entity::find()
        .filter(event::Column::RunId.eq(run))
        .order_by_desc(event::Column::Seq)
        .limit(1)
        .one(db)
        .await?;
    Ok(last.map_or(0, |e| e.seq))
}

/// Events after a number, oldest first.
pub async fn after<C: ConnectionTrait>(
    db: &C,
    after: i64,
    run: Option<&str>,
    limit: u64,
) -> Result<Vec<event::Model>> {
    let mut query = event::Entity::find()
        .filter(event::Column::Seq.gt(after))
        .order_by_asc(event::Column::Seq)
        .limit(limit);
    if let Some(run) = run {
        query = query.filter(event::Column::RunId.eq(run));
    }
    Ok(query.all(db).await?)
}

/// The newest events of some kinds, newest first.
pub async fn latest_of<C: ConnectionTrait>(db: &C, kinds: &[&str], limit: u64) -> Result<Vec<event::Model>> {
    Ok(event::Entity::find()
        .filter(event::Column::Kind.is_in(kinds.iter().copied()))
        .order_by_desc(event::Column::Seq)
        .limit(limit)
        .all(db)
        .await?)
}

/// As the API shows it.
pub fn view(row: event::Model) -> Result<Event> {
    Ok(Event {
        seq: row.seq,
        run: row.run_id.map(|r| r.parse()).transpose()?,
        service: row.service_id.map(|s| s.parse()).transpose()?,
        kind: row.kind,
        payload: serde_json::from_str(&row.payload)?,
        at: Timestamp(row.at),
    })
}

/// A page of the event log; `next` is the number to go on after.
pub fn page(rows: Vec<event::Model>, limit: u64) -> Result<Page<Event>> {
    let full = rows.len() as u64 == limit;
    let items = rows.into_iter().map(view).collect::<Result<Vec<_>>>()?;
    let next = full.then(|| items.last().map(|e| e.seq.to_string())).flatten();
    Ok(Page { items, next })
}
