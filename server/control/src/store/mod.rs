//! The only place with queries: a concrete store on a real database, SQLite or PostgreSQL.
//!
//! Facts change inside one transaction together with the event that tells of them. On SQLite there is one writing connection, so
//! that writers queue here and never meet "database is locked"; `BEGIN IMMEDIATE` keeps that true beside other processes.

pub mod access;
pub(crate) mod backend;
pub mod backup;
pub mod cursors;
pub mod deliveries;
pub mod deployments;
pub mod events;
pub mod executions;
pub mod forge;
pub mod logs;
pub mod nodes;
pub mod notices;
mod open;
pub mod people;
pub mod reseal;
pub mod retention;
pub mod rows;
pub mod run_state;
pub mod runs;
mod schema;
pub mod services;

use std::{fs::File, sync::Arc};

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbBackend};

use crate::error::Result;

/// The database.
#[derive(Clone)]
pub struct Store {
    write: DatabaseConnection,
    read: DatabaseConnection,
    /// A lock that tells others that the file is in use.
    _held: Option<Arc<File>>,
}

impl Store {
    /// Opens the database and brings its schema up to date.
    ///
    /// `url` is `sqlite:PATH` or `postgres://...`.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) when a newer Seamless wrote it, or another process has it for itself alone.
    pub async fn open(url: &str) -> Result<Self> {
        Ok(Self::open_with(url, None).await?.0)
    }

    /// Opens it with a number of connections (on SQLite: of those that read); says which steps brought it up to date.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(url: &str, connections: Option<u32>) -> Result<(Self, Vec<String>)> {
        let store = open::connect(url, connections, open::Sharing::Shared).await?;
        let steps = open::migrate(&store).await?;
        Ok((store, steps))
    }

    /// The steps that would bring a database up to date, none of which is taken: all that there are where there is no database yet.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn pending(url: &str) -> Result<Vec<String>> {
        let known = schema::known();
        if open::is_sqlite(url) && !open::file_of(url)?.exists() {
            return Ok(known);
        }
        let store = open::connect(url, Some(1), open::Sharing::Shared).await?;
        let taken = schema::taken(&store.read).await?;
        Ok(known.into_iter().filter(|step| !taken.contains(step)).collect())
    }

    /// For reading outside a transaction.
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// For several questions about one moment. What is asked of [`Store::read`] meanwhile takes a second connection: ask it before or after.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction> {
        backend::snapshot(&self.read).await
    }

    /// For single statements that write.
    pub fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// A transaction that may write from its first statement on.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        backend::begin(&self.write).await
    }

    /// How many transactions that store log lines are of use side by side.
    pub fn writers(&self) -> usize {
        backend::writers(&self.write)
    }

    /// SQLite or PostgreSQL.
    pub fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.read.ping().await?)
    }

    /// Gives some of what is free back to the file system; says whether there is more. `pages` bounds how long it keeps writers waiting.
    pub async fn give_back(&self, pages: u32) -> Result<bool> {
        backend::give_back(&self.write, pages).await
    }

    /// Ends all connections; on SQLite the write-ahead log is folded in.
    pub async fn close(self) -> Result<()> {
        self.read.close().await?;
        Ok(self.write.close().await?)
    }
}
