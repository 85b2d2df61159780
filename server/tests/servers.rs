//! Several servers, PostgreSQL and Redis: each of them falls in turn, in every kind of stage and at a gate, and ways between them are
//! cut. No line that was acknowledged is lost or doubled, nothing is done twice, nothing gets stuck.

#![allow(clippy::unwrap_used)]

mod case;

use std::{fs, time::Duration};

use case::{Case, done_once, numbered, whole, without_holes};
use domain::{RunId, StageKind, Status, live::LogEvent, view::LogLine};
use futures::future::join_all;
use serde_json::json;
use testkit::{Api, Follow, Options, Redis, Relay, Server, Store, tiny, until};
use tokio::sync::watch;

const SEAMLESS: &str = env!("CARGO_BIN_EXE_seamless");

#[tokio::test]
async fn go_on_without_redis_and_use_it_again_when_it_is_back() {
    let Some(mut redis) = Redis::find("servers::go_on_without_redis_and_use_it_again_when_it_is_back") else {
        return;
    };
    let way = Relay::to(redis.port).await;
    let url = format!("redis://127.0.0.1:{}", way.port);
    let server = Server::start_with(SEAMLESS, Options { redis: Some(url), ..Options::default() }).await;
    let metrics = format!("{}/metrics", server.api.base);
    until("Redis to be reached", async || {
        server.api.plain(&metrics).await?.contains("seamless_redis_up 1\n").then_some(())
    })
    .await;
    let case = Case::begin(&server, StageKind::UnitTest, false).await;
    let (_, viewers) = watch::channel(vec![server.api.clone()]);
    let seen = [viewers.clone(), viewers].map(|servers| tokio::spawn(watch_run(servers, case.run)));

    let stage = server.api.run(case.run).await.stage(case.kind).unwrap().id;
    let key = format!("seamless:log:{stage}:1");
    let rows = |redis: &Redis| redis.said(&format!("ZCARD {key}")).parse::<u64>().unwrap();
    assert!(rows(&redis) > 0, "the lines so far are in Redis");
    let lives: i64 = redis.said(&format!("TTL {key}")).parse().unwrap();
    assert!((47 * 3600..=48 * 3600).contains(&lives), "{lives}");
    // Each row by itself: a label, the numbers of its lines, the lines; scored by its first line.
    assert_eq!(redis.said(&format!("ZSCORE {key} nothing")), "-1");
    assert_eq!(redis.said(&format!("ZCOUNT {key} 0 0")), "1");

    until("readers to be served from Redis", async || {
        let found = "seamless_redis_reads_total{found=\"yes\"} ";
        let metrics = server.api.plain(&metrics).await?;
        metrics.lines().find_map(|line| line.strip_prefix(found)?.parse::<u64>().ok()).filter(|n| *n > 2)
    })
    .await;

    redis.said("FLUSHALL");
    case.prints_more(&server).await;
    until("what was flushed to be there again", async || (rows(&redis) > 1).then_some(())).await;

    redis.said("CONFIG SET maxmemory 1");
    until("a word that it is full", async || says(&server).await.contains("Redis is full").then_some(()))
        .await;
    case.prints_more(&server).await;
    redis.said("CONFIG SET maxmemory 0");
    until("it to be used again", async || (!says(&server).await.contains("Redis")).then_some(())).await;
    let before = rows(&redis);
    until("rows to come in again", async || (rows(&redis) > before).then_some(())).await;

    way.cut();
    until("a word that it is away", async || {
        says(&server).await.contains("Redis takes too long").then_some(())
    })
    .await;
    case.prints_more(&server).await;
    way.mend();
    until("it to be used again", async || (!says(&server).await.contains("Redis")).then_some(())).await;

    redis.kill9();
    until("a word that it is away", async || says(&server).await.contains("Redis").then_some(())).await;
    case.prints_more(&server).await;
    let told = async |kind: &str| {
        let events = format!("SELECT COUNT(*) FROM event WHERE kind = '{kind}'");
        until(kind, async || (server.number(&events).await > 0).then_some(())).await;
    };
    told("redis_away").await;
    redis.restart();
    told("redis_back").await;
    until("it to be used again", async || (!says(&server).await.contains("Redis")).then_some(())).await;
    until("rows to come in again", async || (rows(&redis) > 1).then_some(())).await;

    case.go();
    let run = case.run;
    case.went_on(&server).await;
    let log = server.api.log(stage, 1).await;
    for seen in seen {
        let (live, ended) = seen.await.unwrap();
        assert!(ended, "the stream ends with the run");
        assert_eq!(of(&live, stage), log, "what was seen live is what is stored, line by line");
    }
    assert_eq!(server.api.run(run).await.status, Status::Success);
}

