//! The states of runs and stages, and the only way from one to another: [`Status::apply`].
//!
//! Refuses every transition that is not listed here; nothing leaves a terminal status.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a run or a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Status {
    /// Waits for its turn.
    Idle,
    /// A runner works on it.
    InProgress,
    /// Waits for a person.
    AwaitingApproval,
    /// Done, and well.
    Success,
    /// Done, and not well; the reason says why.
    Failure,
    /// Ended by a person or an expiry; the reason says by whom or which.
    Cancelled,
    /// Not done, on purpose; the reason says why.
    Skipped,
}

impl Status {
    /// All of them, in the order of a life.
    pub const ALL: [Status; 7] = [
        Status::Idle,
        Status::InProgress,
        Status::AwaitingApproval,
        Status::Success,
        Status::Failure,
        Status::Cancelled,
        Status::Skipped,
    ];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Idle => "idle",
            Status::InProgress => "in_progress",
            Status::AwaitingApproval => "awaiting_approval",
            Status::Success => "success",
            Status::Failure => "failure",
            Status::Cancelled => "cancelled",
            Status::Skipped => "skipped",
        }
    }

    /// Whether nothing can happen any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Status::Success | Status::Failure | Status::Cancelled | Status::Skipped)
    }

    /// Whether a stage that needs this one may start.
    pub fn lets_pass(self) -> bool {
        matches!(self, Status::Success | Status::Skipped)
    }

    /// The status after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event has no meaning in this status.
    pub fn apply(self, event: StageEvent) -> Result<Status, IllegalTransition> {
        use StageEvent as E;
        use Status as S;
        Ok(match (self, event) {
            (S::Idle, E::Start) => S::InProgress,
            (S::Idle, E::OpenGate) => S::AwaitingApproval,
            (S::AwaitingApproval, E::Approve) => S::Idle,
            (S::InProgress, E::Retry) => S::Idle,
            (S::InProgress, E::Succeed) => S::Success,
            (S::InProgress, E::Fail) => S::Failure,
            (S::Idle | S::AwaitingApproval, E::Skip) => S::Skipped,
            (S::Idle | S::InProgress | S::AwaitingApproval, E::Cancel) => S::Cancelled,
            (from, event) => return Err(IllegalTransition { from, event }),
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Status::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| UnknownName {
            what: "status",
            text: text.to_owned(),
            known: Status::ALL.map(Status::as_str).join(", "),
        })
    }
}

/// What can happen to a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageEvent {
    /// The engine hands it to a runner.
    Start,
    /// Everything before it is done and a person must decide.
    OpenGate,
    /// A person decided for it.
    Approve,
    /// The runner was lost and the policy allows another attempt.
    Retry,
    /// The runner reports success.
    Succeed,
    /// The runner reports failure, or was lost for good.
    Fail,
    /// It will not be done.
    Skip,
    /// A person, or an expiry, ended it.
    Cancel,
}

/// An event that has no meaning in the status it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stage that is {from} cannot take {event:?}")]
pub struct IllegalTransition {
    /// Where it stood.
    pub from: Status,
    /// What came.
    pub event: StageEvent,
}

/// A word that names nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}; known: {known}")]
pub struct UnknownName {
    /// Kind of name.
    pub what: &'static str,
    /// What was given.
    pub text: String,
    /// What would have been understood.
    pub known: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [StageEvent; 8] = [
        StageEvent::Start,
        StageEvent::OpenGate,
        StageEvent::Approve,
        StageEvent::Retry,
        StageEvent::Succeed,
        StageEvent::Fail,
        StageEvent::Skip,
        StageEvent::Cancel,
    ];

    #[test]
    fn nothing_leaves_a_terminal_status() {
        for from in Status::ALL.into_iter().filter(|s| s.is_terminal()) {
            for event in EVENTS {
                assert_eq!(from.apply(event), Err(IllegalTransition { from, event }));
            }
        }
    }

    #[test]
    fn names_go_both_ways() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
    }

    proptest! {
        /// However events come, only a stage that was in progress succeeds or fails.
        #[test]
        fn success_comes_from_progress(events in prop::collection::vec(0usize..8, 0..40)) {
            let mut status = Status::Idle;
            for event in events.into_iter().map(|i| EVENTS[i]) {
                if let Ok(next) = status.apply(event) {
                    if matches!(next, Status::Success | Status::Failure) { prop_assert_eq!(status, Status::InProgress); }
                    prop_assert!(!status.is_terminal());
                    status = next;
                }
            }
        }
    }
}
