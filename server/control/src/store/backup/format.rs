//! How rows become bytes, and what is known of a table besides its rows.
//!
//! A row is its cells one after the other, each with a byte that says what it is; so it is the same bytes wherever it came from, and a
//! table's sum over its rows is the same in whatever order they were read.

use domain::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// First line of every backup; the number is the format's.
pub const MAGIC: &[u8] = b"SEAMLESS BACKUP 1\n";

/// What a backup begins with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    /// Version of Seamless that wrote it.
    pub program: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Steps its database had taken.
    pub steps: Vec<String>,
    /// A word sealed with the key that its secrets are sealed with.
    pub mark: String,
}

impl Header {
    pub fn new(steps: Vec<String>, now: Timestamp, mark: String) -> Self {
        Self { program: env!("CARGO_PKG_VERSION").into(), at: now.0, steps, mark }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// True or false.
    Flag(bool),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Cell {
    /// Roughly, in memory.
    pub fn size(&self) -> usize {
        match self {
            Cell::Text(text) => text.len(),
            Cell::Bytes(bytes) => bytes.len(),
            _ => 8,
        }
    }
}

/// How many rows a table has, and a sum over them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Rows.
    pub rows: u64,
    /// The SHA-256 of each row, added up in four parts.
    sum: [u64; 4],
}

impl Totals {
    /// Counts a row.
    pub fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        let hash = Sha256::digest(row);
        for (part, bytes) in self.sum.iter_mut().zip(hash.chunks_exact(8)) {
            *part = part.wrapping_add(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
        }
    }
}

/// A row as bytes.
pub fn pack(cells: &[Cell]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cells.iter().map(|c| c.size() + 5).sum());
    for cell in cells {
        match cell {
            Cell::Null => out.push(0),
            Cell::Integer(number) => {
                out.push(1);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Cell::Flag(flag) => out.extend_from_slice(&[2, u8::from(*flag)]),
            Cell::Text(text) => put(&mut out, 3, text.as_bytes()),
            Cell::Bytes(bytes) => put(&mut out, 4, bytes),
        }
    }
    out
}

fn put(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The row that these bytes are.
///
/// # Errors
/// When they are none.
pub fn unpack(mut bytes: &[u8]) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        cells.push(match tag {
            0 => Cell::Null,
            1 => Cell::Integer(i64::from_le_bytes(take(&mut bytes)?)),
            2 => Cell::Flag(take::<1>(&mut bytes)? != [0]),
            3 | 4 => {
                let length = u64::from_le_bytes(take(&mut bytes)?);
                let length = usize::try_from(length).map_err(|_| damaged("a value is too long"))?;
                let (own, rest) =
                    bytes.split_at_checked(length).ok_or_else(|| damaged("a value is cut off"))?;
                bytes = rest;
                if *tag == 4 {
                    Cell::Bytes(own.to_vec())
                } else {
                    let text = String::from_utf8(own.to_vec());
                    Cell::Text(text.map_err(|_| damaged("a text is none"))?)
                }
            }
            _ => return Err(damaged("a value is of no known kind")),
        });
    }
    Ok(cells)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (own, rest) = bytes.split_first_chunk().ok_or_else(|| damaged("a value is cut off"))?;
    *bytes = rest;
    Ok(*own)
}

/// A backup that is not whole.
pub fn damaged(how: &str) -> Error {
    Error::field("FILE", format!("is damaged ({how}): use another backup; nothing was changed"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_row_comes_back_and_counts_in_any_order() {
        let rows = [
            vec![Cell::Null, Cell::Integer(i64::MIN), Cell::Flag(true)],
            vec![Cell::Text("ä\0".into()), Cell::Bytes(vec![0, 255]), Cell::Text(String::new())],
        ];
        let packed = rows.each_ref().map(|r| pack(r));
        for (row, bytes) in rows.iter().zip(&packed) {
            assert_eq!(&unpack(bytes).unwrap(), row);
            assert!(
                unpack(&bytes[..bytes.len() - 1]).is_err()
                    || row.len() > unpack(&bytes[..bytes.len() - 1]).unwrap().len()
            );
        }
        let sum = |order: [usize; 2]| {
            let mut totals = Totals::default();
            order.into_iter().for_each(|at| totals.add(&packed[at]));
            totals
        };
        assert_eq!(sum([0, 1]), sum([1, 0]));
        assert_ne!(sum([0, 0]), sum([0, 1]));
    }
}
