//! The schema as a list of steps: which were taken, which are known, and the tables they make.
//!
//! Refuses a database that took steps which this program does not know.

use migration::Migrator;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseTransaction, DbBackend, Statement,
    sea_query::{Alias, Query},
};
use sea_orm_migration::{MigratorTrait, SchemaManager};

use crate::error::{Error, Result};

pub const STEPS: &str = "seaql_migrations";

/// Names of the steps this program knows, in order.
pub fn known() -> Vec<String> {
    Migrator::migrations().iter().map(|m| m.name().to_owned()).collect()
}

/// Names of the steps a database took, in order; none when it is empty.
pub async fn taken<C: ConnectionTrait>(db: &C) -> Result<Vec<String>>
where
    for<'a> &'a C: sea_orm_migration::IntoSchemaManagerConnection<'a>,
{
    if !SchemaManager::new(db).has_table(STEPS).await? {
        return Ok(Vec::new());
    }
    let mut names = Query::select();
    names.column(Alias::new("version")).from(Alias::new(STEPS));
    let rows = db.query_all(&names).await?;
    let names: Vec<String> = rows.iter().map(|r| r.try_get_by_index(0)).collect::<Result<_, _>>()?;
    in_order(names)
}

/// Steps in the order in which this program takes them.
///
/// # Errors
/// [`Error::Conflict`] when it does not know one of them.
pub fn in_order(mut names: Vec<String>) -> Result<Vec<String>> {
    let known = known();
    let place = |name: &String| known.iter().position(|k| k == name);
    if let Some(unknown) = names.iter().find(|n| place(n).is_none()) {
        return Err(Error::Conflict(format!(
            "it was written by a newer Seamless: this one ({}) does not know the step {unknown} of its tables. Install that \
             version or a newer one",
            env!("CARGO_PKG_VERSION"),
        )));
    }
    names.sort_by_key(place);
    Ok(names)
}

/// Takes pending steps, the first `most` of all that there are; returns the names of those it took.
pub async fn up(tx: &DatabaseTransaction, most: usize) -> Result<Vec<String>> {
    let taken = taken(tx).await?;
    let pending: Vec<String> = known().into_iter().take(most).filter(|n| !taken.contains(n)).collect();
    if !pending.is_empty() || taken.is_empty() {
        Migrator::up(tx, u32::try_from(pending.len()).ok()).await?;
    }
    Ok(pending)
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Its place in the primary key, from 1; 0 when it is no part of it.
    pub key: i32,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole number of up to 64 bits.
    Integer,
    /// True or false.
    Flag,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

/// The tables that steps make, by name.
///
/// They are made in memory and looked at there, so that no list of them has to be kept, and tables of others are let alone.
///
/// # Errors
/// [`Error::Conflict`] when one is missing between them.
pub async fn tables(steps: &[String]) -> Result<Vec<Table>> {
    if let Some((missing, _)) = known().iter().zip(steps).find(|(known, taken)| known != taken) {
        return Err(Error::Conflict(format!(
            "the step {missing} of its tables was left out; `seamless migrate` takes it"
        )));
    }
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    let scratch = Database::connect(options).await?;
    Migrator::up(&scratch, u32::try_from(steps.len()).ok()).await?;
    let ask = |sql: String| Statement::from_string(DbBackend::Sqlite, sql);
    let names = ask(format!(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> '{STEPS}' ORDER BY name"
    ));
    let mut tables = Vec::new();
    for row in scratch.query_all_raw(names).await? {
        let name: String = row.try_get_by_index(0)?;
        let columns =
            ask(format!("SELECT name, lower(type), pk FROM pragma_table_info('{name}') ORDER BY cid"));
        let mut table = Table { name, columns: Vec::new() };
        for row in scratch.query_all_raw(columns).await? {
            let declared: String = row.try_get_by_index(1)?;
            let kind = match declared.as_str() {
                "integer" | "bigint" => Kind::Integer,
                "boolean" => Kind::Flag,
                "text" => Kind::Text,
                "blob" => Kind::Bytes,
                other => {
                    return Err(Error::internal(format!("{}: {other} cannot be backed up", table.name)));
                }
            };
            let column = Column { name: row.try_get_by_index(0)?, kind, key: row.try_get_by_index(2)? };
            table.columns.push(column);
        }
        tables.push(table);
    }
    scratch.close().await?;
    Ok(tables)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn every_table_can_be_read_in_the_order_of_its_key() {
        let tables = tables(&known()).await.unwrap();
        assert!(tables.len() >= 13);
        for table in tables {
            assert!(table.columns.iter().any(|c| c.key == 1), "{} has no primary key", table.name);
        }
    }

    #[test]
    fn steps_of_a_newer_program_are_refused() {
        let newer = vec!["m0001_first".to_owned(), "m9999_tomorrow".to_owned()];
        assert!(in_order(newer).unwrap_err().to_string().contains("m9999_tomorrow"));
        let mut back = known();
        back.reverse();
        assert_eq!(in_order(back).unwrap(), known());
    }
}
