//! What a log's lines are to runner and server alike: bytes cut into lines, secrets taken out of them, many of them packed.
//!
//! Both sides use the same code, so that the server finds what a runner should have found, and stores what a runner packed as it
//! came. Refuses to read files, sockets or clocks.

pub mod added;
pub mod block;
pub mod mask;
pub mod split;
pub mod wire;
