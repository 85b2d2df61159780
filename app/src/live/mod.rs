//! One stream per page: what happens on the server is folded into the page's signals.
//!
//! Refuses to be the truth: a page is complete without it, and after a break the stream goes on from its cursor.

mod log;
mod stream;

pub use log::{Chunk, LogState};
pub use stream::{Link, open};
