//! Runs that an engine elsewhere drives, such as AWS Step Functions: it starts a task for each stage that is to be done, and tells
//! what came of them. The rows stay the truth, and change in the same way as under the embedded engine: what follows from what, who must
//! approve, and what is refused is decided here; the engine only knows in which order tasks are started.
//!
//! - [`claim`]: a task asks for the stage it was started for, and becomes its runner; [`claims`] remembers which;
//! - [`drive`]: executions are started, answered at their gate, stopped, and looked at now and then, as [`step`] says;
//! - [`gate`]: the tokens with which a gate is answered;
//! - [`hear`]: what the engine tells; each of it may come twice, late, or never;
//! - [`left`]: what becomes of runs whose engine was taken away.
//!
//! Refuses to poll what is told anyway, and to trust an order in which things are told.

mod claim;
mod claims;
mod drive;
mod gate;
mod hear;
mod input;
mod left;
mod shown;
mod step;

use async_trait::async_trait;
use domain::{RunId, StageKind};
use secrecy::SecretString;
use serde_json::Value;

pub use hear::{Fall, Heard, Letter};
pub use input::Size;

/// Where stages run that an engine elsewhere drives, in place of a data folder's id.
pub(crate) const HOME: &str = "executions";

/// Why the engine did not do what it was asked, in words for the run page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It wants to be asked less often.
    #[error("{0}")]
    Throttled(String),
    /// It knows of no such execution, gate, or machine.
    #[error("{0}")]
    Gone(String),
    /// It refuses for good, as when a permission or the machine is missing; asked again in case somebody mends it.
    #[error("{0}")]
    Refused(String),
    /// It does not answer, or not with sense.
    #[error("{0}")]
    Away(String),
}

/// How an execution stands, by the engine's own records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Running,
    /// It is at its end: well, or why not, in the engine's words.
    Ended(std::result::Result<(), String>),
    /// There is none of that name.
    Unknown,
}

/// What the queue holds.
#[derive(Debug, Clone)]
pub struct Message {
    /// With what it is answered.
    pub handle: String,
    /// How often it has been handed out.
    pub times: u32,
    /// Its text.
    pub body: String,
    /// What it says, where it can be read.
    pub letter: std::result::Result<Letter, String>,
}

/// An engine elsewhere.
#[async_trait]
pub trait Executions: Send + Sync {
    /// Starts the execution of a run: twice is once. Answers the name by which it is found from then on, whatever the settings are then.
    async fn start(&self, run: RunId, input: &Value) -> Result<String, EngineError>;
    /// Ends an execution and the tasks it has started.
    async fn stop(&self, name: &str, why: &str) -> Result<(), EngineError>;
    /// Answers at a gate. [`EngineError::Gone`] when it does not wait there any more.
    async fn answer(&self, token: &SecretString, passes: Result<(), String>) -> Result<(), EngineError>;
    /// How an execution stands.
    async fn look(&self, name: &str) -> Result<Standing, EngineError>;
    /// Why its last task did not begin, while it is tried again.
    async fn hindrance(&self, name: &str) -> Result<Option<String>, EngineError>;
    /// The next messages; waits for the first one for a while, and answers none then.
    async fn receive(&self) -> Result<Vec<Message>, EngineError>;
    /// Keeps a message from being handed out to others for another while.
    async fn hold(&self, message: &Message) -> Result<(), EngineError>;
    /// Removes a message for good.
    async fn done(&self, message: &Message) -> Result<(), EngineError>;
    /// Where a person sees an execution, if there is such a place.
    fn page(&self, name: &str) -> Option<String>;
    /// What the tasks of a stage may take.
    fn size(&self, kind: StageKind) -> Size;
}
