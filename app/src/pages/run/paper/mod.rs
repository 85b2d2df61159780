//! The paper of a log: only the rows around what is looked at are drawn, wherever that is in a log of any length.
//!
//! Rows are drawn in leaves of fifty, which stay as long as they are near, so that a selection survives scrolling. What is looked at, the
//! anchor, is a line and some of its pixels; whatever changes around it, it stays where it is on the screen. Refuses to redraw what did
//! not change, and to hold a log that it does not show.

#[cfg(feature = "hydrate")]
mod draw;
// Where they are not drawn, they are still tested.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
mod place;
#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
mod rows;
#[cfg(feature = "hydrate")]
mod sheet;

use leptos::prelude::*;

#[cfg(feature = "hydrate")]
pub use sheet::{Log, Paper, Tells, line_of};

/// Where a page keeps its paper, once it is awake.
#[cfg(feature = "hydrate")]
pub type Held = StoredValue<Option<Paper>, LocalStorage>;
/// The same where no page wakes, and what is kept goes from thread to thread.
#[cfg(not(feature = "hydrate"))]
pub type Held = StoredValue<Option<Paper>>;

/// A place with no paper in it yet.
pub fn held() -> Held {
    #[cfg(feature = "hydrate")]
    return StoredValue::new_local(None);
    #[cfg(not(feature = "hydrate"))]
    StoredValue::new(None)
}

/// On the server a log is drawn once, as text.
#[cfg(not(feature = "hydrate"))]
#[derive(Clone)]
pub enum Paper {}
