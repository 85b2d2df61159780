//! AWS Step Functions as the engine, and SQS as its voice.
//!
//! Refuses to decide anything: which execution is wanted, stopped or let through is `control`'s; here it is asked for, and what comes back
//! is put into words.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sfn::{
    error::{ProvideErrorMetadata, SdkError},
    types::ExecutionStatus,
};
use aws_sdk_sqs::types::MessageSystemAttributeName;
use control::engine::executions::{EngineError, Executions, Message, Size, Standing};
use domain::{RunId, StageKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{
    history, letter,
    trouble::{Kind, engine_error, kind_of, retries},
};

/// How long one look into the queue waits for a message, in seconds: the longest that SQS allows.
const WAIT_S: i32 = 20;
/// For how long a message is nobody else's once it was handed out, in seconds; prolonged while it is worked on.
const HOLD_S: i32 = 60;

/// Who asks, as every SDK finds it, in this region or in the one that the environment names.
pub(crate) async fn configuration(region: Option<&str>) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(retries());
    let loader = loader.timeout_config(timeouts());
    match region {
        Some(region) => loader.region(Region::new(region.to_owned())),
        None => loader,
    }
    .load()
    .await
}

/// A peer that is gone without a word must not hold up all runs: the SDK alone would wait as long as TCP does.
fn timeouts() -> TimeoutConfig {
    let one = Duration::from_secs(WAIT_S as u64 + 10);
    TimeoutConfig::builder().operation_attempt_timeout(one).operation_timeout(one * 3).build()
}

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// ARN of the state machine; of a version or an alias of it, if so wished.
    pub machine: String,
    /// URL of the queue.
    pub queue: String,
    /// What the tasks of each kind of stage may take; the usual where it is not said.
    pub sizes: BTreeMap<StageKind, Size>,
}

impl EngineSettings {
    /// The region that the machine's ARN names.
    pub fn region(&self) -> Option<&str> {
        self.machine.split(':').nth(3).filter(|region| !region.is_empty())
    }

    /// `arn:PARTITION:states:REGION:ACCOUNT:stateMachine:NAME[:QUALIFIER]`, in its parts.
    fn parts(&self) -> Option<[&str; 4]> {
        let parts: Vec<&str> = self.machine.split(':').collect();
        match parts[..] {
            ["arn", partition, "states", region, account, "stateMachine", name, ..] => {
                Some([partition, region, account, name])
            }
            _ => None,
        }
    }

    /// What is wrong with it, if anything: the setting and the remedy.
    pub fn problem(&self) -> Option<String> {
        if self.parts().is_none() {
            return Some(format!(
                "SEAMLESS_STATE_MACHINE is {:?}: give the machine's ARN, such as arn:aws:states:eu-west-1:123456789012:stateMachine:seamless",
                self.machine
            ));
        }
        if !self.queue.starts_with("http://") && !self.queue.starts_with("https://") {
            return Some(format!(
                "SEAMLESS_QUEUE is {:?}: give the queue's URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/seamless",
                self.queue
            ));
        }
        None
    }

    /// What the largest stage may take, in 1024ths of a core.
    pub(crate) fn largest_cpu(&self) -> u32 {
        let of = |kind: &StageKind| self.sizes.get(kind).copied().unwrap_or_default().cpu;
        StageKind::ALL.iter().map(of).max().unwrap_or_default()
    }

    /// The ARN of the machine itself, and the version or alias of it that is meant, if one is.
    pub(crate) fn qualified(&self) -> (String, Option<&str>) {
        let parts: Vec<&str> = self.machine.split(':').collect();
        (parts.get(..7).unwrap_or(&parts).join(":"), parts.get(7).copied())
    }

    pub(crate) fn execution(&self, run: RunId) -> String {
        let [partition, region, account, name] = self.parts().unwrap_or_default();
        format!("arn:{partition}:states:{region}:{account}:execution:{name}:{run}")
    }
}

