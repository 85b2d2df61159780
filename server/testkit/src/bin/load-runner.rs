//! A runner that does nothing but log, for measurements: started by a server in the place of its own (`load-runner runner`), with real
//! credentials, it sends lines of 120 bytes as fast as they are taken, and reports success.
//!
//! What it does is told by the stage's command: `packed|json|single LINES BATCH`. It begins when the file `go` appears in the data folder,
//! and leaves `load-STAGE.json` there: when it began and ended, and how long each call took. Stands in for a runner with a command; what a
//! real one adds (reading, masking, spooling) it leaves out.

#![allow(clippy::unwrap_used)]

use std::{
    io::Read,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use domain::{
    Timestamp,
    protocol::{Credentials, Finish, Job, LogAnswer, LogBatch, NewLine, Outcome, Outputs, Work},
    view::Stream,
};
use lines::{
    block,
    wire::{self, Head},
};
use reqwest::{Client, RequestBuilder, StatusCode, header};

/// Different lines, from which batches are cut.
const POOL: usize = 16_384;
const LENGTH: usize = 120;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut text = String::new();
    std::io::stdin().take(64 << 10).read_to_string(&mut text).unwrap();
    let credentials: Credentials = serde_json::from_str(&text).unwrap();
    let http = Client::builder().no_proxy().build().unwrap();
    let call = |method: reqwest::Method, path: &str| -> RequestBuilder {
        http.request(method, format!("{}/runner/v1/{path}", credentials.server))
            .bearer_auth(&credentials.token)
    };
    let job: Job = call(reqwest::Method::GET, "job").send().await.unwrap().json().await.unwrap();
    let (Work::Prepare { command: Some(command), .. } | Work::Command { command }) = &job.work else {
        return finish(call(reqwest::Method::POST, "finish"), 0).await;
    };
    let mut words = command.split_whitespace();
    let (form, mut word) = (words.next().unwrap(), || words.next().unwrap().parse::<usize>().unwrap());
    let (total, size) = (word(), word());
    let mut pool = lines_of(credentials.stage.to_string().bytes().map(u64::from).sum());
    let data = PathBuf::from(&credentials.data);
    while !data.join("go").exists() {
        // A real runner's sign of life, so that nobody takes it for dead.
        let _ = call(reqwest::Method::POST, "heartbeat").json(&serde_json::json!({})).send().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let (began, mut next, mut took, mut refused) = (now(), 0_usize, Vec::new(), 0_u32);
    while next < total {
        let count = size.min(total - next);
        let from = next * 7 % (POOL - count + 1);
        let batch = &mut pool[from..from + count];
        let at = Timestamp(now() as i64);
        batch.iter_mut().for_each(|line| line.at = at);
        let first_seq = next as u64;
        let post = call(reqwest::Method::POST, "log");
        let post = if form == "packed" {
            let head = Head { first_seq, masks: Vec::new() };
            let body = wire::write(&head, &block::pack(batch, 1).unwrap()).unwrap();
            post.header(header::CONTENT_TYPE, wire::KIND).body(body)
        } else {
            post.json(&LogBatch { first_seq, lines: batch.to_vec(), masks: Vec::new() })
        };
        let start = Instant::now();
        let answer = post.send().await.unwrap();
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            refused += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        next = answer.json::<LogAnswer>().await.unwrap().next_seq as usize;
        took.push(start.elapsed().as_micros() as u64);
    }
    let said = serde_json::json!({ "began": began, "ended": now(), "lines": next, "took_us": took, "refused": refused });
    std::fs::write(data.join(format!("load-{}.json", credentials.stage)), said.to_string()).unwrap();
    finish(call(reqwest::Method::POST, "finish"), next as u64).await;
}

async fn finish(post: RequestBuilder, lines: u64) {
    let outputs = Outputs::default();
    let end =
        Finish { outcome: Outcome::Success, reason: None, error: None, exit_code: None, lines, outputs };
    assert!(post.json(&end).send().await.unwrap().status().is_success());
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Lines as build tools and tests print them: a moment, a level, who speaks, a path or an id, numbers. Always the same for one seed.
fn lines_of(seed: u64) -> Vec<NewLine> {
    let mut state = seed | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let levels = ["INFO ", "INFO ", "INFO ", "DEBUG", "WARN "];
    let who = [
        "http.server",
        "orders.repository",
        "cache.warmup",
        "scheduler",
        "build.compiler",
        "jdbc.pool",
        "test.runner",
    ];
    let what = [
        "GET /api/v1/orders/{} answered 200 in {} ms",
        "Compiling src/modules/checkout/handlers_{}.rs ({} of 318)",
        "test cart::total_is_rounded_{} ... ok, {} ms",
        "committed offset {} of partition {}",
        "connection {} returned after {} queries",
    ];
    (0..POOL)
        .map(|i| {
            let said = what[random(what.len())].replacen("{}", &format!("{:x}", random(1 << 40)), 1);
            let said = said.replacen("{}", &random(900).to_string(), 1);
            let mut text = format!(
                "2026-03-14T15:{:02}:{:02}.{:03}Z {} [{}] trace={:016x} {said}",
                i / 3600 % 60,
                i / 60 % 60,
                random(1000),
                levels[random(levels.len())],
                who[random(who.len())],
                random(1 << 60),
            );
            while text.len() < LENGTH {
                text.push_str([" user=", " retry=", " shard=", " bytes="][random(4)]);
                text.push_str(&random(100_000).to_string());
            }
            text.truncate(LENGTH);
            NewLine {
                at: Timestamp(0),
                stream: if random(20) == 0 { Stream::Stderr } else { Stream::Stdout },
                text,
            }
        })
        .collect()
}
