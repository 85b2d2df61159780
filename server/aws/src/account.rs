//! The account: who asks AWS, in which region, and what becomes of an answer that is none.
//!
//! Nothing is looked up before the first question, so a server that never uses AWS pays nothing for it. Questions are asked again
//! here and not by the SDK, so that a stage's log says what is waited for. Refuses to ask again for what will be refused again.

use std::{error::Error as StdError, fmt::Debug, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, Region, SdkConfig, meta::region::RegionProviderChain, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_ecs::{
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use runner::target::LogSink;
use tokio::sync::Mutex;

use crate::{
    clock::{Clock, WallClock},
    trouble::{Kind as Code, kind_of},
};

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a page waits for an answer, all tries together.
const PAGE: Duration = Duration::from_secs(8);
/// How long throttling, silence and faults of AWS are waited out.
const TROUBLE: Duration = Duration::from_secs(10 * 60);
/// How long credentials that do not hold may take to be renewed.
const RENEWAL: Duration = Duration::from_secs(15 * 60);
/// First pause, doubled each time up to the last.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What AWS did not do, in words that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct AwsError {
    /// AWS's own name for it, such as `ServiceNotFoundException`; empty where it said none.
    pub code: String,
    /// The words.
    pub message: String,
}

impl AwsError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: String::new(), message: message.into() }
    }

    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

/// The clients of what we ask.
#[derive(Debug)]
pub(crate) struct Clients {
    pub ecs: aws_sdk_ecs::Client,
    pub ecr: aws_sdk_ecr::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
    pub sns: aws_sdk_sns::Client,
}

impl Clients {
    fn new(config: &SdkConfig) -> Self {
        Self {
            ecs: aws_sdk_ecs::Client::new(config),
            ecr: aws_sdk_ecr::Client::new(config),
            secrets: aws_sdk_secretsmanager::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
        }
    }
}

/// Finds out who we are. Asked again when the answer has expired.
#[async_trait]
pub(crate) trait Identify: Debug + Send + Sync {
    async fn identify(&self) -> Result<SdkConfig, AwsError>;
}

/// As everything that uses an SDK of AWS does: environment, profiles, the task's or the machine's role.
#[derive(Debug)]
struct Usual {
    /// Where, whatever the environment says.
    region: Option<String>,
    /// Where, when it says nothing.
    fallback: Option<String>,
}

/// What holds for every configuration of ours: one try, in bounded time.
pub(crate) fn settings() -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(ANSWER).build())
}

#[async_trait]
impl Identify for Usual {
    async fn identify(&self) -> Result<SdkConfig, AwsError> {
        let loader = settings();
        let region = |name: &String| Region::new(name.clone());
        let config = match (&self.region, &self.fallback) {
            (Some(name), _) => loader.region(region(name)),
            (None, Some(name)) => {
                loader.region(RegionProviderChain::default_provider().or_else(region(name)))
            }
            (None, None) => loader,
        };
        let config = config.load().await;
        if config.region().is_none() {
            return Err(AwsError::new(
                "no AWS region is set: give the server AWS_REGION, such as eu-central-1",
            ));
        }
        Ok(config)
    }
}

/// An AWS account in one region.
#[derive(Debug)]
pub struct Account {
    identify: Box<dyn Identify>,
    clock: Arc<dyn Clock>,
    clients: Mutex<Option<Arc<Clients>>>,
}

impl Account {
    /// The account and the region that this process's environment says; this region, where it says none. Nothing is asked before
    /// it is used.
    pub fn usual(fallback: Option<String>) -> Arc<Self> {
        Arc::new(Self::new(Box::new(Usual { region: None, fallback }), Arc::new(WallClock::default())))
    }

    /// The same account in this region.
    pub fn in_region(region: String) -> Arc<Self> {
        let usual = Usual { region: Some(region), fallback: None };
        Arc::new(Self::new(Box::new(usual), Arc::new(WallClock::default())))
    }

    pub(crate) fn new(identify: Box<dyn Identify>, clock: Arc<dyn Clock>) -> Self {
        Self { identify, clock, clients: Mutex::default() }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    async fn clients(&self) -> Result<Arc<Clients>, AwsError> {
        let mut kept = self.clients.lock().await;
        if let Some(clients) = &*kept {
            return Ok(clients.clone());
        }
        let clients = Arc::new(Clients::new(&self.identify.identify().await?));
        *kept = Some(clients.clone());
        Ok(clients)
    }

    /// Asks once, for a page: trouble is told rather than waited out.
    pub(crate) async fn ask<T, E, F>(
        &self,
        action: &str,
        question: impl Fn(Arc<Clients>) -> F,
    ) -> Result<T, AwsError>
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let asked = async {
            let answer = question(self.clients().await?).await;
            answer.map_err(|error| Trouble::of(action, &error)).map_err(|trouble| trouble.error)
        };
        match tokio::time::timeout(PAGE, asked).await {
            Ok(answer) => {
                if answer.as_ref().is_err_and(|e| kind_of(&e.code) == Code::Expired) {
                    *self.clients.lock().await = None;
                }
                answer
            }
            Err(_) => {
                Err(AwsError::new(format!("AWS has not answered {action} within {} seconds", PAGE.as_secs())))
            }
        }
    }

