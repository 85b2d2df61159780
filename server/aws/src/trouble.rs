//! What AWS answers when it does not do what it was asked: one kind each, and words that say what helps.

use aws_sdk_sfn::{
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
};
use control::engine::executions::EngineError;

use crate::account::innermost;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Throttled,
    Expired,
    Unsigned,
    Denied,
    Gone,
    Wrong,
}

/// Codes by which AWS asks for patience, whatever the service.
const THROTTLED: [&str; 10] = [
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "Throttled",
    "TooManyRequestsException",
    "RequestThrottled",
    "RequestLimitExceeded",
    "ExecutionLimitExceeded",
    "LimitExceeded",
    "KmsThrottlingException",
];
const EXPIRED: [&str; 5] = [
    "ExpiredTokenException",
    "ExpiredToken",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "RequestExpired",
];
/// Codes of a signature that is not right: another key, or another time.
const UNSIGNED: [&str; 2] = ["InvalidSignatureException", "SignatureDoesNotMatch"];
const DENIED: [&str; 5] = [
    "AccessDeniedException",
    "AccessDenied",
    "UnauthorizedOperation",
    "AuthorizationError",
    "KmsAccessDeniedException",
];

/// The kind of an error code.
pub(crate) fn kind_of(code: &str) -> Kind {
    match code {
        code if THROTTLED.contains(&code) => Kind::Throttled,
        code if EXPIRED.contains(&code) => Kind::Expired,
        code if UNSIGNED.contains(&code) => Kind::Unsigned,
        code if DENIED.contains(&code) => Kind::Denied,
        code if code.contains("DoesNotExist") || code.contains("NonExistent") => Kind::Gone,
        "TaskTimedOut" | "InvalidToken" => Kind::Gone,
        _ => Kind::Wrong,
    }
}

/// Retries of the SDK's own for what passes by itself; what lasts is told, and tried again by whoever asked.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}

/// What an error means for a run, in words: `what` is what could not be done, such as "the execution cannot be started".
pub(crate) fn engine_error<E, R>(what: &str, error: &SdkError<E, R>) -> EngineError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Some(answer) = error.as_service_error() else {
        return EngineError::Away(away(what, &innermost(error)));
    };
    let code = answer.code().unwrap_or_default();
    let said = answer.message().unwrap_or(code);
    match kind_of(code) {
        Kind::Throttled => EngineError::Throttled(format!("{what}: AWS asks for patience ({code})")),
        Kind::Expired => EngineError::Refused(format!(
            "{what}: the credentials of AWS are not valid any more ({code}); renew them, or give this machine a role"
        )),
        Kind::Unsigned => EngineError::Refused(format!(
            "{what}: AWS refuses the signature ({code}); check the secret access key and this machine's clock"
        )),
        Kind::Denied => {
            EngineError::Refused(format!("{what}: {said}. Add that permission to the server's role"))
        }
        Kind::Gone => EngineError::Gone(format!("{what}: {said}")),
        Kind::Wrong => EngineError::Refused(format!("{what}: {said}")),
    }
}

fn away(what: &str, why: &str) -> String {
    if why.contains("credentials") || why.contains("CredentialsNotLoaded") {
        return format!(
            "{what}: no credentials of AWS were found; give this machine a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        );
    }
    let why: String = why.trim().chars().take(200).collect();
    format!("{what}: AWS does not answer ({why})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_all_services_have_a_kind() {
        assert_eq!(kind_of("ThrottlingException"), Kind::Throttled);
        assert_eq!(kind_of("ExpiredToken"), Kind::Expired);
        assert_eq!(kind_of("AccessDenied"), Kind::Denied);
        assert_eq!(kind_of("SignatureDoesNotMatch"), Kind::Unsigned);
        assert_eq!(kind_of("ExecutionDoesNotExist"), Kind::Gone);
        assert_eq!(kind_of("AWS.SimpleQueueService.NonExistentQueue"), Kind::Gone);
        assert_eq!(kind_of("TaskTimedOut"), Kind::Gone);
        assert_eq!(kind_of("ValidationException"), Kind::Wrong);
        assert!(away("x", "dispatch failure: no providers in chain provided credentials").contains("role"));
    }
}
