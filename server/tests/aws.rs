//! Runs on AWS: the real server, the real runner and our own state machine, with a stand-in for AWS that is said in `testkit::aws`. The
//! same is done on the embedded engine beside it, and both must have written the same.
//!
//! What the stand-in leaves unproven is listed in `docs/aws.md`.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    RunId, StageKind, Status,
    view::{Run, Service},
};
use serde_json::{Value, json};
use testkit::{
    Options, Repository, Server, Store,
    aws::{Aws, Installation, Program},
    docker::{Daemon, Registry},
    free_port, tiny, until,
};

const SEAMLESS: &str = env!("CARGO_BIN_EXE_seamless");
const SECRET: &str = "correct-horse-battery-staple";

/// A cluster, a queue and a machine of one's own, and a server that has its runs driven there.
struct Driven<'a> {
    aws: &'a Aws,
    installation: Installation<'a>,
    server: Server,
    told: tempfile::TempDir,
}

impl<'a> Driven<'a> {
    async fn start(aws: &'a Aws, name: &str, store: Store) -> Self {
        Self::start_with(aws, name, store, Vec::new()).await
    }

    /// The same with more settings for the server.
    async fn start_with(aws: &'a Aws, name: &str, store: Store, more: Vec<(&'static str, String)>) -> Self {
        // Where the data folder is shows once the server has one; a task is told by a file.
        let told = tempfile::tempdir().unwrap();
        let file = told.path().join("data");
        let installation = aws.install(name, &Program::stage(SEAMLESS, &file)).await;
        let mut environment = installation.environment();
        // Tasks of the stand-in are processes of this machine: what they deploy stays.
        environment.push(("SEAMLESS_TASKS_HERE", "yes".into()));
        environment.extend(more);
        let server = Server::start_with(SEAMLESS, Options { store, environment, ..Options::default() }).await;
        let driven = Self { aws, installation, server, told };
        driven.tasks_have(&driven.server.data());
        driven
    }

    /// Where tasks have their files.
    fn tasks_have(&self, folder: &std::path::Path) {
        std::fs::write(self.told.path().join("data"), folder.display().to_string()).unwrap();
    }

    /// The bodies that were sent of an operation.
    fn sent(&self, operation: &str) -> Vec<Value> {
        let all = self.aws.requests().into_iter().filter(|request| request["operation"] == operation);
        all.map(|request| {
            serde_json::from_str(request["body"].as_str().unwrap_or("{}")).unwrap_or(Value::Null)
        })
        .collect()
    }

    /// Puts into the queue once more whatever was put there, as SQS may; answers how many messages that were.
    async fn tell_again(&self, told: &mut usize) -> usize {
        let all = self.sent("SendMessage");
        let new = all[*told..].to_vec();
        for message in &new {
            self.aws.call("AmazonSQS.SendMessage", message).await.unwrap();
        }
        // What was told again here is in the record too, and not told a third time.
        *told = all.len() + new.len();
        new.len()
    }
}

/// A service with a command for each stage, that says what it does, and a person before production.
async fn connect(server: &Server, name: &str, fails: Option<StageKind>) -> Service {
    let (_, mut settings) = tiny(server, name);
    settings["auto_deploy"] = json!(false);
    settings["variables"] = json!({ "API_KEY": { "value": SECRET, "secret": true } });
    for kind in ["prepare", "code_quality", "unit_test", "build", "integration_test"] {
        let end = if fails.is_some_and(|f| f.as_str() == kind) { "exit 3" } else { "true" };
        settings["commands"][kind] = json!(format!("echo {kind} says hello with $API_KEY; {end}"));
    }
    if let Some(environment) = fails.and_then(StageKind::environment) {
        let start = settings["commands"]["start"].as_str().unwrap().to_owned();
        settings["commands"]["start"] =
            json!(format!("if [ $SEAMLESS_ENVIRONMENT = {environment} ]; then echo no; exit 4; fi; {start}"));
    }
    server.api.connect(&settings).await
}

