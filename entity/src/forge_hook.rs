//! Hooks that Seamless made on a forge: one for each repository, whatever number of services it has.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "forge_hook")]
pub struct Model {
    /// `owner/name` in lower case.
    #[sea_orm(primary_key, auto_increment = false)]
    pub repository: String,
    /// The forge's number for it; absent until it was made.
    pub hook_id: Option<i64>,
    /// Sealed key with which it signs.
    pub secret: String,
    /// `right`, `gone` (somebody deleted it) or `refused` (it could not be made or looked at).
    pub state: String,
    /// Why it is not right.
    pub problem: Option<String>,
    /// When it was last looked at.
    pub checked_at: Option<i64>,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
