//! Many runs at once.

use domain::{StageKind, Status};
use serde_json::json;
use testkit::{Store, aws::Aws, tiny};

use crate::Driven;

/// Nobody approves in time, and fifty runs begin at once: AWS is not asked more than it must be.
#[tokio::test]
async fn many_runs_ask_no_more_than_they_must() {
    let Some(aws) = Aws::find("aws::many::many_runs_ask_no_more_than_they_must").await else { return };
    let driven = Driven::start(&aws, "many", Store::Sqlite).await;
    let server = &driven.server;
    let begun = std::time::Instant::now();
    let (_, mut settings) = tiny(server, "late");
    settings["auto_deploy"] = json!(false);
    settings["approval_timeout_s"] = json!(1);
    let service = server.api.connect(&settings).await;
    let late = server.api.start(&service).await.id;

    let (_, mut settings) = tiny(server, "many");
    settings["commands"] = json!({ "prepare": "true" });
    let service = server.api.connect(&settings).await;
    let mut runs = Vec::new();
    for _ in 0..50 {
        runs.push(server.api.start(&service).await.id);
    }
    for run in runs {
        server.api.succeeded(run).await;
    }
    let late = server.api.run_until(late, "over", |r| r.status.is_terminal()).await;
    assert_eq!(late.status, Status::Cancelled);
    let reason = late.stage(StageKind::DeployProduction).unwrap().reason.clone().unwrap();
    assert!(reason.starts_with("nobody approved within"), "{reason}");
    driven.executions_are_over().await;
    assert_eq!(driven.sent("StartExecution").len(), 51, "each was asked for once");
    let looks = driven.sent("DescribeExecution").len() as u64;
    assert!(looks <= begun.elapsed().as_secs() + 1, "{looks} looks in {:?}", begun.elapsed());
    assert_eq!(driven.sent("SendTaskSuccess").len() + driven.sent("SendTaskFailure").len(), 1);
}
