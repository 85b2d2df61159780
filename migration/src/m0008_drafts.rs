//! Services that are still being connected.

use sea_orm_migration::prelude::*;

/// Step 8.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut change = Table::alter();
        change
            .table(Alias::new("service"))
            .add_column(ColumnDef::new(Alias::new("draft")).text().null().to_owned());
        manager.alter_table(change).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut change = Table::alter();
        change.table(Alias::new("service")).drop_column(Alias::new("draft"));
        manager.alter_table(change).await
    }
}
