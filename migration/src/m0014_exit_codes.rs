//! With which exit code a stage failed.

use sea_orm_migration::prelude::*;

/// Step 14.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut code = ColumnDef::new(Alias::new("exit_code"));
        let mut table = Table::alter();
        manager
            .alter_table(table.table(Alias::new("stage")).add_column(code.integer().null()).to_owned())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::alter();
        manager
            .alter_table(table.table(Alias::new("stage")).drop_column(Alias::new("exit_code")).to_owned())
            .await
    }
}
