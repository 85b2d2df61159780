//! Versions that are containers: made, switched, watched, kept, brought back, and nothing left over.
//!
//! They need a Docker daemon: the one that `SEAMLESS_TEST_DOCKER` names (as `DOCKER_HOST` would), else the usual one. Without it
//! each of them is skipped, by its name.

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use control::ports::Host;
use domain::{EnvironmentName, containers::RestartPolicy, protocol::DeployWork};
use libtest_mimic::Trial;
use runner::{LogSink, Target};
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{Bench, Client, PRODUCTION, get, variable},
    boxes::{Images, all, container, daemon, live, of_image, said, settled},
    test,
};

pub fn trials() -> Vec<Trial> {
    let all = vec![
        test("containers_switch_without_a_failed_request", no_request_fails),
        test("a_rollback_starts_the_kept_container_again", a_rollback),
        test("older_containers_are_aged_out", aged_out),
        test("a_container_gets_what_was_said_and_no_secret_is_an_argument", as_said),
        test("a_container_that_exits_at_once_is_told_so", an_early_exit),
        test("a_container_without_the_port_is_told_so", a_wrong_port),
        test("an_image_that_is_gone_is_told_so", an_image_gone),
        test("a_crashed_container_is_started_again", a_crash),
        test("a_container_stopped_by_hand_has_drifted", a_drift),
        test("a_container_that_takes_too_much_memory_is_told_so", too_much_memory),
        test("two_environments_and_a_process_reach_each_other", neighbours),
        test("a_keeper_killed_in_a_deploy_leaves_one_container", a_killed_keeper),
        test("a_deployer_killed_in_a_deploy_leaves_no_container", a_killed_deployer),
        test("a_retired_service_leaves_no_container", retired),
    ];
    let daemon = daemon();
    all.into_iter().map(|trial| trial.with_ignored_flag(!daemon)).collect()
}

async fn no_request_fails() {
    let (mut images, bench) = (Images::new(), Bench::new());
    let first = images.work(&bench, "v0");
    bench.deploy(&first).await.unwrap();
    let (port, over) = (bench.port, Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let over = over.clone();
            tokio::spawn(async move {
                let mut client = Client::open(port).await.unwrap();
                let mut count = 0u32;
                while !over.load(Ordering::Relaxed) {
                    let body = format!("body {number} {count}");
                    let (status, text) = client.send("POST", "/", &body).await.expect("a request failed");
                    assert_eq!((status, text), (200, body));
                    let (status, _) = client.get("/").await.expect("a request failed");
                    assert_eq!(status, 200);
                    count += 2;
                }
                (count, client.get("/").await.unwrap().1)
            })
        })
        .collect();
    for version in ["v1", "v2"] {
        bench.deploy(&images.work(&bench, version)).await.unwrap();
    }
    // And back, to the container that was kept.
    let lines = bench.deploy(&images.work(&bench, "v1")).await.unwrap();
    assert!(lines.iter().any(|line| line.starts_with("Starting the kept container")), "{lines:?}");
    over.store(true, Ordering::Relaxed);
    for client in clients {
        let (count, last) = client.await.unwrap();
        assert!(count > 50, "only {count} requests");
        assert_eq!(last, "v1");
    }
}

async fn a_rollback() {
    let (mut images, bench) = (Images::new(), Bench::new());
    let (one, two) = (images.work(&bench, "v1"), images.work(&bench, "v2"));
    bench.deploy(&one).await.unwrap();
    let first = live(&bench);
    let lines = bench.deploy(&two).await.unwrap();
    assert!(lines.contains(&"v100000 is stopped and kept for a rollback.".into()), "{lines:?}");
    let states: Vec<_> = all(&bench).into_iter().filter(|(id, _)| *id == first).collect();
    assert_eq!(states, [(first.clone(), "exited".to_owned())]);
    let again = DeployWork { deployment: bench.work("v").deployment, ..one.clone() };
    let lines = bench.deploy(&again).await.unwrap();
    assert!(
        lines.iter().any(|l| l.starts_with("Starting the kept container of v100000 again: ")),
        "{lines:?}"
    );
    assert_eq!((live(&bench), bench.get("/").await.1.as_str()), (first.clone(), "v1"));
    assert_eq!(
        said(&["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", &first]),
        "unless-stopped"
    );
    assert_eq!(all(&bench).len(), 2);

    // Made with something else: not the same container.
    let mut other = DeployWork { deployment: bench.work("v").deployment, ..two };
    other.launch.variables.push(variable("ROTATED", "1"));
    bench.deploy(&other).await.unwrap();
    assert_eq!(all(&bench).len(), 3);
    // Kept, but removed by hand meanwhile: a new one.
    said(&["rm", "-f", &first]);
    let again = DeployWork { deployment: bench.work("v").deployment, ..one };
    let lines = bench.deploy(&again).await.unwrap();
    assert!(lines.iter().any(|l| l.contains("does not start")), "{lines:?}");
    assert_eq!(bench.get("/").await.1, "v1");
    // The same deployment twice is once.
    let lines = bench.deploy(&again).await.unwrap();
    assert_eq!(lines, ["This very deployment is live already; nothing to do."]);
}

