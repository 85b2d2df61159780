//! What AWS refuses for a while: it is said on the run, in words, and tried again until it works.

use domain::{RunId, Status, view::Run};
use serde_json::json;
use testkit::{Store, aws::Aws, rows, tiny, until};

use crate::{Driven, settled};

/// What the SDK asks again by itself, it asks so often.
const TRIES: u32 = 3;

const THROTTLED: (&str, &str) = ("ThrottlingException", "Rate exceeded");
const EXPIRED: (&str, &str) =
    ("ExpiredTokenException", "The security token included in the request is expired");

impl Driven<'_> {
    async fn refuse(&self, operation: &str, (error, message): (&str, &str), times: u32) {
        let fault = json!({ "operation": operation, "error": error, "message": message, "times": times });
        self.aws.fault(&fault).await;
    }

    /// Waits until a run says that it is kept from going on, and why.
    async fn hindered(&self, run: RunId, why: &str) {
        let said = |run: &Run| {
            let reason = run.reason.as_deref().unwrap_or_default();
            reason.starts_with(why) && reason.ends_with("; it is tried again until it works")
        };
        self.server.api.run_until(run, &format!("kept from going on: {why}"), said).await;
    }

    /// What was told of trouble with the engine, and of its end.
    async fn troubles(&self, run: RunId) -> Vec<String> {
        let sql =
            format!("SELECT kind FROM event WHERE run_id = '{run}' AND kind LIKE 'engine%' ORDER BY seq");
        rows::texts(&self.server.database(), &sql).await
    }
}

#[tokio::test]
async fn what_aws_refuses_for_a_while_is_told_and_tried_again() {
    let Some(aws) = Aws::find("aws::refused::what_aws_refuses_for_a_while_is_told_and_tried_again").await
    else {
        return;
    };
    let driven = Driven::start(&aws, "refused", Store::Sqlite).await;
    let (server, api) = (&driven.server, &driven.server.api);
    let (_, mut settings) = tiny(server, "orders");
    settings["commands"] = json!({ "prepare": "true" });
    let service = api.connect(&settings).await;

    let gone = ("StateMachineDoesNotExist", "State Machine Does Not Exist: 'refused'");
    for (refusal, times, why) in [
        // Once more than the SDK asks by itself.
        (
            THROTTLED,
            TRIES + 1,
            "the execution cannot be started: AWS asks for patience (ThrottlingException)",
        ),
        (
            EXPIRED,
            1,
            "the execution cannot be started: the credentials of AWS are not valid any more (ExpiredTokenException); renew them, or give this machine a role",
        ),
        (gone, 1, "the execution cannot be started: State Machine Does Not Exist: 'refused'"),
    ] {
        let before = driven.sent("StartExecution").len();
        driven.refuse("StartExecution", refusal, times).await;
        let run = api.start(&service).await.id;
        driven.hindered(run, why).await;
        let run = api.succeeded(run).await;
        assert_eq!(run.reason, None, "{why}");
        assert_eq!(driven.troubles(run.id).await, ["engine_trouble", "engine_back"], "{why}");
        assert_eq!(driven.sent("StartExecution").len() - before, times as usize + 1, "{why}");
    }

    // At the gate: what was decided here stands, and goes on when it can be told.
    let (_, mut settings) = tiny(server, "gated");
    settings["auto_deploy"] = json!(false);
    let gated = api.connect(&settings).await;
    let run = api.start(&gated).await.id;
    settled(server, run).await;
    driven.refuse("SendTaskSuccess", EXPIRED, 1).await;
    api.post(&format!("/runs/{run}/approve"), json!({})).await.is(200);
    driven.hindered(run, "the gate cannot be answered: the credentials of AWS are not valid any more").await;
    api.succeeded(run).await;

    // The queue: what it holds is heard when it can be read again.
    driven.refuse("ReceiveMessage", THROTTLED, TRIES).await;
    let run = api.start(&gated).await.id;
    until("the queue to be refused", async || {
        server
            .log()
            .contains("the queue cannot be read: AWS asks for patience (ThrottlingException)")
            .then_some(())
    })
    .await;
    settled(server, run).await;
    api.post(&format!("/runs/{run}/approve"), json!({})).await.is(200);
    api.succeeded(run).await;

    // The machine is deleted, and its executions with it, while one waits for a person.
    let run = api.start(&gated).await.id;
    settled(server, run).await;
    driven.refuse("DescribeExecution", ("ExecutionDoesNotExist", "Execution Does Not Exist"), 1).await;
    let old = format!("UPDATE execution SET seen_at = seen_at - 200000 WHERE run_id = '{run}'");
    let run = until("the run to end", async || {
        // It is looked at when nothing was heard of it for two minutes.
        rows::change(&server.database(), &old).await;
        Some(api.run(run).await).filter(|run| run.status.is_terminal())
    })
    .await;
    let why = run.reason.as_deref().unwrap_or_default();
    assert_eq!(run.status, Status::Cancelled, "{run:?}");
    assert!(why.ends_with("its execution is gone: it was deleted, or its state machine was"), "{why}");
}

#[tokio::test]
async fn credentials_that_are_renewed_in_a_profile_are_used_without_a_restart() {
    let test = "aws::refused::credentials_that_are_renewed_in_a_profile_are_used_without_a_restart";
    let Some(aws) = Aws::find(test).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("credentials");
    let write = |key: &str| {
        let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n");
        std::fs::write(&profile, text).unwrap();
    };
    write("FIRST");
    let more = vec![
        ("AWS_ACCESS_KEY_ID", String::new()),
        ("AWS_SECRET_ACCESS_KEY", String::new()),
        ("AWS_SHARED_CREDENTIALS_FILE", profile.display().to_string()),
    ];
    let driven = Driven::start_with(&aws, "renewed", Store::Sqlite, more).await;
    let (server, api) = (&driven.server, &driven.server.api);
    let (_, mut settings) = tiny(server, "orders");
    settings["commands"] = json!({ "prepare": "true" });
    let service = api.connect(&settings).await;
    api.succeeded(api.start(&service).await.id).await;
    let started_by = || {
        let all = aws.requests().into_iter().filter(|request| request["operation"] == "StartExecution");
        all.map(|request| request["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(started_by(), ["FIRST"]);

    // From now on nothing is done any more for those that were there first, whatever is asked.
    let expired = json!({ "key": "FIRST", "error": EXPIRED.0, "message": EXPIRED.1, "times": 1_000_000 });
    aws.fault(&expired).await;
    let run = api.start(&service).await.id;
    driven
        .hindered(run, "the execution cannot be started: the credentials of AWS are not valid any more")
        .await;
    write("SECOND");
    let run = api.succeeded(run).await;
    assert_eq!(run.reason, None);
    assert_eq!(started_by().last().map(String::as_str), Some("SECOND"));
    api.succeeded(api.start(&service).await.id).await;
}
