//! Hooks: stored once, judged with a reason, never lost.

use std::fs;

use domain::{
    StageKind,
    plan::Trigger,
    view::{Delivery, Page},
};
use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Answer, Api, Options, Server, Store, signature, tiny, until};

use crate::{SEAMLESS, checked, nothing};

async fn listed(api: &Api) -> Vec<Delivery> {
    api.get("/deliveries").await.to::<Page<Delivery>>(200).items
}

/// Waits until a delivery that fits was dealt with.
async fn settled(api: &Api, what: &str, fits: impl Fn(&Delivery) -> bool) -> Delivery {
    until(what, async || listed(api).await.into_iter().find(|d| d.verdict != "pending" && fits(d))).await
}

async fn hook(api: &Api, service: &str, guid: &str, signed: &str, body: &Value) -> Answer {
    let request = api.request("POST", &format!("/hooks/git/{service}")).body(body.to_string());
    let request = request.header("x-seamless-delivery", guid).header("x-seamless-signature-256", signed);
    api.send(request).await.unwrap()
}

#[tokio::test]
async fn the_same_one_a_hundred_times_at_once_is_one_run_on_sqlite() {
    the_same_one_a_hundred_times_at_once(Store::Sqlite).await;
}

#[tokio::test]
async fn the_same_one_a_hundred_times_at_once_is_one_run_on_postgres() {
    the_same_one_a_hundred_times_at_once(Store::Postgres).await;
}

/// The key with which hooks for a service are signed.
fn secret(server: &Server, service: &str) -> String {
    let said = server.command(&["hook-secret", service]).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

async fn the_same_one_a_hundred_times_at_once(store: Store) {
    let server = Server::start_with(SEAMLESS, Options { store, ..Options::default() }).await;
    let api = &server.api;
    let (repository, settings) = checked(&server, "orders", nothing());
    let service = api.connect(&settings).await;
    let secret = secret(&server, "orders");
    let sha = repository.commit(&[("VERSION", "2\n")], "Second");
    repository.push("kept-elsewhere");
    let body = json!({ "ref": "refs/heads/main", "after": sha, "by": "ada" });
    let (id, signed) = (service.id.to_string(), signature(&secret, body.to_string().as_bytes()));

    let answers = join_all((0..100).map(|_| hook(api, &id, "4711", &signed, &body))).await;
    let answers: Vec<Value> = answers.iter().map(|a| a.is(202)).collect();
    assert_eq!(answers.iter().filter(|a| a["duplicate"] == false).count(), 1);
    assert!(answers.iter().all(|a| a["id"] == answers[0]["id"]));
    let run = settled(api, "the delivery to be accepted", |d| d.guid == "4711").await;
    assert_eq!(run.verdict, "accepted", "{run:?}");
    api.succeeded(run.run.unwrap()).await;
    assert_eq!(api.runs(&service).await.len(), 1);
    assert_eq!(api.runs(&service).await[0].requested_by.as_deref(), Some("ada"));

    // A signature that does not fit stores nothing, whoever it is for.
    let before = listed(api).await.len();
    let others = json!({ "ref": "refs/heads/main", "after": run.payload["after"], "by": "eve" });
    let nobody = "01JGQ5Y3X8V4T6R2N9M7K1H0FA";
    for (service, signed, body) in [
        (id.as_str(), signed.as_str(), &others),
        (id.as_str(), "sha256=00", &body),
        (id.as_str(), "", &body),
        (nobody, signed.as_str(), &body),
    ] {
        hook(api, service, "4712", signed, body).await.problem(401);
    }
    let wrong = json!({ "ref": "refs/heads/main", "after": sha, "more": 1 });
    hook(api, &id, "4713", &signature(&secret, wrong.to_string().as_bytes()), &wrong).await.names(&["more"]);
    hook(api, &id, "", &signed, &body).await.names(&["X-Seamless-Delivery"]);
    assert_eq!(listed(api).await.len(), before);
}

#[tokio::test]
async fn what_starts_no_run_says_why() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, settings) = checked(&server, "orders", nothing());
    let service = api.connect(&settings).await;
    repository.commit(&[("VERSION", "2\n")], "Elsewhere");
    assert!(
        repository.push("topic").contains("branch filter (topic is not main)"),
        "Git shows the reason to who pushed"
    );
    repository.git(&["push", "origin", ":refs/heads/topic"]);
    repository.git(&["push", "origin", "HEAD:refs/tags/v1"]);
    api.patch(&format!("/services/{}", service.id), json!({ "triggers": { "push": false } })).await.is(200);
    repository.push("main");
    let reasons = until("four deliveries", async || {
        let all = listed(api).await;
        let reasons: Vec<String> = all.into_iter().filter_map(|d| d.reason).collect();
        (reasons.len() == 4).then_some(reasons)
    });
    assert_eq!(
        reasons.await,
        [
            "ignored: trigger push is off for orders",
            "ignored: refs/tags/v1 is no branch",
            "ignored: refs/heads/topic was deleted",
            "ignored: branch filter (topic is not main)",
        ]
    );
    assert_eq!(api.runs(&service).await, []);
    assert!(
        listed(api)
            .await
            .iter()
            .all(|d| d.verdict == "ignored" && d.service.as_ref().unwrap().name == "orders")
    );
}

