//! Runs: what they do, what they leave out and why, how they end, how they are repeated.

use std::fs;

use domain::{
    StageKind, Status,
    plan::Trigger,
    view::{EnvironmentRow, Page, Run},
};
use serde_json::json;
use testkit::{Server, python, serves, tiny};

use crate::{SEAMLESS, checked, nothing, port, waits_for};

fn reasons(run: &Run) -> Vec<(StageKind, Status, &str)> {
    run.stages.iter().map(|s| (s.kind, s.status, s.reason.as_deref().unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_push_goes_all_the_way_to_production() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, settings) = tiny(&server, "orders");
    let service = api.connect(&settings).await;
    let sha = repository.change(&[("VERSION", "2\n")], "Second\n\nWith more to say");
    let run = api.run_of(&service, &sha).await;
    assert_eq!((run.trigger, run.number), (Trigger::Push, 1));
    let run = api.succeeded(run.id).await;
    let no = (Status::Skipped, "no command");
    let done = (Status::Success, "");
    let stands: Vec<_> = reasons(&run).into_iter().map(|(_, s, r)| (s, r)).collect();
    assert_eq!(stands, [done, no, no, done, no, done, done]);
    assert_eq!((run.commit.message.as_str(), run.commit.author.as_str()), ("Second", "Ada"));
    let artifact = run.artifact.clone().unwrap();
    assert_eq!(artifact.digest.len(), 64);
    serves(api, port(&settings), "2").await;
    serves(api, settings["environments"]["staging"]["port"].as_u64().unwrap() as u16, "2").await;
    let rows = api.get("/environments").await.to::<Page<EnvironmentRow>>(200).items;
    for state in [&rows[0].staging, &rows[0].production] {
        assert_eq!(state.health, "healthy", "{state:?}");
        assert_eq!((state.run, state.artifact.as_ref()), (Some(run.id), Some(&artifact)));
        assert_eq!(state.commit.as_ref().unwrap().sha, sha);
    }
    // The same content is the same artifact, whoever builds it and whenever.
    let again: Run = api.post(&format!("/runs/{}/rerun", run.id), nothing()).await.to(202);
    let again = api.succeeded(again.id).await;
    assert_eq!(again.artifact.unwrap().digest, artifact.digest);
}

#[tokio::test]
async fn what_is_off_is_skipped_with_its_reason() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (_, mut settings) = tiny(&server, "no-staging");
    settings["staging"] = json!(false);
    let no_staging = api.connect(&settings).await;
    let (_, settings) =
        checked(&server, "no-start", json!({ "unit_test": "true", "integration_test": "true" }));
    let no_start = api.connect(&settings).await;

    let run = api.start(&no_staging).await;
    let run = api.succeeded(run.id).await;
    assert_eq!(
        reasons(&run)[5],
        (StageKind::DeployStaging, Status::Skipped, "staging is off for this service")
    );
    assert_eq!(run.stages[6].status, Status::Success);
    assert_eq!(api.deployments(&no_staging, "staging").await, []);

    let run = api.start(&no_start).await;
    let run = api.succeeded(run.id).await;
    let skipped: Vec<_> =
        reasons(&run).into_iter().filter(|(_, s, _)| *s == Status::Skipped).map(|(k, _, r)| (k, r)).collect();
    let nothing_to = "no start command: nothing to deploy";
    assert_eq!(
        skipped,
        [
            (StageKind::CodeQuality, "no command"),
            (StageKind::Build, "no command"),
            (StageKind::IntegrationTest, "no start command: nothing to test against"),
            (StageKind::DeployStaging, nothing_to),
            (StageKind::DeployProduction, nothing_to),
        ]
    );
}