/// See the module.
#[derive(Debug)]
pub struct StepFunctions {
    settings: EngineSettings,
    clients: Mutex<Option<Clients>>,
}

#[derive(Debug, Clone)]
struct Clients {
    states: aws_sdk_sfn::Client,
    queue: aws_sdk_sqs::Client,
}

impl StepFunctions {
    /// Talks to the machine and the queue of these settings, with the credentials and endpoints that the AWS SDK finds. Nothing is asked
    /// before it is used.
    pub fn new(settings: EngineSettings) -> Self {
        Self { settings, clients: Mutex::default() }
    }

    async fn clients(&self) -> Clients {
        let mut kept = self.clients.lock().await;
        if let Some(clients) = &*kept {
            return clients.clone();
        }
        // The machine's ARN says where it is; the environment need not.
        let config = configuration(self.settings.region()).await;
        let clients =
            Clients { states: aws_sdk_sfn::Client::new(&config), queue: aws_sdk_sqs::Client::new(&config) };
        kept.insert(clients).clone()
    }

    /// What came of a question, its error in words.
    async fn told<T, E, R>(&self, what: &str, answer: Result<T, SdkError<E, R>>) -> Result<T, EngineError>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let code = answer.as_ref().err().and_then(|e| e.as_service_error()?.code());
        // The SDK reads a profile once for each client: what somebody renewed there is found by the next one.
        if code.is_some_and(|code| kind_of(code) == Kind::Expired) {
            *self.clients.lock().await = None;
        }
        answer.map_err(|error| engine_error(what, &error))
    }
}

#[async_trait]
impl Executions for StepFunctions {
    async fn start(&self, run: RunId, input: &Value) -> Result<String, EngineError> {
        let states = self.clients().await.states;
        let call = states.start_execution().state_machine_arn(&self.settings.machine);
        match call.name(run.to_string()).input(input.to_string()).send().await {
            // Started before a crash, or by another server, perhaps with what the settings were then.
            Err(e) if e.as_service_error().is_some_and(|e| e.is_execution_already_exists()) => {
                Ok(self.settings.execution(run))
            }
            answer => match self.told("the execution cannot be started", answer).await {
                Ok(started) => Ok(started.execution_arn),
                // A machine that is missing may come back; an execution that does not exist cannot.
                Err(EngineError::Gone(why)) => Err(EngineError::Refused(why)),
                Err(other) => Err(other),
            },
        }
    }

    async fn stop(&self, name: &str, why: &str) -> Result<(), EngineError> {
        let why: String = why.chars().take(1000).collect();
        let call = self.clients().await.states.stop_execution().execution_arn(name);
        let stopped = call.error("Seamless.Stopped").cause(why).send().await;
        self.told("the execution cannot be stopped", stopped).await.map(drop)
    }

    async fn answer(&self, token: &SecretString, passes: Result<(), String>) -> Result<(), EngineError> {
        let what = "the gate cannot be answered";
        let states = self.clients().await.states;
        match passes {
            Ok(()) => {
                let call = states.send_task_success().task_token(token.expose_secret());
                self.told(what, call.output("{\"approved\":true}").send().await).await.map(drop)
            }
            Err(why) => {
                let why: String = why.chars().take(1000).collect();
                let call = states.send_task_failure().task_token(token.expose_secret());
                let sent = call.error("Seamless.NotApproved").cause(why).send().await;
                self.told(what, sent).await.map(drop)
            }
        }
    }

