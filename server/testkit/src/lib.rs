//! Dev only: the real binary on a free port with its own data folder, on SQLite or on a real PostgreSQL; a client for its API and its
//! live streams; Git repositories; a Docker daemon and a Redis where there are such; ways between programs that can be cut; a stand-in for AWS; and a service small enough to be deployed many times in one test.
//!
//! Refuses to stand in for any part of Seamless: what tests talk to here is what users run, AWS excepted, which nobody runs at home. Every wait has a deadline and says
//! what it waited for.

// What a test cannot do without may end the test.
#![allow(clippy::unwrap_used)]

mod api;
pub mod aws;
pub mod docker;
mod far_daemon;
mod git;
pub mod github;
mod hook;
mod live;
mod own_daemon;
mod ports;
mod postgres;
pub mod proc;
mod redis;
mod relay;
pub mod rows;
mod server;
mod service;
mod users;
mod visitor;

pub use api::{Answer, Api, until};
pub use docker::skipped;
pub use far_daemon::FarDaemon;
pub use git::Repository;
pub use hook::signature;
pub use live::{Follow, Message};
pub use own_daemon::OwnDaemon;
pub use ports::free_port;
pub use postgres::fresh_database;
pub use redis::Redis;
pub use relay::Relay;
pub use server::{Options, Server, Store};
pub use service::{python, serves, tiny};
pub use users::Users;
pub use visitor::Visitor;
