//! What ran where since when.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "deployment")]
pub struct Model {
    /// ULID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Of which service.
    pub service_id: String,
    /// Where.
    pub environment: String,
    /// Digest of what.
    pub artifact: String,
    /// Its size.
    pub artifact_size: i64,
    /// From which commit.
    pub commit_sha: String,
    /// First line of its message.
    pub commit_message: String,
    /// Its author.
    pub commit_author: String,
    /// JSON of the launch plan it was started with.
    pub launch: String,
    /// SHA-256 over launch plan and variables.
    pub config_hash: String,
    /// By which run.
    pub run_id: String,
    /// That run's number.
    pub run_number: i64,
    /// Number of the run that first built it: what decides which of two is older.
    pub built_by: i64,
    /// Whether it was a rollback.
    pub rollback: bool,
    /// Whether it is what runs there now.
    pub live: bool,
    /// Since when.
    pub since: i64,
    /// Until when.
    pub until: Option<i64>,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
