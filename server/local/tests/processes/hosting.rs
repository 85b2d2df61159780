//! What this machine keeps: versions under test, ports, and a data folder that stays small.

use std::{fs, time::Duration};

use control::ports::{Found, Host, Keep};
use domain::{EnvironmentName, containers::ContainerSettings};
use libtest_mimic::Trial;
use runner::{LogSink, Target};

use crate::{
    bench::{Bench, PRODUCTION, own_port, variable},
    test,
};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_version_under_test_starts_and_stops", under_test),
        test("ports_are_given_out_once", ports),
        test("what_is_old_goes_and_what_is_needed_stays", cleaning),
    ]
}

async fn under_test() {
    let bench = Bench::new();
    let (log, port) = (LogSink::capture(), own_port());
    let extra = [variable("PORT", &port.to_string()), variable("SEAMLESS_URL_STOCK", "http://127.0.0.1:2")];
    let cookie = format!("test-{port}.1");
    let started = bench.target.start_for_test(&bench.launch("v0"), &extra, &cookie, &log).await.unwrap();
    assert_eq!((started.port, started.url.as_str()), (port, format!("http://127.0.0.1:{port}").as_str()));
    let text = crate::bench::get(port, "/env").await.1;
    for part in [
        &format!("\"SEAMLESS_STAGE_ATTEMPT\": \"{cookie}\""),
        "\"SEAMLESS_ENVIRONMENT\": \"test\"",
        "127.0.0.1:2",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    started.stop.stop().await;
    assert!(bench.host.port_is_free(port).await);
    assert!(log.lines().iter().any(|line| line.text == "orders | version v0 starts"));
    assert_eq!(fs::read_dir(bench.folder.path().join("work/tests")).unwrap().count(), 0);

    let mut bad = bench.launch("v1");
    bad.variables.push(variable("FAIL", "no luck"));
    let Err(error) = bench.target.start_for_test(&bad, &extra, &cookie, &log).await else {
        panic!("it started")
    };
    assert_eq!(error.message, "orders: exited with 1 before it was healthy: no luck");
}

async fn ports() {
    let bench = Bench::new();
    let first = bench.host.free_port(PRODUCTION, &[]).await.unwrap();
    let second = bench.host.free_port(PRODUCTION, &[first]).await.unwrap();
    assert!((4100..4600).contains(&first) && second > first);
    let staging = bench.host.free_port(EnvironmentName::Staging, &[]).await.unwrap();
    assert!((4600..5100).contains(&staging));
}

async fn cleaning() {
    let bench = Bench::new();
    let data = bench.folder.path().to_owned();
    let live = bench.work("v0");
    bench.deploy(&live).await.unwrap();
    let (wanted, unwanted) = (bench.artifact("wanted"), bench.artifact("unwanted"));
    let (kept_run, old_run) = (domain::RunId::from_parts(1, 1), domain::RunId::from_parts(1, 2));
    for run in [kept_run, old_run] {
        fs::create_dir_all(data.join("work").join(run.to_string()).join("src")).unwrap();
    }
    // Nothing that was touched just now goes.
    bench.host.clean(&Keep::default()).await.unwrap();
    assert!(data.join("work").join(old_run.to_string()).exists() && has(&bench.host, &unwanted).await);

    let nothing = local::clean::Limit { age: Duration::ZERO, bytes: 0 };
    let limits = local::clean::Limits {
        workspaces: nothing,
        artifacts: nothing,
        stages: nothing,
        untouchable: Duration::ZERO,
        ..local::clean::Limits::default()
    };
    let host = bench.host.clone().with_limits(limits);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let keep = Keep { artifacts: vec![wanted.clone()], runs: vec![kept_run], ..Keep::default() };
    host.clean(&keep).await.unwrap();
    assert!(data.join("work").join(kept_run.to_string()).exists());
    assert!(!data.join("work").join(old_run.to_string()).exists());
    assert!(has(&host, &wanted).await && has(&host, &live.launch.artifact).await);
    assert!(!has(&host, &unwanted).await);
}

async fn has(host: &local::ThisHost, artifact: &str) -> bool {
    let wanted = [artifact.to_owned()];
    host.artifacts(&wanted, &ContainerSettings::default(), None).await == [Found::There]
}
