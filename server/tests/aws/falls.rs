//! kill -9 of the server at every step of an execution, while everything is told twice: each run comes to the end that it has when nothing
//! falls.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::{RunId, StageKind, Status, view::Service};
use serde_json::{Value, json};
use testkit::{Server, Store, aws::Aws};

use crate::{
    Driven, SEAMLESS, decide, greets,
    same::{cut_off, rolled_back, start_rollback},
    settled,
    story::{alike, of_deployments, of_run},
    through,
};

/// How long anything may take to show.
const PATIENCE: Duration = Duration::from_secs(90);

struct Falling<'a> {
    driven: Driven<'a>,
    falls: u32,
    again: usize,
}

impl Falling<'_> {
    /// Waits until something is to be seen, and ends the server at that moment without a word; another takes its place, and all is told again.
    async fn fall(&mut self, what: &str, mut seen: impl AsyncFnMut(&Driven<'_>) -> bool) {
        let begun = Instant::now();
        let mut told = Instant::now();
        while !seen(&self.driven).await {
            assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
            // A message may have been handed to a server that fell with it, and would be handed out again a minute later.
            if told.elapsed() > Duration::from_secs(1) {
                self.again += self.driven.tell_again(&mut BTreeSet::new()).await;
                told = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.driven.server.kill9();
        self.driven.server.restart().await;
        self.again += self.driven.tell_again(&mut BTreeSet::new()).await;
        self.falls += 1;
    }

    /// Falls when the server has asked AWS for something, before it has an answer.
    async fn fall_asking(&mut self, operation: &str, ask: impl AsyncFnOnce(&Server)) {
        let before = self.driven.sent(operation).len();
        self.driven.aws.fault(&json!({ "operation": operation, "late": 0.5 })).await;
        ask(&self.driven.server).await;
        self.fall(operation, async |driven| driven.sent(operation).len() > before).await;
    }

    /// Falls when a row stands as asked.
    async fn fall_when(&mut self, run: RunId, table: &str, how: &str) {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE run_id = '{run}' AND {how}");
        self.fall(&format!("{table} {how}"), async |driven| driven.server.number(&sql).await > 0).await;
    }

    /// Falls when the machine has put something into the queue.
    async fn fall_told(&mut self, run: RunId, kind: &str) {
        let (kind, run) = (format!("\"kind\":\"{kind}\""), run.to_string());
        let told = |message: &Value| {
            let body = message["MessageBody"].as_str().unwrap_or_default().replace(": ", ":");
            body.contains(&kind) && body.contains(&run)
        };
        self.fall(&kind, async |driven| driven.sent("SendMessage").iter().any(told)).await;
    }

    /// Falls when a task has claimed a stage, and when the stage is over.
    async fn fall_around(&mut self, run: RunId, kind: StageKind) {
        self.fall_when(run, "execution", &format!("claims LIKE '%{kind}%'")).await;
        self.fall_when(run, "stage", &format!("kind = '{kind}' AND status = 'success'")).await;
    }

    /// Falls when the run's end is told; then nothing more is to be heard of its execution.
    async fn fall_at_the_end(&mut self, run: RunId) {
        self.fall_told(run, "ended").await;
        let over = format!("SELECT COUNT(*) FROM execution WHERE run_id = '{run}' AND state = 'over'");
        let begun = Instant::now();
        while self.driven.server.number(&over).await == 0 {
            assert!(begun.elapsed() < PATIENCE, "an execution is not over");
            self.again += self.driven.tell_again(&mut BTreeSet::new()).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// The run that a service has last.
async fn newest(server: &Server, service: &Service) -> RunId {
    server.api.runs(service).await[0].id
}

/// One that is quick, and one whose unit tests do not end.
async fn services(server: &Server) -> (Service, Service) {
    let quick = server.api.connect(&greets(server, "orders", None).1).await;
    let (_, mut settings) = greets(server, "slow", None);
    settings["commands"]["unit_test"] = json!("echo begun; sleep 600");
    (quick, server.api.connect(&settings).await)
}

/// What is told where nothing falls: a run that is approved, one that is cancelled in its unit tests, another that is approved, and a
/// rollback to the first.
async fn undisturbed(server: &Server) -> Vec<String> {
    let (service, slow) = services(server).await;
    let first = through(server, &service).await;
    let cancelled = cut_off(server, &slow).await;
    let second = through(server, &service).await;
    let back = rolled_back(server, &service, &first).await;
    let mut told = Vec::new();
    for run in [&first, &cancelled, &second, &back] {
        told.extend(of_run(server, run).await);
    }
    told.extend(of_deployments(server, &service).await);
    told
}

#[tokio::test]
async fn a_server_that_falls_at_every_step_loses_nothing() {
    let Some(aws) = Aws::find("aws::falls::a_server_that_falls_at_every_step_loses_nothing").await else {
        return;
    };
    let driven = Driven::start(&aws, "falls", Store::Postgres).await;
    let embedded = Server::start(SEAMLESS).await;
    let expected = undisturbed(&embedded).await;
    drop(embedded);
    let mut falling = Falling { driven, falls: 0, again: 0 };
    let (service, slow) = services(&falling.driven.server).await;

    // A run with everything in it.
    falling.fall_asking("StartExecution", async |server| drop(server.api.start(&service).await)).await;
    let first = newest(&falling.driven.server, &service).await;
    falling.fall_when(first, "execution", "state = 'started'").await;
    for kind in StageKind::ALL.into_iter().filter(|kind| *kind != StageKind::DeployProduction) {
        falling.fall_around(first, kind).await;
    }
    falling.fall_told(first, "gate").await;
    falling.fall_when(first, "execution", "gate_token IS NOT NULL").await;
    falling
        .fall_asking("SendTaskSuccess", async |server| {
            server.api.post(&format!("/runs/{first}/approve"), json!({})).await.is(200);
        })
        .await;
    falling.fall_around(first, StageKind::DeployProduction).await;
    falling.fall_at_the_end(first).await;

    // One that is cancelled in the middle of a stage.
    let cancelled = falling.driven.server.api.start(&slow).await.id;
    falling.fall_when(cancelled, "stage", "kind = 'code_quality' AND status = 'success'").await;
    falling.fall_when(cancelled, "stage", "kind = 'unit_test' AND lines > 1").await;
    falling
        .fall_asking("StopExecution", async |server| {
            server.api.post(&format!("/runs/{cancelled}/cancel"), json!({})).await.is(202);
        })
        .await;
    falling.fall_when(cancelled, "execution", "state = 'over'").await;

    // What was approved at once, and is gone back from.
    let second = {
        let server = &falling.driven.server;
        let run = server.api.start(&service).await.id;
        settled(server, run).await;
        run
    };
    falling.fall_told(second, "gate").await;
    decide(&falling.driven.server, second, "approve").await;
    let first = falling.driven.server.api.run(first).await;
    falling
        .fall_asking("StartExecution", async |server| drop(start_rollback(server, &service, &first).await))
        .await;
    let back = newest(&falling.driven.server, &service).await;
    falling.fall_around(back, StageKind::DeployProduction).await;
    falling.fall_at_the_end(back).await;

    let server = &falling.driven.server;
    let mut told = Vec::new();
    for (run, status) in [
        (first.id, Status::Success),
        (cancelled, Status::Cancelled),
        (second, Status::Success),
        (back, Status::Success),
    ] {
        let run = server.api.ended(run).await;
        assert_eq!(run.status, status, "{run:?}");
        told.extend(of_run(server, &run).await);
    }
    told.extend(of_deployments(server, &service).await);
    alike("what falls and what does not", &expected, &told);
    assert!(
        falling.falls > 20 && falling.again > 20,
        "{} falls, {} told again",
        falling.falls,
        falling.again
    );

    falling.driven.executions_are_over().await;
    let aside = "SELECT COUNT(*) FROM event WHERE kind = 'message_set_aside'";
    assert_eq!(server.number(aside).await, 0, "all of it was understood");
    assert_eq!(server.number("SELECT COUNT(*) FROM execution").await, 4);
    // Each of them was carried out once: one execution of each name, one process behind each port.
    for environment in ["staging", "production"] {
        assert_eq!(server.serving("orders", environment).len(), 1, "{environment}");
    }
}