    async fn look(&self, name: &str) -> Result<Standing, EngineError> {
        let call = self.clients().await.states.describe_execution().execution_arn(name);
        let found = match call.send().await {
            Err(e) if e.as_service_error().is_some_and(|e| e.is_execution_does_not_exist()) => {
                return Ok(Standing::Unknown);
            }
            answer => self.told("the execution cannot be looked at", answer).await?,
        };
        let said = (found.error.as_deref().unwrap_or_default(), found.cause.as_deref().unwrap_or_default());
        Ok(match &found.status {
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Standing::Running,
            ExecutionStatus::Succeeded => Standing::Ended(Ok(())),
            ExecutionStatus::Aborted => Standing::Ended(Err(letter::stopped(said.0, said.1))),
            ExecutionStatus::TimedOut => {
                Standing::Ended(Err("its execution did not end within its limit".into()))
            }
            _ => Standing::Ended(Err(letter::why(said.0, said.1))),
        })
    }

    async fn hindrance(&self, name: &str) -> Result<Option<String>, EngineError> {
        let call = self.clients().await.states.get_execution_history().execution_arn(name);
        let found = call.reverse_order(true).max_results(history::LATEST).send().await;
        let found = self.told("the execution's history cannot be read", found).await?;
        Ok(history::hindrance(found.events()))
    }

    async fn receive(&self) -> Result<Vec<Message>, EngineError> {
        let queue = self.clients().await.queue;
        let call = queue.receive_message().queue_url(&self.settings.queue).max_number_of_messages(10);
        let call = call.wait_time_seconds(WAIT_S).visibility_timeout(HOLD_S);
        let call = call.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let found = self.told("the queue cannot be read", call.send().await).await?;
        Ok(found
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(|message| {
                let times = message.attributes.as_ref().and_then(|of| {
                    of.get(&MessageSystemAttributeName::ApproximateReceiveCount)?.parse().ok()
                });
                let body = message.body.unwrap_or_default();
                Message {
                    handle: message.receipt_handle.unwrap_or_default(),
                    times: times.unwrap_or(1),
                    letter: letter::read(&body),
                    body,
                }
            })
            .collect())
    }

    async fn hold(&self, message: &Message) -> Result<(), EngineError> {
        let call = self.clients().await.queue.change_message_visibility().queue_url(&self.settings.queue);
        let held = call.receipt_handle(&message.handle).visibility_timeout(HOLD_S).send().await;
        self.told("a message cannot be held", held).await.map(drop)
    }

    async fn done(&self, message: &Message) -> Result<(), EngineError> {
        let call = self.clients().await.queue.delete_message().queue_url(&self.settings.queue);
        let done = call.receipt_handle(&message.handle).send().await;
        self.told("a message cannot be removed", done).await.map(drop)
    }

    fn page(&self, name: &str) -> Option<String> {
        let ["arn", partition, "states", region, ..] = name.split(':').collect::<Vec<_>>()[..] else {
            return None;
        };
        let site = match partition {
            "aws-cn" => "console.amazonaws.cn",
            "aws-us-gov" => "console.amazonaws-us-gov.com",
            _ => "console.aws.amazon.com",
        };
        Some(format!("https://{region}.{site}/states/home?region={region}#/v2/executions/details/{name}"))
    }

    fn size(&self, kind: StageKind) -> Size {
        self.settings.sizes.get(&kind).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(machine: &str) -> EngineSettings {
        EngineSettings {
            machine: machine.into(),
            queue: "https://sqs.eu-west-1.amazonaws.com/1/seamless".into(),
            sizes: BTreeMap::new(),
        }
    }

    #[test]
    fn names_follow_from_the_machines_arn() {
        let run: RunId = "01J00000000000000000000000".parse().unwrap();
        for qualifier in ["", ":live", ":7"] {
            let of =
                settings(&format!("arn:aws:states:eu-west-1:123456789012:stateMachine:seamless{qualifier}"));
            assert_eq!(of.problem(), None);
            assert_eq!(of.region(), Some("eu-west-1"));
            assert_eq!(
                of.execution(run),
                "arn:aws:states:eu-west-1:123456789012:execution:seamless:01J00000000000000000000000"
            );
        }
        assert!(settings("seamless").problem().unwrap().contains("SEAMLESS_STATE_MACHINE"));
    }
}
