//! A Docker daemon on another machine, as far as a network can tell: it and its containers live in a network namespace of their own,
//! and are reached over a wire (a veth pair) and TLS alone.
//!
//! A stand-in for a second machine: what it leaves unproven is another kernel and another clock. Needs root, `dockerd`, `ip`,
//! `nsenter` and `openssl`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The daemon, its network and its certificates; gone with its holder.
#[derive(Debug)]
pub struct FarDaemon {
    folder: tempfile::TempDir,
    wire: Wire,
    child: Child,
}

/// A network namespace at the other end of a wire.
#[derive(Debug)]
struct Wire {
    name: String,
    net: u32,
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Wire {
    /// The wire, unless this machine has no namespaces to give.
    fn lay() -> Option<Self> {
        let net = std::process::id() % 250;
        let wire = Self { name: format!("seamless-far-{}", std::process::id()), net };
        let (name, near, far) = (wire.name.clone(), format!("sfar{net}"), format!("{}/30", wire.far()));
        let near_address = format!("{}/30", wire.near());
        let steps: [&[&str]; 7] = [
            &["netns", "add", &name],
            &["link", "add", &near, "type", "veth", "peer", "name", "wire0", "netns", &name],
            &["address", "add", &near_address, "dev", &near],
            &["link", "set", &near, "up"],
            &["-n", &name, "address", "add", &far, "dev", "wire0"],
            &["-n", &name, "link", "set", "wire0", "up"],
            &["-n", &name, "link", "set", "lo", "up"],
        ];
        steps.into_iter().all(|step| run("ip", step)).then_some(wire)
    }

    fn near(&self) -> String {
        format!("10.213.{}.1", self.net)
    }

    fn far(&self) -> String {
        format!("10.213.{}.2", self.net)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        run("ip", &["netns", "delete", &self.name]); // takes the wire along
        run("ip", &["link", "delete", &format!("sfar{}", self.net)]);
    }
}

impl FarDaemon {
    /// One that answers, or none where that is not possible, and then the test that asks is skipped by its name.
    pub async fn find(test: &str) -> Option<Self> {
        let able = ["dockerd", "ip", "openssl"].iter().all(|program| {
            run(program, &["--version"]) || run(program, &["-V"]) || run(program, &["version"])
        });
        let wire = if rustix::process::geteuid().is_root() && able { Wire::lay() } else { None };
        let Some(wire) = wire else {
            crate::docker::skipped(test, "no root, no dockerd, or no network namespaces");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("dockerd-far-").tempdir().unwrap();
        certificates(folder.path(), &wire.far());
        let at = |name: &str| folder.path().join(name).display().to_string();
        let log = fs::File::create(at("log")).unwrap();
        let child = Command::new("nsenter")
            // Only the network: a namespace of `ip netns exec` would hide the control groups.
            .args([&format!("--net=/run/netns/{}", wire.name), "dockerd"])
            .args(["--data-root", &at("root"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("docker.sock"))])
            .args(["--host", &format!("tcp://{}:2376", wire.far()), "--tlsverify"])
            .args([
                "--tlscacert",
                &at("ca.pem"),
                "--tlscert",
                &at("server.pem"),
                "--tlskey",
                &at("server-key.pem"),
            ])
            // A registry at this end speaks plain HTTP.
            .args(["--insecure-registry", &format!("{}/30", wire.near())])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self { folder, wire, child };
        for _ in 0..300 {
            if run("docker", &["-H", &daemon.socket(), "version"]) {
                return Some(daemon);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{}", fs::read_to_string(daemon.folder.path().join("log")).unwrap());
    }

    /// Its address over the wire.
    pub fn host(&self) -> String {
        format!("tcp://{}:2376", self.wire.far())
    }

    /// The folder with `ca.pem`, `cert.pem` and `key.pem` that let one in.
    pub fn certificates(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Its own socket, for what a test does by hand.
    pub fn socket(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// The address of this end, as its machine sees it.
    pub fn near(&self) -> String {
        self.wire.near()
    }
}

impl Drop for FarDaemon {
    fn drop(&mut self) {
        run("kill", &[&self.child.id().to_string()]);
        let _ = self.child.wait();
    }
}

/// An authority, the daemon's certificate and that of a client.
fn certificates(folder: &Path, address: &str) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let with = |more: &[&'static str]| -> Vec<&str> {
        ["req"].into_iter().chain(key).chain(more.iter().copied()).collect()
    };
    openssl(&with(&[
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=authority",
        "-keyout",
        "ca-key.pem",
        "-out",
        "ca.pem",
    ]));
    openssl(&with(&["-subj", "/CN=daemon", "-keyout", "server-key.pem", "-out", "server.csr"]));
    openssl(&with(&["-subj", "/CN=client", "-keyout", "key.pem", "-out", "client.csr"]));
    fs::write(
        folder.join("server.ext"),
        format!("subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth\n"),
    )
    .unwrap();
    fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    for (name, out) in [("server", "server.pem"), ("client", "cert.pem")] {
        let (csr, ext) = (format!("{name}.csr"), format!("{name}.ext"));
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &csr,
            "-extfile",
            &ext,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-key.pem",
            "-CAcreateserial",
            "-out",
            out,
        ]);
    }
}
