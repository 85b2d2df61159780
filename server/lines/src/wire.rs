//! A batch as a runner sends it when the server takes it: a short head in JSON, then the lines as they are stored.
//!
//! What arrives is checked as a whole, then stored as it is: no line becomes a string on the way. Where it is not understood (415), the
//! same batch goes as `LogBatch` in JSON.

use serde::{Deserialize, Serialize};

use crate::block::Damaged;

/// The content type.
pub const KIND: &str = "application/vnd.seamless.lines";

/// What stands before the lines.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the first line.
    pub first_seq: u64,
    /// Secrets that came up while the stage ran; see `LogBatch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<String>,
}

/// The bytes of a batch.
///
/// # Errors
/// When the head is longer than can be said.
pub fn write(head: &Head, block: &[u8]) -> Result<Vec<u8>, Damaged> {
    let head = serde_json::to_vec(head).map_err(|_| Damaged)?;
    let length = u32::try_from(head.len()).map_err(|_| Damaged)?;
    let mut body = Vec::with_capacity(4 + head.len() + block.len());
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&head);
    body.extend_from_slice(block);
    Ok(body)
}

/// The head, and where in the bytes the lines begin.
///
/// # Errors
/// When it is no batch.
pub fn read(body: &[u8]) -> Result<(Head, usize), Damaged> {
    let (length, rest) = body.split_first_chunk::<4>().ok_or(Damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    let head = rest.get(..length).ok_or(Damaged)?;
    Ok((serde_json::from_slice(head).map_err(|_| Damaged)?, 4 + length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_head_and_what_follows_it() {
        let head = Head { first_seq: 7, masks: vec!["s3cret".into()] };
        let body = write(&head, b"lines").unwrap();
        let (read_back, at) = read(&body).unwrap();
        assert_eq!((read_back, &body[at..]), (head, &b"lines"[..]));
        for cut in 0..at {
            assert_eq!(read(&body[..cut]), Err(Damaged));
        }
    }
}
