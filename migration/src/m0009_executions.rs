//! Runs that another engine drives: which execution stands behind each, and how far it has been heard.

use sea_orm_migration::prelude::*;

/// Step 9.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &str| ColumnDef::new(Alias::new(name)).text().not_null().to_owned();
        let maybe = |name: &str| ColumnDef::new(Alias::new(name)).text().null().to_owned();
        let big = |name: &str| ColumnDef::new(Alias::new(name)).big_integer().not_null().to_owned();
        let mut execution = Table::create();
        execution.table(Alias::new("execution")).col(text("run_id").primary_key());
        for name in ["state", "claims"] {
            execution.col(text(name));
        }
        for name in ["gate_token", "trouble"] {
            execution.col(maybe(name));
        }
        for name in ["tries", "again_at", "seen_at"] {
            execution.col(big(name));
        }
        manager.create_table(execution).await?;
        // What is over is never looked for; what goes on is looked for every second.
        let mut open = Index::create();
        open.name("execution_state").table(Alias::new("execution")).col(Alias::new("state"));
        manager.create_index(open).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Alias::new("execution")).to_owned()).await
    }
}
