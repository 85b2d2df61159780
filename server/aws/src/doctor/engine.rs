//! The state machine and the queue. Whether a gate may be answered cannot be tried: that permission is one on the machine that a token names.

use aws_config::SdkConfig;
use domain::RunId;

use super::{Checked, Found, allowed, bad};
use crate::{engine::EngineSettings, trouble::engine_error};

pub(super) async fn examine(settings: &EngineSettings, config: &SdkConfig) -> Vec<Checked> {
    let states = aws_sdk_sfn::Client::new(config);
    let queue = aws_sdk_sqs::Client::new(config);
    let nobody = RunId::from_parts(0, 0);
    let gone = settings.execution(nobody);

    let machine = Checked { what: "state machine", found: machine(settings, &states).await };
    // Of this very machine, since the permission is one on it; an input that is no JSON starts nothing.
    let start = states.start_execution().state_machine_arn(&settings.machine);
    let start = start.name(nobody.to_string()).input("{ no JSON").send().await;
    let stop = states.stop_execution().execution_arn(&gone).send().await;
    let look = states.describe_execution().execution_arn(&gone).send().await;
    let history = states.get_execution_history().execution_arn(&gone).send().await;

    let waiting = Checked { what: "queue", found: waiting(settings, &queue).await };
    // What it may find is handed out again at once.
    let receive = queue.receive_message().queue_url(&settings.queue).visibility_timeout(0);
    let receive = receive.wait_time_seconds(0).max_number_of_messages(1).send().await;
    let hold = queue.change_message_visibility().queue_url(&settings.queue);
    let hold = hold.receipt_handle("nobody").visibility_timeout(0).send().await;
    let done = queue.delete_message().queue_url(&settings.queue).receipt_handle("nobody").send().await;
    vec![
        machine,
        allowed("states:StartExecution", start),
        allowed("states:StopExecution", stop),
        allowed("states:DescribeExecution", look),
        allowed("states:GetExecutionHistory", history),
        waiting,
        allowed("sqs:ReceiveMessage", receive),
        allowed("sqs:ChangeMessageVisibility", hold),
        allowed("sqs:DeleteMessage", done),
    ]
}

async fn machine(settings: &EngineSettings, states: &aws_sdk_sfn::Client) -> Found {
    let (machine, qualifier) = settings.qualified();
    let found = match states.describe_state_machine().state_machine_arn(machine).send().await {
        Ok(found) => found,
        Err(error) => return bad(engine_error("it cannot be looked at", &error)),
    };
    if qualifier.is_some_and(|name| !name.bytes().all(|b| b.is_ascii_digit())) {
        let alias = states.describe_state_machine_alias().state_machine_alias_arn(&settings.machine);
        if let Err(error) = alias.send().await {
            return bad(engine_error("its alias cannot be looked at", &error));
        }
    }
    if found.r#type.as_str() != "STANDARD" {
        return Found::Bad("it is an Express machine: runs need a Standard one".into());
    }
    if !found.definition.contains("SEAMLESS_TICKET") {
        return Found::Bad("it is not ours: create it from what `seamless asl` prints".into());
    }
    let queue = settings.queue.as_str();
    if !found.definition.contains(queue) {
        return Found::Doubtful(format!("it does not name {queue}: does it tell another queue?"));
    }
    Found::Good(found.name)
}

async fn waiting(settings: &EngineSettings, queue: &aws_sdk_sqs::Client) -> Found {
    use aws_sdk_sqs::types::QueueAttributeName as Name;
    let call = queue.get_queue_attributes().queue_url(&settings.queue);
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
