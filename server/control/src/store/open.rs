//! Opening either database with the settings that make it safe and quick.
//!
//! Refuses what another process has for itself alone, and a schema that is newer than this program.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection,
    sqlx::{
        Executor,
        sqlite::{self, SqliteConnectOptions},
    },
};

use super::{Store, backend, schema};
use crate::error::{Error, Result};

/// Connections at a time to PostgreSQL, unless told otherwise.
const POOL: u32 = 16;
/// Those that read from SQLite. One writes: SQLite allows no more, and a queue in this process beats its busy loop.
const READERS: u32 = 4;

/// Whether others may use the database as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// They may.
    Shared,
    /// They may not, until this is closed.
    Alone,
}

/// Connects without a look at the schema.
pub(super) async fn connect(url: &str, pool: Option<u32>, sharing: Sharing) -> Result<Store> {
    if is_sqlite(url) {
        let held = hold(&file_of(url)?, sharing)?;
        let write = Database::connect(sqlite_options(url, 1)).await?;
        let read = Database::connect(sqlite_options(url, pool.unwrap_or(READERS))).await?;
        return Ok(Store { write, read, _held: Some(Arc::new(held)) });
    }
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(Error::field("DATABASE_URL", "must start with sqlite: or postgres://"));
    }
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(pool.unwrap_or(POOL))
        .acquire_timeout(Duration::from_secs(10))
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|o| o.application_name(backend::NAME))
        // Told by a statement: not every pooler between us and PostgreSQL lets a connection begin with settings.
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.after_connect(|session, _| {
                Box::pin(async { session.execute(backend::PATIENCE).await.map(drop) })
            })
        });
    let both = Database::connect(options).await?;
    if sharing == Sharing::Alone && !alone(&both).await? {
        return Err(in_use());
    }
    Ok(Store { write: both.clone(), read: both, _held: None })
}

/// Whether no other process of ours has a session. PostgreSQL lists one that was closed for a moment longer.
async fn alone(db: &DatabaseConnection) -> Result<bool> {
    for _ in 0..20 {
        if backend::others(db).await? == 0 {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
}

/// Brings the schema up to date: every pending step, or none. Of two servers that start at once one does it while the other waits.
/// Returns the names of the steps.
pub(super) async fn migrate(store: &Store) -> Result<Vec<String>> {
    let tx = store.begin().await?;
    if !backend::try_lock(&tx, backend::Lock::Schema).await? {
        tracing::info!("another process brings the database up to date; waiting for it");
        backend::lock(&tx, backend::Lock::Schema).await?;
    }
    let steps = schema::up(&tx, usize::MAX).await?;
    tx.commit().await?;
    Ok(steps)
}

pub(super) fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

pub(super) fn file_of(url: &str) -> Result<PathBuf> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|e| Error::field("DATABASE_URL", format!("names no SQLite file: {e}")))?;
    Ok(options.get_filename().to_owned())
}

/// Beside the database file lies one whose lock says who uses it. It goes with the process, however that ends.
pub(super) fn hold(database: &Path, sharing: Sharing) -> Result<File> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&name).map_err(|e| {
            Error::Unavailable(format!("{} cannot be opened: {e}", Path::new(&name).display()))
        })?;
    let locked = match sharing {
        Sharing::Shared => file.try_lock_shared(),
        Sharing::Alone => file.try_lock(),
    };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use()),
        Err(TryLockError::Error(e)) => Err(e.into()),
    }
}

pub(super) fn in_use() -> Error {
    Error::Conflict("another process of Seamless uses this database: end every server, then try again".into())
}

/// Of a file that nobody reads before it is whole: without a journal, which would only be written to be thrown away.
pub(super) fn draft_options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(|o| {
        o.create_if_missing(true)
            .auto_vacuum(sqlite::SqliteAutoVacuum::Incremental)
            .journal_mode(sqlite::SqliteJournalMode::Off)
            .synchronous(sqlite::SqliteSynchronous::Off)
            .locking_mode(sqlite::SqliteLockingMode::Exclusive)
    });
    options
}

pub(super) fn sqlite_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|o| {
            o.create_if_missing(true)
                // Of a new file: what is removed gives its room back, a little at a time.
                .auto_vacuum(sqlite::SqliteAutoVacuum::Incremental)
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
