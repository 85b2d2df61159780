//! The API as a whole: what is promised is there, and what is wrong is answered alike everywhere.

use std::collections::BTreeSet;

use serde_json::json;
use testkit::Server;

use crate::SEAMLESS;

/// Every call of the contract.
const PROMISED: [&str; 36] = [
    "get /pipelines",
    "post /pipelines",
    "patch /pipelines/{id}",
    "post /services/detect",
    "get /services",
    "post /services",
    "get /services/{id}",
    "patch /services/{id}",
    "delete /services/{id}",
    "post /services/{id}/runs",
    "get /services/{id}/runs",
    "get /runs",
    "get /runs/{id}",
    "post /runs/{id}/approve",
    "post /runs/{id}/reject",
    "post /runs/{id}/cancel",
    "post /runs/{id}/rerun",
    "get /stages/{id}/log",
    "get /stages/{id}/log.txt",
    "get /environments",
    "get /services/{id}/deployments",
    "get /services/{id}/kept-images",
    "post /services/{id}/rollback",
    "post /services/{id}/hold",
    "delete /services/{id}/hold",
    "get /deliveries",
    "get /deliveries/{id}",
    "post /deliveries/{id}/replay",
    "post /deliveries/{id}/release",
    "post /deliveries/{id}/turn-away",
    "get /github",
    "get /services/{id}/hook",
    "post /services/{id}/hook",
    "get /events",
    "get /cloud/services",
    "post /cloud/services",
];

#[tokio::test]
async fn the_document_has_every_call_with_examples() {
    let server = Server::start(SEAMLESS).await;
    let document = server.api.get("/openapi.json").await.is(200);
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap_or_else(|| panic!("{path} is elsewhere"));
        for (method, call) in methods.as_object().unwrap() {
            described.insert(format!("{method} {path}"));
            assert!(call["summary"].as_str().is_some_and(|s| !s.is_empty()), "{method} {path} says nothing");
            assert!(call["responses"].as_object().is_some_and(|r| !r.is_empty()));
            if let Some(body) = call["requestBody"]["content"].as_object() {
                let body = &body["application/json"];
                let name =
                    body["schema"]["$ref"].as_str().and_then(|r| r.rsplit('/').next()).unwrap_or_default();
                let schema = &document["components"]["schemas"][name];
                let example = [&body["example"], &schema["example"], &schema["examples"]];
                assert!(example.iter().any(|e| !e.is_null()), "{method} {path} has no example");
            }
        }
    }
    let promised: BTreeSet<String> = PROMISED.iter().map(|&call| call.into()).collect();
    assert_eq!(described, promised);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_details() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let nobody = "01JGQ5Y3X8V4T6R2N9M7K1H0FA";
    for path in ["services", "runs"] {
        for id in [nobody, "not-an-id"] {
            let answer = api.get(&format!("/{path}/{id}")).await;
            answer.problem(404);
            assert_eq!(answer.json()["instance"], format!("/api/v1/{path}/{id}"));
        }
    }
    for path in ["/nothing", "/services/x/y/z"] {
        api.get(path).await.problem(404);
    }
    for verb in ["approve", "reject", "cancel", "rerun"] {
        api.post(&format!("/runs/{nobody}/{verb}"), json!({})).await.problem(404);
    }
    for (path, body) in [("runs", json!({})), ("hold", json!({ "reason": "x" }))] {
        api.post(&format!("/services/{nobody}/{path}"), body).await.problem(404);
    }
    for path in ["runs", "deployments"] {
        api.get(&format!("/services/{nobody}/{path}")).await.problem(404);
    }
    api.patch(&format!("/services/{nobody}"), json!({})).await.problem(404);
    api.patch(&format!("/pipelines/{nobody}"), json!({ "name": "X" })).await.problem(404);
    api.get("/events?after=x").await.names(&["after"]);
}

#[tokio::test]
async fn the_event_log_tells_a_run_in_order() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (_, settings) = crate::checked(&server, "orders", json!({ "unit_test": "true" }));
    let service = api.connect(&settings).await;
    let run = api.start(&service).await;
    api.succeeded(run.id).await;
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = api.get(&format!("/events?run={}&after={after}&limit=3", run.id)).await.is(200);
        let items = page["items"].as_array().unwrap().clone();
        let Some(last) = items.last() else { break };
        after = last["seq"].as_i64().unwrap();
        events.extend(items);
    }
    let kinds: Vec<&str> = events.iter().filter_map(|e| e["kind"].as_str()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("run_created", "run_changed"));
    assert!(events.windows(2).all(|two| two[0]["seq"].as_i64() < two[1]["seq"].as_i64()));
    let moves: Vec<String> = events
        .iter()
        .filter(|e| e["kind"] == "stage_changed" && e["payload"]["stage"] == "unit_test")
        .map(|e| {
            format!("{}>{}", e["payload"]["from"].as_str().unwrap(), e["payload"]["to"].as_str().unwrap())
        })
        .collect();
    assert_eq!(moves, ["idle>in_progress", "in_progress>success"]);
}
