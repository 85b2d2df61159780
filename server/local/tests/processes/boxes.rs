//! Images of the test service, containers of a bench, and Docker's own words.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

use domain::{
    containers::ContainerSettings,
    protocol::{Container, DeployWork},
};
use runner::docker::labels;

use crate::bench::Bench;

pub fn host() -> Option<String> {
    std::env::var("SEAMLESS_TEST_DOCKER").ok().filter(|host| !host.is_empty())
}

pub fn docker(arguments: &[&str]) -> Command {
    docker_on(host().as_deref(), arguments)
}

fn docker_on(host: Option<&str>, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    command.args(arguments);
    command
}

pub fn daemon() -> bool {
    let mut asked = docker(&["version", "--format", "{{.Server.Version}}"]);
    asked.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What Docker says to this; it must not refuse.
pub fn said(arguments: &[&str]) -> String {
    said_on(host().as_deref(), arguments)
}

pub fn said_on(host: Option<&str>, arguments: &[&str]) -> String {
    let output = docker_on(host, arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "docker {arguments:?}: {err}");
    out.trim().to_owned()
}

/// The test service's program, made once.
fn program() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/service.c");
    let changed = |path: &str| fs::metadata(path).and_then(|m| m.modified()).unwrap();
    let made = folder.join("containers-service");
    if fs::metadata(&made).and_then(|m| m.modified()).is_ok_and(|at| at > changed(source)) {
        return made;
    }
    let own = folder.join(format!("containers-service.{}", std::process::id()));
    let mut gcc = Command::new("gcc");
    gcc.args(["-D_GNU_SOURCE", "-O1", "-static", "-pthread", "-o"]).arg(&own).arg(source);
    assert!(gcc.status().unwrap().success());
    fs::rename(own, &made).unwrap();
    made
}

/// An image of the test service.
pub fn image_on(host: Option<&str>, version: &str, exposed: &[u16]) -> String {
    let exposed: Vec<String> = exposed.iter().map(|port| format!("EXPOSE {port}")).collect();
    image_with(host, version, &exposed)
}

/// The same with other instructions of a Dockerfile.
pub fn image_with(host: Option<&str>, version: &str, changes: &[String]) -> String {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    let bundle = MADE.get_or_init(|| {
        let program = program();
        let (folder, name) = (program.parent().unwrap(), program.file_name().unwrap());
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder).arg("-c").arg(name);
        tar.output().unwrap().stdout
    });
    let mut import = vec!["import".to_owned(), "-m".into(), "test".into()];
    for change in [r#"CMD ["/containers-service"]"#.to_owned(), format!("ENV VERSION={version}")] {
        import.extend(["--change".into(), change]);
    }
    for change in changes {
        import.extend(["--change".into(), change.clone()]);
    }
    let import: Vec<&str> = import.iter().map(String::as_str).chain(["-"]).collect();
    let mut child = docker_on(host, &import).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bundle).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

/// The images of a test, by version; they go with it, after the containers made of them.
pub struct Images(BTreeMap<String, String>);

impl Images {
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// A deployment of a version as a container.
    pub fn work(&mut self, bench: &Bench, version: &str) -> DeployWork {
        let image =
            self.0.entry(version.into()).or_insert_with(|| image_on(host().as_deref(), version, &[8080]));
        of_image(bench, version, image.clone())
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        for image in self.0.values() {
            let _ = docker(&["image", "rm", image]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

pub fn of_image(bench: &Bench, version: &str, image: String) -> DeployWork {
    let mut work = bench.work(version);
    work.launch.artifact = image;
    work.launch.start = String::new();
    let settings = ContainerSettings { host: host(), ..ContainerSettings::default() };
    work.launch.container = Some(Container { settings, ..Container::default() });
    work
}

pub fn container(work: &mut DeployWork) -> &mut Container {
    work.launch.container.as_mut().unwrap()
}

/// The containers of a bench, as `id state`, newest first.
pub fn all(bench: &Bench) -> Vec<(String, String)> {
    all_on(bench, host().as_deref())
}

pub fn all_on(bench: &Bench, host: Option<&str>) -> Vec<(String, String)> {
    let label = format!("label={}={}", labels::INSTANCE, labels::instance(bench.folder.path()));
    let lines =
        said_on(host, &["ps", "-a", "--no-trunc", "--filter", &label, "--format", "{{.ID}} {{.State}}"]);
    lines.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.into(), b.into())).collect()
}

/// The id of what is live.
pub fn live(bench: &Bench) -> String {
    let started = bench.place().load().unwrap().live.unwrap().started.unwrap();
    started.container().unwrap().container.clone()
}

/// Waits until exactly what is live runs, and nothing is there that is neither live nor kept.
pub async fn settled(bench: &Bench) {
    settled_on(bench, host().as_deref()).await;
}

/// The same on another daemon.
pub async fn settled_on(bench: &Bench, host: Option<&str>) {
    for _ in 0..400 {
        let (state, there) = (bench.place().load().unwrap(), all_on(bench, host));
        let live =
            state.live.as_ref().and_then(|l| l.started.as_ref()?.container()).map(|c| c.container.clone());
        let running: Vec<_> =
            there.iter().filter(|(_, s)| s == "running").map(|(id, _)| id.clone()).collect();
        let known = |id: &String| Some(id) == live.as_ref() || state.kept.iter().any(|k| k.container == *id);
        if running == Vec::from_iter(live.clone()) && there.iter().all(|(id, _)| known(id)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{:?} beside {:?}", all_on(bench, host), bench.place().load().unwrap().kept);
}
