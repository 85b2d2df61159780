//! The seven stages and the gate as states, and the one way out for whatever goes wrong.
//!
//! An execution's input, made by whoever starts it:
//!
//! ```json
//! { "run": "01J…", "server": "https://seamless.example.org",
//!   "stages": { "prepare": { "run": true, "ticket": "…", "timeout": 3600, "cpu": "1024", "memory": "2048" }, … all seven },
//!   "gate": { "ask": true, "timeout": 864000 } }
//! ```
//!
//! Each stage is a state of its own name (`Prepare`), with one before it that asks whether it is wanted. A task that exits with 0 leads on;
//! what becomes of another is decided from its description: one that was lost (no exit code, its host was reclaimed, or it exited with
//! [`AGAIN`] or [`NOT_BEGUN`]) is started again, twice at most; a deploy only where it certainly did nothing yet. Everything else goes
//! to the queue as `{"kind": "failed"}`. Starts that were refused are tried again by the task state itself. Nothing waits by asking.

use domain::StageKind;
use runner::{AGAIN, NOT_BEGUN};
use serde_json::{Map, Value, json};

use super::{
    language::{
        Branch, Catch, Choice, Fail, Machine, Parallel, Retry, Rule, State, States, Succeed, Task, Then,
        Wait, computed,
    },
    settings::{MachineSettings, Network},
};

/// The container of a stage's task that runs the stage.
pub const CONTAINER: &str = "stage";

/// How often a task without a verdict is started again.
const REPEATS: u32 = 2;

/// What the execution was started with.
const INPUT: &str = "$states.context.Execution.Input";

const FAILED: &str = "Tell of the failure";
const ENDED: &str = "Tell of the end";
const ENDED_BADLY: &str = "Tell of the bad end";
const CHECKS: &str = "Checks";

/// The definition for these settings.
pub fn machine(settings: &MachineSettings) -> Machine {
    let mut states = States::default();
    stage(&mut states, settings, StageKind::Prepare, Then::Next(CHECKS.into()), CHECKS);
    checks(&mut states, settings);
    let rest = [StageKind::Build, StageKind::IntegrationTest, StageKind::DeployStaging];
    for (kind, next) in rest.iter().zip([wanted(rest[1]), wanted(rest[2]), "Gate wanted".into()]) {
        stage(&mut states, settings, *kind, Then::Next(next.clone()), &next);
    }
    gate(&mut states, settings);
    stage(&mut states, settings, StageKind::DeployProduction, Then::Next(ENDED.into()), ENDED);
    ending(&mut states, settings);
    Machine {
        comment:
            "Seamless: one pipeline for every service. What a run wants done is in the execution's input."
                .into(),
        query_language: "JSONata",
        states: Branch { start_at: wanted(StageKind::Prepare), states },
    }
}

/// The stage whose task a state of this name runs, as execution histories name it.
pub fn stage_of(state: &str) -> Option<StageKind> {
    StageKind::ALL.into_iter().find(|kind| kind.title() == state)
}

fn wanted(kind: StageKind) -> String {
    format!("{} wanted", kind.title())
}

/// A stage: the question, the task, and the decision whether its work is repeated.
fn stage(states: &mut States, settings: &MachineSettings, kind: StageKind, then: Then, without: &str) {
    let catch = Catch { error_equals: vec!["States.ALL".into()], output: failure(kind), next: lost(kind) };
    states.add(wanted(kind), question(kind, without));
    states.add(
        kind.title(),
        Task {
            resource: format!("arn:{}:states:::ecs:runTask.sync", settings.partition),
            arguments: run_task(settings, kind),
            timeout_seconds: json!(computed(format!("{INPUT}.stages.{kind}.timeout"))),
            output: json!({ "stage": kind, "task": computed("$states.result.TaskArn") }),
            retry: vec![patient(settings, &REFUSED_STARTS)],
            catch: vec![catch],
            then,
        },
    );
    again(states, settings, kind, FAILED);
}

