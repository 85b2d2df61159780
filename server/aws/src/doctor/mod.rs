//! Looks whether everything is there that runs on AWS need, and says what to mend. Permissions are tried by calls that cannot do anything: what
//! they name does not exist, and AWS looks at the permission first.
//!
//! Refuses to change anything.

use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use control::engine::executions::EngineError;
use domain::RunId;

use crate::{
    engine::{EngineSettings, StepFunctions},
    trouble::{Kind, engine_error, kind_of},
};

/// How one thing stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As it should.
    Good(String),
    /// It works, but is worth a thought.
    Doubtful(String),
    /// Not, and what helps.
    Bad(String),
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What.
    pub what: &'static str,
    /// How it stands.
    pub found: Found,
}

/// Looks at the account, the machine and the queue of these settings.
pub async fn examine(settings: &EngineSettings) -> Vec<Checked> {
    let engine = StepFunctions::connect(settings.clone()).await;
    let mut all = vec![Checked { what: "credentials", found: engine.who().await }];
    if matches!(all[0].found, Found::Bad(_)) {
        return all; // nothing else can be asked
    }
    all.push(Checked { what: "state machine", found: engine.machine().await });
    let nobody = RunId::from_parts(0, 0);
    let stranger = format!("{}-nobody", settings.machine.trim_end_matches(':'));
    let start =
        engine.states.start_execution().state_machine_arn(stranger).name(nobody.to_string()).input("{}");
    all.push(Checked {
        what: "states:StartExecution",
        found: allowed("states:StartExecution", start.send().await),
    });
    let gone = settings.execution(nobody);
    let stop = engine.states.stop_execution().execution_arn(&gone);
    all.push(Checked {
        what: "states:StopExecution",
        found: allowed("states:StopExecution", stop.send().await),
    });
    let look = engine.states.describe_execution().execution_arn(&gone);
    all.push(Checked {
        what: "states:DescribeExecution",
        found: allowed("states:DescribeExecution", look.send().await),
    });
    let answer = engine.states.send_task_success().task_token("nobody").output("{}");
    all.push(Checked {
        what: "states:SendTaskSuccess",
        found: allowed("states:SendTaskSuccess", answer.send().await),
    });
    all.push(Checked { what: "queue", found: engine.queue_found().await });
    let hold = engine.queue.change_message_visibility().queue_url(&settings.queue);
    let hold = hold.receipt_handle("nobody").visibility_timeout(0).send().await;
    all.push(Checked {
        what: "sqs:ChangeMessageVisibility",
        found: allowed("sqs:ChangeMessageVisibility", hold),
    });
    let done = engine.queue.delete_message().queue_url(&settings.queue).receipt_handle("nobody").send().await;
    all.push(Checked { what: "sqs:DeleteMessage", found: allowed("sqs:DeleteMessage", done) });
    all
}

/// A call that cannot do anything was made: whether it was refused for lack of a permission.
fn allowed<T, E, R>(permission: &str, answer: Result<T, SdkError<E, R>>) -> Found
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Err(error) = answer else { return Found::Good("allowed".into()) };
    match error.as_service_error().and_then(|e| e.code()).map(kind_of) {
        Some(Kind::Denied) => {
            Found::Bad(format!("not allowed: add {permission} to the role that the server works with"))
        }
        Some(Kind::Gone | Kind::Wrong) => Found::Good("allowed".into()),
        Some(Kind::Throttled) => Found::Doubtful("AWS asks for patience; look again in a minute".into()),
        Some(Kind::Expired) | None => bad(engine_error("it cannot be asked", &error)),
    }
}

fn bad(error: EngineError) -> Found {
    Found::Bad(error.to_string())
}

impl StepFunctions {
    async fn who(&self) -> Found {
        match self.identity.get_caller_identity().send().await {
            Ok(found) => Found::Good(found.arn.unwrap_or_else(|| "known".into())),
            Err(error) => bad(engine_error("AWS does not know who asks", &error)),
        }
    }

    async fn machine(&self) -> Found {
        let call = self.states.describe_state_machine().state_machine_arn(&self.settings.machine);
        let found = match call.send().await {
            Ok(found) => found,
            Err(error) => return bad(engine_error("it cannot be looked at", &error)),
        };
        if found.r#type.as_str() != "STANDARD" {
            return Found::Bad("it is an Express machine: runs need a Standard one".into());
        }
        if !found.definition.contains("SEAMLESS_TICKET") {
            return Found::Bad("it is not ours: create it from what `seamless asl` prints".into());
        }
        let queue = self.settings.queue.as_str();
        if !found.definition.contains(queue) {
            return Found::Doubtful(format!("it does not name {queue}: does it tell another queue?"));
        }
        Found::Good(found.name)
    }

    async fn queue_found(&self) -> Found {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let call = self.queue.get_queue_attributes().queue_url(&self.settings.queue);
        let names = [Name::ApproximateNumberOfMessages, Name::RedrivePolicy];
        let found = match call.set_attribute_names(Some(names.into())).send().await {
            Ok(found) => found.attributes.unwrap_or_default(),
            Err(error) => return bad(engine_error("it cannot be looked at", &error)),
        };
        let waiting = found.get(&Name::ApproximateNumberOfMessages).map_or("0", String::as_str);
        if !found.contains_key(&Name::RedrivePolicy) {
            return Found::Doubtful(format!("{waiting} messages wait; it has no dead-letter queue"));
        }
        Found::Good(format!("{waiting} messages wait"))
    }
}