/// What is told of a run but for ids and times, and what its stages printed.
async fn story_of(server: &Server, run: &Run) -> (Vec<String>, BTreeMap<StageKind, Vec<String>>) {
    let sql = format!("SELECT kind || ' ' || payload FROM event WHERE run_id = '{}'", run.id);
    let mut events: Vec<String> = Vec::new();
    for event in testkit::rows::texts(&server.database(), &sql).await {
        let (kind, payload) = event.split_once(' ').unwrap();
        let mut payload: Value = serde_json::from_str(payload).unwrap();
        if let Some(fields) = payload.as_object_mut() {
            // Which commit, artifact and deployment it was differs with the repository.
            fields
                .retain(|name, _| !["deployment", "commit", "artifact", "digest", "size"].contains(&&**name));
        }
        events.push(format!("{kind} {payload}"));
    }
    // The order in which the two checks go on beside each other is nobody's promise.
    events.sort();
    let mut printed = BTreeMap::new();
    for kind in StageKind::ALL {
        if kind.environment().is_none() && run.stage(kind).is_some_and(|s| s.lines > 0) {
            let lines = server.api.printed(run, kind).await;
            printed.insert(kind, lines.into_iter().filter(|line| line.contains("hello")).collect());
        }
    }
    (events, printed)
}

/// Waits until a run waits for a person, or is over.
async fn settled(server: &Server, run: RunId) -> Run {
    let rests = |r: &Run| r.status.is_terminal() || r.status == Status::AwaitingApproval;
    server.api.run_until(run, "at its gate or its end", rests).await
}

async fn decide(server: &Server, run: RunId, what: &str) -> Run {
    let expected = if what == "cancel" { 202 } else { 200 };
    server.api.post(&format!("/runs/{run}/{what}"), json!({})).await.is(expected);
    server.api.run_until(run, "over", |r| r.status.is_terminal()).await
}

/// One run as a person has it: approved where it waits.
async fn through(server: &Server, service: &Service) -> Run {
    let run = server.api.start(service).await.id;
    match settled(server, run).await {
        waits if waits.status == Status::AwaitingApproval => decide(server, run, "approve").await,
        over => over,
    }
}

