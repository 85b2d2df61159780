//! The command line, as a person uses it on the server's machine.

use std::{fs, process::Stdio};

use domain::{StageKind, Status};
use serde_json::json;
use testkit::{Repository, Server, serves, tiny};

use crate::{SEAMLESS, checked, port, waits_for};

/// Runs a command; the answer is its exit code and everything it said.
fn seamless(server: &Server, arguments: &[&str]) -> (i32, String) {
    let done = server.command(arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (done.status.code().unwrap(), said)
}

#[tokio::test]
async fn goes_from_a_repository_to_production_and_back() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, mut settings) = tiny(&server, "orders");
    settings["staging"] = json!(false);
    settings["auto_deploy"] = json!(false);
    let service = api.connect(&settings).await;
    for version in ["1", "2"] {
        if version == "2" {
            repository.change(&[("VERSION", "2\n")], "Second");
            api.run_until(api.runs(&service).await[0].id, "waiting", |r| {
                r.status == Status::AwaitingApproval
            })
            .await;
        } else {
            let (code, said) = seamless(&server, &["run", "orders", "--follow"]);
            assert_eq!(code, 0, "{said}");
            assert!(said.contains("waits for approval"), "{said}");
        }
        let (code, said) = seamless(&server, &["approve", "orders", "-m", "seen"]);
        assert_eq!(code, 0, "{said}");
        let run = &api.runs(&service).await[0];
        api.succeeded(run.id).await;
        serves(api, port(&settings), version).await;
    }
    let (code, said) = seamless(&server, &["rollback", "orders"]);
    assert_eq!(code, 0, "{said}");
    serves(api, port(&settings), "1").await;
    let (code, said) = seamless(&server, &["status"]);
    assert!(code == 0 && said.contains("orders"), "{said}");
    let (code, said) = seamless(&server, &["status", "orders/3"]);
    assert!(code == 0 && said.contains("success"), "{said}");
    let (code, said) = seamless(&server, &["reject", "orders"]);
    assert!(code == 1 && said.contains("no run of orders waits for approval"), "{said}");
    let (code, said) = seamless(&server, &["run", "nobody"]);
    assert!(code == 1 && said.contains("there are: orders"), "{said}");
}

#[tokio::test]
async fn follows_a_log_and_fails_as_the_run_does() {
    let mut server = Server::start(SEAMLESS).await;
    let go = server.scratch("go");
    let command = format!("echo begun; {}; echo went on; exit 4", waits_for(&go));
    let (_, settings) = checked(&server, "orders", json!({ "unit_test": command }));
    let service = server.api.connect(&settings).await;
    let run = server.api.start(&service).await.id;
    let mut follows = server.command(&["logs", "-f", "orders", "--stage", "unit_test"]);
    let follows = follows.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.api.run_until(run, "begun", |r| r.stages[2].lines >= 2).await;
    // The server may fall and come back meanwhile.
    server.kill9();
    fs::write(&go, "").unwrap();
    server.restart().await;
    let run = server.api.ended(run).await;
    let done = tokio::task::spawn_blocking(|| follows.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let printed = String::from_utf8(done.stdout).unwrap();
    let expected = server.api.log(run.stage(StageKind::UnitTest).unwrap().id, 1).await;
    assert_eq!(
        printed.lines().collect::<Vec<_>>(),
        expected.iter().map(|l| l.text.as_str()).collect::<Vec<_>>()
    );

    let (code, said) = seamless(&server, &["logs", "orders/1"]);
    assert!(code == 0 && said.contains("went on"), "{said}");
    // Who follows what is forgotten meanwhile is not kept waiting.
    fs::remove_file(&go).unwrap();
    let run = server.api.start(&service).await.id;
    server.api.run_until(run, "begun", |r| r.stages[2].lines >= 2).await;
    let mut follows = server.command(&["logs", "-f", "orders"]);
    let follows = follows.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.api.delete(&format!("/services/{}", service.id)).await.is(204);
    let done = tokio::task::spawn_blocking(|| follows.wait_with_output());
    let done =
        tokio::time::timeout(std::time::Duration::from_secs(30), done).await.expect("it follows for ever");
    assert_eq!(done.unwrap().unwrap().status.code(), Some(1));
}

#[tokio::test]
async fn connects_a_repository_by_its_path() {
    let server = Server::start(SEAMLESS).await;
    let repository = Repository::empty(&server.repositories(), "stock");
    repository.change(
        &[("go.mod", "module example.org/stock\n"), ("main.go", "package main\n\nfunc main() {}\n")],
        "Start",
    );
    let (code, said) = seamless(&server, &["connect", &repository.path(), "--no-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Connected stock") && said.contains("go.mod"), "{said}");
    let (code, said) = seamless(&server, &["connect", &repository.path(), "--no-run"]);
    assert!(code == 1 && said.contains("choose another name"), "{said}");
    let (code, said) = seamless(&server, &["connect", "/nowhere", "--no-run"]);
    assert!(code == 1 && said.contains("no Git repository"), "{said}");
}
