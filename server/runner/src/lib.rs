//! What runs inside a stage: fetches its job, prepares, runs, logs, reports.
//!
//! It knows the runner protocol and nothing else of the server: no database, no settings. It outlives the server,
//! and it refuses to outlive its own attempt: told to stop, it takes everything it started down with it.

pub mod artifact;
pub mod sink;
pub mod target;

pub use sink::LogSink;
pub use target::{Started, Stop, Target, TargetError};
