//! One file per table. Rows as they lie in the database: ids and enums as text, times as whole milliseconds in UTC, documents as
//! JSON text, alike on SQLite and PostgreSQL.
//!
//! Refuses to know what rows mean; that is `control::store`'s.

pub mod api_token;
pub mod approval;
pub mod cursor;
pub mod delivery;
pub mod deployment;
pub mod event;
pub mod execution;
pub mod forge_hook;
pub mod lease;
pub mod log_chunk;
pub mod log_unarchived;
pub mod login_link;
pub mod node;
pub mod notice;
pub mod person;
pub mod pipeline;
pub mod report;
pub mod run;
pub mod service;
pub mod session;
pub mod stage;
