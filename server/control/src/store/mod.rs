//! The only place with queries: a concrete store on a real database, SQLite or PostgreSQL.
//!
//! Facts change inside one transaction together with the event that tells of them. On SQLite there is one writing connection, so
//! that writers queue here and never meet "database is locked"; `BEGIN IMMEDIATE` keeps that true beside other processes.

pub mod access;
pub mod deliveries;
pub mod deployments;
pub mod events;
pub mod logs;
mod open;
pub mod rows;
pub mod run_state;
pub mod runs;
pub mod services;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use crate::error::Result;

/// The database.
#[derive(Clone)]
pub struct Store {
    write: DatabaseConnection,
    read: DatabaseConnection,
}

impl Store {
    /// Opens the database, brings its schema up to date and makes what a first start needs.
    ///
    /// `url` is `sqlite:PATH` or `postgres://...`.
    pub async fn open(url: &str) -> Result<Self> {
        open::open(url).await
    }

    /// For reading outside a transaction.
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// For single statements that write.
    pub fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// A transaction that may write from its first statement on.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        let mode = (self.backend() == DbBackend::Sqlite).then_some(SqliteTransactionMode::Immediate);
        Ok(self
            .write
            .begin_with_options(TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() })
            .await?)
    }

    /// SQLite or PostgreSQL.
    pub fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.read.ping().await?)
    }

    /// Ends all connections; on SQLite the write-ahead log is folded in.
    pub async fn close(self) -> Result<()> {
        self.read.close().await?;
        Ok(self.write.close().await?)
    }
}
