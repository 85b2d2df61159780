//! Turning facts into words and coloured lines: pure functions, the same on both sides of the wire.
//!
//! Refuses to know the time or the page: moments come in as arguments, HTML goes out as text.

pub mod ansi;
pub mod line;
pub mod means;
pub mod words;