/// Every kind of run, on both engines; one stand-in for all of it, since it takes its time to start.
#[tokio::test]
async fn the_same_as_on_one_machine() {
    let Some(aws) = Aws::find("aws::the_same_as_on_one_machine").await else { return };
    let driven = Driven::start(&aws, "same", Store::Sqlite).await;
    let embedded = Server::start(SEAMLESS).await;
    let both = [&embedded, &driven.server];

    // A full run, a rejected one, what comes back by a rollback, and a run that is cancelled at its gate.
    let mut told = Vec::new();
    for server in both {
        let service = connect(server, "orders", None).await;
        let first = through(server, &service).await;
        assert_eq!(first.status, Status::Success, "{first:?}");
        let run = server.api.start(&service).await.id;
        settled(server, run).await;
        let rejected = decide(server, run, "reject").await;
        let run = server.api.start(&service).await.id;
        settled(server, run).await;
        let cancelled = decide(server, run, "cancel").await;
        let second = through(server, &service).await;
        assert_eq!(second.status, Status::Success, "{second:?}");
        let deployments = server.api.deployments(&service, "production").await;
        let older = deployments.iter().find(|d| d.run == first.id).unwrap().id;
        let body = json!({ "environment": "production", "deployment": older });
        let back = server.api.post(&format!("/services/{}/rollback", service.id), body).await;
        let back: Run = serde_json::from_value(back.json()).unwrap();
        let back = server.api.run_until(back.id, "over", |r| r.status.is_terminal()).await;
        assert_eq!(back.status, Status::Success, "{back:?}");
        let live = server.api.deployments(&service, "production").await;
        assert_eq!(live.iter().filter(|d| d.live).map(|d| d.run).collect::<Vec<_>>(), [back.id]);
        let mut stories = Vec::new();
        for run in [&first, &rejected, &cancelled, &second, &back] {
            stories.push(story_of(server, run).await);
        }
        told.push(stories);
    }
    assert_eq!(told[0], told[1]);

    // A failure in each stage, and a new run of what failed.
    for fails in StageKind::ALL {
        let mut told = Vec::new();
        for server in both {
            let name = fails.as_str().replace('_', "-");
            let service = connect(server, &name, Some(fails)).await;
            let run = through(server, &service).await;
            assert_eq!(run.status, Status::Failure, "{fails}: {run:?}");
            assert_eq!(run.failed_stage().unwrap().kind, fails);
            let mut stories = vec![story_of(server, &run).await];
            if fails == StageKind::UnitTest {
                let path = format!("/runs/{}/rerun", run.id);
                let again = server.api.post(&path, json!({ "from": "failed" })).await.json();
                let again: Run = serde_json::from_value(again).unwrap();
                let again = server.api.run_until(again.id, "over", |r| r.status.is_terminal()).await;
                assert_eq!(again.status, Status::Failure);
                stories.push(story_of(server, &again).await);
            }
            told.push(stories);
        }
        assert_eq!(told[0], told[1], "when {fails} fails");
    }

    // Every execution has come to its end, one for each run.
    let open = "SELECT COUNT(*) FROM execution WHERE state <> 'over'";
    until("executions to be over", async || (driven.server.number(open).await == 0).then_some(())).await;
    let runs = driven.server.number("SELECT COUNT(*) FROM run").await;
    let names: BTreeSet<String> =
        driven.sent("StartExecution").iter().map(|body| body["name"].to_string()).collect();
    assert_eq!(names.len() as i64, runs);

    // Nothing secret was in anything that was sent there, nor in what tasks print beside their stage's log.
    let everything: String =
        aws.requests().iter().map(Value::to_string).collect::<String>() + &aws.task_logs();
    assert!(everything.contains("SEAMLESS_TICKET"), "this is where tickets are");
    for secret in [SECRET, &driven.server.api.token] {
        assert!(!everything.contains(secret), "a secret was sent");
    }
    // All that a task is told of itself.
    let tasks = driven.sent("RunTask");
    assert!(!tasks.is_empty());
    for body in tasks {
        let told = &body["overrides"]["containerOverrides"][0]["environment"];
        let names: Vec<&str> = told.as_array().unwrap().iter().filter_map(|v| v["name"].as_str()).collect();
        assert_eq!(
            names.into_iter().collect::<BTreeSet<_>>(),
            BTreeSet::from([
                "SEAMLESS_RUN",
                "SEAMLESS_STAGE",
                "SEAMLESS_TRY",
                "SEAMLESS_TICKET",
                "SEAMLESS_URL"
            ])
        );
    }
}

