//! People who may log in, whose session is whose, and what an API token may do.

use sea_orm_migration::prelude::*;

/// Step 7.
#[derive(DeriveMigrationName)]
pub struct Migration;

fn column(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name))
}

/// Sessions that were there before are the machine's owner's, and tokens may do everything, as before.
fn added() -> [(&'static str, ColumnDef); 2] {
    let role = column("role").text().not_null().default("owner").to_owned();
    [("session", column("person_id").text().null().to_owned()), ("api_token", role)]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Not "user": PostgreSQL has a word of its own by that name.
        let mut person = Table::create();
        person
            .table(Alias::new("person"))
            .col(column("id").text().not_null().primary_key())
            .col(column("forge_id").big_integer().null().unique_key())
            .col(column("login").text().not_null())
            .col(column("login_key").text().not_null().unique_key())
            .col(column("name").text().not_null())
            .col(column("role").text().not_null())
            .col(column("came_by").text().not_null())
            .col(column("invited_by").text().null())
            .col(column("token").text().null())
            .col(column("scopes").text().not_null())
            .col(column("created_at").big_integer().not_null())
            .col(column("seen_at").big_integer().null())
            .col(column("checked_at").big_integer().null());
        manager.create_table(person).await?;
        for (table, mut column) in added() {
            let change = Table::alter().table(Alias::new(table)).add_column(&mut column).to_owned();
            manager.alter_table(change).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [("session", "person_id"), ("api_token", "role")] {
            let change = Table::alter().table(Alias::new(table)).drop_column(Alias::new(column)).to_owned();
            manager.alter_table(change).await?;
        }
        manager.drop_table(Table::drop().table(Alias::new("person")).to_owned()).await
    }
}
