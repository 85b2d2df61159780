//! The embedded mode's ways to the outside: runners as detached processes, services as supervised processes behind a stable
//! port, repositories through the Git program, and this machine's folders.
//!
//! Refuses to touch the database; what is to be done is decided elsewhere.

pub mod clean;
pub mod docker;
pub mod git;
pub mod host;
pub mod keeper;
pub mod launcher;
mod lock;
pub mod presence;
mod proc;
pub mod process;

pub use git::CommandGit;
pub use host::ThisHost;
pub use keeper::{KeeperArgs, spawn::Keepers};
pub use launcher::ProcessLauncher;
pub use process::ProcessTarget;
