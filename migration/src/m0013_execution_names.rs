//! What the engine calls an execution, so that one is found again after the engine's settings were changed.

use sea_orm_migration::prelude::*;

/// Step 13.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut name = ColumnDef::new(Alias::new("name"));
        let mut table = Table::alter();
        manager
            .alter_table(table.table(Alias::new("execution")).add_column(name.text().null()).to_owned())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::alter();
        manager
            .alter_table(table.table(Alias::new("execution")).drop_column(Alias::new("name")).to_owned())
            .await
    }
}