/// What goes wrong over there: no room, a host that goes away, an execution that somebody stops, a run that is cancelled in the middle.
#[tokio::test]
async fn what_goes_wrong_there_istold_here() {
    let Some(aws) = Aws::find("aws::what_goes_wrong_there_istold_here").await else { return };
    let driven = Driven::start(&aws, "wrong", Store::Sqlite).await;
    let server = &driven.server;

    aws.fault(
        &json!({ "operation": "RunTask", "containing": ["wrong"], "times": 3, "failure": "RESOURCE:MEMORY" }),
    )
    .await;
    let service = connect(server, "no-room", None).await;
    let run = server.api.start(&service).await.id;
    let run = server.api.run_until(run, "over", |r| r.status.is_terminal()).await;
    let prepare = run.stage(StageKind::Prepare).unwrap();
    assert_eq!((run.status, prepare.status), (Status::Failure, Status::Failure));
    assert!(
        prepare.reason.as_deref().unwrap().contains("no machine of the cluster has that much room"),
        "{run:?}"
    );

    // `seamless doctor` finds all of it, and says what is missing when something is.
    let examined = |change: &[(&str, &str)]| {
        let mut command = server.command(&["doctor"]);
        let said = command.envs(change.iter().copied()).output().unwrap();
        (said.status.code(), String::from_utf8(said.stdout).unwrap())
    };
    let (code, said) = examined(&[]);
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "ok   credentials",
        "ok   state machine",
        "ok   states:StartExecution",
        "ok   sqs:ReceiveMessage",
        "ok   ecs:DescribeServices",
        "hm   EC2 cores",
        "ok   clock",
        "hm   way of tasks",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let other = driven.installation.machine.replace(":wrong", ":nowhere");
    let (code, said) = examined(&[("SEAMLESS_STATE_MACHINE", other.as_str())]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("bad  state machine") && said.contains("One thing is to be mended."), "{said}");

    // The host is taken back while the command runs: another task does it again.
    let (_, mut settings) = tiny(server, "spot");
    let go = server.scratch("go");
    settings["commands"]["unit_test"] =
        json!(format!("echo begun; while [ ! -e {} ]; do sleep 0.05; done; echo done", go.display()));
    let service = server.api.connect(&settings).await;
    let run = server.api.start(&service).await.id;
    let begun = |r: &Run| r.stage(StageKind::UnitTest).is_some_and(|s| s.lines > 0);
    server.api.run_until(run, "in its unit tests", begun).await;
    let claims = json!(rows(server, run).await["unit_test"]["task"]);
    aws.lose(claims.as_str().unwrap(), "spot").await;
    server
        .api
        .run_until(run, "tried again", |r| r.stage(StageKind::UnitTest).is_some_and(|s| s.attempt == 2))
        .await;
    std::fs::write(&go, "").unwrap();
    let run = server.api.succeeded(run).await;
    assert_eq!(server.api.printed(&run, StageKind::UnitTest).await, ["begun", "done"]);

    // Cancelled in the middle: the task ends, and so does the execution.
    std::fs::remove_file(&go).unwrap();
    let run = server.api.start(&service).await.id;
    server.api.run_until(run, "in its unit tests", begun).await;
    let run = decide(server, run, "cancel").await;
    assert_eq!(run.status, Status::Cancelled);
    until("the execution to be stopped", async || {
        driven.sent("StopExecution").iter().any(|r| r.to_string().contains(&run.id.to_string())).then_some(())
    })
    .await;

    // Somebody stops the execution over there.
    let run = server.api.start(&service).await.id;
    server.api.run_until(run, "in its unit tests", begun).await;
    let arn = driven.installation.machine.replace(":stateMachine:", ":execution:");
    let stop = json!({ "executionArn": format!("{arn}:{run}"), "error": "Tidy", "cause": "by hand" });
    aws.call("AWSStepFunctions.StopExecution", &stop).await.unwrap();
    let run = server.api.run_until(run, "over", |r| r.status.is_terminal()).await;
    let reason = run.stage(StageKind::UnitTest).unwrap().reason.clone().unwrap();
    // What they say with it, LocalStack does not pass on.
    assert_eq!(reason, "runner lost: its execution was stopped in AWS");
}

/// The claims of a run's execution.
async fn rows(server: &Server, run: RunId) -> Value {
    let url = server.database();
    let sql = format!("SELECT claims FROM execution WHERE run_id = '{run}'");
    serde_json::from_str(&testkit::rows::texts(&url, &sql).await[0]).unwrap()
}

/// kill -9 at moments nobody chose, on PostgreSQL, while everything is told twice: each run has one end, and nothing is deployed twice.
#[tokio::test]
async fn a_server_that_falls_again_and_again_loses_nothing() {
    let Some(aws) = Aws::find("aws::a_server_that_falls_again_and_again_loses_nothing").await else { return };
    let mut driven = Driven::start(&aws, "falls", Store::Postgres).await;
    let mut runs = Vec::new();
    for name in ["one", "two", "three"] {
        let (_, mut settings) = tiny(&driven.server, name);
        settings["commands"]["unit_test"] = json!("echo tested");
        settings["port"] = json!(free_port());
        let service = driven.server.api.connect(&settings).await;
        runs.push((service.clone(), driven.server.api.start(&service).await.id));
    }
    let (mut told, mut again) = (0, 0);
    for kills in 0..20u64 {
        // Not a wait for anything: each time another moment.
        tokio::time::sleep(std::time::Duration::from_millis(100 + (kills * 137) % 700)).await;
        driven.server.kill9();
        driven.server.restart().await;
        again += driven.tell_again(&mut told).await;
    }
    for (service, run) in &runs {
        let run = driven.server.api.succeeded(*run).await;
        assert_eq!(driven.server.api.printed(&run, StageKind::UnitTest).await, ["tested"]);
        for environment in ["staging", "production"] {
            let deployments = driven.server.api.deployments(service, environment).await;
            assert_eq!(deployments.iter().map(|d| (d.run, d.live)).collect::<Vec<_>>(), [(run.id, true)]);
        }
    }
    again += driven.tell_again(&mut told).await;
    assert!(again > 0, "something was told twice");
    let open = "SELECT COUNT(*) FROM execution WHERE state <> 'over'";
    until("executions to be over", async || (driven.server.number(open).await == 0).then_some(())).await;
    let aside = "SELECT COUNT(*) FROM event WHERE kind = 'message_set_aside'";
    assert_eq!(driven.server.number(aside).await, 0, "all of it was understood");
    assert_eq!(driven.server.number("SELECT COUNT(*) FROM execution").await, 3);
}

