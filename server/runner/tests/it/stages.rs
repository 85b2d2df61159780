//! Each kind of stage, and all of them in a row.

use std::{sync::Arc, time::Instant};

use domain::{DeploymentId, EnvironmentName, StageKind, protocol::*};
use runner::{Cause, Ending};

use crate::support::*;

fn launch(service: &str, artifact: &str) -> Launch {
    Launch {
        service: service.into(),
        artifact: artifact.into(),
        commit: "1".repeat(40),
        start: "./serve".into(),
        context: None,
        health_path: Some("/".into()),
        health_timeout_s: 5,
        variables: vec![JobVariable { name: "KEY".into(), value: "launch-secret".into(), secret: true }],
        container: None,
    }
}

fn deploy(artifact: &str) -> Work {
    Work::Deploy(DeployWork {
        deployment: DeploymentId::from_parts(1, 9),
        environment: EnvironmentName::Staging,
        port: 4600,
        launch: launch("orders", artifact),
        neighbours: Vec::new(),
        ecs: None,
        back_to: None,
        refused: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_commit_to_a_deployment() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let commit =
        repository.commit("Sell things\n\nAt a price.", &[("serve", "#!/bin/sh\n"), ("sub/a.txt", "1")]);

    let command = "git log --format=%s; echo $SEAMLESS_SERVICE $SEAMLESS_RUN_NUMBER $SEAMLESS_STAGE; echo left > new.txt";
    let finish = server.succeeds(repository.prepare(&server, &commit, Some(command))).await;
    assert_eq!(finish.outputs.message.as_deref(), Some("Sell things"));
    assert_eq!(finish.outputs.author.as_deref(), Some("Ada"));
    assert_eq!(server.printed(), ["Sell things", "orders 7 prepare"]);

    server
        .succeeds(server.job(StageKind::UnitTest, Work::Command { command: "test -f new.txt && pwd".into() }))
        .await;
    let printed = server.printed();
    assert!(printed[0].ends_with("/src"), "{printed:?}");

    let work = Work::Build {
        command: Some("mkdir out && echo built > out/x && rm new.txt".into()),
        bundle: true,
        image: None,
    };
    let built = server.succeeds(server.job(StageKind::Build, work)).await.outputs;
    let artifact = built.artifact.unwrap();
    let stored = server.data().join("artifacts").join(format!("{artifact}.tar.zst"));
    assert_eq!(stored.metadata().unwrap().len(), built.artifact_size.unwrap());

    let target = Arc::new(FakeTarget::default());
    let work = Work::Integrate {
        command:
            "cat out/x; ls -a; for u in $SEAMLESS_URL_ORDERS $SEAMLESS_URL_STOCK_API; do echo $u; done; env"
                .into(),
        candidate: launch("orders", &artifact),
        neighbours: vec![launch("stock-api", "other")],
        compose: None,
    };
    let job = server.job(StageKind::IntegrationTest, work);
    let (code, finish) = server.run_with(job, target.clone(), Ending::default()).await;
    assert_eq!((code, finish.unwrap().outcome), (0, Outcome::Success), "{}", server.log());
    let printed = server.printed();
    assert_eq!(printed[0], "built");
    assert!(!printed.contains(&".git".to_owned()), "{printed:?}");
    assert_eq!(printed.iter().filter(|l| l.starts_with("http://127.0.0.1:")).count(), 2, "{printed:?}");
    let mut calls = target.calls.lock().unwrap().clone();
    calls.sort();
    assert_eq!(
        calls,
        [
            "start orders with SEAMLESS_URL_STOCK_API PORT as true",
            "start stock-api with SEAMLESS_URL_ORDERS PORT as true"
        ]
    );
    assert!(target.alive.lock().unwrap().is_empty(), "everything was stopped");

    let finish = server.succeeds(server.job(StageKind::DeployStaging, deploy(&artifact))).await;
    assert_eq!(finish.outputs.deployment, Some(DeploymentId::from_parts(1, 9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_test_stops_what_was_started() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let commit = repository.commit("One", &[("serve", "")]);
    server.succeeds(repository.prepare(&server, &commit, None)).await;
    let built = server
        .succeeds(server.job(StageKind::Build, Work::Build { command: None, bundle: true, image: None }))
        .await;
    let artifact = built.outputs.artifact.unwrap();
    let work = |command: &str| Work::Integrate {
        command: command.into(),
        candidate: launch("orders", &artifact),
        neighbours: vec![launch("stock", "other")],
        compose: None,
    };

    let target = Arc::new(FakeTarget::default());
    let job = server.job(StageKind::IntegrationTest, work("echo launch-secret; exit 3"));
    let finish = server.run_with(job, target.clone(), Ending::default()).await.1.unwrap();
    assert_eq!(finish.reason.as_deref(), Some("`echo ******; exit 3` exited with 3"));
    assert_eq!(server.printed(), ["******"], "the secrets of what is started are masked too");
    assert!(target.alive.lock().unwrap().is_empty());

    let target = Arc::new(FakeTarget { refuses: Some("stock".into()), ..Default::default() });
    let job = server.job(StageKind::IntegrationTest, work("true"));
    let finish = server.run_with(job, target.clone(), Ending::default()).await.1.unwrap();
    assert_eq!(finish.reason.as_deref(), Some("its neighbour stock did not start: it answered 500"));
    assert!(target.alive.lock().unwrap().is_empty());

    let job = server.job(StageKind::IntegrationTest, work("echo begun; sleep 100"));
    let target = Arc::new(FakeTarget::default());
    let finish =
        server.run_with(job, target.clone(), end_when(&server, "begun", Cause::Cancelled)).await.1.unwrap();
    assert_eq!(finish.outcome, Outcome::Cancelled);
    assert!(target.alive.lock().unwrap().is_empty());

    std::fs::remove_dir_all(server.data().join("artifacts")).unwrap();
    let finish = server.fails(server.job(StageKind::IntegrationTest, work("true"))).await;
    assert!(finish.reason.unwrap().ends_with("is gone: start a new run to build it again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_fails_with_the_targets_words_and_hears_of_a_cancel() {
    let server = Server::start().await;
    let refusing =
        Arc::new(FakeTarget { refuses: Some("not healthy after 5 s".into()), ..Default::default() });
    let job = server.job(StageKind::DeployStaging, deploy("a"));
    let finish = server.run_with(job, refusing, Ending::default()).await.1.unwrap();
    assert_eq!((finish.outcome, finish.reason.as_deref()), (Outcome::Failure, Some("not healthy after 5 s")));
    assert_eq!(finish.outputs.deployment, None);

    // What the server knows to be hopeless does not reach the target.
    let Work::Deploy(work) = deploy("a") else { unreachable!() };
    let hopeless = Work::Deploy(DeployWork { refused: Some("choose `ecs`".into()), ..work });
    let finish = server.fails(server.job(StageKind::DeployStaging, hopeless)).await;
    assert_eq!(finish.reason.as_deref(), Some("choose `ecs`"));

    let waiting = Arc::new(FakeTarget { deploy_waits: true, ..Default::default() });
    let job = server.job(StageKind::DeployStaging, deploy("a"));
    let finish =
        server.run_with(job, waiting, end_when(&server, "starting", Cause::Cancelled)).await.1.unwrap();
    assert_eq!(finish.outcome, Outcome::Cancelled);

    let broken = Arc::new(FakeTarget { refuses: Some("panic".into()), ..Default::default() });
    let job = server.job(StageKind::DeployStaging, deploy("a"));
    let finish = server.run_with(job, broken, Ending::default()).await.1.unwrap();
    assert_eq!(finish.outcome, Outcome::Failure);
    assert!(finish.reason.unwrap().contains("its own log says where"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_commit_gives_the_same_artifact() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let commit = repository.commit("One", &[("a", "1"), ("b/c", "2")]);
    let mut artifacts = Vec::new();
    for _ in 0..2 {
        server.inner().job = None; // another run, another workspace
        let prepare = repository.prepare(&server, &commit, Some("ln -s a link; chmod +x a; mkdir empty"));
        server.succeeds(prepare).await;
        let build = server.job(StageKind::Build, Work::Build { command: None, bundle: true, image: None });
        artifacts.push(server.succeeds(build).await.outputs);
    }
    assert_eq!(artifacts[0], artifacts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_is_gone_or_a_context_that_is_not_there_says_so() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let job = server.job(StageKind::UnitTest, Work::Command { command: "true".into() });
    let finish = server.fails(job).await;
    assert_eq!(finish.reason.as_deref(), Some("the workspace of this run is gone: rerun from the start"));

    let commit = repository.commit("One", &[("services/orders/a", "1")]);
    let job =
        Job { context: Some("services/stock".into()), ..repository.prepare(&server, &commit, Some("true")) };
    let finish = server.fails(job).await;
    assert!(finish.reason.unwrap().starts_with("the folder `services/stock` does not exist in commit"));
    let job =
        Job { context: Some("services/orders".into()), ..repository.prepare(&server, &commit, Some("ls")) };
    server.succeeds(job).await;
    assert_eq!(server.printed(), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_of_the_same_lockfile_are_not_installed_twice() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let first = repository.commit("One", &[("yarn.lock", "a@1"), ("index.js", "")]);
    let second = repository.commit("Two", &[("index.js", "//")]);
    let third = repository.commit("Three", &[("yarn.lock", "a@2")]);
    let install = "test -f node_modules/a/x && echo there || { mkdir -p node_modules/a; echo 1 > node_modules/a/x; ln -s a node_modules/b; }";
    for (commit, there) in [(first, false), (second, true), (third, false)] {
        server.inner().job = None;
        let job = repository.prepare(&server, &commit, Some(install));
        let workspace = server.workspace(&job);
        server.succeeds(job).await;
        assert_eq!(server.printed().contains(&"there".to_owned()), there, "{}", server.log());
        assert_eq!(std::fs::read_to_string(workspace.join("node_modules/b/x")).unwrap(), "1\n");
        // A later stage writes into its own copy only.
        std::fs::write(workspace.join("node_modules/a/x"), "changed").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_stages_that_do_nothing_take_no_time() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let commit = repository.commit("One", &[("serve", "")]);
    server.succeeds(repository.prepare(&server, &commit, None)).await;
    server.inner().job = None;
    let start = Instant::now();
    server.succeeds(repository.prepare(&server, &commit, Some(":"))).await;
    let prepared = start.elapsed();
    for kind in [StageKind::CodeQuality, StageKind::UnitTest] {
        server.succeeds(server.job(kind, Work::Command { command: ":".into() })).await;
    }
    let build =
        server.job(StageKind::Build, Work::Build { command: Some(":".into()), bundle: true, image: None });
    let artifact = server.succeeds(build).await.outputs.artifact.unwrap();
    let work = Work::Integrate {
        command: ":".into(),
        candidate: launch("orders", &artifact),
        neighbours: Vec::new(),
        compose: None,
    };
    server.succeeds(server.job(StageKind::IntegrationTest, work)).await;
    server.succeeds(server.job(StageKind::DeployStaging, deploy(&artifact))).await;
    server.succeeds(server.job(StageKind::DeployProduction, deploy(&artifact))).await;
    let all = start.elapsed();
    println!("prepare {prepared:?}, all {all:?}");
    assert!(all.as_millis() < 2000, "prepare {prepared:?}, all {all:?}");
}
