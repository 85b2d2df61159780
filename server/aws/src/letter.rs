//! What AWS tells through the queue: our own machine's messages, and events of EventBridge, made into one kind of letter.
//!
//! Refuses to guess: what has another shape is no letter, and says why.

use std::collections::BTreeSet;

use control::engine::executions::{Fall, Letter};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    stage: Option<String>,
    error: String,
    cause: Value,
    exit_code: Option<i32>,
}

impl Failure {
    fn told(&self) -> Fall {
        let cause = match &self.cause {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        Fall {
            stage: self.stage.as_deref().and_then(|stage| stage.parse().ok()),
            why: why(&self.error, &cause),
            exit_code: self.exit_code,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Ours {
    Gate {
        run: String,
        token: String,
    },
    Failed {
        run: String,
        #[serde(flatten)]
        first: Failure,
        /// The other check, where both failed.
        #[serde(default)]
        others: Vec<Failure>,
    },
    Ended {
        run: String,
        status: String,
    },
}

/// An event as EventBridge puts it into a queue.
#[derive(Deserialize)]
struct Event {
    source: String,
    #[serde(rename = "detail-type")]
    kind: String,
    detail: Value,
}

/// Reads a message's body.
pub(crate) fn read(body: &str) -> Result<Letter, String> {
    let value: Value = serde_json::from_str(body).map_err(|e| format!("it is no JSON: {e}"))?;
    if value.get("kind").is_some() {
        let ours = serde_json::from_value(value)
            .map_err(|e| format!("it is no message of the state machine: {e}"))?;
        return letter(ours);
    }
    if value.get("source").is_some() {
        let event: Event = serde_json::from_value(value).map_err(|e| format!("it is no event: {e}"))?;
        return Ok(event_letter(&event));
    }
    Err("it is neither a message of the state machine nor an event of EventBridge".into())
}

fn letter(ours: Ours) -> Result<Letter, String> {
    let id = |run: String| run.parse().map_err(|e| format!("its run has no id of ours: {e}"));
    Ok(match ours {
        Ours::Gate { run, token } => Letter::Gate { run: id(run)?, token: token.into() },
        Ours::Failed { run, first, others } => {
            let falls = std::iter::once(&first).chain(&others).map(Failure::told).collect();
            Letter::Failed { run: id(run)?, falls }
        }
        Ours::Ended { run, status } => {
            let how = if status == "succeeded" { Ok(()) } else { Err(format!("its execution {status}")) };
            Letter::Ended { run: id(run)?, how }
        }
    })
}

fn event_letter(event: &Event) -> Letter {
    let text = |name: &str| event.detail.get(name).and_then(Value::as_str).unwrap_or_default();
    if event.source != "aws.states" || event.kind != "Step Functions Execution Status Change" {
        return Letter::Else;
    }
    // Executions that somebody else started have other names.
    let Ok(run) = text("name").parse() else { return Letter::Else };
    let why = || why(text("error"), text("cause"));
    match text("status") {
        "SUCCEEDED" => Letter::Ended { run, how: Ok(()) },
        "FAILED" => Letter::Ended { run, how: Err(why()) },
        "ABORTED" => Letter::Ended { run, how: Err(stopped(text("error"), text("cause"))) },
        "TIMED_OUT" => Letter::Ended { run, how: Err("its execution did not end within its limit".into()) },
        _ => Letter::Else,
    }
}

/// Somebody stopped an execution, and may have said why.
pub(crate) fn stopped(error: &str, cause: &str) -> String {
    match (error, cause) {
        ("", "") => "its execution was stopped in AWS".into(),
        (error, cause) => format!("its execution was stopped in AWS: {}", why(error, cause)),
    }
}

/// What ECS says of a task that ended; the names are those of `DescribeTasks` in the notation of Step Functions.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Task {
    stop_code: String,
    stopped_reason: String,
    containers: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Container {
    exit_code: Option<i64>,
    reason: String,
}

/// What RunTask answers when it finds no place.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unplaced {
    failures: Vec<Unplaceable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unplaceable {
    reason: String,
}

/// An error of Step Functions and its cause, in words that say what helps.
pub(crate) fn why(error: &str, cause: &str) -> String {
    let short = |text: &str| text.trim().trim_end_matches('.').chars().take(400).collect::<String>();
    if error == "States.Timeout" {
        return "its task did not end within its limit".into();
    }
    if let Ok(task) = serde_json::from_str::<Task>(cause)
        && (!task.stopped_reason.is_empty() || !task.containers.is_empty())
    {
        return of_task(&task);
    }
    let cause = match serde_json::from_str::<Unplaced>(cause) {
        // One for each machine that was looked at.
        Ok(unplaced) => {
            let reasons: BTreeSet<_> = unplaced.failures.into_iter().map(|of| of.reason).collect();
            short(&Vec::from_iter(reasons).join(", "))
        }
        Err(_) => short(cause),
    };
    let starting = error.starts_with("ECS.") || error.starts_with("AmazonECS");
    if starting || cause.contains("RESOURCE:") {
        let help = match &cause {
            c if c.contains("RESOURCE:MEMORY") || c.contains("RESOURCE:CPU") => {
                "; no machine of the cluster has that much room: raise what the capacity provider may start, or give the stage a smaller size"
            }
            c if c.contains("RESOURCE:") => {
                "; no machine of the cluster fits it: look at the capacity provider"
            }
            c if c.contains("not authorized") || c.contains("AccessDenied") => {
                "; add that permission to the state machine's role"
            }
            c if c.contains("TaskDefinition") => {
                "; deploy the template again, which makes its task definition"
            }
            _ => "",
        };
        return format!("its task could not be started: {cause}{help}");
    }
    match (error, &*cause) {
        ("", "") => "its execution ended without saying why".into(),
        (error, "") => format!("its execution ended: {error}"),
        // What the machine makes of a task's description, so that no ticket travels on.
        ("States.TaskFailed", said) => format!("its task ended: {said}{}", help(said)),
        ("", cause) => cause.to_owned(),
        (error, cause) => format!("{cause} ({error})"),
    }
}

fn of_task(task: &Task) -> String {
    let reason = task.containers.iter().map(|c| c.reason.as_str()).find(|reason| !reason.is_empty());
    let said = reason.unwrap_or(&task.stopped_reason).trim().trim_end_matches('.');
    let all = format!("{} {said}", task.stopped_reason);
    let help = help(&all);
    if task.stop_code == "TaskFailedToStart" {
        return format!("its task could not be started: {said}{help}");
    }
    if task.stop_code == "SpotInterruption" {
        return "its task was interrupted, because AWS took the Spot machine back".into();
    }
    match task.containers.iter().find_map(|c| c.exit_code) {
        Some(code) => format!("its task ended with exit code {code}: {said}{help}"),
        None => format!("its task ended: {said}{help}"),
    }
}

/// What helps against what ECS says of a task.
fn help(said: &str) -> &'static str {
    if said.contains("CannotPullContainer") {
        "; check the image of the runner's task definition, and that its machine reaches the registry"
    } else if said.contains("OutOfMemory") {
        "; give the stage more memory"
    } else if said.contains("ResourceInitializationError") {
        "; check the volumes, secrets and log group of the task definition"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use domain::StageKind;

    use super::*;

    const RUN: &str = "01J00000000000000000000000";

    #[test]
    fn each_shape_is_read() {
        let gate = read(&format!(r#"{{"kind":"gate","run":"{RUN}","token":"AAA"}}"#)).unwrap();
        assert!(matches!(gate, Letter::Gate { .. }));
        assert!(!format!("{gate:?}").contains("AAA"), "a token is as good as an approval");
        let failed = read(&format!(
            r#"{{"kind":"failed","run":"{RUN}","stage":"unit_test","error":"States.Timeout","cause":"",
                 "others":[{{"stage":"code_quality","error":"","cause":"odd","exit_code":137}}]}}"#
        ));
        let Letter::Failed { falls, .. } = failed.unwrap() else { unreachable!() };
        let fall = |stage, why: &str, exit_code| Fall { stage: Some(stage), why: why.into(), exit_code };
        assert_eq!(
            falls,
            [
                fall(StageKind::UnitTest, "its task did not end within its limit", None),
                fall(StageKind::CodeQuality, "odd", Some(137)),
            ]
        );
        let ended = read(&format!(r#"{{"kind":"ended","run":"{RUN}","status":"succeeded"}}"#)).unwrap();
        assert!(matches!(ended, Letter::Ended { how: Ok(()), .. }));
        let event = format!(
            r#"{{"version":"0","source":"aws.states","detail-type":"Step Functions Execution Status Change",
               "detail":{{"name":"{RUN}","status":"ABORTED","error":"by hand","cause":"tidying up"}}}}"#
        );
        let Letter::Ended { how: Err(why), .. } = read(&event).unwrap() else { unreachable!() };
        assert_eq!(why, "its execution was stopped in AWS: tidying up (by hand)");
        let other = event.replace(RUN, "nightly-report");
        assert!(matches!(read(&other).unwrap(), Letter::Else));
        for wrong in
            ["", "[]", "{}", r#"{"kind":"gate"}"#, r#"{"kind":"party","run":"x"}"#, r#"{"source":1}"#]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn causes_say_what_helps() {
        let spot = r#"{"StopCode":"SpotInterruption","StoppedReason":"Host EC2 (instance i-1) terminated.","Containers":[{"Name":"stage"}]}"#;
        assert!(why("States.TaskFailed", spot).contains("Spot"));
        let pull = r#"{"StopCode":"TaskFailedToStart","StoppedReason":"CannotPullContainerError: not found","Containers":[]}"#;
        assert_eq!(
            why("States.TaskFailed", pull),
            "its task could not be started: CannotPullContainerError: not found; check the image of the runner's task definition, and that its machine reaches the registry"
        );
        let memory = r#"{"StopCode":"EssentialContainerExited","StoppedReason":"Essential container in task exited","Containers":[{"ExitCode":137,"Reason":"OutOfMemoryError: Container killed due to memory usage"}]}"#;
        assert!(why("States.TaskFailed", memory).ends_with("give the stage more memory"));
        let room = r#"{"Failures":[{"Arn":"a","Reason":"RESOURCE:MEMORY"},{"Arn":"b","Reason":"RESOURCE:MEMORY"}],"Tasks":[]}"#;
        let room = why("AmazonECS.Unknown", room);
        assert!(
            room.starts_with("its task could not be started: RESOURCE:MEMORY;")
                && room.contains("smaller size"),
            "{room}"
        );
        assert_eq!(why("", ""), "its execution ended without saying why");
        // As the machine puts it.
        let pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s): not found; no exit code";
        let told = why("States.TaskFailed", pull);
        assert!(
            told.starts_with("its task ended: CannotPull") && told.contains("; check the image"),
            "{told}"
        );
        let memory = "Essential container in task exited; OutOfMemoryError: Container killed due to memory usage; exit code 137";
        assert!(why("States.TaskFailed", memory).ends_with("exit code 137; give the stage more memory"));
    }
}
