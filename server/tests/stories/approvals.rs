//! The gate before production.

use domain::{StageKind, Status};
use futures::future::join_all;
use serde_json::json;
use testkit::{Options, Server, Store, serves, tiny};

use crate::{SEAMLESS, nothing, port};

#[tokio::test]
async fn a_person_lets_a_run_through() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    for staging in [true, false] {
        let (_, mut settings) = tiny(&server, if staging { "with-staging" } else { "without" });
        settings["staging"] = json!(staging);
        settings["auto_deploy"] = json!(false);
        let service = api.connect(&settings).await;
        let run = api.start(&service).await;
        api.post(&format!("/runs/{}/approve", run.id), nothing()).await.problem(409);
        let run = api.stage_is(run.id, StageKind::DeployProduction, Status::AwaitingApproval).await;
        assert_eq!(run.status, Status::AwaitingApproval);
        assert_eq!(run.stages[5].status, if staging { Status::Success } else { Status::Skipped });
        assert_eq!(api.deployments(&service, "production").await, []);
        let approval = run.approval.unwrap();
        assert_eq!(approval.state, "waiting");
        assert_eq!(approval.artifact, run.artifact.map(|a| a.digest));
        let days = (approval.expires_at.0 - approval.requested_at.0) / 86_400_000;
        assert_eq!(days, 10);
        let processes = server.processes();
        let holds: Vec<_> = processes.iter().filter(|p| p.is("runner")).collect();
        assert!(holds.iter().all(|p| {
            !p.variable("SEAMLESS_STAGE_ATTEMPT").unwrap().starts_with(&run.stages[6].id.to_string())
        }));

        api.post(&format!("/runs/{}/approve", run.id), json!({ "coment": "x" })).await.names(&["coment"]);
        api.post(&format!("/runs/{}/approve", run.id), json!({ "comment": "looked at it" })).await.is(200);
        let run = api.succeeded(run.id).await;
        let approval = run.approval.unwrap();
        assert_eq!((approval.state.as_str(), approval.by.as_deref()), ("approved", Some("token tests")));
        assert_eq!(approval.comment.as_deref(), Some("looked at it"));
        assert!(approval.decided_at.is_some());
        serves(api, port(&settings), "1").await;
        for verb in ["approve", "reject"] {
            api.post(&format!("/runs/{}/{verb}", run.id), nothing()).await.problem(409);
        }
    }
}

#[tokio::test]
async fn what_is_rejected_or_expires_is_not_deployed() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (_, mut settings) = tiny(&server, "rejected");
    settings["auto_deploy"] = json!(false);
    settings["staging"] = json!(false);
    let rejected = api.connect(&settings).await;
    let (_, mut settings) = tiny(&server, "expires");
    settings["auto_deploy"] = json!(false);
    settings["staging"] = json!(false);
    settings["approval_timeout_s"] = json!(1);
    let expires = api.connect(&settings).await;
    let (no, late) = (api.start(&rejected).await, api.start(&expires).await);

    let no = api.stage_is(no.id, StageKind::DeployProduction, Status::AwaitingApproval).await;
    api.post(&format!("/runs/{}/reject", no.id), json!({ "comment": "not on a Friday" })).await.is(200);
    let no = api.ended(no.id).await;
    assert_eq!(no.status, Status::Cancelled);
    assert_eq!(no.stages[6].reason.as_deref(), Some("rejected by token tests: not on a Friday"));
    assert_eq!(no.approval.unwrap().state, "rejected");

    let late = api.ended(late.id).await;
    assert_eq!(late.status, Status::Cancelled);
    assert_eq!(late.stages[6].reason.as_deref(), Some("nobody approved within 1 s"));
    assert_eq!(late.approval.unwrap().state, "expired");
    for service in [&rejected, &expires] {
        assert_eq!(api.deployments(service, "production").await, []);
    }
}

#[tokio::test]
async fn a_run_that_waits_can_be_cancelled_and_is_superseded_by_a_newer_one() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, mut settings) = tiny(&server, "orders");
    settings["auto_deploy"] = json!(false);
    settings["staging"] = json!(false);
    let service = api.connect(&settings).await;
    let mut waiting = Vec::new();
    for version in ["2", "3", "4"] {
        let sha = repository.change(&[("VERSION", version)], version);
        let run = api.run_of(&service, &sha).await;
        waiting.push(api.stage_is(run.id, StageKind::DeployProduction, Status::AwaitingApproval).await);
    }
    api.post(&format!("/runs/{}/cancel", waiting[2].id), nothing()).await.is(202);
    let cancelled = api.ended(waiting[2].id).await;
    assert_eq!(
        (cancelled.status, cancelled.approval.unwrap().state.as_str()),
        (Status::Cancelled, "cancelled")
    );
    api.post(&format!("/runs/{}/approve", waiting[1].id), nothing()).await.is(200);
    api.succeeded(waiting[1].id).await;
    let older = api.ended(waiting[0].id).await;
    let by = format!("superseded by run 2 ({})", waiting[1].commit.short());
    assert_eq!((older.status, older.reason.as_deref()), (Status::Skipped, Some(by.as_str())));
    assert_eq!(older.approval.unwrap().state, "superseded");
    serves(api, port(&settings), "3").await;
}

#[tokio::test]
async fn of_many_who_decide_at_once_one_does() {
    for store in [Store::Sqlite, Store::Postgres] {
        let server = Server::start_with(SEAMLESS, Options { store, ..Options::default() }).await;
        let api = &server.api;
        let (_, mut settings) = tiny(&server, "orders");
        settings["auto_deploy"] = json!(false);
        settings["staging"] = json!(false);
        let service = api.connect(&settings).await;
        let run = api.start(&service).await.id;
        api.stage_is(run, StageKind::DeployProduction, Status::AwaitingApproval).await;
        let decisions = join_all((0..20).map(async |number| {
            let verb = if number % 2 == 0 { "approve" } else { "reject" };
            (verb, api.post(&format!("/runs/{run}/{verb}"), json!({ "comment": number.to_string() })).await)
        }));
        let decisions = decisions.await;
        let taken: Vec<_> = decisions.iter().filter(|(_, answer)| answer.status == 200).collect();
        assert_eq!(taken.len(), 1, "{decisions:?}");
        assert!(decisions.iter().all(|(_, answer)| [200, 409].contains(&answer.status)), "{decisions:?}");
        let run = api.ended(run).await;
        let expected = if taken[0].0 == "approve" { Status::Success } else { Status::Cancelled };
        assert_eq!(run.status, expected);
        assert_eq!(
            api.deployments(&service, "production").await.len(),
            usize::from(expected == Status::Success)
        );
    }
}
