//! How far readers of the event log have come.

use entity::{cursor, event};
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, prelude::*, sea_query::OnConflict};

use super::{Store, events};
use crate::error::Result;

/// What a reader has not read yet.
pub struct Unread {
    /// How far it has come.
    from: i64,
    /// How far it comes with these.
    to: i64,
    /// The next events.
    pub events: Vec<event::Model>,
}

/// The next events of a reader, so many at most; none when there are none. Who never read begins with what comes from now on.
pub async fn unread(store: &Store, name: &str, most: u64) -> Result<Option<Unread>> {
    let Some(row) = cursor::Entity::find_by_id(name).one(store.read()).await? else {
        let row = cursor::Model { name: name.into(), seq: events::newest(store.read()).await? };
        cursor::Entity::insert(cursor::ActiveModel::from(row))
            .on_conflict(OnConflict::column(cursor::Column::Name).do_nothing().to_owned())
            .exec_without_returning(store.write())
            .await?;
        return Ok(None);
    };
    let events = events::after(store.read(), row.seq, None, most).await?;
    Ok(events.last().map(|last| last.seq).map(|to| Unread { from: row.seq, to, events }))
}

/// Remembers that a reader has read these, unless another server was here meanwhile: then false, and what was made of them is not to be kept.
pub async fn advance<C: ConnectionTrait>(db: &C, name: &str, read: &Unread) -> Result<bool> {
    let moved = cursor::Entity::update_many()
        .col_expr(cursor::Column::Seq, Expr::value(read.to))
        .filter(cursor::Column::Name.eq(name))
        .filter(cursor::Column::Seq.eq(read.from))
        .exec(db)
        .await?;
    Ok(moved.rows_affected == 1)
}