/// Images that tasks build are deployed by tasks to services on ECS, whose rollouts are over at once in the stand-in.
#[tokio::test]
async fn services_on_ecs_are_deployed_by_tasks() {
    const NAME: &str = "aws::services_on_ecs_are_deployed_by_tasks";
    let Some(daemon) = Daemon::find(NAME) else { return };
    let Some(registry) = Registry::start(NAME) else { return };
    let Some(aws) = Aws::find(NAME).await else { return };
    let more = vec![
        ("SEAMLESS_REGISTRY", registry.address.clone()),
        ("SEAMLESS_REGISTRY_USERNAME", "ci".to_owned()),
        ("SEAMLESS_REGISTRY_PASSWORD", "right-password".to_owned()),
    ];
    let driven = Driven::start_with(&aws, "ecs", Store::Sqlite, more).await;
    // Tasks have a file system of their own, as EFS is, and none of the server's.
    let own = tempfile::tempdir().unwrap();
    driven.tasks_have(own.path());
    let (server, api) = (&driven.server, &driven.server.api);
    // The service, as somebody made it before there was a Seamless.
    let ecs = async |operation: &str, body: Value| {
        aws.call(&format!("AmazonEC2ContainerServiceV20141113.{operation}"), &body).await.unwrap()
    };
    ecs("CreateCluster", json!({ "clusterName": "shop" })).await;
    let log = json!({ "name": "log", "image": "log:1", "memory": 64, "essential": false });
    let own = json!({ "name": "orders", "image": "placeholder", "memory": 256, "portMappings": [{ "containerPort": 7070 }] });
    let definition = json!({
        "family": "orders", "containerDefinitions": [log, own],
        "executionRoleArn": "arn:aws:iam::000000000000:role/orders",
    });
    ecs("RegisterTaskDefinition", definition).await;
    let place =
        json!({ "cluster": "shop", "serviceName": "orders", "taskDefinition": "orders", "desiredCount": 2 });
    ecs("CreateService", place).await;
    let live = async || {
        let services = ecs("DescribeServices", json!({ "cluster": "shop", "services": ["orders"] })).await;
        let named = services["services"][0]["taskDefinition"].clone();
        let definition = ecs("DescribeTaskDefinition", json!({ "taskDefinition": named })).await;
        let containers = definition["taskDefinition"]["containerDefinitions"].as_array().unwrap().clone();
        assert_eq!(containers.iter().filter(|container| container["image"] == "log:1").count(), 1);
        containers.into_iter().find(|container| container["name"] == "orders").unwrap()
    };

    let repository = Repository::empty(&server.repositories(), "orders");
    let dockerfile = |version: u32| format!("FROM {}\nENV VERSION={version}\n", daemon.served());
    repository.change(&[("Dockerfile", &dockerfile(1))], "Start");
    let ecs_service = json!({ "target": "ecs", "ecs": { "cluster": "shop", "service": "orders" } });
    let service = api
        .connect(&json!({
            "name": "orders", "repository": repository.path(), "branch": "main", "dockerfile": "Dockerfile",
            "auto_deploy": true, "staging": false, "environments": { "production": ecs_service },
            "variables": { "API_KEY": { "value": SECRET, "secret": true }, "REGION": { "value": "eu" } },
        }))
        .await;
    let mut images = Vec::new();
    for version in 1..=2 {
        let run = match version {
            1 => api.start(&service).await.id,
            _ => {
                api.run_of(&service, &repository.change(&[("Dockerfile", &dockerfile(version))], "Next"))
                    .await
                    .id
            }
        };
        let run = api.succeeded(run).await;
        let container = live().await;
        let image = container["image"].as_str().unwrap().to_owned();
        assert!(image.starts_with(&registry.address) && image.contains("@sha256:"), "{image}");
        let named = |list: &str, name: &str| {
            container[list].as_array().unwrap().iter().find(|one| one["name"] == name).cloned()
        };
        assert_eq!(named("environment", "REGION").unwrap()["value"], "eu");
        assert!(
            named("environment", "API_KEY").is_none() && named("secrets", "API_KEY").is_some(),
            "{container}"
        );
        assert!(!images.contains(&image), "each version is an image of its own");
        images.push(image);
        let log = api
            .get(&format!("/stages/{}/log.txt", run.stage(StageKind::DeployProduction).unwrap().id))
            .await
            .text;
        assert!(log.contains("orders"), "{log}");
    }
    let first = api.deployments(&service, "production").await.pop().unwrap();
    let back = json!({ "environment": "production", "deployment": first.id });
    let back: Run = api.post(&format!("/services/{}/rollback", service.id), back).await.to(202);
    api.succeeded(back.id).await;
    assert_eq!(live().await["image"], images[0], "what ran before runs again");
    let open = "SELECT COUNT(*) FROM execution WHERE state <> 'over'";
    until("executions to be over", async || (server.number(open).await == 0).then_some(())).await;
    assert_eq!(driven.sent("UpdateService").len(), 3, "each deployed once");
    let everything = aws.requests().into_iter().filter(|request| request["service"] != "secretsmanager");
    assert!(everything.map(|request| request.to_string()).all(|request| !request.contains(SECRET)));
    assert!(!aws.task_logs().contains(SECRET));
}

