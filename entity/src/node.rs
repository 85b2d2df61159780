//! Servers that share this database, each from its start to its end.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "node")]
pub struct Model {
    /// ULID of this start of a server.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The data folder it works in, by an id of the folder's own.
    pub folder: String,
    /// Name of its machine, for people.
    pub host: String,
    /// How programs on its machine reach it.
    pub address: String,
    /// How others reach it.
    pub url: String,
    /// When it began.
    pub started_at: i64,
    /// Last sign of life.
    pub seen_at: i64,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
