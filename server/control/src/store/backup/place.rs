//! The database that is filled, and how it takes the place of what was there: on PostgreSQL in one transaction, on SQLite as a new file
//! that is whole and on the disk before it gets the name.
//!
//! Refuses a database that is in use, and one that holds anything unless it is to be replaced.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, Statement,
    sea_query::{Alias, Asterisk, Expr, ExprTrait, Query, Table as Drop},
};

use super::{Done, file::sync_folder, load::load, read::Source};
use crate::{
    error::{Error, Result},
    store::{
        backend,
        open::{self, Sharing},
        schema,
    },
};

/// What may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing: the database has to be empty.
    Nothing,
    /// Whatever it holds.
    Anything,
}

/// A database that may be filled: nobody else uses it, and what it holds may go.
pub enum Place {
    /// The file's path and the lock that keeps others away.
    Sqlite(PathBuf, File),
    /// The connection and the transaction in which all of it happens.
    Postgres(DatabaseConnection, DatabaseTransaction),
}

impl Place {
    /// Looks whether it may be filled. Nothing is changed yet.
    pub async fn open(url: &str, over: Over) -> Result<Self> {
        if open::is_sqlite(url) {
            let path = open::file_of(url)?;
            let held = open::hold(&path, Sharing::Alone)?;
            if over == Over::Nothing && path.exists() {
                let old = Database::connect(open::sqlite_options(&address(&path), 1)).await?;
                refuse_full(&old).await?;
                old.close().await?;
            }
            return Ok(Self::Sqlite(path, held));
        }
        let store = open::connect(url, Some(2), Sharing::Alone).await?;
        let tx = store.begin().await?;
        // A server that starts meanwhile waits for this before it looks at its schema.
        if !backend::try_lock(&tx, backend::Lock::Schema).await? {
            return Err(open::in_use());
        }
        if over == Over::Nothing {
            refuse_full(&tx).await?;
        }
        Ok(Self::Postgres(store.write, tx))
    }

    /// Fills it with what had taken these steps, compares, takes the steps that are left, and puts it in place.
    pub async fn fill(self, source: impl Source, steps: &[String]) -> Result<Done> {
        match self {
            Self::Postgres(db, tx) => {
                drop_all(&tx).await?;
                let done = fill(&tx, source, steps).await?;
                tx.execute_unprepared("ANALYZE").await?;
                tx.commit().await?;
                db.close().await?;
                Ok(done)
            }
            Self::Sqlite(path, _held) => {
                let draft = beside(&path, ".new");
                remove(&draft)?;
                let done = fill_file(&draft, source, steps).await.inspect_err(|_| {
                    let _ = remove(&draft);
                })?;
                put_in_place(&draft, &path).await?;
                Ok(done)
            }
        }
    }
}

async fn fill(tx: &DatabaseTransaction, source: impl Source, steps: &[String]) -> Result<Done> {
    schema::up(tx, steps.len()).await?;
    let all = load(tx, schema::tables(steps).await?, source).await?;
    let newer = schema::up(tx, usize::MAX).await?;
    Ok(Done::of(&all, newer))
}

async fn fill_file(draft: &Path, source: impl Source, steps: &[String]) -> Result<Done> {
    let db = Database::connect(open::draft_options(&address(draft))).await?;
    let tx = backend::begin(&db).await?;
    let done = fill(&tx, source, steps).await?;
    tx.commit().await?;
    db.close().await?;
    File::open(draft)?.sync_all()?;
    Ok(done)
}

/// Puts a new file in the place of an old one. What the old one's log still held goes into it first: left beside the new one, that log
/// would be taken for its own.
async fn put_in_place(draft: &Path, path: &Path) -> Result<()> {
    if path.exists() {
        let old = Database::connect(open::sqlite_options(&address(path), 1)).await;
        match old {
            Ok(old) => {
                fold(&old).await?;
                old.close().await?;
            }
            Err(error) => tracing::warn!(%error, "the database that is replaced could not be read"),
        }
        for end in ["-wal", "-shm"] {
            remove_file(&beside(path, end))?;
        }
    }
    fs::rename(draft, path)?;
    sync_folder(path)
}

/// Puts the write-ahead log into the file and does without one.
async fn fold(db: &DatabaseConnection) -> Result<()> {
    for pragma in ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE"] {
        db.query_all_raw(Statement::from_string(DbBackend::Sqlite, pragma)).await?;
    }
    Ok(())
}

async fn refuse_full<C: ConnectionTrait>(db: &C) -> Result<()>
where
    for<'a> &'a C: sea_orm_migration::IntoSchemaManagerConnection<'a>,
{
    let steps = schema::taken(db).await?;
    if steps.is_empty() {
        return Ok(());
    }
    let mut held = Vec::new();
    for table in schema::tables(&steps).await? {
        let mut count = Query::select();
        count.expr(Expr::col(Asterisk).count()).from(Alias::new(&table.name));
        let row = db.query_one(&count).await?;
        let rows: i64 = row.map(|r| r.try_get_by_index(0)).transpose()?.unwrap_or(0);
        if rows > 0 {
            held.push(format!("{rows} in {}", table.name));
        }
    }
    if held.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "the database is not empty: it has rows ({}). Say --replace to put the others in their place, or name another database",
        held.join(", ")
    )))
}

/// Removes our tables, whichever version made them.
async fn drop_all(tx: &DatabaseTransaction) -> Result<()> {
    let mut names: Vec<String> =
        schema::tables(&schema::known()).await?.into_iter().map(|table| table.name).collect();
    names.push(schema::STEPS.into());
    for name in names {
        tx.execute(Drop::drop().table(Alias::new(name)).if_exists().cascade()).await?;
    }
    Ok(())
}

fn address(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A database file with what lies beside it.
fn remove(path: &Path) -> Result<()> {
    ["", "-wal", "-shm", "-journal"].into_iter().try_for_each(|end| remove_file(&beside(path, end)))
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}
