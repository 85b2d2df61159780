//! Services crash, keepers die, machines start again: what should run, runs, and only once.

use std::{fs, time::Duration};

use control::ports::Host;
use domain::{DeploymentId, EnvironmentName};
use libtest_mimic::Trial;
use runner::{LogSink, Target};

use crate::{
    bench::{Bench, PRODUCTION, variable},
    test,
};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_crashed_service_is_started_again", a_crash),
        test("a_killed_keeper_is_followed_by_one_that_adopts", a_killed_keeper),
        test("a_killed_keeper_does_not_hinder_a_deploy", a_deploy_after_a_killed_keeper),
        test("a_keeper_killed_in_the_middle_of_a_deploy", killed_in_a_deploy),
        test("a_keeper_killed_at_any_moment_serves_one_version", killed_at_any_moment),
        test("a_deployer_killed_at_any_moment_leaves_one_version", deployer_killed_at_any_moment),
        test("what_should_run_starts_after_a_reboot", a_reboot),
        test("only_one_keeper_runs", only_one_keeper),
        test("a_keeper_does_not_belong_to_the_runner_that_started_it", an_adopter),
        test("an_unreadable_memory_does_not_stand_in_the_way", unreadable_memory),
        test("a_port_that_is_taken_meanwhile_is_waited_for", a_blocked_port),
        test("health_is_told_as_it_is", health),
        test("a_retired_service_leaves_nothing", a_retired_service),
        test("the_live_log_is_found_under_one_name", the_log),
    ]
}

fn kill(pid: impl std::fmt::Display, signal: &str) {
    assert!(std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn lives(pid: impl std::fmt::Display) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// How many processes of a deployment there are.
fn copies(deployment: DeploymentId) -> usize {
    let mark = format!("SEAMLESS_DEPLOYMENT={deployment}");
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        lives(pid)
            && fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|e| e.split(|b| *b == 0).any(|v| v == mark.as_bytes()))
    })
    .count()
}

async fn a_crash() {
    let bench = Bench::new();
    let work = bench.work("v0");
    bench.deploy(&work).await.unwrap();
    let first = bench.report().await.pid.unwrap();
    bench.get("/crash").await;
    let seen = bench.until("stopped", |report| report.health == "stopped").await;
    assert_eq!(seen.reason.unwrap(), "exited with 3: about to crash");
    let again = bench.until("healthy again", |report| report.health == "healthy").await;
    assert_eq!((again.restarts, again.deployment), (1, Some(work.deployment)));
    assert_ne!(again.pid, Some(first));
    assert_eq!(bench.get("/").await, (200, "v0".into()));
    assert_eq!(copies(work.deployment), 1);
}

async fn a_killed_keeper() {
    let bench = Bench::new();
    let work = bench.work("v0");
    bench.deploy(&work).await.unwrap();
    let before = bench.report().await;
    kill(before.keeper, "-9");
    while lives(before.keeper) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let deployed = bench.host.deployed("orders", PRODUCTION).await.unwrap();
    assert_eq!((deployed.deployment, deployed.health.as_str()), (Some(work.deployment), "stopped"));
    bench.host.ensure().await.unwrap();
    let after = bench.report().await;
    assert_ne!(after.keeper, before.keeper);
    assert_eq!(
        (after.pid, after.health.as_str()),
        (before.pid, "healthy"),
        "the running process is taken over"
    );
    assert_eq!(bench.get("/").await, (200, "v0".into()));
    // What was taken over is watched like a child.
    kill(after.pid.unwrap(), "-9");
    bench.until("restarted", |report| report.restarts == 1 && report.health == "healthy").await;
    assert_eq!(bench.get("/").await, (200, "v0".into()));
    assert_eq!(copies(work.deployment), 1);
}

async fn a_deploy_after_a_killed_keeper() {
    let bench = Bench::new();
    let (old, new) = (bench.work("v0"), bench.work("v1"));
    bench.deploy(&old).await.unwrap();
    kill(bench.report().await.keeper, "-9");
    bench.deploy(&new).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v1".into()));
    assert_eq!((copies(old.deployment), copies(new.deployment)), (0, 1));
}

