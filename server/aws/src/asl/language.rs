//! As much of the Amazon States Language as the pipeline needs, with JSONata for what is computed
//! (<https://states-language.net/>). Refuses to know what a pipeline is.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

/// A whole definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Machine {
    /// What it is, for people.
    pub comment: String,
    /// Always `JSONata`.
    pub query_language: &'static str,
    /// What it begins with.
    #[serde(flatten)]
    pub states: Branch,
}

/// States, and which is the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Branch {
    /// The first.
    pub start_at: String,
    /// All, in reading order.
    pub states: States,
}

/// States by name, in reading order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct States(pub Vec<(String, State)>);

impl States {
    /// Adds one.
    pub fn add(&mut self, name: impl Into<String>, state: impl Into<State>) {
        self.0.push((name.into(), state.into()));
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<&State> {
        self.0.iter().find_map(|(n, state)| (n == name).then_some(state))
    }
}

impl Serialize for States {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, state) in &self.0 {
            map.serialize_entry(name, state)?;
        }
        map.end()
    }
}

/// One state.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "Type")]
pub enum State {
    /// Calls a service.
    Task(Task),
    /// Goes one of several ways.
    Choice(Choice),
    /// Goes several ways at once.
    Parallel(Parallel),
    /// Lets time pass.
    Wait(Wait),
    /// Ends well.
    Succeed(Succeed),
    /// Ends badly.
    Fail(Fail),
}

macro_rules! is_a_state {
    ($($name:ident)*) => { $(impl From<$name> for State {
        fn from(state: $name) -> Self {
            State::$name(state)
        }
    })* };
}
is_a_state!(Task Choice Parallel Wait Succeed Fail);

/// Where it goes from here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Then {
    /// To another state of the same branch.
    Next(String),
    /// Nowhere: always `true`.
    End(bool),
}

/// Calls a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    /// Which call of which service.
    pub resource: String,
    /// What it is called with.
    pub arguments: Value,
    /// How long it may take, in seconds: a number or an expression.
    pub timeout_seconds: Value,
    /// What becomes of the answer.
    pub output: Value,
    /// Which errors are tried again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry: Vec<Retry>,
    /// Where errors lead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catch: Vec<Catch>,
    /// Where it goes from here.
    #[serde(flatten)]
    pub then: Then,
}

/// Tries again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Retry {
    /// After which errors.
    pub error_equals: Vec<String>,
    /// After how many seconds, the first time.
    pub interval_seconds: u32,
    /// How often.
    pub max_attempts: u32,
    /// By what the pause is multiplied each time.
    pub backoff_rate: u32,
    /// The longest pause.
    pub max_delay_seconds: u32,
    /// `FULL`: each pause is a random part of itself.
    pub jitter_strategy: &'static str,
}

/// Goes on after an error.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Catch {
    /// After which errors.
    pub error_equals: Vec<String>,
    /// What the next state gets.
    pub output: Value,
    /// Where to.
    pub next: String,
}

/// Goes one of several ways.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Choice {
    /// The first whose condition holds is taken.
    pub choices: Vec<Rule>,
    /// Where to if none holds.
    pub default: String,
}

/// One way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    /// When.
    pub condition: String,
    /// What is remembered on the way.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub assign: Map<String, Value>,
    /// What the next state gets; its own input when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Where to.
    pub next: String,
}

/// Goes several ways at once, and on when all are at their end.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parallel {
    /// What each branch gets.
    pub arguments: Value,
    /// The ways.
    pub branches: Vec<Branch>,
    /// Where errors lead that no branch caught.
    pub catch: Vec<Catch>,
    /// Where it goes from here, with a list of what each branch ended with.
    pub next: String,
}

/// Lets time pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Wait {
    /// How long: a number or an expression.
    pub seconds: Value,
    /// Where to then.
    pub next: String,
}

/// Ends well, with its input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Succeed {}

/// Ends badly.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fail {
    /// The error's name.
    pub error: String,
    /// What happened.
    pub cause: String,
}

/// A JSONata expression, as it stands in a definition.
pub fn computed(expression: impl AsRef<str>) -> String {
    format!("{{% {} %}}", expression.as_ref())
}