    /// Asks until there is an answer: what passes by itself is waited for, and said in the log.
    pub(crate) async fn insist<T, E, F>(
        &self,
        log: &LogSink,
        action: &str,
        question: impl Fn(Arc<Clients>) -> F,
    ) -> Result<T, AwsError>
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let begun = self.clock.now();
        let (mut pause, mut told) = (PAUSE.0, None);
        loop {
            let trouble = match self.clients().await {
                Ok(clients) => match question(clients).await {
                    Ok(answer) => {
                        if told.is_some() {
                            log.system(format!("AWS answers {action} again"));
                        }
                        return Ok(answer);
                    }
                    Err(error) => Trouble::of(action, &error),
                },
                Err(error) => Trouble { kind: Kind::Final, error },
            };
            let patience = match trouble.kind {
                Kind::Final => return Err(trouble.error),
                Kind::Credentials => RENEWAL,
                Kind::Passing => TROUBLE,
            };
            let waited = self.clock.now() - begun;
            if waited >= patience {
                let minutes = waited.as_secs() / 60;
                return Err(AwsError {
                    message: format!("{}; it was tried again for {minutes} minutes", trouble.error.message),
                    ..trouble.error
                });
            }
            if told != Some(trouble.kind) {
                let then = match trouble.kind {
                    Kind::Credentials => "new ones are asked for",
                    _ => "trying again",
                };
                log.system(format!("{}; {then}", trouble.error));
                told = Some(trouble.kind);
            }
            if trouble.kind == Kind::Credentials {
                *self.clients.lock().await = None;
            }
            self.clock.sleep(pause.mul_f64(jitter())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// Between three quarters and five: callers that were throttled together come back apart.
fn jitter() -> f64 {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    0.75 + f64::from(nanos.subsec_nanos() % 1000) / 2000.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It will be the same next time.
    Final,
    /// Throttled, not reached, or a fault of theirs.
    Passing,
    /// They have expired, or are not there yet.
    Credentials,
}

#[derive(Debug)]
struct Trouble {
    kind: Kind,
    error: AwsError,
}

/// Most say it by their code; ECS says it in words.
fn throttled(code: &str, message: &str) -> bool {
    kind_of(code) == Code::Throttled
        || message.contains("Too many concurrent attempts")
        || message.contains("Rate exceeded")
}

impl Trouble {
    fn of<E: StdError + ProvideErrorMetadata + Send + Sync + 'static>(
        action: &str,
        error: &SdkError<E>,
    ) -> Self {
        let say =
            |kind, code: &str, message: String| Self { kind, error: AwsError { code: code.into(), message } };
        let refused = match error {
            SdkError::ServiceError(refused) => refused,
            SdkError::TimeoutError(_) => {
                let within = ANSWER.as_secs();
                return say(
                    Kind::Passing,
                    "",
                    format!("AWS has not answered {action} within {within} seconds"),
                );
            }
            SdkError::DispatchFailure(failure) => {
                let why = innermost(error);
                if failure.as_connector_error().is_some_and(|e| !e.is_other()) {
                    return say(Kind::Passing, "", format!("AWS cannot be reached for {action}: {why}"));
                }
                return say(
                    Kind::Credentials,
                    "",
                    format!("there are no credentials for AWS ({action}): {why}"),
                );
            }
            SdkError::ConstructionFailure(_) => {
                return say(Kind::Final, "", format!("{action} cannot be asked: {}", innermost(error)));
            }
            _ => {
                return say(
                    Kind::Passing,
                    "",
                    format!("AWS's answer to {action} cannot be read: {}", innermost(error)),
                );
            }
        };
        let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
        let status = refused.raw().status().as_u16();
        match kind_of(code) {
            _ if throttled(code, message) => say(Kind::Passing, code, format!("AWS throttles {action}")),
            Code::Expired => say(
                Kind::Credentials,
                code,
                format!("the credentials for AWS do not hold any more ({action}: {code})"),
            ),
            Code::Denied => say(
                Kind::Final,
                code,
                format!(
                    "AWS refuses {action}: {message}; allow it to the role that Seamless works with (docs/aws.md has the list)"
                ),
            ),
            Code::Unsigned => say(
                Kind::Final,
                code,
                format!(
                    "AWS refuses the signature of {action}: {message}; check the secret access key and this machine's clock"
                ),
            ),
            _ if status >= 500 => {
                say(Kind::Passing, code, format!("AWS has a fault at {action} ({status} {code} {message})"))
            }
            _ => {
                let message = if message.is_empty() { code } else { message };
                tracing::debug!(action, code, request = error.request_id(), "AWS refused");
                say(Kind::Final, code, format!("AWS says to {action}: {message}"))
            }
        }
    }
}

/// What an error is in the end about.
pub(crate) fn innermost(error: &dyn StdError) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
