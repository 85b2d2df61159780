//! A Docker daemon of a test's own, which may be killed while it works.
//!
//! Needs root and `dockerd`. Refuses to touch the machine's own daemon.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A daemon of a test's own, beside the machine's; it may be killed. Gone with its holder.
#[derive(Debug)]
pub struct OwnDaemon {
    folder: tempfile::TempDir,
    child: Child,
}

impl OwnDaemon {
    fn spawn(folder: &tempfile::TempDir) -> Child {
        let at = |name: &str| folder.path().join(name).display().to_string();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(at("log")).unwrap();
        Command::new("dockerd")
            .args(["--data-root", &at("root"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            // Beside the machine's own daemon, on the same bridge: one that is told of another removes `docker0` for both.
            .args(["--host", &format!("unix://{}", at("docker.sock")), "--iptables=false"])
            // Networks of two daemons must not have the same addresses, and neither knows the other's.
            .args([
                "--default-address-pool",
                &format!("base=10.{}.0.0/16,size=24", 100 + std::process::id() % 100),
            ])
            .args(Self::same_bridge())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Leaves the address of the bridge as it is, which would else become one of its own; its containers get the bridge's last addresses.
    fn same_bridge() -> Vec<String> {
        let asked = Command::new("ip").args(["-4", "-o", "address", "show", "docker0"]).output();
        let said =
            asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let address = said.split_whitespace().skip_while(|word| *word != "inet").nth(1);
        let Some((address, "16")) = address.and_then(|a| a.split_once('/')) else { return Vec::new() };
        let Some((net, _)) = address.rsplit_once('.').and_then(|(net, _)| net.rsplit_once('.')) else {
            return Vec::new();
        };
        vec![format!("--bip={address}/16"), format!("--fixed-cidr={net}.254.0/24")]
    }

    /// Whether one can be started here.
    pub fn possible() -> bool {
        let version = Command::new("dockerd").arg("--version").stdout(Stdio::null()).status();
        rustix::process::geteuid().is_root() && version.is_ok()
    }

    /// One, or none where it is not possible, and then the test that asks is skipped by its name.
    pub async fn find(test: &str) -> Option<Self> {
        if Self::possible() {
            return Some(Self::start().await);
        }
        crate::docker::skipped(test, "no dockerd, or not root");
        None
    }

    /// Starts one, and returns when it answers.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("dockerd-").tempdir().unwrap();
        let child = Self::spawn(&folder);
        let daemon = Self { folder, child };
        daemon.answers().await;
        // It leaves the machine's packet filter alone, and what another daemon set there stops its containers' packets.
        filter("-I");
        daemon
    }

    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// Returns when it answers.
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

    /// Starts it again on what it kept.
    pub async fn restart(&mut self) {
        self.child = Self::spawn(&self.folder);
        self.answers().await;
    }

    /// Ends it without a word.
    pub fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Its containerd goes with it. Where nobody takes in orphans their numbers seem to live on, so they are not believed.
        for pid in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(self.folder.path().join(pid));
        }
    }
}

impl Drop for OwnDaemon {
    fn drop(&mut self) {
        filter("-D");
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

/// The addresses of its networks.
fn addresses() -> String {
    format!("10.{}.0.0/16", 100 + std::process::id() % 100)
}

/// Lets its containers reach each other, or no more.
fn filter(change: &str) {
    let between = ["-w", change, "FORWARD", "-s", &addresses(), "-d", &addresses(), "-j", "ACCEPT"];
    let _ = Command::new("iptables").args(between).stderr(Stdio::null()).status(); // no filter, nothing to open
}
