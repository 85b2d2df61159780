//! Where SQLite and PostgreSQL differ, each difference with its reason. Everything else is one code path.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, EntityTrait, IsolationLevel,
    QuerySelect, Select, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
    sea_query::{LockBehavior, LockType},
};

use crate::error::Result;

/// What PostgreSQL's list of sessions calls ours.
pub const NAME: &str = "seamless";

/// Said to PostgreSQL in each session: a transaction that asks nothing for so long has lost its server, and ends. Without it the locks of a
/// server that was cut off (or stands still) would hold up all others until the network gives it up, for hours. SQLite's locks end with
/// the process, on the same machine.
pub const PATIENCE: &str = "SET idle_in_transaction_session_timeout = '10s'";

/// What one at a time may do on PostgreSQL, by the number of its advisory lock. Any numbers do, as long as every server uses the same.
#[derive(Debug, Clone, Copy)]
pub enum Lock {
    /// Append events: numbers from a sequence become visible in commit order only when appenders stand in line.
    Events = 7_316_577,
    /// Change the schema, or put other rows in the place of all.
    Schema = 7_316_578,
    /// Decide what starts: what was counted must still be so when it is committed.
    Dispatch = 7_316_579,
    /// Change who may what: an owner must be left.
    People = 7_316_580,
}

/// Waits for a lock, which lasts as long as the transaction. SQLite has one writer: its transaction is the lock.
pub async fn lock(tx: &impl ConnectionTrait, lock: Lock) -> Result<()> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_raw(pg(format!("SELECT pg_advisory_xact_lock({})", lock as i64))).await?;
    }
    Ok(())
}

/// Takes a lock if nobody has it.
pub async fn try_lock(tx: &impl ConnectionTrait, lock: Lock) -> Result<bool> {
    if tx.get_database_backend() != DbBackend::Postgres {
        return Ok(true);
    }
    let row = tx.query_one_raw(pg(format!("SELECT pg_try_advisory_xact_lock({})", lock as i64))).await?;
    Ok(row.map(|r| r.try_get_by_index(0)).transpose()?.unwrap_or(false))
}

/// A transaction that may write. `IMMEDIATE` on SQLite: one that began by reading could not write after somebody else did.
pub async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction> {
    let mode = (db.get_database_backend() == DbBackend::Sqlite).then_some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode: mode, ..TransactionOptions::default() };
    Ok(db.begin_with_options(options).await?)
}

/// A transaction that sees the database as it is at its first statement. On SQLite every one does; PostgreSQL is asked for it.
pub async fn snapshot(db: &DatabaseConnection) -> Result<DatabaseTransaction> {
    let postgres = db.get_database_backend() == DbBackend::Postgres;
    let level = postgres.then_some(IsolationLevel::RepeatableRead);
    let options = TransactionOptions { isolation_level: level, ..TransactionOptions::default() };
    Ok(db.begin_with_options(options).await?)
}

/// Lets a snapshot last however slow its reader is: it holds nobody up.
pub async fn unhurried(tx: DatabaseTransaction) -> Result<DatabaseTransaction> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_raw(pg("SET LOCAL idle_in_transaction_session_timeout = 0".into())).await?;
    }
    Ok(tx)
}

/// Rows that nobody else works on, held until the transaction ends. On SQLite the transaction holds everything: no lock is written.
pub fn claim<E: EntityTrait>(select: Select<E>) -> Select<E> {
    select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
}

/// Rows that stay as they are read until the transaction ends; who else wants them waits. On SQLite nobody else writes.
pub fn hold<E: EntityTrait>(select: Select<E>) -> Select<E> {
    select.lock_exclusive()
}

/// How many transactions that store log lines are of use side by side: SQLite has one writer anyway.
pub fn writers(db: &impl ConnectionTrait) -> usize {
    if db.get_database_backend() == DbBackend::Sqlite { 1 } else { 2 }
}

/// Sessions of other processes of ours in this database. SQLite has no list of sessions; there a lock on a file tells
/// (see `open`).
pub async fn others(db: &impl ConnectionTrait) -> Result<i64> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(0);
    }
    let sql = format!(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{NAME}' \
         AND pid <> pg_backend_pid()"
    );
    let row = db.query_one_raw(pg(sql)).await?;
    Ok(row.map(|r| r.try_get_by_index(0)).transpose()?.unwrap_or(0))
}

/// Lets numbers that are handed out go on after those that were put in. SQLite sees to it by itself.
pub async fn continue_numbers(db: &impl ConnectionTrait, table: &str, column: &str) -> Result<()> {
    if db.get_database_backend() == DbBackend::Postgres {
        let sql = format!(
            "SELECT setval(s, GREATEST(m, 1), m > 0) FROM (SELECT pg_get_serial_sequence('\"{table}\"', '{column}') AS s, \
             (SELECT COALESCE(MAX(\"{column}\"), 0) FROM \"{table}\") AS m) AS q WHERE s IS NOT NULL"
        );
        db.execute_raw(pg(sql)).await?;
    }
    Ok(())
}

/// Gives pages that hold nothing any more back to the file system, a bounded number; says whether there are more. PostgreSQL does it by
/// itself: autovacuum marks what is free and cuts empty pages off a table's end.
pub async fn give_back(db: &impl ConnectionTrait, pages: u32) -> Result<bool> {
    if db.get_database_backend() != DbBackend::Sqlite {
        return Ok(false);
    }
    let number = async |pragma: &str| {
        let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, pragma)).await?;
        Ok::<i64, sea_orm::DbErr>(row.map(|r| r.try_get_by_index(0)).transpose()?.unwrap_or(0))
    };
    let before = number("PRAGMA freelist_count").await?;
    if before == 0 {
        return Ok(false);
    }
    db.query_all_raw(Statement::from_string(
        DbBackend::Sqlite,
        format!("PRAGMA incremental_vacuum({pages})"),
    ))
    .await?;
    let after = number("PRAGMA freelist_count").await?;
    // A file that was made before pages could be given back keeps them, to fill them again.
    Ok(after > 0 && after < before)
}

fn pg(sql: String) -> Statement {
    Statement::from_string(DbBackend::Postgres, sql)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use testkit::Relay;
    use tokio::time::timeout;

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_server_that_is_cut_off_in_the_middle_of_a_transaction_does_not_hold_up_the_others() {
        let url = testkit::fresh_database();
        let port = url.rsplit_once('/').unwrap().0.rsplit_once(':').unwrap().1;
        let way = Relay::to(port.parse().unwrap()).await;
        let by_way = url.replace(&format!(":{port}/"), &format!(":{}/", way.port));
        let (other, cut_off) = (Store::open(&url).await.unwrap(), Store::open(&by_way).await.unwrap());

        let held = cut_off.begin().await.unwrap();
        lock(&held, Lock::Events).await.unwrap();
        way.cut();
        let waits = async {
            let tx = other.begin().await.unwrap();
            lock(&tx, Lock::Events).await.unwrap();
        };
        timeout(Duration::from_secs(60), waits).await.unwrap();
        way.mend();
        lock(&held, Lock::Schema).await.unwrap_err();
        let again = cut_off.begin().await.unwrap();
        lock(&again, Lock::Schema).await.unwrap();
    }
}
