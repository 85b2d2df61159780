//! Commands inside a toolchain image, with a real daemon. Without one each test says its name and that it was skipped.

use std::{path::Path, process::Command, time::Duration};

use domain::{
    StageKind,
    containers::{ContainerSettings, Toolchain},
    protocol::*,
    view::Stream,
};
use runner::docker::{Docker, labels, leftovers};
use testkit::docker::Daemon;

use crate::{
    commands::{lives, unique},
    process::{ended, itself, start},
    support::*,
};

/// The runner as a process that finds this daemon.
pub fn runner(daemon: &Daemon) -> Command {
    let mut command = itself();
    command.env("DOCKER_HOST", &daemon.host);
    command
}

/// A job to be done in the tests' image.
fn inside(server: &Server, daemon: &Daemon, command: &str) -> Job {
    let toolchain = ToolchainImage { image: daemon.base(), settings: Toolchain::default() };
    Job { toolchain: Some(toolchain), ..server.command(command) }
}

/// Does a job to its end; answers how it ended.
pub async fn finish(server: &Server, job: Job, command: Command) -> Finish {
    let (child, _) = start(server, job, command);
    assert_eq!(ended(child).await, Some(0), "{}", server.log());
    server.inner().finishes[0].clone()
}

pub fn instance(server: &Server) -> String {
    labels::instance(server.data())
}

pub fn docker(daemon: &Daemon) -> Docker {
    Docker::of(&ContainerSettings { host: Some(daemon.host.clone()), ..ContainerSettings::default() })
}

pub async fn left(server: &Server, daemon: &Daemon) -> Vec<String> {
    let attempts = leftovers::attempts(&docker(daemon), &instance(server)).await;
    attempts.unwrap().into_iter().collect()
}

