//! Backups: everything the database holds in one file, the same for SQLite and PostgreSQL, taken while servers work; and the way back,
//! into either of them. What is read from one and written into the other without a file between is a move.
//!
//! A file is read from end to end and found whole before anything is touched; what was put in is read again and compared table by table
//! before it counts. A crash at any point leaves the old database or the new one, and nothing in between.
//!
//! Refuses what lies outside of the database: artifacts, mirrors of repositories, and the key of the secrets.

mod file;
mod format;
mod load;
mod place;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use self::{
    file::Reader,
    format::{Header, Totals},
    place::{Over, Place},
    read::Snapshot,
};
use super::{
    Store, backend,
    open::{self, Sharing},
    schema,
};
use crate::{
    error::{Error, Result},
    seal::Sealer,
};
use domain::Timestamp;

/// What a backup's key mark is sealed for, and what it says.
const MARK: (&str, &str) = ("backup", "seamless");

/// What was written, read or moved.
#[derive(Debug, Clone)]
pub struct Done {
    /// Tables with their rows.
    pub tables: Vec<(String, u64)>,
    /// Steps that brought the schema up to date afterwards.
    pub steps: Vec<String>,
}

impl Done {
    fn of(all: &[(String, Totals)], steps: Vec<String>) -> Self {
        Self { tables: all.iter().map(|(name, totals)| (name.clone(), totals.rows)).collect(), steps }
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|t| t.1).sum()
    }
}

/// A file that was read from end to end and found whole.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Which version of Seamless wrote it.
    pub program: String,
    /// When.
    pub at: Timestamp,
    /// Tables with their rows.
    pub done: Done,
    path: PathBuf,
    mark: String,
}

impl Checked {
    /// Whether this key opens the secrets in it.
    pub fn opens_with(&self, key: &Sealer) -> bool {
        key.open(MARK.0, &self.mark).is_ok_and(|said| said == MARK.1)
    }

    /// Puts what it holds into a database, which no server may use meanwhile. `replace` lets it take the place of what is there.
    ///
    /// # Errors
    /// When the database is in use, or not empty and not to be replaced; when the file is not what was checked. Nothing was changed then.
    pub async fn restore(&self, url: &str, replace: bool) -> Result<Done> {
        let over = if replace { Over::Anything } else { Over::Nothing };
        let into = Place::open(url, over).await?;
        let reader = Reader::open(&self.path)?;
        let steps = reader.header().steps.clone();
        into.fill(reader, &steps).await
    }
}

/// Writes everything a database holds into a file, as it is at one moment. Servers go on meanwhile.
///
/// # Errors
/// When the file is there already or cannot be written; when there is nothing in the database, or a newer Seamless wrote it.
pub async fn backup(url: &str, path: &Path, key: &Sealer, now: Timestamp) -> Result<Done> {
    if open::is_sqlite(url) && !open::file_of(url)?.exists() {
        return Err(Error::Conflict("there is no database yet: nothing to back up".into()));
    }
    let store = open::connect(url, None, Sharing::Shared).await?;
    let tx = backend::unhurried(backend::snapshot(&store.read).await?).await?;
    let steps = schema::taken(&tx).await?;
    if steps.is_empty() {
        return Err(Error::Conflict("the database is empty: nothing to back up".into()));
    }
    let tables = schema::tables(&steps).await?;
    let header = Header::new(steps, now, key.seal(MARK.0, MARK.1)?);
    let mut writer = file::Writer::create(path, &header)?;
    let mut source = Snapshot::new(&tx, tables);
    let mut all = Vec::new();
    while let Some(piece) = read::Source::next(&mut source).await? {
        writer.put(&piece)?;
        if let read::Piece::End(name, totals) = piece {
            all.push((name, totals));
        }
    }
    drop(source);
    tx.rollback().await?;
    store.close().await?;
    writer.finish()?;
    Ok(Done::of(&all, Vec::new()))
}

/// Reads a backup from end to end.
///
/// # Errors
/// When it is no backup, is damaged or cut short, or was written by a newer Seamless.
pub async fn check(path: &Path) -> Result<Checked> {
    let mut reader = Reader::open(path)?;
    let header = reader.header().clone();
    let mut all = Vec::new();
    while let Some(piece) = reader.read()? {
        if let read::Piece::End(name, totals) = piece {
            all.push((name, totals));
        }
    }
    // Judged last: what a damaged file says of itself is not to be believed.
    schema::tables(&schema::in_order(header.steps.clone())?).await?;
    Ok(Checked {
        program: header.program,
        at: Timestamp(header.at),
        done: Done::of(&all, Vec::new()),
        path: path.to_owned(),
        mark: header.mark,
    })
}

/// Puts everything a database holds into another one; no server may use either meanwhile. The old one stays as it was.
///
/// # Errors
/// When one of them is in use, or the new one is not empty and not to be replaced.
pub async fn move_to(from: &str, to: &str, replace: bool) -> Result<Done> {
    let same = || Error::field("to", "names the database that is to be moved; give another one");
    if from == to
        || (open::is_sqlite(from) && open::is_sqlite(to) && open::file_of(from)? == open::file_of(to)?)
    {
        return Err(same());
    }
    if open::is_sqlite(from) && !open::file_of(from)?.exists() {
        return Err(Error::Conflict("there is no database yet: nothing to move".into()));
    }
    let store = open::connect(from, None, Sharing::Alone).await?;
    let tx = backend::unhurried(backend::snapshot(&store.read).await?).await?;
    // A server that starts meanwhile waits with its schema until all is done, and nothing it wrote can be missed.
    if !backend::try_lock(&tx, backend::Lock::Schema).await? {
        return Err(open::in_use());
    }
    let steps = schema::taken(&tx).await?;
    if steps.is_empty() {
        return Err(Error::Conflict("the database is empty: nothing to move".into()));
    }
    let over = if replace { Over::Anything } else { Over::Nothing };
    let into = Place::open(to, over).await?;
    let source = Snapshot::new(&tx, schema::tables(&steps).await?);
    let done = into.fill(source, &steps).await?;
    tx.rollback().await?;
    store.close().await?;
    Ok(done)
}

impl Store {
    /// Steps that were taken, in order.
    ///
    /// # Errors
    /// When a newer Seamless wrote it.
    pub async fn steps(&self) -> Result<Vec<String>> {
        schema::taken(&self.read).await
    }
}
