//! What goes wrong in users' own commands, services and repositories: a clear reason, and nothing half-made.

use domain::{StageKind, Status, view::Run};
use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Server, serves, tiny};

use crate::{SEAMLESS, checked, port};

#[tokio::test]
async fn commands_that_go_wrong_say_how() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let cases = [
        ("missing", "no-such-command --all", 60, "not found: `no-such-command` does not exist", Some(127)),
        ("exits", "echo 'error: it is broken' >&2; exit 3", 60, "exited with 3", Some(3)),
        ("killed", "kill -9 $$", 60, "was killed by", Some(137)),
        ("endless", "trap '' TERM; while :; do sleep 0.1; done", 2, "did not end within 2 s", None),
        ("closed", "exec >&- 2>&-; exit 1", 60, "exited with 1", Some(1)),
    ];
    let runs = cases.map(async |(name, command, limit, reason, code)| {
        let (_, mut settings) = checked(&server, name, json!({ "unit_test": command, "build": "true" }));
        settings["stage_timeout_s"] = json!(limit);
        let service = api.connect(&settings).await;
        let run = api.start(&service).await;
        let run = api.ended(run.id).await;
        let stage = run.stage(StageKind::UnitTest).unwrap();
        assert_eq!(stage.status, Status::Failure, "{name}: {stage:?}");
        assert!(stage.reason.as_deref().unwrap().contains(reason), "{name}: {stage:?}");
        assert_eq!(stage.exit_code, code, "{name}");
        assert_eq!(
            run.reason.as_deref().unwrap(),
            format!("Unit Test: {}", stage.reason.as_deref().unwrap())
        );
        assert_eq!(run.stages[3].reason.as_deref(), Some("not run: Unit Test failed"));
        let left = server.attempt(stage.id, 1);
        assert!(left.iter().all(|p| p.is("runner")), "{name}: {left:?}");
    });
    join_all(runs).await;
}

#[tokio::test]
async fn whatever_is_printed_is_kept() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let print =
        "printf 'a\\377b\\n'; head -c 3000000 /dev/zero | tr '\\0' x; echo; printf 'no newline at the end'";
    let (_, settings) = checked(&server, "orders", json!({ "unit_test": print }));
    let service = api.connect(&settings).await;
    let run = api.start(&service).await;
    let run = api.succeeded(run.id).await;
    let printed = api.printed(&run, StageKind::UnitTest).await;
    assert_eq!(printed[0], "a\u{fffd}b");
    assert_eq!(
        printed.iter().map(|l| l.matches('x').count()).sum::<usize>(),
        3_000_000,
        "of one line without an end"
    );
    assert_eq!(printed.last().unwrap(), "no newline at the end");
}

/// The second version of a service goes wrong; the first serves on.
async fn second_fails(server: &Server, name: &str, change: Value, files: &[(&str, &str)]) -> Run {
    let api = &server.api;
    let (repository, mut settings) = tiny(server, name);
    settings["staging"] = json!(false);
    let service = api.connect(&settings).await;
    let first = api.start(&service).await;
    api.succeeded(first.id).await;
    api.patch(&format!("/services/{}", service.id), change).await.is(200);
    let sha = repository.change(files, "Second");
    let run = api.run_of(&service, &sha).await;
    let run = api.ended(run.id).await;
    assert_eq!(run.status, Status::Failure, "{run:?}");
    assert_eq!(run.failed_stage().unwrap().kind, StageKind::DeployProduction);
    serves(api, port(&settings), "1").await;
    let deployments = api.deployments(&service, "production").await;
    assert_eq!(deployments.iter().map(|d| (d.run, d.live)).collect::<Vec<_>>(), [(first.id, true)]);
    assert_eq!(server.serving(name, "production"), [deployments[0].id.to_string()]);
    run
}

#[tokio::test]
async fn a_version_that_is_not_healthy_leaves_the_old_one_serving() {
    let server = Server::start(SEAMLESS).await;
    let two = [("VERSION", "2\n")];
    let broken = [two[0], ("BROKEN", "")];
    let ends = json!({ "commands": { "start": "echo 'cannot find the settings' >&2; exit 7" } });
    let sleeps = json!({ "health_timeout_s": 2, "commands": { "start": "sleep 600" } });
    let (ill, gone, deaf) = tokio::join!(
        second_fails(&server, "ill", json!({ "health_timeout_s": 2 }), &broken),
        second_fails(&server, "gone", ends, &two),
        second_fails(&server, "deaf", sleeps, &two),
    );
    let reason = |run: &Run| run.failed_stage().unwrap().reason.clone().unwrap();
    assert!(reason(&ill).contains("GET /health answered 500"), "{}", reason(&ill));
    assert!(reason(&gone).contains("exited with 7"), "{}", reason(&gone));
    assert!(reason(&deaf).contains("variable PORT"), "{}", reason(&deaf));
    // What the service said itself is shown.
    let printed = server.api.printed(&gone, StageKind::DeployProduction).await;
    assert!(printed.iter().any(|l| l.contains("cannot find the settings")), "{printed:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_with_its_number() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (_, mut settings) = tiny(&server, "orders");
    settings["staging"] = json!(false);
    let service = api.connect(&settings).await;
    // Free when it was connected, taken when it is deployed.
    let taken = std::net::TcpListener::bind(("127.0.0.1", port(&settings))).unwrap();
    let run = api.start(&service).await;
    let run = api.ended(run.id).await;
    let reason = run.failed_stage().unwrap().reason.clone().unwrap();
    assert!(reason.contains(&format!("port {} is taken", port(&settings))), "{reason}");
    assert_eq!(api.deployments(&service, "production").await, []);
    assert_eq!(server.serving("orders", "production"), Vec::<String>::new());
    drop(taken);
    let again: Run = api.post(&format!("/runs/{}/rerun", run.id), json!({ "from": "failed" })).await.to(202);
    let again = api.succeeded(again.id).await;
    assert_eq!(
        again.stages[3].reason.as_deref(),
        Some("succeeded in run 1"),
        "the artifact is there; it is not built again"
    );
    serves(api, port(&settings), "1").await;
}

#[tokio::test]
async fn a_commit_that_is_gone_fails_the_run_with_the_reason() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, settings) = checked(&server, "orders", json!({ "unit_test": "true" }));
    let service = api.connect(&settings).await;
    // As when it was replaced by a force push and cleaned away before anybody looked.
    let gone = "0123456789012345678901234567890123456789";
    let told = server.tell_hook(&service.id.to_string(), &format!("{gone} {gone} refs/heads/main\n"));
    assert!(told.contains("/runs/"), "{told}");
    let run = api.run_of(&service, gone).await;
    let run = api.ended(run.id).await;
    let stage = run.failed_stage().unwrap();
    assert_eq!((stage.kind, run.status), (StageKind::Prepare, Status::Failure));
    assert!(stage.reason.as_deref().unwrap().contains(&gone[..7]), "{stage:?}");
    // The next push is as good as ever.
    let sha = repository.change(&[("VERSION", "2\n")], "Second");
    let next = api.run_of(&service, &sha).await;
    api.succeeded(next.id).await;
    // And a repository that is gone is said to be.
    std::fs::rename(&repository.bare, repository.bare.with_extension("moved")).unwrap();
    let answer = api.post(&format!("/services/{}/runs", service.id), json!({})).await;
    answer.names(&["branch"]);
    assert!(answer.problem(422).contains("no Git repository"), "{}", answer.text);
}
