//! What is to be told of a run elsewhere, and what was: one row for each run and channel.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "report")]
pub struct Model {
    /// Of which run.
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: String,
    /// What kind of telling.
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel: String,
    /// The newest event that is to be told of.
    pub wanted: i64,
    /// The newest event that was told of.
    pub done: i64,
    /// JSON of what was told, so that nothing is told twice.
    pub sent: String,
    /// How often it went wrong in a row.
    pub tries: i32,
    /// When it is tried next.
    pub next_at: i64,
    /// Why it went wrong.
    pub problem: Option<String>,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
