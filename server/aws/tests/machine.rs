//! The machine as Step Functions runs it, with a shell script in the place of the runner: which stages are started and in which order, what
//! becomes of each way for them to end, and what is told. Against a stand-in for AWS; `docs/aws.md` says what that leaves unproven.
//!
//! One test, since the stand-in takes longer to start than all that is asked of it.

#![allow(clippy::unwrap_used)]

use domain::StageKind;
use futures::future::join_all;
use serde_json::{Value, json};
use testkit::aws::{Aws, Program};

/// What a task prints about itself before anything else.
const HELLO: &str = "echo $SEAMLESS_RUN $SEAMLESS_STAGE $SEAMLESS_TRY $SEAMLESS_TICKET $SEAMLESS_URL; ";
const FULL: [StageKind; 7] = StageKind::ALL;
const TOLD_BADLY: [&str; 4] = ["Tell of the failure", "Tell of the bad end", "Publish the bad end", "Failed"];

/// One run from its start to its end.
struct Story {
    name: &'static str,
    script: &'static str,
    wanted: Vec<StageKind>,
    /// Seconds that a stage may take.
    timeout: u32,
    faults: Vec<Value>,
    gate: Gate,
}

enum Gate {
    None,
    Approve,
    Reject,
    Ignore,
    /// The execution is stopped while it waits.
    Stop,
}

/// What became of it.
struct Told {
    status: String,
    error: String,
    states: Vec<String>,
    /// Bodies that the machine put into the queue.
    messages: Vec<Value>,
    /// Events of EventBridge.
    events: Vec<Value>,
}

impl Story {
    fn new(name: &'static str, script: &'static str, wanted: &[StageKind]) -> Self {
        let gate = if wanted == FULL { Gate::Approve } else { Gate::None };
        Self { name, script, wanted: wanted.into(), timeout: 60, faults: Vec::new(), gate }
    }

    fn input(&self) -> Value {
        let stage = |kind: &StageKind| {
            let run = self.wanted.contains(kind);
            let ticket = if run { format!("ticket-{kind}") } else { String::new() };
            json!({ "run": run, "ticket": ticket, "timeout": self.timeout, "cpu": "256", "memory": "512" })
        };
        let stages: serde_json::Map<_, _> = FULL.iter().map(|kind| (kind.to_string(), stage(kind))).collect();
        let gate = json!({ "ask": !matches!(self.gate, Gate::None), "timeout": if matches!(self.gate, Gate::Ignore) { 1 } else { 60 } });
        json!({ "run": self.name, "server": "http://seamless", "stages": stages, "gate": gate })
    }

    async fn play(self, aws: &Aws) -> Told {
        let script = format!("{HELLO}{}", self.script);
        let installation = aws.install(self.name, &Program::script(&script)).await;
        for fault in &self.faults {
            aws.fault(fault).await;
        }
        let execution = installation.start(self.name, &self.input()).await;
        let (mut messages, mut events) = (Vec::new(), Vec::new());
        let over = |events: &[Value]| {
            let ends =
                |event: &Value| event["source"] == "aws.states" && event["detail"]["status"] != "RUNNING";
            events.iter().any(ends)
        };
        let begun = std::time::Instant::now();
        while !over(&events) {
            assert!(begun.elapsed().as_secs() < 120, "{}: {messages:?} {events:?}", self.name);
            for body in installation.received().await {
                if body["kind"] == "gate" {
                    self.answer(aws, &execution.arn, &body["token"]).await;
                }
                if body["kind"].is_string() { messages.push(body) } else { events.push(body) }
            }
        }
        let told = execution.ended().await;
        let text = |field: &str| told[field].as_str().unwrap_or_default().to_owned();
        Told {
            status: text("status"),
            error: text("error"),
            states: execution.states().await,
            messages,
            events,
        }
    }

    async fn answer(&self, aws: &Aws, execution: &str, token: &Value) {
        let (target, body) = match self.gate {
            Gate::Approve => ("SendTaskSuccess", json!({ "taskToken": token, "output": "{}" })),
            Gate::Reject => {
                ("SendTaskFailure", json!({ "taskToken": token, "error": "Rejected", "cause": "Not today." }))
            }
            Gate::Stop => ("StopExecution", json!({ "executionArn": execution })),
            Gate::Ignore | Gate::None => return,
        };
        aws.call(&format!("AWSStepFunctions.{target}"), &body).await.unwrap();
    }
}

impl Told {
    fn kinds(&self) -> Vec<&str> {
        self.messages.iter().map(|message| message["kind"].as_str().unwrap()).collect()
    }