async fn aged_out() {
    let (mut images, bench) = (Images::new(), Bench::new());
    for version in ["v1", "v2", "v3", "v4", "v5"] {
        bench.deploy(&images.work(&bench, version)).await.unwrap();
    }
    let states: Vec<String> = all(&bench).into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["running", "exited", "exited"]);
}

async fn as_said() {
    let (mut images, bench) = (Images::new(), Bench::new());
    let mut work = images.work(&bench, "v0");
    work.launch.variables = vec![
        variable("TOKEN", "hunter2=hunter2 '\"$x"),
        variable("KEY", "several\nlines of it"),
        variable("HTTP_PROXY", "http://proxy.invalid:1"),
    ];
    container(&mut work).port = Some(9000);
    let settings = &mut container(&mut work).settings;
    settings.resources.memory_mb = Some(64);
    settings.resources.cpu_millis = Some(500);
    settings.restart = RestartPolicy::OnFailure;
    // Everybody's arguments, looked at as often as can be while it is deployed.
    let over = Arc::new(AtomicBool::new(false));
    let watching = std::thread::spawn({
        let over = over.clone();
        move || {
            let (mut looks, mut found) = (0, Vec::new());
            while !over.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if line.contains("hunter2=") || line.contains("lines of it") {
                        found.push(line);
                    }
                }
                looks += 1;
            }
            (looks, found)
        }
    });
    bench.deploy(&work).await.unwrap();
    over.store(true, Ordering::Relaxed);
    let (looks, found) = watching.join().unwrap();
    assert!(looks > 3 && found.is_empty(), "{looks} {found:?}");

    let text = bench.get("/env").await.1;
    for line in [
        "TOKEN=hunter2=hunter2 '\"$x",
        "KEY=several\nlines of it",
        "HTTP_PROXY=http://proxy.invalid:1",
        "PORT=9000",
        "SEAMLESS_ENVIRONMENT=production",
        "SEAMLESS_SERVICE=orders",
        &format!("SEAMLESS_COMMIT={}", work.launch.commit),
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
    }
    let id = live(&bench);
    let format = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Init}} {{.HostConfig.LogConfig.Type}} {{json .HostConfig.PortBindings}}";
    let made = said(&["inspect", "--format", format, &id]);
    assert!(
        made.starts_with(
            "67108864 500000000 on-failure [no-new-privileges] true local {\"9000/tcp\":[{\"HostIp\":\"127.0.0.1\""
        ),
        "{made}"
    );
    let labelled = said(&["inspect", "--format", "{{json .Config.Labels}}", &id]);
    assert!(!labelled.contains("hunter2"), "{labelled}");
    // What it prints is where a process's output is.
    let log = fs::read_to_string(bench.place().service_log()).unwrap();
    assert_eq!(log, "version v0 starts\n");
}

async fn an_early_exit() {
    let (mut images, bench) = (Images::new(), Bench::new());
    bench.deploy(&images.work(&bench, "v0")).await.unwrap();
    let before = all(&bench);
    let mut bad = images.work(&bench, "v1");
    bad.launch.variables.push(variable("FAIL", "no database at 10.0.0.7"));
    let (error, lines) = bench.deploy(&bad).await.unwrap_err();
    assert_eq!(error.message, "exited with 1 before it was healthy: no database at 10.0.0.7");
    assert!(lines.contains(&"version v1 starts".into()), "{lines:?}");
    assert_eq!((bench.get("/").await, all(&bench)), ((200, "v0".into()), before.clone()));
    // An image without a shell cannot run a command of the shell's.
    let mut bad = images.work(&bench, "v2");
    bad.launch.start = "./serve".into();
    let (error, _) = bench.deploy(&bad).await.unwrap_err();
    assert!(error.message.starts_with("the image has no shell for the start command"), "{error}");
    assert_eq!(all(&bench), before);
}

