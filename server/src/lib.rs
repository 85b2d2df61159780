//! The one binary: settings, the edge, the workers and the command line, wired to this machine's own parts.

pub mod cli;
pub mod config;
pub mod demo;
pub mod http;
pub mod inbox;
pub mod serve;
mod tour;
mod workers;
