//! Several servers on one database: which there are, who does what, and where stages run.

use sea_orm_migration::prelude::*;

/// Step 6.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Columns that are unset in rows that were there before: those are any server's.
const ADDED: [(&str, &str); 3] = [("service", "folder"), ("stage", "folder"), ("stage", "node")];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &str| ColumnDef::new(Alias::new(name)).text().not_null().to_owned();
        let big = |name: &str| ColumnDef::new(Alias::new(name)).big_integer().not_null().to_owned();
        let mut node = Table::create();
        node.table(Alias::new("node")).col(text("id").primary_key());
        for name in ["folder", "host", "address", "url"] {
            node.col(text(name));
        }
        for name in ["started_at", "seen_at"] {
            node.col(big(name));
        }
        manager.create_table(node).await?;
        let mut lease = Table::create();
        lease
            .table(Alias::new("lease"))
            .col(text("name").primary_key())
            .col(text("holder"))
            .col(big("until"));
        manager.create_table(lease).await?;
        for (table, column) in ADDED {
            let mut column = ColumnDef::new(Alias::new(column));
            let change = Table::alter().table(Alias::new(table)).add_column(column.text().null()).to_owned();
            manager.alter_table(change).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in ADDED {
            let change = Table::alter().table(Alias::new(table)).drop_column(Alias::new(column)).to_owned();
            manager.alter_table(change).await?;
        }
        manager.drop_table(Table::drop().table(Alias::new("lease")).to_owned()).await?;
        manager.drop_table(Table::drop().table(Alias::new("node")).to_owned()).await
    }
}