/// Whether a text stands in the arguments of any process.
fn is_an_argument(text: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.windows(text.len()).any(|part| part == text.as_bytes()))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_finds_the_image_and_its_own_folders() {
    let Some(daemon) = Daemon::find("a_command_finds_the_image_and_its_own_folders") else { return };
    let server = Server::start().await;
    let command = "echo $FROM_IMAGE $PATH $SEAMLESS_SERVICE; pwd; echo \"$KEY\"; echo $DOCKER_HOST; id -u; cat from-outside; \
        echo made > made; touch $HOME/a $SEAMLESS_CACHE/b $TMPDIR/c; ls -d /var/run/docker.sock; echo to-stderr >&2; sleep 1000000";
    let mut job = inside(&server, &daemon, command);
    let secret = "two-lines-of\nsomething-secret";
    for (name, value) in
        [("KEY", secret), ("DOCKER_HOST", "tcp://elsewhere"), ("LD_LIBRARY_PATH", "/nowhere")]
    {
        job.variables.push(JobVariable { name: name.into(), value: value.into(), secret: name == "KEY" });
    }
    let workspace = server.workspace(&job);
    std::fs::write(workspace.join("from-outside"), "hello\n").unwrap();
    let (child, _) = start(&server, job, runner(&daemon));
    server.sees("Stderr: to-stderr").await;
    let shown = daemon.said(&[
        "ps",
        "--filter",
        &format!("label=seamless.instance={}", instance(&server)),
        "--format",
        "{{.Names}}",
    ]);
    let inspected = daemon.said(&["inspect", &shown]);
    for part in
        ["\"no-new-privileges\"", "\"PidsLimit\": 4096", "\"Init\": true", "\"seamless.service\": \"orders\""]
    {
        assert!(inspected.contains(part), "{part} in {inspected}");
    }
    assert!(
        !is_an_argument("something-secret") && !is_an_argument("tcp://elsewhere"),
        "values are no arguments"
    );
    server.inner().cancel = true;
    assert_eq!(ended(child).await, Some(0));
    let printed = server.printed();
    let uid = rustix::process::getuid().as_raw().to_string();
    let expected = [
        "yes /bin:/own/bin orders",
        &workspace.to_string_lossy(),
        "******",
        "tcp://elsewhere",
        &uid,
        "hello",
    ];
    let of = |stream| -> Vec<String> {
        server.inner().lines.iter().filter(|l| l.stream == stream).map(|l| l.text.clone()).collect()
    };
    assert_eq!(of(Stream::Stdout), expected, "{printed:?}");
    assert_eq!(of(Stream::Stderr).last().map(String::as_str), Some("to-stderr"));
    assert!(of(Stream::Stderr)[0].contains("docker.sock"), "no socket inside: {printed:?}");
    let made = workspace.join("made");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made.metadata().unwrap()).to_string(), uid);
    let caches = server.data().join("caches/orders");
    assert!(caches.join("home/a").is_file() && caches.join("shared/b").is_file());
    assert!(left(&server, &daemon).await.is_empty());
    let stage = std::fs::read_dir(server.data().join("stages")).unwrap().next().unwrap().unwrap().path();
    let files: Vec<_> = std::fs::read_dir(stage).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name.to_string_lossy().starts_with("env-")), "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn git_inside_knows_the_commit() {
    let Some(daemon) = Daemon::find("git_inside_knows_the_commit") else { return };
    let (server, repository) = (Server::start().await, Repository::empty());
    let commit = repository.commit("One", &[("a", "")]);
    let borrowed = "while read folder; do ls -d $folder/pack $folder/info; touch $folder/x; done < .git/objects/info/alternates";
    let toolchain = Some(ToolchainImage { image: daemon.base(), settings: Toolchain::default() });
    let job = Job { toolchain, ..repository.prepare(&server, &commit, Some(borrowed)) };
    finish(&server, job, runner(&daemon)).await;
    let log = server.log();
    assert!(log.contains("/objects/pack") && log.contains("Read-only file system"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_it_ended_is_told_in_words() {
    let Some(daemon) = Daemon::find("how_it_ended_is_told_in_words") else { return };
    let server = Server::start().await;
    let fails = async |command: &str, change: fn(&mut Toolchain)| {
        let mut job = inside(&server, &daemon, command);
        change(&mut job.toolchain.as_mut().unwrap().settings);
        let finish = finish(&server, job, runner(&daemon)).await;
        assert_eq!(finish.outcome, Outcome::Failure, "{}", server.log());
        let reason = finish.reason.unwrap();
        if let Some((_, code)) = reason.rsplit_once("exited with ") {
            let code = code.split(|c: char| !c.is_ascii_digit()).next().unwrap();
            assert_eq!(finish.exit_code.map(|code| code.to_string()).as_deref(), Some(code));
        }
        (reason, finish.error.map(|e| e.text).unwrap_or_default())
    };
    let none = |_: &mut Toolchain| {};
    let (reason, error) = fails("echo 'error: it is so'; exit 3", none).await;
    assert_eq!(
        (reason.as_str(), error.as_str()),
        ("`echo 'error: it is so'; exit 3` exited with 3", "error: it is so")
    );
    let (reason, _) = fails("no-such-program", none).await;
    assert_eq!(
        reason,
        "not found: `no-such-program` does not exist in the image seamless-test/base:1 (`no-such-program` exited with 127)"
    );
    let (reason, _) = fails("kill -9 $$", none).await;
    assert!(reason.contains("exited with 137"), "{reason}");
    let hungry = "head -c 300000000 /dev/zero | tail -c 250000000 | wc -c; exit 1";
    let (reason, _) = fails(hungry, |t| t.resources.memory_mb = Some(32)).await;
    assert!(reason.starts_with("out of memory: ") && reason.contains("may take 32 MiB"), "{reason}");
    let (_, error) = fails("ls /sys/class/net; exit 1", |t| t.network = false).await;
    assert_eq!(error, "lo", "{}", server.log());
    let (reason, _) = fails("cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max; exit 1", |t| {
        t.resources.cpu_millis = Some(500);
    })
    .await;
    assert!(server.log().contains("50000"), "{reason}");
    assert!(left(&server, &daemon).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told() {
    let Some(daemon) = Daemon::find("what_is_missing_is_told") else { return };
    let server = Server::start().await;
    let job = |image: &str| {
        let mut job = inside(&server, &daemon, "true");
        job.toolchain.as_mut().unwrap().image = image.into();
        job
    };
    let reason = async |job: Job, command: Command| finish(&server, job, command).await.reason.unwrap();
    let away = reason(job("127.0.0.1:9/no/such:1"), runner(&daemon)).await;
    assert!(away.contains("its registry does not answer") && away.contains("docker load"), "{away}");
    assert!(server.log().contains("pulling it"), "{}", server.log());

    let mut command = runner(&daemon);
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let away = reason(job("seamless-test/base:1"), command).await;
    assert!(
        away.starts_with("the Docker daemon at unix:///nonexistent/docker.sock does not answer"),
        "{away}"
    );

    let mut command = runner(&daemon);
    command.env("DOCKER_HOST", "tcp://build-1.example.org:2376");
    let remote = reason(job("seamless-test/base:1"), command).await;
    assert!(remote.contains("is on another machine"), "{remote}");

    let mut command = runner(&daemon);
    command.env("PATH", "/nonexistent");
    let missing = reason(job("seamless-test/base:1"), command).await;
    assert!(missing.starts_with("the program `docker` is not on this machine"), "{missing}");

    // An image of nothing but a file has no shell.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    daemon.said(&["build", "--quiet", "--tag", "seamless-test/no-shell", &folder.path().to_string_lossy()]);
    let shell = reason(job("seamless-test/no-shell"), runner(&daemon)).await;
    assert!(shell.contains("has no /bin/sh"), "{shell}\n{}", server.log());
    assert!(left(&server, &daemon).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_ends_takes_its_container_along() {
    let Some(daemon) = Daemon::find("a_stage_that_ends_takes_its_container_along") else { return };
    let (server, long) = (Server::start().await, unique());
    let command = format!("trap 'echo heard it; exit 1' TERM; echo begun; sleep {long}");
    let (child, _) = start(&server, inside(&server, &daemon, &command), runner(&daemon));
    server.sees("Stdout: begun").await;
    eventually("the container's process", || lives(&long)).await;
    server.inner().cancel = true;
    assert_eq!(ended(child).await, Some(0));
    assert_eq!(server.inner().finishes[0].outcome, Outcome::Cancelled);
    assert!(server.log().contains("heard it"), "{}", server.log());
    assert!(!lives(&long) && left(&server, &daemon).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_runner_or_program_leaves_is_found() {
    let Some(daemon) = Daemon::find("what_a_killed_runner_or_program_leaves_is_found") else { return };
    let (server, long) = (Server::start().await, unique());
    let job = inside(&server, &daemon, &format!("echo begun; sleep {long}"));
    let attempt = format!("{}.{}", job.stage, job.attempt);
    let (mut child, _) = start(&server, job, runner(&daemon));
    eventually("the container's process", || lives(&long)).await;
    child.kill().unwrap();
    ended(child).await;
    assert!(lives(&long), "nobody has ended it yet");
    assert_eq!(left(&server, &daemon).await, std::slice::from_ref(&attempt));
    // Another instance's things are not touched.
    let elsewhere = labels::instance(Path::new("/elsewhere"));
    assert_eq!(leftovers::remove(&docker(&daemon), &elsewhere, &attempt).await, Ok(Vec::new()));
    assert!(lives(&long));
    let removed = leftovers::remove(&docker(&daemon), &instance(&server), &attempt).await.unwrap();
    assert!(removed.len() == 1 && removed[0].starts_with("container "), "{removed:?}");
    assert!(!lives(&long) && left(&server, &daemon).await.is_empty());
    runner::tree::kill(&attempt, Duration::ZERO).await;

    // The same when only the program was killed: the runner itself sees to it.
    let job = inside(&server, &daemon, &format!("echo begun; sleep {long}"));
    let (child, _) = start(&server, job, runner(&daemon));
    eventually("the container's process", || lives(&long)).await;
    let program = daemon_call(child.id());
    rustix::process::kill_process(program, rustix::process::Signal::KILL).unwrap();
    assert_eq!(ended(child).await, Some(0));
    assert_eq!(server.inner().finishes[0].outcome, Outcome::Failure);
    assert!(!lives(&long) && left(&server, &daemon).await.is_empty());
}

/// The `docker run` that a runner has started.
fn daemon_call(runner: u32) -> rustix::process::Pid {
    let children = std::fs::read_dir(format!("/proc/{runner}/task")).unwrap().flatten().flat_map(|task| {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()).collect::<Vec<_>>()
    });
    let is_docker = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with("docker\0run"))
    };
    rustix::process::Pid::from_raw(children.into_iter().find(is_docker).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_and_volumes_of_an_attempt_go_too() {
    let Some(daemon) = Daemon::find("networks_and_volumes_of_an_attempt_go_too") else { return };
    let server = Server::start().await;
    let job = server.job(StageKind::UnitTest, Work::Command { command: String::new() });
    let (own, attempt) = (instance(&server), format!("{}.1", job.stage));
    let marks = [format!("seamless.instance={own}"), format!("seamless.attempt={attempt}")];
    let labelled = ["--label", &marks[0], "--label", &marks[1]];
    let call = |head: &[&str], tail: &[&str]| {
        let all: Vec<&str> = head.iter().chain(&labelled).chain(tail).copied().collect();
        daemon.said(&all)
    };
    let name = format!("seamless-test-{own}");
    call(&["network", "create"], &[&name]);
    call(&["volume", "create"], &[]);
    call(
        &["run", "--detach", "--network", &name],
        &["--entrypoint", "/bin/sh", &daemon.base(), "-c", "sleep 1000000"],
    );
    assert_eq!(left(&server, &daemon).await, std::slice::from_ref(&attempt));
    let removed = leftovers::remove(&docker(&daemon), &own, &attempt).await.unwrap();
    let kinds: Vec<_> = removed.iter().map(|one| one.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["container", "network", "volume"]);
    assert!(left(&server, &daemon).await.is_empty());
}
