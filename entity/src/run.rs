//! Runs: one walk of a service through its plan.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "run")]
pub struct Model {
    /// ULID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Whose.
    pub service_id: String,
    /// Its number among the service's runs.
    pub number: i64,
    /// Where it stands.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// Why it exists.
    pub trigger: String,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit_sha: String,
    /// First line of its message.
    pub commit_message: String,
    /// Its author.
    pub commit_author: String,
    /// Number of the pull request.
    pub pull_request: Option<i64>,
    /// The fork it comes from, `owner/name`: it gets no secrets.
    pub fork: Option<String>,
    /// JSON of the plan.
    pub plan: String,
    /// The delivery, or other cause, that made it: makes it unique.
    pub cause: String,
    /// Digest of its artifact.
    pub artifact: Option<String>,
    /// Size of its artifact.
    pub artifact_size: Option<i64>,
    /// The run it repeats.
    pub rerun_of: Option<String>,
    /// The deployment a rollback goes back to.
    pub rollback_to: Option<String>,
    /// Whether a person asked for it to end.
    pub cancel_requested: bool,
    /// By whom.
    pub cancel_by: Option<String>,
    /// Generation.
    pub generation: i64,
    /// When it was created.
    pub created_at: i64,
    /// When its first stage started.
    pub started_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
