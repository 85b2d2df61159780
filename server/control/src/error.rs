//! What a use case answers when it cannot do what it was asked; one meaning each, fit to be shown to the person who asked.
//!
//! `Internal` keeps its cause for the log; its text for people says nothing of the inside.

use domain::{Role, problem::FieldError, status::IllegalTransition};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing (any more).
    #[error("there is no {what} {id}")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// Some fields are wrong.
    #[error("{}", summary(.0))]
    Invalid(Vec<FieldError>),
    /// It does not fit what is there now; says expected and found.
    #[error("{0}")]
    Conflict(String),
    /// A hole in a log: lines from `next_seq` on are wanted first.
    #[error("lines from {next_seq} on are missing")]
    Hole {
        /// What is wanted next.
        next_seq: u64,
    },
    /// The one who asks may not.
    #[error("{0}")]
    Refused(String),
    /// Who asks is known, and may not do this.
    #[error(
        "this takes a role that {name} does not have: {needed}, not {has}. An owner of this Seamless can change that, in Settings under Members"
    )]
    Forbidden {
        /// Who.
        name: String,
        /// What they are.
        has: Role,
        /// What they would have to be.
        needed: Role,
    },
    /// More is on its way to the database than may be; the same again after a while will do.
    #[error("more log lines are waiting to be stored than this server holds; send them again in {after_s} s")]
    Busy {
        /// After how many seconds.
        after_s: u64,
    },
    /// What was sent is more than goes into one call.
    #[error("{0}")]
    TooLarge(String),
    /// Something outside is away; trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of ours.
    #[error("something went wrong inside Seamless; its log has the details")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What use cases return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One wrong field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Error::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// Nothing there.
    pub fn not_found(what: &'static str, id: impl ToString) -> Self {
        Error::NotFound { what, id: id.to_string() }
    }

    /// Our own fault.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error::Internal(cause.into())
    }
}

fn summary(fields: &[FieldError]) -> String {
    fields.iter().map(|f| format!("{}: {}", f.field, f.message)).collect::<Vec<_>>().join("; ")
}

impl From<sea_orm::DbErr> for Error {
    fn from(e: sea_orm::DbErr) -> Self {
        Error::internal(e)
    }
}
impl From<serde_json::Error> for Error {
    fn from(e: serde_json::Error) -> Self {
        Error::internal(e)
    }
}
impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Error::internal(e)
    }
}
impl From<lines::block::Damaged> for Error {
    fn from(e: lines::block::Damaged) -> Self {
        Error::internal(e)
    }
}
impl From<crate::ports::PortError> for Error {
    fn from(e: crate::ports::PortError) -> Self {
        Error::Unavailable(e.to_string())
    }
}
impl From<crate::engine::executions::EngineError> for Error {
    fn from(e: crate::engine::executions::EngineError) -> Self {
        Error::Unavailable(e.to_string())
    }
}
impl From<IllegalTransition> for Error {
    fn from(e: IllegalTransition) -> Self {
        Error::Conflict(e.to_string())
    }
}
impl From<domain::id::BadId> for Error {
    fn from(e: domain::id::BadId) -> Self {
        Error::internal(e)
    }
}
impl From<domain::status::UnknownName> for Error {
    fn from(e: domain::status::UnknownName) -> Self {
        Error::internal(e)
    }
}
