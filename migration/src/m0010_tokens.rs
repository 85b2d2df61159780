//! Whose an API token is: people make some for themselves.

use sea_orm_migration::prelude::*;

/// Step 10.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Tokens that were there before are the machine's owner's.
        let mut column = ColumnDef::new(Alias::new("person_id")).text().null().to_owned();
        let change = Table::alter().table(Alias::new("api_token")).add_column(&mut column).to_owned();
        manager.alter_table(change).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let change =
            Table::alter().table(Alias::new("api_token")).drop_column(Alias::new("person_id")).to_owned();
        manager.alter_table(change).await
    }
}
