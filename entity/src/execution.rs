//! Runs that another engine than the embedded one drives.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Eq)]
#[sea_orm(table_name = "execution")]
pub struct Model {
    /// The run; also its name for the engine.
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: String,
    /// `wanted`, `started` or `over`.
    pub state: String,
    /// What the engine calls it; absent until it was started.
    pub name: Option<String>,
    /// JSON: by kind of stage, which task has claimed it at which try.
    pub claims: String,
    /// With what its gate is answered, sealed: a line for each time it asked. Empty once all are answered, absent before it asked.
    pub gate_token: Option<String>,
    /// What keeps it from going on, in words for people.
    pub trouble: Option<String>,
    /// How often in a row the engine could not be asked.
    pub tries: i64,
    /// When it is asked again.
    pub again_at: i64,
    /// When the engine was last heard of it.
    pub seen_at: i64,
}

/// No relations: joins are written where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
