//! The event log: audit trail, cursor of every live stream and the notifier's queue.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "event")]
pub struct Model {
    /// Its place; grows with every commit.
    #[sea_orm(primary_key)]
    pub seq: i64,
    /// Of which run.
    pub run_id: Option<String>,
    /// Of which service.
    pub service_id: Option<String>,
    /// What happened.
    pub kind: String,
    /// JSON.
    pub payload: String,
    /// When.
    pub at: i64,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
