//! Many at once.

use domain::{Status, view::Run};
use futures::future::join_all;
use serde_json::json;
use testkit::{Options, Server, Store};

use crate::{SEAMLESS, checked, waits_for};

#[tokio::test]
async fn fifty_runs_of_twenty_services_all_end_right_on_sqlite() {
    fifty_runs_of_twenty_services(Store::Sqlite).await;
}

#[tokio::test]
async fn fifty_runs_of_twenty_services_all_end_right_on_postgres() {
    fifty_runs_of_twenty_services(Store::Postgres).await;
}

async fn fifty_runs_of_twenty_services(store: Store) {
    let server = Server::start_with(SEAMLESS, Options { slots: 8, store, ..Options::default() }).await;
    let api = &server.api;
    let mut services = Vec::new();
    for number in 0..20 {
        let (_, settings) = checked(&server, &format!("service-{number}"), json!({ "unit_test": ":" }));
        services.push(api.connect(&settings).await);
    }
    let runs = join_all((0..50).map(|number| api.start(&services[number % 20]))).await;
    let ended = join_all(runs.iter().map(|run| api.ended(run.id))).await;
    for run in &ended {
        assert_eq!(run.status, Status::Success, "{run:?}");
        assert!(run.stages.iter().all(|s| s.attempt <= 1), "{run:?}");
    }
    let mut numbers: Vec<(String, i64)> = ended.iter().map(|r| (r.service.name.clone(), r.number)).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 50, "each run has a number of its own");
    let log = server.log();
    for wrong in ["database is locked", "ERROR", "panicked"] {
        assert!(!log.contains(wrong), "{log}");
    }
}

#[tokio::test]
async fn slots_are_bounded_shared_fairly_and_the_queue_is_seen() {
    let server = Server::start_with(SEAMLESS, Options { slots: 2, ..Options::default() }).await;
    let api = &server.api;
    let go = server.scratch("go");
    let wait = json!({ "prepare": waits_for(&go) });
    let (_, settings) = checked(&server, "many", wait.clone());
    let many = api.connect(&settings).await;
    let (_, settings) = checked(&server, "few", wait);
    let few = api.connect(&settings).await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(api.start(&many).await.id);
    }
    let late = api.start(&few).await.id;
    for run in &runs[..2] {
        api.run_until(*run, "in progress", |r| r.status == Status::InProgress).await;
    }
    let queue = join_all(runs[2..].iter().chain([&late]).map(|run| api.run(*run))).await;
    let queue: Vec<_> = queue.iter().map(|r| (r.stages[0].status, r.stages[0].queue)).collect();
    assert_eq!(queue, [1, 2, 3, 4].map(|place| (Status::Idle, Some(place))));
    std::fs::write(&go, "").unwrap();
    let late = api.succeeded(late).await;
    let runs: Vec<Run> = join_all(runs.iter().map(|run| api.succeeded(*run))).await;
    // It came last, but its service had nothing in progress.
    assert!(runs[3..].iter().all(|r| late.started_at < r.started_at), "{:?}", late.started_at);
    let mut spans: Vec<_> =
        runs.iter().chain([&late]).map(|r| (r.stages[0].started_at, r.stages[0].ended_at)).collect();
    spans.sort();
    for (at, (begun, _)) in spans.iter().enumerate() {
        let others = spans[..at].iter().filter(|(_, ended)| ended > begun).count();
        assert!(others < 2, "three at a time: {spans:?}");
    }
}
