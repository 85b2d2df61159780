//! Use cases, the store and the ports to the outside.

pub mod ports;