/// Both checks at once: a failure of one leaves the other alone.
fn checks(states: &mut States, settings: &MachineSettings) {
    let branches = [StageKind::CodeQuality, StageKind::UnitTest].map(|kind| {
        let mut states = States::default();
        let over = format!("{} over", kind.title());
        stage(&mut states, settings, kind, Then::End(true), &over);
        // Nothing leads out of a branch but its end; what went wrong is what it ends with.
        for (_, state) in &mut states.0 {
            if let State::Choice(choice) = state
                && choice.default == FAILED
            {
                choice.default.clone_from(&over);
            }
        }
        states.add(over, Succeed {});
        Branch { start_at: wanted(kind), states }
    });
    let catch = Catch {
        error_equals: vec!["States.ALL".into()],
        output: failure(StageKind::CodeQuality),
        next: FAILED.into(),
    };
    let passed = "Checks passed";
    states.add(
        CHECKS,
        Parallel { arguments: json!({}), branches: branches.into(), catch: vec![catch], next: passed.into() },
    );
    let first_and_the_other =
        "( $failed := $states.input[$exists(error)]; $merge([$failed[0], { 'others': [$failed[1]] }]) )";
    let failed = Rule {
        condition: computed("$exists($states.input[$exists(error)])"),
        assign: Map::new(),
        output: Some(json!(computed(first_and_the_other))),
        next: FAILED.into(),
    };
    states.add(passed, Choice { choices: vec![failed], default: wanted(StageKind::Build) });
}

/// Is the stage wanted? Without it the way goes on elsewhere.
fn question(kind: StageKind, without: &str) -> Choice {
    let mut assign = Map::new();
    assign.insert(counter(kind), json!(0));
    let rule = Rule {
        condition: computed(format!("{INPUT}.stages.{kind}.run")),
        assign,
        output: None,
        next: kind.title().into(),
    };
    Choice { choices: vec![rule], default: without.into() }
}

/// How often a stage's task was started again, in this execution.
fn counter(kind: StageKind) -> String {
    format!("{kind}_again")
}

fn lost(kind: StageKind) -> String {
    format!("{} lost", kind.title())
}

/// A task without a verdict is started again after a pause.
fn again(states: &mut States, settings: &MachineSettings, kind: StageKind, failed: &str) {
    let (counter, pause) = (counter(kind), format!("{} pause", kind.title()));
    let mut assign = Map::new();
    assign.insert(counter.clone(), json!(computed(format!("${counter} + 1"))));
    let rule = Rule {
        condition: computed(format!("$states.input.lost and ${counter} < {REPEATS}")),
        assign,
        output: None,
        next: pause.clone(),
    };
    states.add(lost(kind), Choice { choices: vec![rule], default: failed.into() });
    let seconds = computed(format!("$ceil($random() * {} * ${counter})", settings.patience.first));
    states.add(pause, Wait { seconds: json!(seconds), next: kind.title().into() });
}

/// The errors of a start that may go well the next time: throttled, or no room. Both spellings are AWS's own; being throttled while it
/// looks up the network comes as an invalid parameter.
const REFUSED_STARTS: [&str; 7] = [
    "ECS.AmazonECSException",
    "ECS.ServerException",
    "ECS.ThrottlingException",
    "ECS.InvalidParameterException",
    "ECS.SdkClientException",
    "ECS.LimitExceededException",
    "AmazonECS.Unknown",
];

fn patient(settings: &MachineSettings, errors: &[&str]) -> Retry {
    let patience = settings.patience;
    Retry {
        error_equals: errors.iter().map(|&error| error.to_owned()).collect(),
        interval_seconds: patience.first,
        max_attempts: patience.starts,
        backoff_rate: 2,
        max_delay_seconds: patience.longest,
        jitter_strategy: "FULL",
    }
}