    /// The failure that was told, after holding it to everything that is always so.
    #[track_caller]
    fn failure(&self) -> &Value {
        assert_eq!(self.status, "FAILED");
        assert_eq!(self.states[self.states.len() - 4..], TOLD_BADLY);
        // In which order a queue gives them is nobody's promise: a gate that expires at once may be told of after its end.
        let [failed, ended] = ["failed", "ended"].map(|kind| {
            let all: Vec<_> = self.messages.iter().filter(|message| message["kind"] == kind).collect();
            let [one] = all[..] else { panic!("{:?}", self.messages) };
            one
        });
        assert_eq!(ended["status"], "failed");
        assert!(!failed.to_string().contains("ticket-"), "a ticket goes nowhere but to its task");
        failed
    }

    /// How often a state was entered.
    fn times(&self, state: &str) -> usize {
        self.states.iter().filter(|name| *name == state).count()
    }
}

#[tokio::test]
async fn every_kind_of_run_ends_as_it_should() {
    use StageKind::{Build, CodeQuality, DeployProduction, IntegrationTest, Prepare, UnitTest};
    let Some(cloud) = Aws::find("every_kind_of_run_ends_as_it_should").await else { return };
    let refuse = |name: &str, mut fault: Value| {
        fault["operation"] = json!("RunTask");
        fault["containing"] = json!([name]);
        fault
    };
    let gated = |name, gate| Story { gate, ..Story::new(name, "exit 0", &[DeployProduction]) };
    let alone = |name, script| Story::new(name, script, &[Build]);
    let stories = vec![
        Story::new("full", "exit 0", &FULL),
        Story::new("partial", "exit 0", &[Prepare, CodeQuality, UnitTest]),
        Story::new("rollback", "exit 0", &[DeployProduction]),
        Story::new("bad-prepare", "test $SEAMLESS_STAGE != prepare", &FULL),
        Story::new("bad-code-quality", "test $SEAMLESS_STAGE != code_quality", &FULL),
        Story::new("bad-unit-test", "test $SEAMLESS_STAGE != unit_test", &FULL),
        Story::new("bad-build", "test $SEAMLESS_STAGE != build", &FULL),
        Story::new("bad-integration-test", "test $SEAMLESS_STAGE != integration_test", &FULL),
        Story::new("bad-staging", "test $SEAMLESS_STAGE != deploy_staging", &FULL),
        Story::new("bad-production", "test $SEAMLESS_STAGE != deploy_production", &FULL),
        Story::new("both-checks", "exit 3", &[CodeQuality, UnitTest]),
        gated("rejected", Gate::Reject),
        gated("expired", Gate::Ignore),
        gated("stopped", Gate::Stop),
        alone("lost-twice", "test $SEAMLESS_TRY = 200 || exit 75"),
        Story::new("lost-for-good", "exit 75", &[IntegrationTest]),
        Story::new("lost-check", "test $SEAMLESS_TRY = 100 || exit 75", &[UnitTest]),
        Story::new("lost-deploy", "exit 75", &[DeployProduction]),
        Story::new("not-begun", "test $SEAMLESS_TRY = 200 || exit 76", &[DeployProduction]),
        Story { timeout: 10, ..alone("too-long", "trap 'echo warned; exit 75' TERM; sleep 60 & wait") },
        Story {
            timeout: 2,
            faults: vec![refuse("never-starts", json!({ "task": "pending" }))],
            ..alone("never-starts", "exit 0")
        },
        Story {
            faults: vec![refuse("no-image", json!({ "task": "image", "times": 3 }))],
            ..alone("no-image", "exit 0")
        },
        Story {
            faults: vec![
                refuse("no-room", json!({ "failure": "RESOURCE:MEMORY" })),
                refuse("no-room", json!({ "error": "ThrottlingException", "message": "Rate exceeded" })),
            ],
            ..alone("no-room", "exit 0")
        },
        Story {
            faults: vec![refuse("not-allowed", json!({ "error": "AccessDeniedException", "times": 9 }))],
            ..alone("not-allowed", "exit 0")
        },
        Story {
            faults: vec![
                refuse("reclaimed", json!({ "task": "spot" })),
                refuse("reclaimed", json!({ "task": "host" })),
            ],
            ..alone("reclaimed", "test $SEAMLESS_TRY = 200 || sleep 60")
        },
    ];
    let names: Vec<_> = stories.iter().map(|story| story.name).collect();
    let told = join_all(stories.into_iter().map(|story| story.play(&cloud))).await;
    let of = |name: &str| &told[names.iter().position(|n| *n == name).unwrap()];
    let logs = cloud.task_logs();
    // Stage and try of each task of a run that came to run, in no order.
    let ran = |name: &str| {
        let of_run = logs.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let mut words: Vec<_> =
            of_run.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        words.sort();
        words
    };

    let full = of("full");
    assert_eq!((full.status.as_str(), full.kinds()), ("SUCCEEDED", vec!["gate", "ended"]));
    assert!(full.states.len() <= 25, "{} transitions", full.states.len());
    let order = full.states.iter().filter_map(|state| aws::asl::stage_of(state)).collect::<Vec<_>>();
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!((order.len(), &order[0], &order[3..]), (7, &Prepare, &sorted[3..]));
    let gate = full.states.iter().position(|state| state == "Gate").unwrap();
    assert_eq!(full.states[gate + 2], "Deploy to Production");
    assert!(logs.contains("full build 0 ticket-build http://seamless\n"));
    let stopped = |told: &Told| told.events.iter().filter(|e| e["detail"]["lastStatus"] == "STOPPED").count();
    assert!(stopped(full) >= 6, "events of tasks, the last of which may come after the end");

    assert_eq!((of("partial").status.as_str(), of("partial").kinds()), ("SUCCEEDED", vec!["ended"]));
    assert_eq!(ran("partial"), ["code_quality 0", "prepare 0", "unit_test 0"]);
    assert_eq!(of("rollback").status, "SUCCEEDED");
    assert_eq!(ran("rollback"), ["deploy_production 0"]);

    for (name, stage, tasks) in [
        ("bad-prepare", "prepare", 1),
        ("bad-code-quality", "code_quality", 3),
        ("bad-unit-test", "unit_test", 3),
        ("bad-build", "build", 4),
        ("bad-integration-test", "integration_test", 5),
        ("bad-staging", "deploy_staging", 6),
        ("bad-production", "deploy_production", 7),
    ] {
        let failed = of(name).failure();
        assert_eq!((&failed["stage"], &failed["run"]), (&json!(stage), &json!(name)));
        assert_eq!(failed["cause"], "Essential container in task exited; exit code 1");
        assert_eq!((ran(name).len(), of(name).error.as_str()), (tasks, "Seamless.TaskFailed"), "{name}");
    }
    let both = of("both-checks").failure();
    assert_eq!((&both["stage"], &both["others"][0]["stage"]), (&json!("code_quality"), &json!("unit_test")));

    let rejected = of("rejected").failure();
    assert_eq!((&rejected["error"], &rejected["cause"]), (&json!("Rejected"), &json!("Not today.")));
    assert_eq!(of("expired").failure()["error"], "Seamless.GateExpired");
    assert_eq!((of("stopped").status.as_str(), of("stopped").kinds()), ("ABORTED", vec!["gate"]));
    for name in ["rejected", "expired", "stopped"] {
        assert_eq!(ran(name), [""; 0], "{name}: nothing is deployed past the gate");
    }

    assert_eq!(
        (of("lost-twice").status.as_str(), of("lost-check").status.as_str()),
        ("SUCCEEDED", "SUCCEEDED")
    );
    assert_eq!(ran("lost-twice"), ["build 0", "build 100", "build 200"]);
    assert_eq!(ran("lost-check"), ["unit_test 0", "unit_test 100"]);
    assert_eq!(of("lost-for-good").failure()["cause"], "Essential container in task exited; exit code 75");
    assert_eq!(ran("lost-for-good").len(), 3);
    of("lost-deploy").failure();
    assert_eq!(ran("lost-deploy").len(), 1, "a deploy is never begun anew from here");
    assert_eq!(
        (of("not-begun").status.as_str(), ran("not-begun").len()),
        ("SUCCEEDED", 3),
        "it had not begun"
    );

    assert_eq!(of("too-long").failure()["error"], "States.Timeout");
    assert!(logs.lines().any(|line| line == "warned"), "a task that is stopped is asked to end first");
    assert_eq!(of("never-starts").failure()["error"], "States.Timeout");
    let no_image = of("no-image");
    assert!(no_image.failure()["cause"].as_str().unwrap().starts_with("CannotPullContainerError"));
    assert_eq!((no_image.times("Build"), no_image.times("Build pause")), (3, 2));
    assert_eq!(of("no-room").status, "SUCCEEDED");
    assert_eq!((ran("no-room"), of("no-room").times("Build")), (vec!["build 2".to_owned()], 1));
    assert_eq!(of("not-allowed").failure()["error"], "ECS.AccessDeniedException");
    assert_eq!(of("reclaimed").status, "SUCCEEDED");
    assert_eq!(of("reclaimed").times("Build"), 3);

    // Tickets are where they must be, and nowhere else that the machine sends anything to.
    for request in cloud.requests() {
        let (operation, body) = (request["operation"].as_str().unwrap(), request["body"].as_str().unwrap());
        let may = ["StartExecution", "RunTask", "PutEvents"].contains(&operation);
        let event = operation == "SendMessage" && body.contains("detail-type");
        assert!(may || event || !body.contains("ticket-"), "{operation}: {body}");
    }
}
