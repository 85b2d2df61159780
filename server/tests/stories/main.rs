//! Stories told to the real binary, one file for each resource of the API.

#![allow(clippy::unwrap_used)]

mod approvals;
mod auth;
mod cli;
mod contract;
mod database;
mod deliveries;
mod errors;
mod falls;
mod github;
mod ingest;
mod live;
mod logs;
mod many;
mod matrix;
mod notifications;
mod people;
mod retention;
mod rollback;
mod runs;
mod secrets;
mod services;
mod wizard;

use serde_json::{Value, json};
use testkit::{Repository, Server, tiny};

/// The binary under test.
const SEAMLESS: &str = env!("CARGO_BIN_EXE_seamless");

/// A service with commands and nothing to deploy.
fn checked(server: &Server, name: &str, commands: Value) -> (Repository, Value) {
    let (repository, mut settings) = tiny(server, name);
    settings["commands"] = commands;
    (repository, settings)
}

/// A command that waits until a test lets it go on.
fn waits_for(path: &std::path::Path) -> String {
    format!("while [ ! -e {} ]; do sleep 0.05; done", path.display())
}

/// The production port of settings.
fn port(settings: &Value) -> u16 {
    settings["port"].as_u64().unwrap().try_into().unwrap()
}

/// An empty body.
fn nothing() -> Value {
    json!({})
}