#[tokio::test]
async fn start_from_a_branch_or_a_commit() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, settings) = checked(&server, "orders", json!({ "unit_test": "cat VERSION" }));
    let service = api.connect(&settings).await;
    let first = repository.commit(&[("VERSION", "topic\n")], "On a topic");
    repository.push("topic");
    repository.commit(&[("VERSION", "later\n")], "Later on the topic");
    repository.push("topic");
    let path = format!("/services/{}/runs", service.id);
    for (body, printed) in
        [(json!({ "branch": "topic" }), "later"), (json!({ "commit": first }), "topic"), (nothing(), "1")]
    {
        let run: Run = api.post(&path, body).await.to(202);
        assert_eq!(run.trigger, Trigger::Manual);
        assert_eq!(run.requested_by.as_deref(), Some("token tests"));
        let run = api.succeeded(run.id).await;
        assert_eq!(api.printed(&run, StageKind::UnitTest).await, [printed]);
    }
    api.post(&path, json!({ "branch": "nowhere" })).await.names(&["branch"]);
    api.post(&path, json!({ "commit": "0123456789012345678901234567890123456789" })).await.names(&["commit"]);
    api.post(&path, json!({ "comit": "x" })).await.names(&["comit"]);
    assert_eq!(api.runs(&service).await.len(), 3);
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (_, settings) = checked(&server, "orders", nothing());
    let service = api.connect(&settings).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(api.start(&service).await.id);
    }
    for id in &ids {
        api.succeeded(*id).await;
    }
    ids.reverse();
    let (mut seen, mut sizes, mut before) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page: Page<Run> =
            api.get(&format!("/services/{}/runs?limit=2{before}", service.id)).await.to(200);
        sizes.push(page.items.len());
        seen.extend(page.items.iter().map(|r| r.id));
        let Some(next) = page.next else { break };
        before = format!("&before={next}");
    }
    assert_eq!((seen, sizes), (ids.clone(), vec![2, 2, 1]));
    let listed =
        async |query: &str| api.get(&format!("/runs?{query}")).await.to::<Page<Run>>(200).items.len();
    assert_eq!(listed("status=success").await, 5);
    assert_eq!(listed("status=failure").await, 0);
    api.get("/runs?status=done").await.names(&["status"]);
    api.get("/runs?limit=0").await.names(&["limit"]);
    api.get("/runs?limit=201").await.names(&["limit"]);
    assert_eq!(api.get("/runs?stauts=success").await.status, 422);
}

#[tokio::test]
async fn is_repeated_from_the_start_or_from_what_failed() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let good = server.scratch("good");
    let commands = json!({ "prepare": "true", "code_quality": "true", "unit_test": format!("echo FAILED: total is 3; test -e {}", good.display()), "build": "true" });
    let (_, settings) = checked(&server, "orders", commands);
    let service = api.connect(&settings).await;
    let run = api.start(&service).await;
    let run = api.ended(run.id).await;
    assert_eq!(run.status, Status::Failure);
    let stage = run.failed_stage().unwrap();
    assert_eq!(stage.error.as_ref().unwrap().text, "FAILED: total is 3");
    assert!(run.reason.as_deref().unwrap().starts_with("Unit Test: "), "{:?}", run.reason);
    assert_eq!(reasons(&run)[3], (StageKind::Build, Status::Skipped, "not run: Unit Test failed"));

    fs::write(&good, "").unwrap();
    let path = format!("/runs/{}/rerun", run.id);
    let again: Run = api.post(&path, json!({ "from": "failed" })).await.to(202);
    assert_eq!((again.rerun_of, again.number), (Some(run.id), 2));
    let again = api.succeeded(again.id).await;
    // Prepare brings the workspace back; what was well is not done again.
    assert_eq!(again.stages[0].status, Status::Success);
    assert_eq!(reasons(&again)[1], (StageKind::CodeQuality, Status::Skipped, "succeeded in run 1"));
    assert_eq!((again.stages[2].status, again.stages[3].status), (Status::Success, Status::Success));

    let whole: Run = api.post(&path, json!({ "from": "start" })).await.to(202);
    let whole = api.succeeded(whole.id).await;
    assert!(whole.stages[..4].iter().all(|s| s.status == Status::Success), "{:?}", reasons(&whole));
    api.post(&format!("/runs/{}/rerun", whole.id), json!({ "from": "failed" })).await.problem(409);
    api.post(&path, json!({ "from": "middle" })).await.names(&["from"]);
}

