//! One stream per page: what happens on the server is folded into the page's signals.
//!
//! Refuses to be the truth: a page is complete without it, and after a break the stream goes on from its cursor.

pub mod fetch;
mod fresh;
mod log;
mod stream;

pub use fresh::{Fresh, Lost, REGION, settled};
pub use log::{Chunk, LogState, Pushed};
pub use stream::{Link, open};
