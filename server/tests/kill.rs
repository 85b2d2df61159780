//! kill -9 in the middle: of the server and of runners, in every kind of stage and at a gate, on SQLite and on PostgreSQL.
//!
//! What was printed while nobody listened is compared line by line, and what runs is counted in `/proc`, not only asked for.

#![allow(clippy::unwrap_used)]

mod case;

use std::path::Path;

use case::{Case, done_once};
use domain::StageKind;
use futures::future::join_all;
use serde_json::json;
use testkit::{Options, Server, Store, tiny, until};

const SEAMLESS: &str = env!("CARGO_BIN_EXE_seamless");

#[tokio::test]
async fn of_the_server_on_sqlite() {
    of_the_server(Store::Sqlite).await;
}

#[tokio::test]
async fn of_the_server_on_postgres() {
    of_the_server(Store::Postgres).await;
}

#[tokio::test]
async fn of_runners_on_sqlite() {
    of_runners(Store::Sqlite).await;
}

#[tokio::test]
async fn of_runners_on_postgres() {
    of_runners(Store::Postgres).await;
}

/// As when the machine falls: nothing is left but what is on the disk.
#[tokio::test]
async fn of_everything_at_once() {
    let mut server =
        Server::start_with(SEAMLESS, Options { store: Store::Sqlite, slots: 16, ..Options::default() }).await;
    let kinds = [StageKind::UnitTest, StageKind::Build, StageKind::DeployProduction];
    let mut cases = join_all(kinds.map(|kind| Case::begin(&server, kind, false))).await;
    for case in &mut cases {
        // Nobody is served while the machine is down.
        if let Some(users) = case.users.take() {
            users.were_served().await;
        }
    }
    server.kill9();
    until("everything to be dead", async || {
        let left = server.processes();
        left.iter().for_each(testkit::proc::Process::kill9);
        left.is_empty().then_some(())
    })
    .await;
    cases.iter().for_each(Case::go);
    server.restart().await;
    join_all(cases.into_iter().map(|case| async {
        match case.kind.environment() {
            None => case.was_tried_again(&server).await,
            Some(_) => {
                let port = case.service.settings.port.unwrap();
                case.landed_or_not(&server).await;
                until("the service to be there again", async || {
                    server.api.plain(&format!("http://127.0.0.1:{port}/")).await
                })
                .await;
            }
        }
    }))
    .await;
}

/// At moments nobody chose: between a row and what it tells of, between a start and the first word.
#[tokio::test]
async fn of_the_server_again_and_again() {
    let mut server =
        Server::start_with(SEAMLESS, Options { store: Store::Sqlite, slots: 2, ..Options::default() }).await;
    let mut runs = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        let (_, mut settings) = tiny(&server, name);
        settings["commands"]["unit_test"] = json!("echo tested");
        settings["commands"]["code_quality"] = json!("echo looked at");
        let service = server.api.connect(&settings).await;
        let run = server.api.start(&service).await.id;
        runs.push((service, run));
    }
    let mut kills = 0;
    loop {
        let statuses = join_all(runs.iter().map(|(_, run)| server.api.run(*run))).await;
        if kills >= 5 && statuses.iter().all(|r| r.status.is_terminal()) {
            break;
        }
        // Not a wait for anything: each time another moment.
        tokio::time::sleep(std::time::Duration::from_millis(20 + (kills * 37) % 250)).await;
        if kills < 25 {
            server.kill9();
            server.restart().await;
        }
        kills += 1;
    }
    for (service, run) in &runs {
        let run = server.api.succeeded(*run).await;
        for (kind, printed) in [(StageKind::UnitTest, "tested"), (StageKind::CodeQuality, "looked at")] {
            assert_eq!(server.api.printed(&run, kind).await, [printed]);
        }
        for environment in ["staging", "production"] {
            let deployments = server.api.deployments(service, environment).await;
            assert_eq!(deployments.iter().map(|d| (d.run, d.live)).collect::<Vec<_>>(), [(run.id, true)]);
            let (name, live) = (&service.settings.name, deployments[0].id.to_string());
            until("one process", async || {
                (server.serving(name, environment) == [live.as_str()]).then_some(())
            })
            .await;
        }
        done_once(&server, &run).await;
    }
}

async fn of_the_server(store: Store) {
    let mut server = Server::start_with(SEAMLESS, Options { store, slots: 16, ..Options::default() }).await;
    let cases = join_all(Case::every(&server)).await;

    server.kill9();
    // Half of the commands come to their end while nobody listens, half of them afterwards.
    let (early, late): (Vec<_>, Vec<_>) = cases.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    early.iter().for_each(|(_, case)| case.go());
    server.restart().await;
    // Falling over again at once must be no worse.
    server.kill9();
    server.restart().await;
    late.iter().for_each(|(_, case)| case.go());

    join_all(cases.into_iter().map(|case| case.went_on(&server))).await;
}

async fn of_runners(store: Store) {
    let server = Server::start_with(SEAMLESS, Options { store, slots: 16, ..Options::default() }).await;
    let cases = join_all(Case::every(&server)).await;
    for case in &cases {
        let run = server.api.run(case.run).await;
        let processes = server.attempt(run.stage(case.kind).unwrap().id, 1);
        let runners: Vec<_> = processes.iter().filter(|p| p.is("runner")).collect();
        // A gate waits without holding any process.
        assert_eq!(runners.len(), usize::from(!case.gate), "{}: {processes:?}", case.service.settings.name);
        runners.iter().for_each(|runner| runner.kill9());
        case.go();
    }
    join_all(cases.into_iter().map(|case| async {
        match (case.gate, case.kind.environment()) {
            (true, _) => case.went_on(&server).await,
            (_, None) => case.was_tried_again(&server).await,
            (_, Some(_)) => case.landed_or_not(&server).await,
        }
    }))
    .await;
}

/// Paths go into shell commands as they are.
#[test]
fn scratch_paths_need_no_quotes() {
    assert!(
        Path::new(&std::env::temp_dir())
            .to_string_lossy()
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/-_.".contains(c))
    );
}
