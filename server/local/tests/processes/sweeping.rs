//! What runners that are gone have left with a real daemon. Without one the test says its name and that it was skipped.

use std::{fs, process::Stdio};

use domain::{StageId, containers::ContainerSettings};
use libtest_mimic::Trial;
use local::{docker::sweep, launcher::cookie};
use runner::docker::{Docker, labels};
use testkit::docker::Daemon;

use crate::test;

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_sweep_takes_what_the_dead_left_and_nothing_else", a_sweep),
        test("without_a_daemon_a_sweep_is_silent", no_daemon),
    ]
}

fn at(host: &str) -> Docker {
    Docker::of(&ContainerSettings { host: Some(host.into()), ..ContainerSettings::default() })
}

async fn a_sweep() {
    let Some(daemon) = Daemon::find("a_sweep_takes_what_the_dead_left_and_nothing_else") else { return };
    let data = tempfile::tempdir().unwrap();
    let (image, own) = (daemon.base(), labels::instance(data.path()));
    let start = |instance: &str, more: &[String]| {
        let first = format!("{}={instance}", labels::INSTANCE);
        let mut call = vec!["run", "--detach", "--label", &first];
        more.iter().for_each(|label| call.extend(["--label", label]));
        call.extend(["--entrypoint", "/bin/sleep", &image, "1000000"]);
        daemon.said(&call)
    };
    let mark = |stage: StageId| format!("{}={}", labels::ATTEMPT, cookie(stage, 1));
    let (dead, living) = (StageId::from_parts(1, 1), StageId::from_parts(1, 2));
    let gone = start(&own, &[mark(dead)]);
    let stays = [
        start(&own, &[mark(living)]),
        start(&own, &[format!("{}=1", labels::DEPLOYMENT)]),
        start("another", &[mark(dead)]),
    ];
    let stage = data.path().join("stages").join(cookie(dead, 1));
    fs::create_dir_all(stage.join("seamless-docker-x")).unwrap();
    fs::write(stage.join("runner.log"), "").unwrap();

    sweep::all(&at(&daemon.host), data.path(), |stage, _| stage == living).await;
    let lives = |id: &str| {
        let mut asked = daemon.docker(&["inspect", id]);
        asked.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    };
    let left: Vec<bool> = stays.iter().map(|id| lives(id)).collect();
    let call: Vec<&str> = ["rm", "--force"].into_iter().chain(stays.iter().map(String::as_str)).collect();
    daemon.said(&call);
    assert!(!lives(&gone) && left == [true; 3], "{left:?}");
    assert!(!stage.join("seamless-docker-x").exists() && stage.join("runner.log").exists());
}

async fn no_daemon() {
    let data = tempfile::tempdir().unwrap();
    let nobody = at("unix:///nonexistent/docker.sock");
    sweep::all(&nobody, data.path(), |_, _| panic!("nobody said that there was anything")).await;
    sweep::attempt(&nobody, data.path(), &cookie(StageId::from_parts(1, 1), 1)).await;
}
