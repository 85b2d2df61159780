//! Many at once.

use domain::Status;
use futures::future::join_all;
use serde_json::json;
use testkit::{Options, Server};

use crate::{SEAMLESS, checked};

#[tokio::test]
async fn fifty_runs_of_twenty_services_all_end_right() {
    let server = Server::start_with(SEAMLESS, Options { slots: 8, ..Options::default() }).await;
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
