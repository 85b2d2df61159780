//! Logs and runs go when they are older, or logs larger, than their pipeline keeps; what is gone says so, what is live stays.

use domain::{
    StageKind,
    view::{LogPage, Page, Pipeline, Run, Stage},
};
use serde_json::json;
use testkit::{Options, Server, Store, rows, tiny, until};

use crate::{SEAMLESS, checked};

#[tokio::test]
async fn what_is_old_or_too_much_goes_and_says_so_on_sqlite() {
    what_is_old_or_too_much_goes_and_says_so(Store::Sqlite).await;
}

#[tokio::test]
async fn what_is_old_or_too_much_goes_and_says_so_on_postgresql() {
    what_is_old_or_too_much_goes_and_says_so(Store::Postgres).await;
}

async fn page(server: &Server, stage: &Stage) -> LogPage {
    server.api.get(&format!("/stages/{}/log?limit=3", stage.id)).await.to(200)
}

/// The clean-up works when a server starts.
async fn cleaned(server: &mut Server, pipeline: &Pipeline, retention: serde_json::Value, sql: &[&str]) {
    let waiting = "SELECT COUNT(*) FROM log_unarchived";
    until("all logs to be archived", async || (server.number(waiting).await == 0).then_some(())).await;
    let path = format!("/pipelines/{}", pipeline.id);
    let changed: Pipeline = server.api.patch(&path, json!({ "retention": retention })).await.to(200);
    assert_eq!(json!(changed.retention), retention);
    server.stop().await;
    for sql in sql {
        rows::change(&server.database(), sql).await;
    }
    server.restart().await;
}

async fn what_is_old_or_too_much_goes_and_says_so(store: Store) {
    let mut server = Server::start_with(SEAMLESS, Options { store, ..Options::default() }).await;
    let (_, settings) = tiny(&server, "orders");
    let service = server.api.connect(&settings).await;
    let live = server.api.succeeded(server.api.start(&service).await.id).await;
    let print = "head -c 1500000 /dev/urandom | base64";
    let (_, settings) = checked(&server, "stock", json!({ "unit_test": print }));
    let service = server.api.connect(&settings).await;
    let old = server.api.succeeded(server.api.start(&service).await.id).await;
    let of = |run: &Run, kind| run.stage(kind).unwrap().clone();
    let pipeline = server.api.get("/pipelines").await.to::<Page<Pipeline>>(200).items.remove(0);
    assert_eq!(json!(pipeline.retention), json!({ "log_days": 90, "log_megabytes": 0, "run_days": 0 }));
    let path = format!("/pipelines/{}", pipeline.id);
    let wrong = json!({ "retention": { "log_days": 9999, "log_megabytes": 0, "run_days": 9999 } });
    server.api.patch(&path, wrong).await.names(&["retention.log_days", "retention.run_days"]);

    // By age.
    let kept = json!({ "log_days": 30, "log_megabytes": 0, "run_days": 0 });
    let month = "UPDATE stage SET ended_at = ended_at - 31 * CAST(86400000 AS BIGINT)";
    cleaned(&mut server, &pipeline, kept.clone(), &[month]).await;
    let gone = of(&old, StageKind::UnitTest);
    let removed = async |server: &Server, stage: &Stage| page(server, stage).await.removed;
    let said = until("the log to be removed", async || removed(&server, &gone).await).await;
    assert_eq!(said, "removed after 30 days");
    let left = format!("SELECT COUNT(*) FROM log_chunk WHERE stage_id = '{}'", gone.id);
    until("its rows to be removed", async || (server.number(&left).await == 0).then_some(())).await;
    let now = page(&server, &gone).await;
    assert!(now.lines.is_empty() && now.complete && now.total == 0, "{now:?}");
    let text = server.api.get(&format!("/stages/{}/log.txt", gone.id)).await;
    assert_eq!(text.text, "This log was removed after 30 days.\n");
    let shown = of(&server.api.run(old.id).await, StageKind::UnitTest);
    assert_eq!((shown.log_removed.as_deref(), shown.lines), (Some("removed after 30 days"), 0));
    for kind in [StageKind::DeployStaging, StageKind::DeployProduction] {
        let log = page(&server, &of(&live, kind)).await;
        assert!(log.removed.is_none() && log.lines.len() == 3, "what is live keeps its log: {log:?}");
    }

    // By size: the oldest go until the rest fits.
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(server.api.succeeded(server.api.start(&service).await.id).await);
    }
    let kept = json!({ "log_days": 30, "log_megabytes": 4, "run_days": 0 });
    cleaned(&mut server, &pipeline, kept.clone(), &[]).await;
    let gone = of(&runs[0], StageKind::UnitTest);
    let said = until("the oldest to be removed", async || removed(&server, &gone).await).await;
    assert_eq!(said, "removed to keep the logs of pipeline Main under 4 MB");
    for run in &runs[1..] {
        assert_eq!(page(&server, &of(run, StageKind::UnitTest)).await.lines.len(), 3);
    }
    if store == Store::Sqlite {
        let free = "PRAGMA freelist_count";
        until("the file to shrink", async || (server.number(free).await == 0).then_some(())).await;
    }

    // Runs: all but what is live, and the newest of a service.
    let kept = json!({ "log_days": 30, "log_megabytes": 4, "run_days": 10 });
    let aged = [("run", "id"), ("stage", "run_id"), ("event", "run_id"), ("deployment", "run_id")]
        .map(|(table, id)| format!("UPDATE {table} SET {id} = '00' || substr({id}, 3)"));
    let aged: Vec<&str> = aged.iter().map(String::as_str).collect();
    cleaned(&mut server, &pipeline, kept, &aged).await;
    let count = "SELECT COUNT(*) FROM run";
    until("runs to be removed", async || (server.number(count).await == 2).then_some(())).await;
    let all = server.api.get("/runs").await.to::<Page<Run>>(200).items;
    let mut left: Vec<_> = all.iter().map(|r| (r.service.name.as_str(), r.number)).collect();
    left.sort_unstable();
    assert_eq!(left, [("orders", 1), ("stock", 4)]);
    let orphans = "SELECT (SELECT COUNT(*) FROM stage WHERE run_id NOT IN (SELECT id FROM run)) \
                   + (SELECT COUNT(*) FROM event WHERE run_id NOT IN (SELECT id FROM run)) \
                   + (SELECT COUNT(*) FROM log_chunk WHERE stage_id NOT IN (SELECT id FROM stage))";
    assert_eq!(server.number(orphans).await, 0);
    let run = server.api.start(&service).await;
    assert_eq!(server.api.succeeded(run.id).await.number, 5);
}
