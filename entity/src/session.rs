//! Browser sessions.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "session")]
pub struct Model {
    /// ULID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// SHA-256 of the cookie's value.
    pub token_hash: String,
    /// The name by which it acts.
    pub user_name: String,
    /// Whose; the machine's owner, who came with a login link, when unset.
    pub person_id: Option<String>,
    /// The browser's own words.
    pub agent: String,
    /// When it began.
    pub created_at: i64,
    /// When it ends by itself.
    pub expires_at: i64,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
