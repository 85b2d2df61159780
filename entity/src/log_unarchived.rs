//! Logs that still lie in the small rows in which they came: one row for each, from its first line until it is archived.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "log_unarchived")]
pub struct Model {
    /// Stage.
    #[sea_orm(primary_key, auto_increment = false)]
    pub stage_id: String,
    /// Attempt.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