async fn killed_in_a_deploy() {
    let bench = Bench::new();
    let (old, mut new) = (bench.work("v0"), bench.work("v1"));
    bench.deploy(&old).await.unwrap();
    // It becomes healthy only after a while, so that there is time to strike.
    new.launch.start = "echo waiting; sleep 1; exec python3 service.py".into();
    let log = LogSink::capture();
    let deploying = tokio::spawn({
        let (target, new, log) = (bench.target.clone(), new.clone(), log.clone());
        async move { target.deploy(&new, &log, &tokio_util::sync::CancellationToken::new()).await }
    });
    while !log.lines().iter().any(|line| line.text == "waiting") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    kill(bench.report().await.keeper, "-9");
    deploying.await.unwrap().unwrap();
    assert!(log.lines().iter().any(|line| line.text == "The keeper ended unexpectedly; starting it again."));
    assert_eq!(bench.get("/").await, (200, "v1".into()));
    while copies(old.deployment) > 0 || copies(new.deployment) > 1 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(copies(new.deployment), 1);
}

async fn killed_at_any_moment() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v")).await.unwrap();
    let mut all = vec![bench.report().await.deployment.unwrap()];
    for round in 0..10u64 {
        let work = bench.work(&format!("v{round}"));
        all.push(work.deployment);
        let (target, wanted) = (bench.target.clone(), work.clone());
        let deploying = tokio::spawn(async move {
            target.deploy(&wanted, &LogSink::capture(), &tokio_util::sync::CancellationToken::new()).await
        });
        let keeper = bench.report().await.keeper;
        tokio::time::sleep(Duration::from_millis(round * 40)).await;
        kill(keeper, "-9");
        deploying.await.unwrap().unwrap();
        bench.host.ensure().await.unwrap();
        bench
            .until("healthy", |report| {
                report.health == "healthy" && report.deployment == Some(work.deployment)
            })
            .await;
        assert_eq!(bench.get("/").await, (200, format!("v{round}")));
        while all.iter().map(|id| copies(*id)).sum::<usize>() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(copies(work.deployment), 1);
    }
}

async fn deployer_killed_at_any_moment() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v")).await.unwrap();
    let mut live = bench.report().await.deployment.unwrap();
    for round in 0..10u64 {
        let work = bench.work(&format!("v{round}"));
        let (target, wanted) = (bench.target.clone(), work.clone());
        let deploying = tokio::spawn(async move {
            target.deploy(&wanted, &LogSink::capture(), &tokio_util::sync::CancellationToken::new()).await
        });
        tokio::time::sleep(Duration::from_millis(round * 30)).await;
        deploying.abort(); // closes its connection, as its death would
        let _ = deploying.await;
        // Either it was too late or nothing of it stays; what is live answers all the time.
        let old = live;
        bench
            .until("settled", |report| {
                live = report.deployment.unwrap();
                let gone = if live == old { work.deployment } else { old };
                copies(gone) == 0 && copies(live) == 1 && report.health == "healthy"
            })
            .await;
        assert_eq!(bench.get("/").await.0, 200);
    }
}

async fn a_reboot() {
    let bench = Bench::new();
    let mut work = bench.work("v0");
    work.launch.variables.push(variable("SECRET", "hunter22"));
    bench.deploy(&work).await.unwrap();
    let before = bench.report().await;
    // A machine that goes down asks nicely first.
    kill(before.keeper, "-15");
    while lives(before.keeper) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(copies(work.deployment), 0, "a keeper that is told to end takes its service with it");
    for _ in 0..2 {
        bench.host.ensure().await.unwrap();
    }
    let after = bench.until("healthy", |report| report.health == "healthy").await;
    assert_eq!((after.deployment, after.restarts), (Some(work.deployment), 0));
    assert!(bench.get("/env").await.1.contains("hunter22"));
    let state = bench.place().folder().join("state.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(state).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

async fn only_one_keeper() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    let keeper = bench.report().await.keeper;
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "keeper",
            "--service",
            "orders",
            "--environment",
            "production",
            "--address",
            "127.0.0.1",
            "--data",
        ])
        .arg(bench.folder.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "held\n");
    let many = (0..8).map(|_| bench.host.ensure());
    futures::future::join_all(many).await.into_iter().for_each(|done| done.unwrap());
    assert_eq!(bench.report().await.keeper, keeper);
}

