//! Gates that were reached, and what a person said.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "approval")]
pub struct Model {
    /// The run: one gate each.
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: String,
    /// `waiting`, `approved`, `rejected`, `expired` or `superseded`.
    pub state: String,
    /// Digest of the artifact it is bound to.
    pub artifact: Option<String>,
    /// Why a person is asked although the service deploys by itself.
    pub note: Option<String>,
    /// Since when.
    pub requested_at: i64,
    /// Until when.
    pub expires_at: i64,
    /// By whom.
    pub decided_by: Option<String>,
    /// What they said.
    pub comment: Option<String>,
    /// When.
    pub decided_at: Option<i64>,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
