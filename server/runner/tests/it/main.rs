//! The runner against a stand-in server, with real repositories and real processes.
#![allow(clippy::unwrap_used)]

mod artifacts;
mod commands;
mod compose;
mod containers;
mod images;
mod logs;
mod mixed;
mod process;
mod repositories;
mod stages;
mod support;
mod target;
