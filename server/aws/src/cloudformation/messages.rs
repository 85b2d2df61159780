//! How AWS talks to the server: one queue, what comes into it, and the topic.

use serde_json::{Value, json};

use super::{Resources, sub};

/// Fourteen days, the longest that SQS keeps anything.
const LONGEST: u32 = 1_209_600;

pub(super) fn add(resources: &mut Resources) {
    let mut add = |name: &str, kind: &str, properties: Value| {
        resources.insert(name.into(), json!({ "Type": kind, "Properties": properties }));
    };
    let queue = |more: Value| {
        let mut queue = json!({ "MessageRetentionPeriod": LONGEST, "SqsManagedSseEnabled": true });
        more.as_object().into_iter().flatten().for_each(|(key, value)| queue[key] = value.clone());
        queue
    };
    add("DeadLetters", "AWS::SQS::Queue", queue(json!({})));
    // What cannot be read the server takes out by itself. What it could not write down yet, such as a gate's token, must not get lost
    // while its database is away: this is the most that SQS allows.
    let dead =
        json!({ "deadLetterTargetArn": { "Fn::GetAtt": ["DeadLetters", "Arn"] }, "maxReceiveCount": 1000 });
    add("Queue", "AWS::SQS::Queue", queue(json!({ "RedrivePolicy": dead, "VisibilityTimeout": 60 })));
    add("Topic", "AWS::SNS::Topic", json!({}));
    for name in ["MachineLogs", "StageLogs"] {
        // Step Functions wants this beginning, or its rights grow with every machine.
        let group = sub(&format!("/aws/vendedlogs/seamless/${{AWS::StackName}}/{name}"));
        add(name, "AWS::Logs::LogGroup", json!({ "LogGroupName": group, "RetentionInDays": 30 }));
    }

    let rule = |text: &str, pattern: Value| {
        // Of an event only that: it also carries what the execution was given, which holds its tickets.
        let told = json!({
            "InputPathsMap": { "source": "$.source", "kind": "$.detail-type", "name": "$.detail.name", "status": "$.detail.status" },
            "InputTemplate":
                r#"{"source": "<source>", "detail-type": "<kind>", "detail": {"name": "<name>", "status": "<status>"}}"#,
        });
        let target =
            json!({ "Id": "queue", "Arn": { "Fn::GetAtt": ["Queue", "Arn"] }, "InputTransformer": told });
        json!({ "Description": text, "EventPattern": pattern, "Targets": [target] })
    };
    let executions = json!({
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": [{ "Ref": "Machine" }],
            "status": ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
        },
    });
    add("ExecutionEvents", "AWS::Events::Rule", rule("What became of executions", executions));
    let rules = json!([{ "Fn::GetAtt": ["ExecutionEvents", "Arn"] }]);
    let statement = json!({
        "Effect": "Allow",
        "Principal": { "Service": "events.amazonaws.com" },
        "Action": "sqs:SendMessage",
        "Resource": { "Fn::GetAtt": ["Queue", "Arn"] },
        "Condition": { "ArnEquals": { "aws:SourceArn": rules } },
    });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    add(
        "QueuePolicy",
        "AWS::SQS::QueuePolicy",
        json!({ "Queues": [{ "Ref": "Queue" }], "PolicyDocument": policy }),
    );
}
