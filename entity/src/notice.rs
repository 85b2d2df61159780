//! Messages that are to be sent to those who subscribed: one row for each event that is news, until it was sent.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "notice")]
pub struct Model {
    /// The number of the event that it tells of.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// To whose topic it goes.
    pub pipeline_id: String,
    /// JSON of the whole message, as it is sent however often that takes.
    pub message: String,
    /// When it was written.
    pub created_at: i64,
    /// How often it went wrong.
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
