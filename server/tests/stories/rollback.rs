//! The way back, and what it stops.

use domain::{StageKind, Status, plan::Trigger, view::Run};
use serde_json::json;
use testkit::{Server, serves, tiny};

use crate::{SEAMLESS, port};

#[tokio::test]
async fn the_older_version_serves_on_the_same_port_until_a_person_resumes() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, settings) = tiny(&server, "orders");
    let service = api.connect(&settings).await;
    let first = api.start(&service).await;
    api.succeeded(first.id).await;
    let second = repository.change(&[("VERSION", "2\n")], "Second");
    let second = api.run_of(&service, &second).await;
    api.succeeded(second.id).await;
    let port = port(&settings);
    serves(api, port, "2").await;

    let deployments = api.deployments(&service, "production").await;
    let [newer, older] = &deployments[..] else { panic!("{deployments:?}") };
    assert!((newer.live, older.live) == (true, false) && older.can_roll_back && !newer.can_roll_back);
    assert_eq!(newer.why_not.as_deref(), Some("it is what runs now"));
    let path = format!("/services/{}/rollback", service.id);
    api.post(&path, json!({ "environment": "production", "deployment": newer.id })).await.problem(409);
    api.post(&path, json!({ "environment": "staging", "deployment": older.id })).await.names(&["deployment"]);
    api.post(&path, json!({ "environment": "moon", "deployment": older.id })).await.names(&["environment"]);
    api.post(&path, json!({ "environment": "production" })).await.names(&["deployment"]);

    let back: Run =
        api.post(&path, json!({ "environment": "production", "deployment": older.id })).await.to(202);
    assert_eq!((back.trigger, back.stages.len()), (Trigger::Rollback, 1));
    let back = api.succeeded(back.id).await;
    assert_eq!(back.artifact.as_ref().unwrap().digest, older.artifact.digest);
    serves(api, port, "1").await;
    // Staging keeps what it had.
    serves(api, settings["environments"]["staging"]["port"].as_u64().unwrap() as u16, "2").await;
    let held = api.get(&format!("/services/{}", service.id)).await.is(200);
    assert!(held["hold"]["reason"].as_str().unwrap().contains(first.commit.short()), "{held}");
    let now = api.deployments(&service, "production").await;
    assert!(now[0].live && now[0].rollback && now.iter().filter(|d| d.live).count() == 1);

    let third = repository.change(&[("VERSION", "3\n")], "Third");
    let third = api.run_of(&service, &third).await;
    let third = api.stage_is(third.id, StageKind::DeployProduction, Status::AwaitingApproval).await;
    assert!(third.approval.unwrap().note.unwrap().contains("stopped by token tests"));
    serves(api, port, "1").await;
    api.delete(&format!("/services/{}/hold", service.id)).await.is(200);
    api.succeeded(third.id).await;
    serves(api, port, "3").await;
}

#[tokio::test]
async fn a_hold_needs_a_reason_and_ends_once() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, mut settings) = tiny(&server, "orders");
    settings["staging"] = json!(false);
    let service = api.connect(&settings).await;
    let path = format!("/services/{}/hold", service.id);
    api.post(&path, json!({ "reason": " " })).await.names(&["reason"]);
    api.post(&path, json!({})).await.names(&["reason"]);
    api.delete(&path).await.problem(409);
    let held = api.post(&path, json!({ "reason": "freeze until Monday" })).await.is(200);
    assert_eq!(
        (held["hold"]["reason"].as_str(), held["hold"]["by"].as_str()),
        (Some("freeze until Monday"), Some("token tests"))
    );
    // Of what only the hold stopped, the newest goes on and supersedes the others.
    let mut runs = Vec::new();
    for version in ["2", "3"] {
        let sha = repository.change(&[("VERSION", version)], version);
        let run = api.run_of(&service, &sha).await;
        runs.push(api.stage_is(run.id, StageKind::DeployProduction, Status::AwaitingApproval).await);
    }
    api.delete(&path).await.is(200);
    api.succeeded(runs[1].id).await;
    let older = api.ended(runs[0].id).await;
    assert_eq!(
        (older.status, older.reason.unwrap()),
        (Status::Skipped, format!("superseded by run 2 ({})", runs[1].commit.short()))
    );
    serves(api, port(&settings), "3").await;
    api.delete(&path).await.problem(409);
}

#[tokio::test]
async fn what_is_gone_cannot_be_gone_back_to_and_says_so() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, mut settings) = tiny(&server, "orders");
    settings["staging"] = json!(false);
    let service = api.connect(&settings).await;
    let first = api.start(&service).await;
    let first = api.succeeded(first.id).await;
    let second = repository.change(&[("VERSION", "2\n")], "Second");
    let second = api.run_of(&service, &second).await;
    api.succeeded(second.id).await;
    let artifact =
        server.data().join("artifacts").join(format!("{}.tar.zst", first.artifact.unwrap().digest));
    std::fs::remove_file(artifact).unwrap();
    let deployments = api.deployments(&service, "production").await;
    assert!(!deployments[1].can_roll_back);
    assert_eq!(deployments[1].why_not.as_deref(), Some("its artifact was cleaned up: run its commit again"));
    let back = json!({ "environment": "production", "deployment": deployments[1].id });
    let why = api.post(&format!("/services/{}/rollback", service.id), back).await.problem(409);
    assert!(why.contains("its artifact was cleaned up"), "{why}");
    assert_eq!(
        api.get(&format!("/services/{}", service.id)).await.is(200)["hold"],
        json!(null),
        "nothing is held"
    );
    // Deployed under its name, it keeps it.
    let rename = json!({ "name": "purchases" });
    api.patch(&format!("/services/{}", service.id), rename).await.names(&["name"]);
    serves(api, port(&settings), "2").await;
}
