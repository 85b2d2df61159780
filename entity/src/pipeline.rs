//! Groups of services that are tested and deployed together.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "pipeline")]
pub struct Model {
    /// ULID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Unique.
    pub name: String,
    /// JSON list of environment names, in deploy order.
    pub environments: String,
    /// Days after which a stage's log is removed; 0: never.
    pub log_days: i32,
    /// Megabytes that all logs may take; 0: any number.
    pub log_megabytes: i64,
    /// Days after which a run is removed with all of it; 0: never.
    pub run_days: i32,
    /// Milliseconds since 1970, as everywhere here.
    pub created_at: i64,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
