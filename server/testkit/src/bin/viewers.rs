//! Many viewers of runs at once, for measurements: `viewers URL TOKEN EACH RUN...` opens EACH live streams of every run, reads them to
//! their end, and prints what they saw as JSON: how many lines, how late (of lines that begin with the nanosecond at which they were
//! printed), and how often one was missing, doubled or out of order. Stands in for browsers: it parses each message and draws nothing.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use futures::StreamExt;
use serde::Deserialize;

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow)]
    stage: &'a str,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    seq: u64,
    text: String,
}

#[derive(Default)]
struct Seen {
    lines: u64,
    wrong: u64,
    late_us: Vec<u64>,
    reconnects: u64,
}

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let (url, token) = (words.next().unwrap(), words.next().unwrap());
    let each: usize = words.next().unwrap().parse().unwrap();
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let mut viewers = Vec::new();
    for run in words {
        for _ in 0..each {
            let (http, url, token) = (http.clone(), format!("{url}/live/runs/{run}"), token.clone());
            viewers.push(tokio::spawn(async move { view(&http, &url, &token).await }));
        }
    }
    let (mut all, mut counts) = (Seen::default(), Vec::new());
    for viewer in viewers {
        let seen = viewer.await.unwrap();
        counts.push(seen.lines);
        all.wrong += seen.wrong;
        all.reconnects += seen.reconnects;
        all.late_us.extend(seen.late_us);
    }
    all.late_us.sort_unstable();
    let share = |part: f64| all.late_us.get((all.late_us.len() as f64 * part) as usize).copied();
    counts.sort_unstable();
    println!(
        "{}",
        serde_json::json!({
            "viewers": counts.len(), "fewest": counts.first(), "most": counts.last(), "wrong": all.wrong, "reconnects": all.reconnects,
            "timed": all.late_us.len(), "p50_us": share(0.5), "p95_us": share(0.95), "p99_us": share(0.99), "max_us": all.late_us.last(),
        })
    );
}

/// One viewer, from the run's beginning to its end.
async fn view(http: &reqwest::Client, url: &str, token: &str) -> Seen {
    let (mut seen, mut next, mut last) = (Seen::default(), HashMap::<String, u64>::new(), None::<String>);
    loop {
        let mut request = http.get(url).bearer_auth(token);
        if let Some(last) = &last {
            request = request.header("last-event-id", last);
        }
        if let Ok(answer) = request.send().await
            && answer.status().is_success()
        {
            let (mut stream, mut held) = (answer.bytes_stream(), Vec::new());
            while let Some(Ok(piece)) = stream.next().await {
                held.extend_from_slice(&piece);
                let now = nanos();
                let mut from = 0;
                while let Some(end) = held[from..].windows(2).position(|w| w == b"\n\n") {
                    let message = std::str::from_utf8(&held[from..from + end]).unwrap();
                    let field = |name: &str| {
                        let of = |line: &'_ str| line.strip_prefix(name).map(|v| v.trim_start().to_owned());
                        message.lines().find_map(of)
                    };
                    last = field("id:").or(last);
                    match field("event:").as_deref() {
                        Some("end") => return seen,
                        Some("log") => take(&field("data:").unwrap(), &mut seen, &mut next, now),
                        _ => {}
                    }
                    from += end + 2;
                }
                held.drain(..from);
            }
        }
        seen.reconnects += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn take(data: &str, seen: &mut Seen, next: &mut HashMap<String, u64>, now: u128) {
    let log: Log<'_> = serde_json::from_str(data).unwrap();
    let expected = next.entry(log.stage.to_owned()).or_default();
    for line in log.lines {
        seen.lines += 1;
        seen.wrong += u64::from(line.seq != *expected);
        *expected = line.seq + 1;
        let printed =
            line.text.split(' ').next().filter(|t| t.len() == 19).and_then(|t| t.parse::<u128>().ok());
        if let Some(printed) = printed {
            seen.late_us.push((now.saturating_sub(printed) / 1000) as u64);
        }
    }
}

fn nanos() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()
}