async fn a_wrong_port() {
    let (mut images, bench) = (Images::new(), Bench::new());
    let wrong = async |work: &mut DeployWork| {
        work.launch.health_timeout_s = 2;
        bench.deploy(work).await.unwrap_err().0.message
    };
    for path in [None, Some("/health".to_owned())] {
        let mut bad = images.work(&bench, "v1");
        bad.launch.health_path = path;
        bad.launch.variables.push(variable("LISTEN_PORT", "3000"));
        let why = wrong(&mut bad).await;
        assert!(
            why.starts_with("nothing listened on port 8080 inside the container for 2 s; it listens on 3000: set the container port to 3000"),
            "{why}"
        );
    }
    let mut bad = images.work(&bench, "v1");
    bad.launch.variables.push(variable("LISTEN_ADDRESS", "127.0.0.1"));
    let why = wrong(&mut bad).await;
    assert!(why.starts_with("it listens on 127.0.0.1:8080 inside its container"), "{why}");
    let mut bad = images.work(&bench, "v1");
    container(&mut bad).port = Some(9000);
    bad.launch.variables.push(variable("LISTEN_PORT", "8080"));
    let why = wrong(&mut bad).await;
    assert!(why.contains("it listens on 8080: set the container port to 8080"), "{why}");
    let mut bad = images.work(&bench, "v1");
    bad.launch.variables.push(variable("HEALTH", "503"));
    assert_eq!(wrong(&mut bad).await, "GET /health answered 503 for 2 s; its last line: version v1 starts");
    assert_eq!(all(&bench), []);
}

async fn an_image_gone() {
    let (mut images, bench) = (Images::new(), Bench::new());
    bench.deploy(&images.work(&bench, "v0")).await.unwrap();
    let bad = of_image(&bench, "v1", format!("sha256:{}", "0".repeat(64)));
    let (error, _) = bench.deploy(&bad).await.unwrap_err();
    assert!(error.message.contains("it was removed, or built by another daemon and never pushed"), "{error}");
    let bad = of_image(&bench, "v1", format!("127.0.0.1:1/orders@sha256:{}", "0".repeat(64)));
    let (error, _) = bench.deploy(&bad).await.unwrap_err();
    assert!(error.message.starts_with("the registry does not answer"), "{error}");
    assert_eq!(bench.get("/").await, (200, "v0".into()));
}

async fn a_crash() {
    let (mut images, bench) = (Images::new(), Bench::new());
    bench.deploy(&images.work(&bench, "v0")).await.unwrap();
    let id = live(&bench);
    // Broken off before it answers, as a crash does.
    let _ = Client::open(bench.port).await.unwrap().get("/crash").await;
    bench.until("restarted", |report| report.restarts == 1 && report.health == "healthy").await;
    assert_eq!((live(&bench), bench.get("/").await), (id, (200, "v0".into())));
    let log = fs::read_to_string(bench.place().service_log()).unwrap();
    assert_eq!(log.matches("about to crash").count(), 1, "{log}");
}

async fn a_drift() {
    let (mut images, bench) = (Images::new(), Bench::new());
    let work = images.work(&bench, "v0");
    bench.deploy(&work).await.unwrap();
    let id = live(&bench);
    said(&["stop", "-t", "1", &id]);
    let seen = bench.until("drifted", |report| report.health == "drifted").await;
    assert!(seen.reason.unwrap().contains("was stopped by hand: `docker start seamless-orders-production-"));
    // Nobody starts it behind that person's back, not even another keeper.
    let keeper = bench.report().await.keeper;
    Command::new("kill").args(["-9", &keeper.to_string()]).status().unwrap();
    while bench.host.deployed("orders", PRODUCTION).await.unwrap().health != "stopped" {
        tokio::task::yield_now().await;
    }
    bench.host.ensure().await.unwrap();
    bench.until("drifted still", |report| report.health == "drifted").await;
    assert_eq!(said(&["inspect", "--format", "{{.State.Status}}", &id]), "exited");
    said(&["start", &id]);
    bench.until("healthy", |report| report.health == "healthy").await;
    said(&["pause", &id]);
    bench.until("paused", |report| report.health == "drifted").await;
    said(&["unpause", &id]);
    bench.until("healthy", |report| report.health == "healthy").await;
    said(&["rm", "-f", &id]);
    let removed = "was removed by hand: deploy or roll back";
    let seen = bench.until("removed", |r| r.reason.as_ref().is_some_and(|why| why.contains(removed))).await;
    assert_eq!(seen.health, "drifted");
    bench.deploy(&DeployWork { deployment: bench.work("v").deployment, ..work }).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v0".into()));
    bench.until("healthy", |report| report.health == "healthy").await;
}

