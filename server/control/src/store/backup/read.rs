//! Reading all rows of a database, table by table, within one transaction that sees it as it is at one moment.
//!
//! Rows are asked for in the order of the primary key, some at a time, each question after the last row of the one before: memory is
//! bounded by one answer, whatever a table's size.

use std::collections::VecDeque;

use sea_orm::{
    ConnectionTrait, QueryResult, Value,
    sea_query::{Alias, Expr, ExprTrait, Order, Query, SimpleExpr},
};

use super::format::{Cell, Totals, pack};
use crate::{
    error::Result,
    store::schema::{Column, Kind, Table},
};

/// Part of a database, in this order for each table: the table, its rows, its end.
#[derive(Debug)]
pub enum Piece {
    /// A table begins.
    Table(Table),
    /// A row of it, cells in the order of its columns.
    Row(Vec<Cell>),
    /// It ends: its name, and what it held.
    End(String, Totals),
}

/// Where pieces come from.
pub trait Source {
    /// The next piece; nothing at the end.
    async fn next(&mut self) -> Result<Option<Piece>>;
}

/// Rows in the first question for a table, and the most in one.
const ROWS: (u64, u64) = (16, 4096);
/// An answer that is smaller lets the next question ask for more, one that is four times as large for few.
const SMALL: usize = 1 << 20;

/// A database, seen through a transaction.
pub struct Snapshot<'a, C> {
    db: &'a C,
    waiting: VecDeque<Table>,
    open: Option<Open>,
}

struct Open {
    table: Table,
    totals: Totals,
    found: VecDeque<Vec<Cell>>,
    /// The key of the last row that was found.
    after: Option<Vec<Cell>>,
    few: u64,
    over: bool,
}

impl<'a, C: ConnectionTrait> Snapshot<'a, C> {
    /// Some tables of a database.
    pub fn new(db: &'a C, tables: Vec<Table>) -> Self {
        Self { db, waiting: tables.into(), open: None }
    }

    /// What the tables hold.
    pub async fn totals(mut self) -> Result<Vec<(String, Totals)>> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if let Piece::End(name, totals) = piece {
                all.push((name, totals));
            }
        }
        Ok(all)
    }
}

impl<C: ConnectionTrait> Source for Snapshot<'_, C> {
    async fn next(&mut self) -> Result<Option<Piece>> {
        let Some(open) = &mut self.open else {
            let Some(table) = self.waiting.pop_front() else { return Ok(None) };
            self.open = Some(Open::new(table.clone()));
            return Ok(Some(Piece::Table(table)));
        };
        if open.found.is_empty() && !open.over {
            open.ask(self.db).await?;
        }
        if let Some(row) = open.found.pop_front() {
            open.totals.add(&pack(&row));
            return Ok(Some(Piece::Row(row)));
        }
        let end = Piece::End(open.table.name.clone(), open.totals);
        self.open = None;
        Ok(Some(end))
    }
}

impl Open {
    fn new(table: Table) -> Self {
        Self {
            table,
            totals: Totals::default(),
            found: VecDeque::new(),
            after: None,
            few: ROWS.0,
            over: false,
        }
    }

    async fn ask<C: ConnectionTrait>(&mut self, db: &C) -> Result<()> {
        let mut keys: Vec<(usize, &Column)> =
            self.table.columns.iter().enumerate().filter(|(_, c)| c.key > 0).collect();
        keys.sort_by_key(|(_, c)| c.key);
        let mut select = Query::select();
        select.from(Alias::new(&self.table.name)).limit(self.few);
        for column in &self.table.columns {
            let own = Expr::col(Alias::new(&column.name));
            // Whole numbers have two widths on PostgreSQL; here they have one.
            let number = column.kind == Kind::Integer;
            select.expr(if number { own.cast_as("bigint") } else { own });
        }
        for (_, column) in &keys {
            select.order_by(Alias::new(&column.name), Order::Asc);
        }
        if let Some(after) = &self.after {
            let columns = keys.iter().map(|(_, c)| Expr::col(Alias::new(&c.name)));
            let values = after.iter().map(|cell| SimpleExpr::from(value(Kind::Text, cell.clone())));
            select.and_where(Expr::tuple(columns).gt(Expr::tuple(values)));
        }
        let rows = db.query_all(&select).await?;
        self.over = (rows.len() as u64) < self.few;
        let mut size = 0;
        for row in rows {
            let row = cells(&self.table, &row)?;
            size += row.iter().map(Cell::size).sum::<usize>();
            self.found.push_back(row);
        }
        if let Some(last) = self.found.back() {
            self.after = Some(keys.iter().map(|(at, _)| last[*at].clone()).collect());
        }
        if size > 4 * SMALL {
            self.few = ROWS.0;
        } else if size < SMALL {
            self.few = Ord::min(self.few * 2, ROWS.1);
        }
        Ok(())
    }
}

fn cells(table: &Table, row: &QueryResult) -> Result<Vec<Cell>> {
    let mut cells = Vec::with_capacity(table.columns.len());
    for (at, column) in table.columns.iter().enumerate() {
        let cell = match column.kind {
            Kind::Integer => row.try_get_by_index::<Option<i64>>(at)?.map(Cell::Integer),
            Kind::Flag => row.try_get_by_index::<Option<bool>>(at)?.map(Cell::Flag),
            // PostgreSQL's text has no place for this character.
            Kind::Text => row.try_get_by_index::<Option<String>>(at)?.map(|text| {
                Cell::Text(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
            }),
            Kind::Bytes => row.try_get_by_index::<Option<Vec<u8>>>(at)?.map(Cell::Bytes),
        };
        cells.push(cell.unwrap_or(Cell::Null));
    }
    Ok(cells)
}

/// A cell as a value in a statement; `kind` says of what kind nothing is.
pub fn value(kind: Kind, cell: Cell) -> Value {
    match (cell, kind) {
        (Cell::Integer(number), _) => Value::from(number),
        (Cell::Flag(flag), _) => Value::from(flag),
        (Cell::Text(text), _) => Value::from(text),
        (Cell::Bytes(bytes), _) => Value::from(bytes),
        (Cell::Null, Kind::Integer) => Value::from(None::<i64>),
        (Cell::Null, Kind::Flag) => Value::from(None::<bool>),
        (Cell::Null, Kind::Text) => Value::from(None::<String>),
        (Cell::Null, Kind::Bytes) => Value::from(None::<Vec<u8>>),
    }
}