/// This program as a runner, which adopts all orphans: its keeper must not be among them.
pub fn adopter() -> std::process::ExitCode {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = Bench::new();
    let keeper = runtime.block_on(async {
        bench.deploy(&bench.work("v0")).await.unwrap();
        bench.report().await.keeper
    });
    let status = fs::read_to_string(format!("/proc/{keeper}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
    println!("{parent} {} {:?}", std::process::id(), rustix::process::child_subreaper().unwrap().is_some());
    std::process::ExitCode::SUCCESS
}

async fn an_adopter() {
    let output =
        tokio::process::Command::new(std::env::current_exe().unwrap()).arg("adopter").output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = told.split_whitespace().collect();
    assert!(words.len() == 3 && words[0] != words[1], "{told}");
    assert_eq!(words[2], "true", "it goes on adopting");
}

async fn unreadable_memory() {
    let bench = Bench::new();
    let old = bench.work("v0");
    bench.deploy(&old).await.unwrap();
    kill(bench.report().await.keeper, "-9");
    let state = bench.place().folder().join("state.json");
    fs::write(&state, "{\"live\":").unwrap();
    assert!(bench.host.ensure().await.is_err());
    bench.deploy(&bench.work("v1")).await.unwrap();
    assert_eq!((bench.get("/").await, copies(old.deployment)), ((200, "v1".into()), 0));
    assert!(state.with_extension("json.unreadable").exists());
}

async fn a_blocked_port() {
    let bench = Bench::new();
    bench.deploy(&bench.work("v0")).await.unwrap();
    kill(bench.report().await.keeper, "-9");
    let held = loop {
        match std::net::TcpListener::bind(("127.0.0.1", bench.port)) {
            Ok(held) => break held,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    bench.host.ensure().await.unwrap();
    let deployed = bench.host.deployed("orders", PRODUCTION).await.unwrap();
    assert_eq!(deployed.health, "unhealthy");
    assert!(deployed.reason.unwrap().contains("is taken by another program"));
    drop(held);
    bench.until("healthy", |report| report.health == "healthy").await;
    assert_eq!(bench.get("/").await, (200, "v0".into()));
}

async fn health() {
    let bench = Bench::new();
    let none = bench.host.deployed("orders", EnvironmentName::Staging).await.unwrap();
    assert_eq!((none.deployment, none.health.as_str()), (None, "none"));
    let work = bench.work("v0");
    bench.deploy(&work).await.unwrap();
    let pid = bench.report().await.pid.unwrap();
    kill(pid, "-STOP");
    let seen = bench.until("unhealthy", |report| report.health == "unhealthy").await;
    assert_eq!(seen.reason.unwrap(), "GET /health was not answered within 5 s");
    kill(pid, "-CONT");
    bench.until("healthy", |report| report.health == "healthy").await;
    assert_eq!(bench.report().await.restarts, 0);
}

async fn a_retired_service() {
    let bench = Bench::new();
    let work = bench.work("v0");
    bench.deploy(&work).await.unwrap();
    let keeper = bench.report().await.keeper;
    for _ in 0..2 {
        bench.host.retire("orders").await.unwrap();
    }
    assert_eq!(copies(work.deployment), 0);
    assert!(!bench.folder.path().join("deploys/orders").exists());
    while lives(keeper) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(bench.host.port_is_free(bench.port).await);
    // The same without a keeper.
    bench.deploy(&work).await.unwrap();
    kill(bench.report().await.keeper, "-9");
    bench.host.retire("orders").await.unwrap();
    assert_eq!(copies(work.deployment), 0);
}

async fn the_log() {
    let bench = Bench::new();
    for version in ["v0", "v1"] {
        bench.deploy(&bench.work(version)).await.unwrap();
        let text = fs::read_to_string(bench.place().service_log()).unwrap();
        assert_eq!(text, format!("version {version} starts\n"));
    }
}