#[tokio::test]
async fn cancel_ends_everything_it_started() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    // A child that leaves its family and hears nothing, and a command that hears nothing either.
    let stays = "setsid sh -c 'trap \"\" TERM HUP INT; echo stays; while :; do sleep 1; done' & \
        trap '' TERM; echo deaf; while :; do sleep 1; done";
    let (_, settings) =
        checked(&server, "orders", json!({ "unit_test": stays, "code_quality": "sleep 600" }));
    let service = api.connect(&settings).await;
    let run = api.start(&service).await;
    let run = api.run_until(run.id, "printing twice", |r| r.stages[2].lines >= 2).await;
    assert!(server.attempt(run.stages[2].id, 1).len() >= 4);
    api.post(&format!("/runs/{}/rerun", run.id), nothing()).await.problem(409);
    let told: Run = api.post(&format!("/runs/{}/cancel", run.id), nothing()).await.to(202);
    assert_eq!(
        told.stages[3].status,
        if told.stages[3].reason.as_deref() == Some("no command") {
            Status::Skipped
        } else {
            Status::Cancelled
        }
    );
    let run = api.ended(run.id).await;
    assert_eq!(run.status, Status::Cancelled, "{:?}", reasons(&run));
    for stage in &run.stages[1..3] {
        assert_eq!(
            (stage.status, stage.reason.as_deref()),
            (Status::Cancelled, Some("cancelled by token tests"))
        );
        let left = server.attempt(stage.id, 1);
        // The runner itself reports the end, then goes.
        assert!(left.iter().all(|p| p.is("runner")), "{left:?}");
    }
    api.post(&format!("/runs/{}/cancel", run.id), nothing()).await.problem(409);
}

#[tokio::test]
async fn an_older_commit_never_replaces_a_newer_one() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, mut settings) = tiny(&server, "orders");
    let go = server.scratch("go");
    settings["commands"]["build"] = json!(format!("if grep -q 2 VERSION; then {}; fi", waits_for(&go)));
    let service = api.connect(&settings).await;
    let older = repository.change(&[("VERSION", "2\n")], "Older");
    let older = api.run_of(&service, &older).await;
    let newer = repository.change(&[("VERSION", "3\n")], "Newer");
    let run = api.run_of(&service, &newer).await;
    api.succeeded(run.id).await;
    fs::write(&go, "").unwrap();
    let older = api.ended(older.id).await;
    let by = format!("superseded by run 2 ({})", &newer[..7]);
    assert_eq!(older.reason.as_deref(), Some(by.as_str()));
    for at in [5, 6] {
        assert_eq!(
            (older.stages[at].status, older.stages[at].reason.as_deref()),
            (Status::Skipped, Some(by.as_str()))
        );
    }
    serves(api, port(&settings), "3").await;
    assert_eq!(api.deployments(&service, "production").await.len(), 1);
    // A person may ask for exactly that.
    let asked: Run = api
        .post(&format!("/services/{}/runs", service.id), json!({ "commit": older.commit.sha }))
        .await
        .to(202);
    api.succeeded(asked.id).await;
    serves(api, port(&settings), "2").await;
}

#[tokio::test]
async fn the_candidate_is_tested_beside_what_is_deployed_of_the_others() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (_, mut settings) = tiny(&server, "stock-api");
    settings["staging"] = json!(false);
    let stock = api.connect(&settings).await;
    let run = api.start(&stock).await;
    api.succeeded(run.id).await;

    let (repository, mut settings) = tiny(&server, "orders");
    settings["staging"] = json!(false);
    let ask = "import os, urllib.request as u; [print(u.urlopen(os.environ['SEAMLESS_URL_' + n] + '/').read().decode()) for n in ('ORDERS', 'STOCK_API')]";
    settings["commands"]["integration_test"] = json!(format!("{} -c \"{ask}\"", python()));
    let orders = api.connect(&settings).await;
    let sha = repository.change(&[("VERSION", "7\n")], "Candidate");
    let run = api.run_of(&orders, &sha).await;
    let run = api.succeeded(run.id).await;
    let printed = api.printed(&run, StageKind::IntegrationTest).await;
    let answers: Vec<&str> = printed.iter().filter(|l| l.contains(" test ")).map(String::as_str).collect();
    assert_eq!(answers.len(), 2, "{printed:?}");
    assert_eq!(answers[0], format!("7 test {sha}"));
    assert!(answers[1].starts_with("1 test "), "{printed:?}");
    assert_eq!(
        server.serving("orders", "test").len() + server.serving("stock-api", "test").len(),
        0,
        "it stops what it started"
    );
}