/// Nobody approves in time, and fifty runs begin at once: AWS is not asked more than it must be.
#[tokio::test]
async fn many_runs_ask_no_more_than_they_must() {
    let Some(aws) = Aws::find("aws::many_runs_ask_no_more_than_they_must").await else { return };
    let driven = Driven::start(&aws, "many", Store::Sqlite).await;
    let server = &driven.server;
    let begun = std::time::Instant::now();
    let (_, mut settings) = tiny(server, "late");
    settings["auto_deploy"] = json!(false);
    settings["approval_timeout_s"] = json!(1);
    let service = server.api.connect(&settings).await;
    let late = server.api.start(&service).await.id;

    let (_, mut settings) = tiny(server, "many");
    settings["commands"] = json!({ "prepare": "true" });
    let service = server.api.connect(&settings).await;
    let mut runs = Vec::new();
    for _ in 0..50 {
        runs.push(server.api.start(&service).await.id);
    }
    for run in runs {
        server.api.succeeded(run).await;
    }
    let late = server.api.run_until(late, "over", |r| r.status.is_terminal()).await;
    assert_eq!(late.status, Status::Cancelled);
    let reason = late.stage(StageKind::DeployProduction).unwrap().reason.clone().unwrap();
    assert!(reason.starts_with("nobody approved within"), "{reason}");
    let open = "SELECT COUNT(*) FROM execution WHERE state <> 'over'";
    until("executions to be over", async || (server.number(open).await == 0).then_some(())).await;
    assert_eq!(driven.sent("StartExecution").len(), 51, "each was asked for once");
    let looks = driven.sent("DescribeExecution").len() as u64;
    assert!(looks <= begun.elapsed().as_secs() + 1, "{looks} looks in {:?}", begun.elapsed());
    assert_eq!(driven.sent("SendTaskSuccess").len() + driven.sent("SendTaskFailure").len(), 1);
}
