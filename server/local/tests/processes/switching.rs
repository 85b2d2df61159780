//! One version takes over from another, or does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use runner::{LogSink, Target};
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{Bench, Client, variable},
    test,
};

pub fn trials() -> Vec<Trial> {
    vec![
        test("no_request_fails_while_versions_change", no_request_fails),
        test("a_slow_request_is_waited_for", a_slow_request_is_waited_for),
        test("an_unhealthy_version_leaves_the_old_one", an_unhealthy_version),
        test("an_early_exit_is_told_with_its_last_line", an_early_exit),
        test("a_version_that_never_listens_is_told_so", never_listens),
        test("a_taken_port_is_named", a_taken_port),
        test("a_torrent_of_output_harms_nobody", a_torrent),
        test("the_same_deployment_twice_is_once", the_same_twice),
        test("a_cancelled_deploy_leaves_the_old_one", a_cancelled_deploy),
        test("a_deployer_that_dies_cancels", a_dead_deployer),
        test("a_stubborn_version_is_killed", a_stubborn_version),
        test("a_damaged_or_missing_artifact_is_refused", a_damaged_artifact),
        test("an_open_port_counts_without_a_path", an_open_port),
        test("the_stable_port_can_change", another_port),
        test("versions_get_their_stated_environment", the_environment),
    ]
}

async fn no_request_fails() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    let (port, over) = (bench.port, Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let over = over.clone();
            tokio::spawn(async move {
                let mut client = Client::open(port).await.unwrap();
                let (mut count, mut last) = (0u32, String::new());
                while !over.load(Ordering::Relaxed) {
                    let body = format!("body {number} {count}");
                    let (status, text) = client.send("POST", "/", &body).await.expect("a request failed");
                    assert_eq!((status, text), (200, body));
                    let (status, text) = client.get("/").await.expect("a request failed");
                    assert_eq!(status, 200);
                    assert!(text >= last, "{text} after {last}");
                    last = text;
                    count += 2;
                }
                (count, last)
            })
        })
        .collect();
    for version in ["v1", "v2", "v3", "v4", "v5"] {
        bench.deploy(&bench.work(version)).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        let (count, last) = client.await.unwrap();
        assert!(count > 50, "only {count} requests");
        assert_eq!(last, "v5");
    }
    assert_eq!(bench.place().known().len(), 3, "old versions are removed");
}

async fn a_slow_request_is_waited_for() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    let sign = bench.folder.path().join("sign");
    let (port, path) = (bench.port, format!("/until{}", sign.display()));
    let mut slow = Client::open(port).await.unwrap();
    let slow = tokio::spawn(async move { slow.get(&path).await });
    let (log, next) = (LogSink::capture(), bench.work("v1"));
    let deploying = tokio::spawn({
        let (target, log) = (bench.target.clone(), log.clone());
        async move { target.deploy(&next, &log, &CancellationToken::new()).await }
    });
    while !log.lines().iter().any(|line| line.text == "v000000 still answers 1 request; waiting for it.") {
        assert!(!deploying.is_finished(), "it did not wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.get("/").await.1, "v1");
    std::fs::write(sign, "").unwrap();
    assert_eq!(slow.await.unwrap().unwrap(), (200, "v0".into()));
    deploying.await.unwrap().unwrap();
}

async fn an_unhealthy_version() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    let mut bad = bench.work("v1");
    bad.launch.variables.push(variable("HEALTH", "500"));
    bad.launch.health_timeout_s = 2;
    let (error, lines) = bench.deploy(&bad).await.unwrap_err();
    assert_eq!(error.message, "GET /health answered 500 for 2 s; its last line: version v1 starts");
    assert!(lines.contains(&"version v1 starts".into()), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "It was stopped; v000000 goes on serving.");
    assert_eq!(bench.get("/").await, (200, "v0".into()));
    assert_eq!(bench.place().known().len(), 1);
}

