//! The model that server, runner and browser share.
//!
//! Everything here is data and pure functions: no I/O, no clock, no async, no framework. It compiles to WASM.

pub mod cloud;
pub mod containers;
pub mod id;
pub mod live;
pub mod news;
pub mod outline;
pub mod paths;
pub mod plan;
pub mod problem;
pub mod protocol;
pub mod role;
pub mod service;
pub mod stage;
pub mod status;
pub mod time;
pub mod view;

pub use id::*;
pub use role::Role;
pub use stage::{EnvironmentName, StageKind};
pub use status::{StageEvent, Status};
pub use time::Timestamp;