/// What a stage's task is started with: the five variables, and nothing that a stage is made of.
fn run_task(settings: &MachineSettings, kind: StageKind) -> Value {
    let of_stage = |field: &str| computed(format!("{INPUT}.stages.{kind}.{field}"));
    let again = format!("${} * 100", counter(kind));
    // An execution that was never redriven need not know how often it was.
    let tries = format!(
        "$string($sum([$states.context.Execution.RedriveCount * 10000, {again}, $states.context.State.RetryCount]))"
    );
    let variables = [
        ("SEAMLESS_RUN", computed(format!("{INPUT}.run"))),
        ("SEAMLESS_STAGE", kind.to_string()),
        ("SEAMLESS_TRY", computed(tries)),
        ("SEAMLESS_TICKET", of_stage("ticket")),
        ("SEAMLESS_URL", computed(format!("{INPUT}.server"))),
    ];
    let variables = variables.map(|(name, value)| json!({ "Name": name, "Value": value }));
    let mut overrides = json!({
        "Cpu": of_stage("cpu"),
        "Memory": of_stage("memory"),
        "ContainerOverrides": [{ "Name": CONTAINER, "Environment": variables }],
    });
    if let Some(role) = settings.task_roles.get(&kind) {
        overrides["TaskRoleArn"] = json!(role);
    }
    let mut arguments = json!({
        "Cluster": settings.cluster,
        "TaskDefinition": settings.task_definition,
        "CapacityProviderStrategy": [{ "CapacityProvider": settings.capacity_provider, "Weight": 1 }],
        "PlacementStrategy": [
            { "Type": "spread", "Field": "attribute:ecs.availability-zone" },
            { "Type": "spread", "Field": "instanceId" },
        ],
        "Overrides": overrides,
    });
    if let Network::Awsvpc { subnets, security_groups } = &settings.network {
        arguments["NetworkConfiguration"] =
            json!({ "AwsvpcConfiguration": { "Subnets": subnets, "SecurityGroups": security_groups } });
    }
    arguments
}

/// What went wrong with a stage, in words and without its ticket, which a task's description has among its overrides.
fn failure(kind: StageKind) -> Value {
    let not_begun = format!("$task.StopCode = 'TaskFailedToStart' or $stage.ExitCode = {NOT_BEGUN}");
    let lost = match kind.environment() {
        // What may have changed something is never done twice unasked.
        Some(_) => not_begun,
        None => format!(
            "$reclaimed or $not($exists($stage.ExitCode)) or $stage.ExitCode = {AGAIN} or {not_begun}"
        ),
    };
    json!(computed(format!(
        "( $e := $states.errorOutput; \
           $task := $e.Error = 'States.TaskFailed' and $substring($e.Cause, 0, 1) = '{{' ? $parse($e.Cause) : {{}}; \
           $stage := $task.Containers[Name = '{CONTAINER}'][0]; \
           $reclaimed := $task.StopCode in ['SpotInterruption', 'TerminationNotice']; \
           {{ 'stage': '{kind}', \
              'error': $e.Error, \
              'cause': $exists($task.TaskArn) ? $join($distinct([ \
                  $task.StoppedReason, \
                  $stage.Reason, \
                  $exists($stage.ExitCode) ? 'exit code ' & $string($stage.ExitCode) : 'no exit code' ]), '; ') \
                  : $e.Error = 'States.Timeout' ? 'It took longer than it may.' \
                  : $exists($e.Cause) ? $e.Cause : '', \
              'exit_code': $exists($stage.ExitCode) ? $stage.ExitCode : null, \
              'task': $exists($task.TaskArn) ? $task.TaskArn : '', \
              'lost': $exists($task.TaskArn) and ({lost}), \
              'others': [] }} )"
    )))
}