async fn an_early_exit() {
    let bench = Bench::new();
    let mut bad = bench.work("v1");
    bad.launch.variables.push(variable("FAIL", "no database at 10.0.0.7"));
    let (error, _) = bench.deploy(&bad).await.unwrap_err();
    assert_eq!(error.message, "exited with 1 before it was healthy: no database at 10.0.0.7");
    // Nothing was live before, so nothing is kept: the port is free again for anybody.
    drop(std::net::TcpListener::bind(("127.0.0.1", bench.port)).unwrap());
    bad.launch.start = "definitely-not-a-program --serve".into();
    let (error, _) = bench.deploy(&bad).await.unwrap_err();
    assert!(error.message.starts_with("exited with 127 before it was healthy:"), "{error}");
    assert!(error.message.contains("definitely-not-a-program"), "{error}");
}

async fn never_listens() {
    let bench = Bench::new();
    let mut bad = bench.work("v1");
    bad.launch.start = "sleep 60".into();
    bad.launch.health_timeout_s = 1;
    let (error, _) = bench.deploy(&bad).await.unwrap_err();
    let hint = "s: the service must listen on the port that it gets in the variable PORT";
    assert!(error.message.ends_with(&format!(" for 1 {hint}")), "{error}");
    let own = crate::bench::own_port();
    bad.launch.start = format!("PORT={own} python3 service.py");
    bad.launch.health_timeout_s = 3;
    let (error, _) = bench.deploy(&bad).await.unwrap_err();
    assert!(
        error.message.contains(&format!(" for 3 {hint} (it listens on {own}); its last line: ")),
        "{error}"
    );
}

async fn a_torrent() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    let mut bad = bench.work("v1");
    bad.launch.start = "yes chatter | head -c 300000000; echo the reason; exit 4".into();
    let (error, lines) = bench.deploy(&bad).await.unwrap_err();
    assert_eq!(error.message, "exited with 4 before it was healthy: the reason");
    assert!(lines.len() < 1_000_000 && lines.contains(&"the reason".into()), "{} lines", lines.len());
    let report = bench.report().await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", report.keeper)).unwrap();
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(peak.unwrap() < 150_000, "{peak:?} kB");
    assert_eq!(bench.get("/").await, (200, "v0".into()));
}

async fn a_taken_port() {
    let bench = Bench::new();
    let held = std::net::TcpListener::bind(("127.0.0.1", bench.port)).unwrap();
    let (error, _) = bench.deploy(&bench.work("v0")).await.unwrap_err();
    let (port, own) = (bench.port, std::process::id());
    assert!(error.message.starts_with(&format!("port {port} is taken by another program (")), "{error}");
    assert!(
        error.message.contains(&format!("process {own}); stop it, or give this service another port")),
        "{error}"
    );
    drop(held);
    bench.deploy(&bench.work("v0")).await.unwrap();
}

async fn the_same_twice() {
    let bench = Bench::new();
    let work = bench.work("v0");
    bench.deploy(&work).await.unwrap();
    let pid = bench.get("/pid").await.1;
    let lines = bench.deploy(&work).await.unwrap();
    assert_eq!(lines, ["This very deployment is live already; nothing to do."]);
    assert_eq!(bench.get("/pid").await.1, pid);
}

async fn a_cancelled_deploy() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    let mut slow = bench.work("v1");
    slow.launch.variables.push(variable("HEALTH", "503"));
    let (log, cancel) = (LogSink::capture(), CancellationToken::new());
    let deploying = tokio::spawn({
        let (target, log, cancel) = (bench.target.clone(), log.clone(), cancel.clone());
        async move { target.deploy(&slow, &log, &cancel).await }
    });
    while !log.lines().iter().any(|line| line.text == "version v1 starts") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let since = Instant::now();
    cancel.cancel();
    let error = deploying.await.unwrap().unwrap_err();
    assert_eq!(error.message, "the deploy was cancelled; nothing was switched");
    assert!(since.elapsed() < Duration::from_secs(5));
    assert_eq!(bench.get("/").await, (200, "v0".into()));
    bench.deploy(&bench.work("v2")).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v2".into()));
}

