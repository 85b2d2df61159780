//! Opening either database with the settings that make it safe and quick.

use std::time::Duration;

use migration::Migrator;
use sea_orm::{ConnectOptions, Database, sqlx::sqlite};
use sea_orm_migration::MigratorTrait;

use super::Store;
use crate::error::{Error, Result};

pub(super) async fn open(url: &str) -> Result<Store> {
    let store = if url.starts_with("sqlite:") {
        // One writer: SQLite allows no more, and a queue in this process beats its busy loop.
        let write = Database::connect(sqlite_options(url, 1)).await?;
        let read = Database::connect(sqlite_options(url, 4)).await?;
        Store { write, read }
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let mut options = ConnectOptions::new(url);
        options.max_connections(16).acquire_timeout(Duration::from_secs(10)).sqlx_logging(false);
        let pool = Database::connect(options).await?;
        Store { write: pool.clone(), read: pool }
    } else {
        return Err(Error::field("DATABASE_URL", "must start with sqlite: or postgres://"));
    };
    Migrator::up(&store.write, None).await?;
    Ok(store)
}

fn sqlite_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|o| {
            o.create_if_missing(true)
                .journal_mode(sqlite::SqliteJournalMode::Wal)
                // Full: what was acknowledged survives the machine's fall, not only the process's.
                .synchronous(sqlite::SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(20))
                .foreign_keys(true)
                .pragma("cache_size", "-8000")
                .pragma("journal_size_limit", "16777216")
        });
    options
}
