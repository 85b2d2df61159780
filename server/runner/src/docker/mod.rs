//! Docker, through its own program: the one way in which stages and targets of Seamless use containers.
//!
//! Why the program and not the daemon's API stands in docs/adr/0007-docker-through-its-own-program.md. Refuses to pass values
//! of variables or passwords as arguments, where every user of the machine could read them.

mod call;
mod error;
pub mod labels;
mod login;

pub use call::{DAEMON, Docker, Output};
pub use error::DockerError;
pub use login::{LoggedIn, host as registry_host};
