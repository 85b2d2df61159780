//! Docker daemons of the test's own: one that is killed, and one on another machine, as far as the network can tell.
//!
//! They need root and `dockerd`; without them each is skipped, by its name.

use std::time::Duration;

use domain::protocol::DeployWork;
use libtest_mimic::Trial;
use runner::{LogSink, Target};
use testkit::{FarDaemon, OwnDaemon, docker::Registry};
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{Bench, variable},
    boxes::{container, image_on, live, of_image, said_on, settled_on},
    test,
};

pub fn trials() -> Vec<Trial> {
    let can = OwnDaemon::possible();
    let all = vec![
        test("a_daemon_killed_in_a_deploy_leaves_the_old_version", killed),
        test("a_daemon_on_another_machine_is_reached_over_tls", far),
    ];
    all.into_iter().map(|trial| trial.with_ignored_flag(!can)).collect()
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

async fn far() {
    const NAME: &str = "a_daemon_on_another_machine_is_reached_over_tls";
    let Some(daemon) = FarDaemon::find(NAME).await else { return };
    let Some(registry) = Registry::start_on(NAME, &daemon.near()) else { return };
    let (socket, bench) = (daemon.socket(), Bench::new());
    let far = |arguments: &[&str]| said_on(Some(&socket), arguments);
    let known = tempfile::tempdir().unwrap();
    let config = ["--config", known.path().to_str().unwrap()];
    far(&[&config[..], &["login", "--username", "ci", "--password", "right-password", &registry.address]]
        .concat());
    let work = |version: &str| {
        // Pushed, and forgotten there: the daemon fetches it by its digest.
        let (image, tag) =
            (image_on(Some(&socket), version, &[8080]), format!("{}/orders:{version}", registry.address));
        far(&["tag", &image, &tag]);
        far(&[&config[..], &["push", "--quiet", &tag]].concat());
        let digest = far(&["image", "inspect", "--format", "{{index .RepoDigests 0}}", &tag]);
        far(&["image", "rm", "--force", &image]);
        let mut work = of_image(&bench, version, digest);
        let made = container(&mut work);
        made.settings.host = Some(daemon.host());
        made.settings.certificates = Some(daemon.certificates().display().to_string());
        made.registry = Some(domain::protocol::Registry {
            address: registry.address.clone(),
            username: Some("ci".into()),
            password: Some("right-password".into()),
            refused: None,
            warning: None,
        });
        work
    };
    let first = work("v1");
    bench.deploy(&first).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v1".into()));
    bench.deploy(&work("v2")).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v2".into()));
    let again = DeployWork { deployment: bench.work("v").deployment, ..first.clone() };
    let lines = bench.deploy(&again).await.unwrap();
    assert!(lines.iter().any(|line| line.starts_with("Starting the kept container")), "{lines:?}");
    assert_eq!(bench.get("/").await, (200, "v1".into()));

    // Whoever has no certificate is told so, and what is live stays.
    let mut stranger = work("v3");
    let empty = tempfile::tempdir().unwrap();
    container(&mut stranger).settings.certificates = Some(empty.path().display().to_string());
    let (error, _) = bench.deploy(&stranger).await.unwrap_err();
    assert!(error.message.contains("ca.pem"), "{error:?}");
    assert_eq!(bench.get("/").await, (200, "v1".into()));
    drop(bench);
    assert_eq!(far(&["ps", "--all", "--quiet"]), "", "nothing is left there");
}
