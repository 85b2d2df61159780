//! The pipeline as Amazon States Language: one Standard state machine for every service and every kind of run.
//!
//! Pure: settings in, a definition out. What a run wants done is in the execution's input (see [`pipeline`]), so the definition changes only
//! with this code and its settings. Refuses to decide anything the database decides: every stage that is started asks the server whether it
//! is to be done at all, and every end is told to the queue. Nothing secret is in it.

mod language;
pub mod pipeline;
mod settings;

pub use language::{
    Branch, Catch, Choice, Fail, Machine, Parallel, Retry, Rule, State, States, Task, Then, Wait,
};
pub use pipeline::{CONTAINER, machine, stage_of};
pub use settings::{MachineSettings, Network, Patience};

#[cfg(test)]
mod tests;
