//! The inbox: every received hook, before anything is done about it.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "delivery")]
pub struct Model {
    /// ULID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The sender's id; unique.
    pub guid: String,
    /// `git`, `github` or `poll`.
    pub source: String,
    /// What happened.
    pub event: String,
    /// For which service.
    pub service_id: Option<String>,
    /// JSON as it came.
    pub payload: String,
    /// `pending`, `waiting`, `accepted` or `ignored`.
    pub verdict: String,
    /// Why it waits or was ignored, or what was done instead of a run.
    pub reason: Option<String>,
    /// The run it started.
    pub run_id: Option<String>,
    /// Who let it run, where it had to wait for that.
    pub released_by: Option<String>,
    /// When it came.
    pub received_at: i64,
    /// When it was dealt with.
    pub handled_at: Option<i64>,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
