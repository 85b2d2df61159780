//! Schema steps, for SQLite and PostgreSQL alike. A step that landed is never edited; the next one changes what it made.

use sea_orm_migration::prelude::*;

mod m0001_first;
mod m0002_log_archive;
mod m0003_retention;
mod m0004_forks;
mod m0005_github;
mod m0006_nodes;
mod m0007_people;
mod m0008_drafts;
mod m0009_executions;
mod m0010_tokens;
mod m0011_notices;
mod m0013_execution_names;
mod m0014_exit_codes;

/// Runs the steps in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::Migration),
            Box::new(m0002_log_archive::Migration),
            Box::new(m0003_retention::Migration),
            Box::new(m0004_forks::Migration),
            Box::new(m0005_github::Migration),
            Box::new(m0006_nodes::Migration),
            Box::new(m0007_people::Migration),
            Box::new(m0008_drafts::Migration),
            Box::new(m0009_executions::Migration),
            Box::new(m0010_tokens::Migration),
            Box::new(m0011_notices::Migration),
            Box::new(m0013_execution_names::Migration),
            Box::new(m0014_exit_codes::Migration),
        ]
    }
}
