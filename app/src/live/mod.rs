//! One stream per page: what happens on the server is folded into the page's signals.
//!
//! Refuses to be the truth: a page is complete without it, and after a break the stream goes on from its cursor.

pub mod fetch;
mod fresh;
// Where nothing is held, it is still tested.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
mod log;
mod stream;

pub use fresh::{Fresh, Lost, REGION, settled};
#[cfg(feature = "hydrate")]
pub use log::Lines;
pub use stream::{Link, open};
