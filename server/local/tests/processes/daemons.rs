//! A Docker daemon of the test's own, which is killed.
//!
//! Needs root and `dockerd`; without them it is skipped, by its name.

use std::time::Duration;

use libtest_mimic::Trial;
use runner::{LogSink, Target};
use testkit::OwnDaemon;
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{Bench, variable},
    boxes::{container, image_on, live, of_image, settled_on},
    test,
};

pub fn trials() -> Vec<Trial> {
    let can = OwnDaemon::possible();
    vec![test("a_daemon_killed_in_a_deploy_leaves_the_old_version", killed).with_ignored_flag(!can)]
}

async fn killed() {
    let mut daemon = OwnDaemon::start().await;
    let host = daemon.host();
    let bench = Bench::new();
    let work = |version: &str| {
        let mut work = of_image(&bench, version, image_on(Some(&host), version, &[8080]));
        container(&mut work).settings.host = Some(host.clone());
        work
    };
    bench.deploy(&work("v0")).await.unwrap();
    let old = live(&bench);
    let mut slow = work("v1");
    slow.launch.variables.push(variable("HEALTH", "503"));
    slow.launch.health_timeout_s = 15;
    let (target, log) = (bench.target.clone(), LogSink::capture());
    let deploying = tokio::spawn({
        let log = log.clone();
        async move { target.deploy(&slow, &log, &CancellationToken::new()).await }
    });
    while !log.lines().iter().any(|line| line.text == "version v1 starts") {
        assert!(!deploying.is_finished());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    daemon.kill9();
    // Nobody forwards anything any more, and yet.
    assert_eq!(bench.get("/").await, (200, "v0".into()));
    let error = deploying.await.unwrap().unwrap_err();
    assert!(!error.message.is_empty());
    assert_eq!(bench.get("/").await, (200, "v0".into()));

    daemon.restart().await;
    settled_on(&bench, Some(&host)).await;
    bench.until("healthy", |report| report.health == "healthy").await;
    assert_eq!((live(&bench), bench.get("/").await), (old, (200, "v0".into())));
    bench.deploy(&work("v2")).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v2".into()));
    drop(bench);
}
