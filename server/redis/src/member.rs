//! A row as a member of a sorted set: a ULID that makes it one of its kind, the numbers of its lines, the lines.
//!
//! The set's score is the first line's number; it is in the member too, because scores are asked for apart.

use control::{
    hot::{Log, Row},
    ports::PortError,
    seal, wall_clock,
};
use ulid::{ULID_LEN, Ulid};

/// Written to see whether writing works.
pub(crate) const PROBE: &str = "seamless:probe";
/// The label and both numbers.
const HEAD: usize = ULID_LEN + 8 + 8;

/// The set of a log.
pub(crate) fn key(log: Log) -> String {
    format!("seamless:log:{}:{}", log.stage, log.attempt)
}

/// Score and member.
pub(crate) fn pack(row: &Row) -> Result<(f64, bytes::Bytes), PortError> {
    let random = u128::from_le_bytes(seal::random::<16>().map_err(PortError::new)?);
    let label = Ulid::from_parts(wall_clock().0.max(0).cast_unsigned(), random);
    let mut member = Vec::with_capacity(HEAD + row.body.len());
    member.extend_from_slice(label.to_string().as_bytes());
    member.extend_from_slice(&row.first.to_le_bytes());
    member.extend_from_slice(&row.next.to_le_bytes());
    member.extend_from_slice(&row.body);
    // Exact up to 2^53 lines.
    #[allow(clippy::cast_precision_loss)]
    Ok((row.first as f64, member.into()))
}

/// The row of a member, unless it is none.
pub(crate) fn unpack(member: &[u8]) -> Option<Row> {
    let number = |at: usize| Some(u64::from_le_bytes(member.get(at..at + 8)?.try_into().ok()?));
    let (first, next) = (number(ULID_LEN)?, number(ULID_LEN + 8)?);
    (first < next).then(|| Row { first, next, body: member[HEAD..].to_vec() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_same_row_twice_is_two_members_of_one_score() {
        let row = Row { first: 7, next: 9, body: b"lines".to_vec() };
        let (one, two) = (pack(&row).unwrap(), pack(&row).unwrap());
        assert!(one.0 == 7.0 && two.0 == 7.0 && one.1 != two.1);
        assert_eq!((unpack(&one.1), unpack(&two.1)), (Some(row.clone()), Some(row)));
        assert_eq!([unpack(b""), unpack(&one.1[..HEAD - 1]), unpack(&[0; HEAD])], [None, None, None]);
    }
}
