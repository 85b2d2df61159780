//! Which logs are still to be archived.

use sea_orm_migration::prelude::*;

/// Step 2.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (stage, attempt) = (Alias::new("stage_id"), Alias::new("attempt"));
        let mut table = Table::create();
        table
            .table(Alias::new("log_unarchived"))
            .col(ColumnDef::new(stage.clone()).text().not_null())
            .col(ColumnDef::new(attempt.clone()).integer().not_null())
            .primary_key(Index::create().col(stage.clone()).col(attempt.clone()));
        manager.create_table(table).await?;
        // Logs that were there before are archived like any other.
        let mut there = Query::select();
        there.distinct().columns([stage.clone(), attempt.clone()]).from(Alias::new("log_chunk"));
        let mut fill = Query::insert();
        fill.into_table(Alias::new("log_unarchived")).columns([stage, attempt]);
        fill.select_from(there).map_err(|e| DbErr::Migration(e.to_string()))?;
        manager.execute(fill).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Alias::new("log_unarchived")).to_owned()).await
    }
}
