//! Runs on AWS: the real server, the real runner and our own state machine, with a stand-in for AWS that is said in `testkit::aws`. The
//! same is done on the embedded engine beside it, and both must have written the same.
//!
//! What the stand-in leaves unproven is listed in `docs/aws.md`.

#![allow(clippy::unwrap_used)]

mod falls;
mod images;
mod many;
mod refused;
mod same;
mod story;
mod wrong;

use std::collections::BTreeSet;

use domain::{
    RunId, StageKind, Status,
    view::{Run, Service},
};
use serde_json::{Value, json};
use testkit::{
    Options, Repository, Server, Store,
    aws::{Aws, Installation, Program},
    tiny, until,
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

    /// Puts into the queue once more what was put there and was not told again yet, as SQS may; answers how many messages those were.
    async fn tell_again(&self, told: &mut BTreeSet<String>) -> usize {
        let mut new = 0;
        // An execution that is stopped while LocalStack works out what it sends, sends a part of it, which gets nowhere.
        for message in self.sent("SendMessage").into_iter().filter(|message| message["QueueUrl"].is_string())
        {
            // What was told again is in the record too.
            if told.insert(message["MessageBody"].as_str().unwrap().to_owned()) {
                self.aws.call("AmazonSQS.SendMessage", &message).await.unwrap();
                new += 1;
            }
        }
        new
    }

    /// Waits until nothing more is to be heard of any execution.
    async fn executions_are_over(&self) {
        let open = "SELECT COUNT(*) FROM execution WHERE state <> 'over'";
        until("executions to be over", async || (self.server.number(open).await == 0).then_some(())).await;
    }
}

/// A service with a command for each stage, that says what it does, and a person before production.
fn greets(server: &Server, name: &str, fails: Option<StageKind>) -> (Repository, Value) {
    let (repository, mut settings) = tiny(server, name);
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
    (repository, settings)
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
