//! Putting rows into a database whose tables are there and empty, many in one statement, and comparing what is there afterwards with
//! what came.

use std::mem;

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Query},
};

use super::{
    format::{Cell, Totals, damaged},
    read::{Piece, Snapshot, Source, value},
};
use crate::{
    error::{Error, Result},
    store::{
        backend,
        schema::{Kind, Table},
    },
};

/// Values in one statement: SQLite takes 32766.
const VALUES: usize = 16_000;
/// Bytes in one statement, about.
const BYTES: usize = 2 << 20;

/// Fills `tables` from a source, which has to have just these; says what they hold now.
///
/// # Errors
/// When the source is damaged or has other tables, or when what is there afterwards is not what came.
pub async fn load<C: ConnectionTrait>(
    db: &C,
    tables: Vec<Table>,
    mut source: impl Source,
) -> Result<Vec<(String, Totals)>> {
    let (mut came, mut batch): (Vec<(String, Totals)>, Option<Batch>) = (Vec::new(), None);
    while let Some(piece) = source.next().await? {
        match (piece, &mut batch) {
            (Piece::Table(table), None) if tables.contains(&table) => {
                // A step may have put rows into the tables it made.
                db.execute(Query::delete().from_table(Alias::new(&table.name))).await?;
                batch = Some(Batch { table, rows: Vec::new(), values: 0, bytes: 0 });
            }
            (Piece::Row(row), Some(batch)) if row.len() == batch.table.columns.len() => {
                batch.add(row);
                if batch.values >= VALUES || batch.bytes >= BYTES {
                    batch.flush(db).await?;
                }
            }
            (Piece::End(name, totals), Some(open)) if open.table.name == name => {
                open.flush(db).await?;
                came.push((name, totals));
                batch = None;
            }
            _ => return Err(damaged("its tables are not those that it names")),
        }
    }
    if came.len() != tables.len() {
        return Err(damaged("a table is missing"));
    }
    for table in &tables {
        for key in table.columns.iter().filter(|c| c.key > 0 && c.kind == Kind::Integer) {
            backend::continue_numbers(db, &table.name, &key.name).await?;
        }
    }
    let there = Snapshot::new(db, tables).totals().await?;
    for ((name, came), (_, there)) in came.iter().zip(&there) {
        if came != there {
            return Err(Error::internal(format!(
                "table {name}: {} rows came and {} are there, or they are not the same; nothing was changed",
                came.rows, there.rows
            )));
        }
    }
    Ok(came)
}

struct Batch {
    table: Table,
    rows: Vec<Vec<Cell>>,
    values: usize,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, row: Vec<Cell>) {
        self.values += row.len();
        self.bytes += row.iter().map(Cell::size).sum::<usize>();
        self.rows.push(row);
    }

    async fn flush<C: ConnectionTrait>(&mut self, db: &C) -> Result<()> {
        (self.values, self.bytes) = (0, 0);
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut insert = Query::insert();
        insert
            .into_table(Alias::new(&self.table.name))
            .columns(self.table.columns.iter().map(|c| Alias::new(&c.name)));
        for row in mem::take(&mut self.rows) {
            let cells = self.table.columns.iter().zip(row);
            insert
                .values(cells.map(|(column, cell)| value(column.kind, cell).into()))
                .map_err(|e| Error::internal(e.to_string()))?;
        }
        db.execute(&insert).await?;
        Ok(())
    }
}
