//! Runs that another engine drives, and how far that has come.

use domain::{RunId, Timestamp};
use entity::execution::{self, Column, Entity};
use sea_orm::{
    ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*, sea_query::OnConflict,
};

use crate::error::Result;

/// Purpose of sealed tokens of gates.
pub const GATE: &str = "gate";
/// It is to be started.
pub const WANTED: &str = "wanted";
/// It was started.
pub const STARTED: &str = "started";
/// Nothing more is to be heard of it.
pub const OVER: &str = "over";

/// The execution behind a run, if another engine drives it.
pub async fn of<C: ConnectionTrait>(db: &C, run: &str) -> Result<Option<execution::Model>> {
    Ok(Entity::find_by_id(run).one(db).await?)
}

/// The same, inside a transaction that is going to change it: on PostgreSQL its row stays locked until the end. It is locked before
/// its run, by whoever changes both.
pub async fn lock<C: ConnectionTrait>(db: &C, run: &str) -> Result<Option<execution::Model>> {
    Ok(Entity::find_by_id(run).lock_exclusive().one(db).await?)
}

/// A run is to be driven by another engine.
pub async fn want<C: ConnectionTrait>(db: &C, run: RunId, now: Timestamp) -> Result<()> {
    let row = execution::Model {
        run_id: run.to_string(),
        state: WANTED.into(),
        name: None,
        claims: "{}".into(),
        gate_token: None,
        trouble: None,
        tries: 0,
        again_at: 0,
        seen_at: now.0,
    };
    Entity::insert(execution::ActiveModel::from(row)).exec_without_returning(db).await?;
    Ok(())
}

/// Those that are not over, first what was not heard of for the longest.
pub async fn open<C: ConnectionTrait>(db: &C) -> Result<Vec<execution::Model>> {
    let open = Entity::find().filter(Column::State.is_in([WANTED, STARTED]));
    Ok(open.order_by_asc(Column::SeenAt).order_by_asc(Column::RunId).all(db).await?)
}

/// Writes one as it stands.
pub async fn keep<C: ConnectionTrait>(db: &C, row: execution::Model) -> Result<()> {
    let changed = [
        Column::State,
        Column::Name,
        Column::Claims,
        Column::GateToken,
        Column::Trouble,
        Column::Tries,
        Column::AgainAt,
        Column::SeenAt,
    ];
    Entity::insert(execution::ActiveModel::from(row))
        .on_conflict(OnConflict::column(Column::RunId).update_columns(changed).to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Forgets one.
pub async fn forget<C: ConnectionTrait>(db: &C, run: &str) -> Result<()> {
    Entity::delete_by_id(run).exec(db).await?;
    Ok(())
}
