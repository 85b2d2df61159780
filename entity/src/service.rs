//! Connected services and their settings.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "service")]
pub struct Model {
    /// ULID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Its pipeline.
    pub pipeline_id: String,
    /// Unique in the pipeline.
    pub name: String,
    /// JSON of `ServiceSettings`, secrets sealed.
    pub settings: String,
    /// Path or URL, as given.
    pub repository: String,
    /// The branch whose pushes are deployed.
    pub branch: String,
    /// Detected runtime.
    pub runtime: Option<String>,
    /// Stable port of production.
    pub production_port: i32,
    /// Stable port of staging.
    pub staging_port: i32,
    /// Sealed key with which hooks for this service are signed.
    pub hook_secret: String,
    /// `hook` or `poll`.
    pub notices: String,
    /// Newest head of the branch that was seen.
    pub head: Option<String>,
    /// Why automatic deploys to production are stopped.
    pub hold_reason: Option<String>,
    /// By whom.
    pub hold_by: Option<String>,
    /// Since when.
    pub hold_since: Option<i64>,
    /// Number of its newest run.
    pub last_run: i64,
    /// The data folder it is at home in, by that folder's id: its ports, its runs and what is deployed of it are there. Unset until a
    /// server takes it.
    pub folder: Option<String>,
    /// Who is still connecting it; unset once it is connected. Until then it is no service for anybody but who tries it.
    pub draft: Option<String>,
    /// Generation: every update is filtered by the one that was read.
    pub generation: i64,
    /// When it was connected.
    pub created_at: i64,
    /// When its settings last changed.
    pub updated_at: i64,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