async fn too_much_memory() {
    let (mut images, bench) = (Images::new(), Bench::new());
    let mut work = images.work(&bench, "v0");
    container(&mut work).settings.resources.memory_mb = Some(32);
    container(&mut work).settings.restart = RestartPolicy::Never;
    bench.deploy(&work).await.unwrap();
    let _ = Client::open(bench.port).await.unwrap().get("/eat").await;
    let seen = bench.until("stopped", |report| report.health == "stopped").await;
    let why = seen.reason.unwrap();
    assert!(why.contains("its restart policy leaves it so"), "{why}");
}

async fn neighbours() {
    let (mut images, bench) = (Images::new(), Bench::new());
    // Production is a process, staging a container; staging's is told where production is.
    let process = bench.work("process");
    bench.deploy(&process).await.unwrap();
    let mut boxed = images.work(&bench, "staged");
    boxed.environment = EnvironmentName::Staging;
    boxed.port = crate::bench::own_port();
    boxed.neighbours = vec![variable("SEAMLESS_URL_STOCK", &format!("http://127.0.0.1:{}", bench.port))];
    bench.deploy(&boxed).await.unwrap();
    assert_eq!(get(boxed.port, "/").await, (200, "staged".into()));
    // Out of the container, over the network's gateway, to the process.
    assert_eq!(get(boxed.port, "/fetch/SEAMLESS_URL_STOCK").await, (200, "process".into()));
    assert_eq!(bench.get("/").await, (200, "process".into()));
}

async fn a_killed_keeper() {
    let (mut images, bench) = (Images::new(), Bench::new());
    bench.deploy(&images.work(&bench, "v0")).await.unwrap();
    for round in 0..6u64 {
        let work = images.work(&bench, &format!("v{round}"));
        let (target, wanted) = (bench.target.clone(), work.clone());
        let deploying = tokio::spawn(async move {
            target.deploy(&wanted, &LogSink::capture(), &CancellationToken::new()).await
        });
        let keeper = bench.report().await.keeper;
        tokio::time::sleep(std::time::Duration::from_millis(round * 150)).await;
        assert!(Command::new("kill").args(["-9", &keeper.to_string()]).status().unwrap().success());
        deploying.await.unwrap().unwrap();
        bench.host.ensure().await.unwrap();
        bench.until("healthy", |r| r.health == "healthy" && r.deployment == Some(work.deployment)).await;
        assert_eq!(bench.get("/").await, (200, format!("v{round}")));
        settled(&bench).await;
    }
}

async fn a_killed_deployer() {
    let (mut images, bench) = (Images::new(), Bench::new());
    bench.deploy(&images.work(&bench, "v0")).await.unwrap();
    for round in 0..5u64 {
        let mut work = images.work(&bench, "v1");
        work.launch.variables.push(variable("HEALTH", "503"));
        let target = bench.target.clone();
        let deploying = tokio::spawn(async move {
            target.deploy(&work, &LogSink::capture(), &CancellationToken::new()).await
        });
        tokio::time::sleep(std::time::Duration::from_millis(round * 200)).await;
        deploying.abort(); // closes its connection, as its death would
        let _ = deploying.await;
        // The next one waits its turn until the candidate is gone.
        let next = images.work(&bench, &format!("w{round}"));
        bench.deploy(&next).await.unwrap();
        assert_eq!(bench.get("/").await, (200, format!("w{round}")));
        settled(&bench).await;
    }
}

async fn retired() {
    let (mut images, bench) = (Images::new(), Bench::new());
    bench.deploy(&images.work(&bench, "v0")).await.unwrap();
    bench.deploy(&images.work(&bench, "v1")).await.unwrap();
    assert_eq!(all(&bench).len(), 2);
    for _ in 0..2 {
        bench.host.retire("orders").await.unwrap();
    }
    assert_eq!(all(&bench), []);
    let name = local::docker::network::name(bench.folder.path());
    assert_eq!(said(&["network", "ls", "--quiet", "--filter", &format!("name={name}")]), "");
}
