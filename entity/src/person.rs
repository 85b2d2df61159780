//! People who log in with GitHub, and those who were invited to.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "person")]
pub struct Model {
    /// ULID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// GitHub's number for them, which stays when they change their name; unknown until they first log in.
    pub forge_id: Option<i64>,
    /// What they are called there.
    pub login: String,
    /// The same in lower case: GitHub's names know no case.
    pub login_key: String,
    /// Their own name, if they gave one.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// Why they may in: `code`, `invitation` or `list`.
    pub came_by: String,
    /// Who invited them.
    pub invited_by: Option<String>,
    /// What GitHub gave them to act with here, sealed.
    pub token: Option<String>,
    /// What it may do there, as GitHub said.
    pub scopes: String,
    /// When they were invited or first logged in.
    pub created_at: i64,
    /// When they were last here, to the minute.
    pub seen_at: Option<i64>,
    /// When GitHub was last asked whether the token is good.
    pub checked_at: Option<i64>,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
