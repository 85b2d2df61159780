//! Docker, through its own program: the one way in which stages and targets of Seamless use containers.
//!
//! Why the program and not the daemon's API stands in docs/adr/0007-docker-through-its-own-program.md. Refuses to pass values
//! of variables or passwords as arguments, where every user of the machine could read them.

mod build;
mod buildkit;
mod call;
pub(crate) mod compose;
mod definition;
mod error;
mod inputs;
pub mod labels;
pub mod leftovers;
mod login;
mod stream;
mod toolchain;

pub(crate) use build::image;
pub(crate) use call::disturbs;
pub use call::{DAEMON, Docker, Output};
pub use error::DockerError;
pub use login::{LoggedIn, host as registry_host};
pub(crate) use toolchain::Place;
