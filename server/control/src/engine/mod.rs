//! The embedded engine: durable because its state is the stage rows. Three workers, each of which may be stopped at any line and
//! started again: they take no input, and doing their work twice is doing it once.
//!
//! - `dispatch` starts what may start, within the slots, fair between services;
//! - `reconcile` compares what the rows say with what really lives, at boot and every few seconds;
//! - `expire` ends approvals nobody gave.

mod dispatch;
mod reconcile;