/// The question to whoever may approve, which is answered with the token and expires by itself.
fn gate(states: &mut States, settings: &MachineSettings) {
    let kind = StageKind::DeployProduction;
    let rule = Rule {
        condition: computed(format!("{INPUT}.gate.ask")),
        assign: Map::new(),
        output: None,
        next: "Gate".into(),
    };
    states.add("Gate wanted", Choice { choices: vec![rule], default: wanted(kind) });
    let failed =
        |error: &str, output| Catch { error_equals: vec![error.into()], output, next: FAILED.into() };
    let expired = json!({
        "stage": kind, "error": "Seamless.GateExpired", "cause": "Nobody answered in time.", "exit_code": null, "task": "", "lost": false, "others": [],
    });
    states.add(
        "Gate",
        Task {
            resource: format!("arn:{}:states:::sqs:sendMessage.waitForTaskToken", settings.partition),
            arguments: message(
                settings,
                json!({
                    "kind": "gate",
                    "run": computed(format!("{INPUT}.run")),
                    "token": computed("$states.context.Task.Token"),
                }),
            ),
            timeout_seconds: json!(computed(format!("{INPUT}.gate.timeout"))),
            output: json!({}),
            retry: vec![patient(
                settings,
                &["SQS.SdkClientException", "SQS.AmazonSQSException", "SQS.SqsException"],
            )],
            catch: vec![failed("States.Timeout", expired), failed("States.ALL", failure(kind))],
            then: Then::Next(wanted(kind)),
        },
    );
}

/// The ends: each is told to the server and to whoever subscribed, and neither being deaf changes what an execution ends as.
fn ending(states: &mut States, settings: &MachineSettings) {
    let run = computed(format!("{INPUT}.run"));
    let send = |resource: &str, arguments: Value, next: &str| Task {
        resource: format!("arn:{}:states:::{resource}", settings.partition),
        arguments,
        timeout_seconds: json!(60),
        output: json!(computed("$states.input")),
        retry: vec![patient(settings, &["States.ALL"])],
        catch: vec![Catch {
            error_equals: vec!["States.ALL".into()],
            output: json!(computed("$states.input")),
            next: next.into(),
        }],
        then: Then::Next(next.into()),
    };
    let queue = |body: Value, next: &str| send("sqs:sendMessage", message(settings, body), next);
    let topic = |status: &str, text: String, next: &str| {
        let attribute = |value: &str| json!({ "DataType": "String", "StringValue": value });
        let arguments = json!({
            "TopicArn": settings.topic_arn,
            "Message": text,
            "MessageAttributes": { "run": attribute(&run), "status": attribute(status) },
        });
        send("sns:publish", arguments, next)
    };
    let ended = |status: &str| json!({ "kind": "ended", "run": run, "status": status });
    let page = format!("{INPUT}.server & '/runs/' & {INPUT}.run");
    states.add(ENDED, queue(ended("succeeded"), "Publish the end"));
    let text = computed(format!("'Run ' & {INPUT}.run & ' succeeded: ' & {page}"));
    states.add("Publish the end", topic("succeeded", text, "Succeeded"));
    states.add("Succeeded", Succeed {});

    let of_failure = |field: &str| computed(format!("$states.input.{field}"));
    let mut failed = json!({ "kind": "failed", "run": run });
    for field in ["stage", "error", "cause", "task", "others"] {
        failed[field] = json!(of_failure(field));
    }
    states.add(FAILED, queue(failed, ENDED_BADLY));
    states.add(ENDED_BADLY, queue(ended("failed"), "Publish the bad end"));
    let text =
        computed(format!("'Run ' & {INPUT}.run & ' failed in ' & $states.input.stage & ': ' & {page}"));
    states.add("Publish the bad end", topic("failed", text, "Failed"));
    // Names that begin with `States.` are kept for the language's own errors.
    let error = computed("$replace($states.input.error, /^States\\./, 'Seamless.')");
    states.add("Failed", Fail { error, cause: of_failure("cause") });
}

fn message(settings: &MachineSettings, body: Value) -> Value {
    json!({ "QueueUrl": settings.queue_url, "MessageBody": body })
}