#[tokio::test]
async fn go_on_when_any_of_them_falls_or_is_cut_off() {
    let Some(mut redis) = Redis::find("servers::go_on_when_any_of_them_falls_or_is_cut_off") else { return };
    let options =
        Options { store: Store::Postgres, slots: 16, redis: Some(redis.url()), ..Options::default() };
    let mut one = Server::start_with(SEAMLESS, options).await;
    // The second one's ways can be cut.
    let database = one.database();
    let port = database.rsplit_once('/').unwrap().0.rsplit_once(':').unwrap().1;
    let (to_postgres, to_redis) = (Relay::to(port.parse().unwrap()).await, Relay::to(redis.port).await);
    let by_relay = database.replace(&format!(":{port}/"), &format!(":{}/", to_postgres.port));
    let mut two = one.beside(Some(by_relay), Some(format!("redis://127.0.0.1:{}", to_redis.port))).await;

    // Every kind of stage at once: whatever falls, falls in the middle of each.
    let cases = join_all(Case::every(&one)).await;
    let (servers, viewers) = watch::channel(vec![one.api.clone(), two.api.clone()]);
    let watched = cases.iter().find(|case| case.kind == StageKind::UnitTest).unwrap().run;
    let seen = tokio::spawn(watch_run(viewers, watched));

    one.kill9();
    servers.send_replace(vec![two.api.clone()]);
    all_print_more(&cases, &two).await;
    one.restart().await;
    servers.send_replace(vec![one.api.clone()]);
    two.kill9();
    all_print_more(&cases, &one).await;
    two.restart().await;
    redis.kill9();
    all_print_more(&cases, &two).await;
    redis.restart();
    one.restart_postgres();
    all_print_more(&cases, &one).await;
    to_postgres.cut();
    to_redis.cut();
    // Not a wait for anything: longer than everything that gives up.
    let cut = tokio::time::sleep(Duration::from_secs(30));
    tokio::join!(all_print_more(&cases, &one), cut);
    to_postgres.mend();
    to_redis.mend();
    redis.said("FLUSHALL");
    all_print_more(&cases, &two).await;

    // The one that started them is gone for good when they end.
    one.kill9();
    servers.send_replace(vec![two.api.clone()]);
    cases.iter().for_each(Case::go);
    join_all(cases.into_iter().map(|case| case.went_on(&two))).await;
    let (live, ended) = seen.await.unwrap();
    assert!(ended, "the stream ends with the run");
    let stage = two.api.run(watched).await.stage(StageKind::UnitTest).unwrap().id;
    let live = of(&live, stage);
    assert_eq!(live, two.api.log(stage, 1).await, "over all servers each line came once");
    whole(&numbered(&live));
}

#[tokio::test]
async fn share_the_work_whichever_falls() {
    let Some(redis) = Redis::find("servers::share_the_work_whichever_falls") else { return };
    let options =
        Options { store: Store::Postgres, slots: 3, redis: Some(redis.url()), ..Options::default() };
    let one = Server::start_with(SEAMLESS, options).await;
    let two = one.beside(None, None).await;
    let mut servers = [one, two];
    let mut pushed = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        let (repository, mut settings) = tiny(&servers[0], name);
        settings["commands"]["unit_test"] = json!("echo tested");
        settings["commands"]["code_quality"] = json!("echo looked at");
        let service = servers[pushed.len() % 2].api.connect(&settings).await;
        // The repository's hook finds a server that lives, or leaves it in the folder.
        let sha = repository.change(&[("VERSION", "2\n")], "Second");
        pushed.push((service, sha));
    }
    for kill in 0..8_u64 {
        // Not a wait for anything: each time another moment.
        tokio::time::sleep(Duration::from_millis(20 + (kill * 67) % 300)).await;
        let falls = &mut servers[(kill % 2) as usize];
        falls.kill9();
        falls.restart().await;
    }
    let server = &servers[0];
    for (service, sha) in &pushed {
        let run = server.api.run_of(service, sha).await;
        let run = server.api.succeeded(run.id).await;
        assert_eq!(server.api.runs(service).await.len(), 1, "one push is one run");
        for (kind, printed) in [(StageKind::UnitTest, "tested"), (StageKind::CodeQuality, "looked at")] {
            assert_eq!(server.api.printed(&run, kind).await, [printed]);
        }
        for environment in ["staging", "production"] {
            let deployments = server.api.deployments(service, environment).await;
            assert_eq!(deployments.iter().map(|d| (d.run, d.live)).collect::<Vec<_>>(), [(run.id, true)]);
        }
        done_once(server, &run).await;
    }
    let nodes = server.number("SELECT COUNT(*) FROM node WHERE seen_at > 0").await;
    assert!(nodes >= 2, "{nodes}");
    let list = fs::read_to_string(server.data().join("server.url")).unwrap();
    for server in &servers {
        assert!(list.lines().any(|line| line == server.api.base), "{list}");
    }
}

/// What `/readyz` says.
async fn says(server: &Server) -> String {
    let url = format!("{}/readyz", server.api.base);
    until("the server to be ready", async || server.api.plain(&url).await).await
}

async fn all_print_more(cases: &[Case], server: &Server) {
    join_all(cases.iter().map(|case| case.prints_more(server))).await;
}

/// Reads a run's stream as a browser does: one that breaks is opened again, at whichever server there is, after the last id.
async fn watch_run(servers: watch::Receiver<Vec<Api>>, run: RunId) -> (Vec<LogEvent>, bool) {
    let (mut lines, mut last) = (Vec::new(), None);
    for round in 0.. {
        let known = servers.borrow().clone();
        let api = &known[round % known.len()];
        let Some(mut stream) = Follow::try_run(api, run, last.as_deref()).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while let Some(message) = stream.next().await {
            last = Some(message.id);
            match message.event.as_str() {
                "log" => lines.push(serde_json::from_value(message.data).unwrap()),
                "end" => return (lines, true),
                _ => {}
            }
        }
    }
    (lines, false)
}

/// The lines of one stage that were seen.
fn of(seen: &[LogEvent], stage: domain::StageId) -> Vec<LogLine> {
    let lines: Vec<LogLine> =
        seen.iter().filter(|e| e.stage == stage).flat_map(|e| e.lines.iter().cloned()).collect();
    without_holes(&lines);
    lines
}
