//! AWS: the engine, the queue, the images and the services of teams that outgrew one machine. Refuses to touch the database.

pub mod asl;
pub mod cloudformation;
pub mod doctor;
mod engine;
mod letter;
mod trouble;

pub use engine::{EngineSettings, StepFunctions};
