//! What runs inside a stage: fetches its job, prepares, runs, logs, reports.
//!
//! It knows the runner protocol and nothing else of the server: no database, no settings. It outlives the server,
//! and it refuses to outlive its own attempt: told to stop, it takes everything it started down with it.

pub mod artifact;
mod client;
mod command;
mod context;
mod deps;
pub mod docker;
mod ending;
mod entry;
mod git;
mod integrate;
mod journal;
pub mod paths;
mod reason;
mod servers;
mod shipper;
pub mod sink;
mod spool;
pub mod stage;
mod tail;
pub mod target;
mod task;
pub mod tree;
mod work;

pub use context::TOOLCHAINS;
pub use ending::{Cause, Ending};
pub use entry::run;
pub use git::{GitError, address, login_settings, without_password};
pub use sink::LogSink;
pub use target::{Started, Stop, Target, TargetError};
pub use task::{AGAIN, NOT_BEGUN, task};
