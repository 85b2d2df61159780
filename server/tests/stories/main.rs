//! Stories told to the real binary, one file for each resource of the API.

#![allow(clippy::unwrap_used)]

mod services;

/// The binary under test.
const SEAMLESS: &str = env!("CARGO_BIN_EXE_seamless");