async fn a_dead_deployer() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    let mut slow = bench.work("v1");
    slow.launch.variables.push(variable("HEALTH", "503"));
    let (target, log) = (bench.target.clone(), LogSink::capture());
    let deploying = tokio::spawn({
        let log = log.clone();
        async move { target.deploy(&slow, &log, &CancellationToken::new()).await }
    });
    while !log.lines().iter().any(|line| line.text == "version v1 starts") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    deploying.abort(); // closes its connection, as its death would
    let _ = deploying.await;
    // The next deploy waits its turn until the candidate is gone.
    let since = Instant::now();
    bench.deploy(&bench.work("v2")).await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(10));
    assert_eq!(bench.get("/").await, (200, "v2".into()));
}

async fn a_stubborn_version() {
    let bench = Bench::new();
    let mut stubborn = bench.work("v0");
    stubborn.launch.variables.push(variable("STUBBORN", "1"));
    stubborn.launch.start = "python3 service.py & python3 service.py 2>/dev/null & wait".into();
    bench.deploy(&stubborn).await.unwrap();
    let lines = bench.deploy(&bench.work("v1")).await.unwrap();
    assert!(lines.iter().any(|line| line == "v000000 did not end within 10 s and was killed."), "{lines:?}");
    assert_eq!(bench.get("/").await, (200, "v1".into()));
}

async fn a_damaged_artifact() {
    let bench = Bench::new();
    let mut work = bench.work("v0");
    let digest = std::mem::replace(&mut work.launch.artifact, "0".repeat(64));
    let (error, _) = bench.deploy(&work).await.unwrap_err();
    assert!(error.message.contains("is gone"), "{error}");
    let stored = bench.folder.path().join("artifacts");
    let other = bench.artifact("another");
    std::fs::copy(stored.join(format!("{other}.tar.zst")), stored.join(format!("{digest}.tar.zst"))).unwrap();
    work.launch.artifact = digest;
    let (error, _) = bench.deploy(&work).await.unwrap_err();
    assert!(error.message.contains("damaged"), "{error}");
    assert!(bench.place().known().is_empty());
}

async fn an_open_port() {
    let bench = Bench::new();
    let mut work = bench.work("v0");
    work.launch.health_path = None;
    work.launch.variables.push(variable("HEALTH", "500"));
    bench.deploy(&work).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v0".into()));
}

async fn another_port() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    let mut work = bench.work("v1");
    work.port = crate::bench::own_port();
    bench.deploy(&work).await.unwrap();
    assert_eq!(crate::bench::get(work.port, "/").await, (200, "v1".into()));
    assert!(Client::open(bench.port).await.is_err(), "the old port is given up");
}

async fn the_environment() {
    let bench = Bench::new();
    let mut work = bench.work("v0");
    work.launch.variables.push(variable("GREETING", "it's \"fine\"\nhere"));
    bench.deploy(&work).await.unwrap();
    let (_, text) = bench.get("/env").await;
    let found: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    assert_eq!(found["GREETING"], "it's \"fine\"\nhere");
    assert_eq!(found["SEAMLESS_ENVIRONMENT"], "production");
    assert_eq!(found["SEAMLESS_SERVICE"], "orders");
    assert_eq!(found["SEAMLESS_COMMIT"], work.launch.commit);
    assert_eq!(found["SEAMLESS_URL_STOCK"], "http://127.0.0.1:1");
    assert_eq!(found["SEAMLESS_DEPLOYMENT"], work.deployment.to_string());
    let stated = [
        "GREETING",
        "HOME",
        "LANG",
        "LC_CTYPE",
        "OLDPWD",
        "PATH",
        "PORT",
        "PWD",
        "PYTHONUNBUFFERED",
        "SEAMLESS_COMMIT",
        "SEAMLESS_DEPLOYMENT",
        "SEAMLESS_ENVIRONMENT",
        "SEAMLESS_SERVICE",
        "SEAMLESS_URL_STOCK",
        "SHLVL",
        "TMPDIR",
        "_",
    ];
    let strange: Vec<_> =
        found.keys().filter(|name| !stated.contains(&name.as_str()) && !name.contains("PYENV")).collect();
    assert!(strange.is_empty(), "{strange:?}");
}
