//! AWS: the engine, the queue, the notifications, the images and the services of teams that outgrew one machine. Refuses to touch the database.

pub mod account;
pub mod asl;
mod clock;
pub mod cloudformation;
pub mod doctor;
pub mod ecr;
pub mod ecs;
mod engine;
mod history;
mod letter;
pub mod sns;
mod trouble;

pub use engine::{EngineSettings, StepFunctions};
