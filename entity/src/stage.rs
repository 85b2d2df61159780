//! Stages of runs; the embedded engine's whole state.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "stage")]
pub struct Model {
    /// ULID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Of which run.
    pub run_id: String,
    /// Of which service; here too, so that the queue is one read.
    pub service_id: String,
    /// Which of the seven.
    pub kind: String,
    /// Its place, from 0.
    pub ordinal: i32,
    /// Where it stands.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// The current attempt; 0 before the first.
    pub attempt: i32,
    /// SHA-256 of the current attempt's token.
    pub token_hash: Option<String>,
    /// Last sign of life.
    pub heartbeat_at: Option<i64>,
    /// When it became ready to start, for fairness.
    pub ready_at: Option<i64>,
    /// When the current attempt started.
    pub started_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Lines stored of the current attempt.
    pub lines: i64,
    /// For a failure: number of the line to look at first.
    pub error_seq: Option<i64>,
    /// Its text.
    pub error_text: Option<String>,
    /// For a failure: the exit code of what failed.
    pub exit_code: Option<i32>,
    /// The deployment this stage makes, fixed at its first attempt.
    pub deployment_id: Option<String>,
    /// The data folder in which the current attempt runs.
    pub folder: Option<String>,
    /// The server that started it.
    pub node: Option<String>,
    /// Bytes that the archived logs of all its attempts take; 0 before, and once they were removed.
    pub log_bytes: i64,
    /// Set once its logs were removed: why, for people.
    pub log_removed: Option<String>,
    /// Generation.
    pub generation: i64,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
