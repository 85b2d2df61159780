//! Logs: compressed runs of lines. Small as they came at first; larger, in the place of many, once the log is over.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "log_chunk")]
pub struct Model {
    /// Stage.
    #[sea_orm(primary_key, auto_increment = false)]
    pub stage_id: String,
    /// Attempt.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    /// Number of its first line.
    #[sea_orm(primary_key, auto_increment = false)]
    pub first_seq: i64,
    /// Number of the line after its last.
    pub next_seq: i64,
    /// The lines; see `control::store::logs::block`.
    pub body: Vec<u8>,
    /// When it was stored.
    pub at: i64,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
