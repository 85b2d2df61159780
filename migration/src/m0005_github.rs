//! Hooks that Seamless made, and what it has told of runs.

use sea_orm_migration::prelude::*;

/// Step 5.
#[derive(DeriveMigrationName)]
pub struct Migration;

fn column(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name))
}

fn tables() -> [TableCreateStatement; 3] {
    let mut hook = Table::create();
    hook.table(Alias::new("forge_hook"))
        .col(column("repository").text().not_null().primary_key())
        .col(column("hook_id").big_integer().null())
        .col(column("secret").text().not_null())
        .col(column("state").text().not_null())
        .col(column("problem").text().null())
        .col(column("checked_at").big_integer().null());
    let mut cursor = Table::create();
    cursor
        .table(Alias::new("cursor"))
        .col(column("name").text().not_null().primary_key())
        .col(column("seq").big_integer().not_null());
    let mut report = Table::create();
    report
        .table(Alias::new("report"))
        .col(column("run_id").text().not_null())
        .col(column("channel").text().not_null())
        .col(column("wanted").big_integer().not_null())
        .col(column("done").big_integer().not_null())
        .col(column("sent").text().not_null())
        .col(column("tries").integer().not_null())
        .col(column("next_at").big_integer().not_null())
        .col(column("problem").text().null())
        .primary_key(Index::create().col(Alias::new("run_id")).col(Alias::new("channel")));
    [hook, cursor, report]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        let mut index = Index::create();
        index.name("report_next").table(Alias::new("report")).col(Alias::new("next_at"));
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["forge_hook", "cursor", "report"] {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        Ok(())
    }
}
