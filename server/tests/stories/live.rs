//! The live stream of a run: from its beginning, and after any message, across restarts of the server.

use std::{
    fs,
    time::{Duration, Instant},
};

use domain::live::LogEvent;
use serde_json::json;
use testkit::{Api, Follow, Message, Server, serves, tiny};

use crate::{SEAMLESS, checked, port, waits_for};

/// The numbers of the lines of a stage that a message carries.
fn lines(message: &Message) -> Vec<(u64, String)> {
    if message.event != "log" {
        return Vec::new();
    }
    let log: LogEvent = serde_json::from_value(message.data.clone()).unwrap();
    log.lines.into_iter().filter(|l| l.text.starts_with("line ")).map(|l| (l.seq, l.text)).collect()
}

#[tokio::test]
async fn goes_on_after_the_last_message_across_a_restart() {
    let mut server = Server::start(SEAMLESS).await;
    let go = server.scratch("go");
    let print = format!(
        "i=0; while [ ! -e {0} ]; do echo line $i; i=$((i+1)); sleep 0.03; done; n=$((i+20)); while [ $i -lt $n ]; do echo line $i; i=$((i+1)); done",
        go.display()
    );
    let (_, settings) = checked(&server, "orders", json!({ "unit_test": print }));
    let service = server.api.connect(&settings).await;
    let run = server.api.start(&service).await.id;

    let (mut seen, mut last) = (Vec::new(), String::new());
    let mut follow = Follow::run(&server.api, run, None).await;
    while seen.len() < 15 {
        let message = follow.next().await.expect("the run is not over");
        seen.extend(lines(&message));
        last = message.id;
    }
    server.kill9();
    // What was on its way already still counts; then the connection is broken.
    while let Some(message) = follow.next().await {
        seen.extend(lines(&message));
        last = message.id;
    }
    fs::write(&go, "").unwrap();
    server.restart().await;
    let mut follow = Follow::run(&server.api, run, Some(&last)).await;
    let mut events = Vec::new();
    while let Some(message) = follow.next().await {
        seen.extend(lines(&message));
        events.push(message.event);
    }
    assert_eq!(events.last().unwrap(), "end");
    let expected = whole(&server.api, run).await;
    assert!(expected.len() >= 35);
    assert_eq!(seen, expected, "no line lost, none twice");

    // Somebody who comes late gets everything as well, and the same.
    let (mut late, mut follow) = (Vec::new(), Follow::run(&server.api, run, None).await);
    let mut states = Vec::new();
    while let Some(message) = follow.next().await {
        late.extend(lines(&message));
        if message.event == "run" {
            states.push(message.data["status"].clone());
        }
    }
    assert_eq!(late, expected);
    assert_eq!(states.last().unwrap(), "success");
}

async fn whole(api: &Api, run: domain::RunId) -> Vec<(u64, String)> {
    let run = api.succeeded(run).await;
    let stage = run.stage(domain::StageKind::UnitTest).unwrap();
    let lines = api.log(stage.id, 1).await;
    lines.into_iter().filter(|l| l.text.starts_with("line ")).map(|l| (l.seq, l.text)).collect()
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (_, settings) = checked(&server, "orders", json!({}));
    let service = api.connect(&settings).await;
    let run = api.start(&service).await.id;
    let open = api.request("GET", &format!("/live/runs/{run}")).header("last-event-id", "x;y");
    api.send(open).await.unwrap().names(&["Last-Event-ID"]);
    api.send(api.request("GET", &format!("/live/runs/{run}?after=12;0"))).await.unwrap().names(&["after"]);
    api.send(api.request("GET", "/live/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA")).await.unwrap().problem(404);
    assert_eq!(Api::new(&api.base, "").call("GET", "/runs", None).await.status, 401);
    let stranger = Api::new(&api.base, "");
    stranger.send(stranger.request("GET", &format!("/live/runs/{run}"))).await.unwrap().problem(401);
}

#[tokio::test]
async fn a_server_that_is_told_to_end_does_so_and_what_was_deployed_serves_on() {
    let mut server = Server::start(SEAMLESS).await;
    let (_, mut settings) = tiny(&server, "orders");
    settings["staging"] = json!(false);
    let service = server.api.connect(&settings).await;
    let run = server.api.start(&service).await.id;
    server.api.succeeded(run).await;
    let go = server.scratch("go");
    let (_, waits) =
        checked(&server, "waits", json!({ "unit_test": format!("echo begun; {}", waits_for(&go)) }));
    let waits = server.api.connect(&waits).await;
    let waits = server.api.start(&waits).await.id;
    server.api.run_until(waits, "begun", |r| r.stages[2].lines >= 2).await;
    let mut follow = Follow::run(&server.api, waits, None).await;
    let before = server.serving("orders", "production");

    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "an open stream held it up for {:?}", begun.elapsed());
    while let Some(message) = follow.next().await {
        assert_ne!(message.event, "end", "the run is not over");
    }
    serves(&server.api, port(&settings), "1").await;
    fs::write(&go, "").unwrap();
    server.restart().await;
    let waits = server.api.succeeded(waits).await;
    assert_eq!(waits.stages[2].attempt, 1);
    serves(&server.api, port(&settings), "1").await;
    assert_eq!(server.serving("orders", "production"), before, "the very same process");
}
