//! One-time login links.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "login_link")]
pub struct Model {
    /// SHA-256 of the link's secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: String,
    /// When it was printed.
    pub created_at: i64,
    /// Until when it works.
    pub expires_at: i64,
    /// When it was used.
    pub used_at: Option<i64>,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
