//! Messages that are to be sent to those who subscribed.

use sea_orm_migration::prelude::*;

/// Step 11.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = |name: &'static str| ColumnDef::new(Alias::new(name));
        let mut table = Table::create();
        table
            .table(Alias::new("notice"))
            .col(column("seq").big_integer().not_null().primary_key())
            .col(column("pipeline_id").text().not_null())
            .col(column("message").text().not_null())
            .col(column("created_at").big_integer().not_null())
            .col(column("tries").integer().not_null())
            .col(column("next_at").big_integer().not_null())
            .col(column("problem").text().null());
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Alias::new("notice")).to_owned()).await
    }
}
