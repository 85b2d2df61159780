//! A Docker daemon of the test's own, which is killed.
//!
//! Needs root and `dockerd`; without them it is skipped, by its name.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use libtest_mimic::Trial;
use runner::{LogSink, Target};
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{Bench, variable},
    boxes::{container, image_on, live, of_image, settled_on},
    test,
};

pub fn trials() -> Vec<Trial> {
    let can = rustix::process::geteuid().is_root()
        && Command::new("dockerd").arg("--version").stdout(Stdio::null()).status().is_ok();
    vec![test("a_daemon_killed_in_a_deploy_leaves_the_old_version", killed).with_ignored_flag(!can)]
}

struct Daemon {
    folder: tempfile::TempDir,
    child: Child,
}

impl Daemon {
    fn spawn(folder: &tempfile::TempDir) -> Child {
        let at = |name: &str| folder.path().join(name).display().to_string();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(at("log")).unwrap();
        Command::new("dockerd")
            .args(["--data-root", &at("root"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            // Beside the machine's own daemon, on the same bridge: one that is told of another removes `docker0` for both.
            .args(["--host", &format!("unix://{}", at("docker.sock")), "--iptables=false"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("dockerd-").tempdir().unwrap();
        let child = Self::spawn(&folder);
        let daemon = Self { folder, child };
        daemon.answers().await;
        daemon
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    async fn answers(&self) {
        for _ in 0..300 {
            let mut asked = Command::new("docker");
            asked.args(["-H", &self.host(), "version"]).stdout(Stdio::null()).stderr(Stdio::null());
            if asked.status().unwrap().success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Its containerd goes with it. Where nobody takes in orphans their numbers seem to live on, so they are not believed.
        for pid in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(self.folder.path().join(pid));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It takes what it runs along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        // What the one that was killed had mounted.
        let folder = self.folder.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        for mount in
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|m| m.starts_with(&folder))
        {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
    }
}

async fn killed() {
    let mut daemon = Daemon::start().await;
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

    daemon.child = Daemon::spawn(&daemon.folder);
    daemon.answers().await;
    settled_on(&bench, Some(&host)).await;
    bench.until("healthy", |report| report.health == "healthy").await;
    assert_eq!((live(&bench), bench.get("/").await), (old, (200, "v0".into())));
    bench.deploy(&work("v2")).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v2".into()));
    drop(bench);
}