#[tokio::test]
async fn a_push_while_the_server_is_away_is_taken_up_once() {
    let mut server = Server::start(SEAMLESS).await;
    let (repository, settings) = checked(&server, "orders", nothing());
    let service = server.api.connect(&settings).await;
    let first = repository.commit(&[("VERSION", "2\n")], "Second");
    let told = repository.push("main");
    let run = server.api.run_of(&service, &first).await;
    assert!(told.contains(&format!("/runs/{}", run.id)), "the push shows where to look: {told}");

    server.kill9();
    let away = repository.commit(&[("VERSION", "3\n")], "While it was away");
    let told = repository.push("main");
    assert!(told.contains("takes it up when it is back"), "{told}");
    assert_eq!(fs::read_dir(server.data().join("inbox")).unwrap().count(), 1);
    server.restart().await;
    let run = server.api.run_of(&service, &away).await;
    server.api.succeeded(run.id).await;
    // The heads are compared at a start as well: that must not make it two.
    until("the inbox to be empty", async || {
        fs::read_dir(server.data().join("inbox")).unwrap().next().is_none().then_some(())
    })
    .await;
    let last = repository.change(&[("VERSION", "4\n")], "Afterwards");
    server.api.run_of(&service, &last).await;
    let commits: Vec<String> = server.api.runs(&service).await.into_iter().map(|r| r.commit.sha).collect();
    assert_eq!(commits, [last, away, first]);
}

#[tokio::test]
async fn is_taken_in_again_when_asked() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, settings) = checked(&server, "orders", nothing());
    let service = api.connect(&settings).await;
    let sha = repository.change(&[("VERSION", "2\n")], "Second");
    let first = settled(api, "the push", |d| d.payload["after"] == sha.as_str()).await;
    api.succeeded(first.run.unwrap()).await;
    let again: Delivery = api.post(&format!("/deliveries/{}/replay", first.id), nothing()).await.to(200);
    assert!(again.id != first.id && again.guid != first.guid);
    assert_eq!(again.verdict, "accepted");
    let run = api.succeeded(again.run.unwrap()).await;
    assert_eq!(
        (run.number, run.commit.sha.as_str(), run.requested_by.as_deref()),
        (2, sha.as_str(), Some("token tests"))
    );
    assert_eq!(api.runs(&service).await.len(), 2);
    api.post("/deliveries/01JGQ5Y3X8V4T6R2N9M7K1H0FA/replay", nothing()).await.problem(404);
    api.get("/deliveries?limit=x").await.names(&["limit"]);
}

#[tokio::test]
async fn a_pull_request_gets_the_checks_alone() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, settings) = tiny(&server, "orders");
    let service = api.connect(&settings).await;
    let sha = repository.commit(&[("VERSION", "2\n")], "Proposed");
    repository.git(&["push", "--quiet", "origin", "HEAD:refs/pull/7/head"]);
    let secret = secret(&server, "orders");
    for (guid, event) in
        [("1", "pull_request_opened"), ("2", "pull_request_synchronized"), ("3", "pull_request_closed")]
    {
        let body = json!({ "event": event, "ref": "refs/pull/7/head", "after": sha, "pull_request": 7 });
        let signed = signature(&secret, body.to_string().as_bytes());
        hook(api, &service.id.to_string(), guid, &signed, &body).await.is(202);
    }
    let closed = settled(api, "the third to be ignored", |d| d.guid == "3").await;
    assert_eq!(closed.reason.as_deref(), Some("ignored: event \"pull_request_closed\" starts no run"));
    for (guid, trigger) in [("1", Trigger::PullRequestOpened), ("2", Trigger::PullRequestSynchronized)] {
        let run = settled(api, "a run", |d| d.guid == guid).await.run.unwrap();
        let run = api.succeeded(run).await;
        let kinds: Vec<StageKind> = run.stages.iter().map(|s| s.kind).collect();
        assert_eq!(kinds, [StageKind::Prepare, StageKind::CodeQuality, StageKind::UnitTest]);
        assert_eq!((run.trigger, run.pull_request.unwrap().number), (trigger, 7));
    }
    assert_eq!(api.deployments(&service, "production").await, []);
}
