//! Runners start, outlive the server, and end with everything they started.

use std::{fs, io::Read, path::Path, process::ExitCode, time::Duration};

use control::ports::{Attempt, Launcher};
use domain::{RunId, StageId, StageKind, protocol::Credentials};
use libtest_mimic::Trial;
use local::ProcessLauncher;

use crate::test;

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_runner_lives_until_it_ends", a_life),
        test("a_runner_is_killed_with_its_whole_tree", a_kill),
        test("a_runner_outlives_the_server", a_dead_server),
    ]
}

/// This program as a runner: it says what it got, then does what its token says.
pub fn runner() -> ExitCode {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let credentials: Credentials = serde_json::from_str(&text).unwrap();
    let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    names.sort();
    fs::write("told", names.join(" ")).unwrap();
    if credentials.token == "end" {
        return ExitCode::FAILURE;
    }
    // One in its own session, one without any of our environment.
    let script = "setsid sleep 600 & env -i sleep 600 & echo $! > nameless; : > ready; wait";
    let _ = std::process::Command::new("sh").args(["-c", script]).status();
    ExitCode::SUCCESS
}

/// This program as a server that starts a runner and dies.
pub fn server(data: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(launcher(Path::new(data)).launch(&attempt("stay"))).unwrap();
    std::process::abort()
}

fn launcher(data: &Path) -> ProcessLauncher {
    ProcessLauncher::new(std::env::current_exe().unwrap(), data, "http://127.0.0.1:1")
}

fn attempt(token: &str) -> Attempt {
    Attempt {
        run: RunId::from_parts(1, 1),
        stage: StageId::from_parts(1, 2),
        attempt: 3,
        kind: StageKind::Prepare,
        token: token.to_owned().into(),
    }
}

async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_life() {
    let data = tempfile::tempdir().unwrap();
    let launcher = launcher(data.path());
    let attempt = attempt("end");
    assert!(!launcher.alive(attempt.stage, 3).await.unwrap());
    launcher.launch(&attempt).await.unwrap();
    let folder = data.path().join("stages").join(format!("{}.3", attempt.stage));
    while launcher.alive(attempt.stage, 3).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let told = fs::read_to_string(folder.join("told")).unwrap();
    let passed = ["PATH", "HOME", "RUST_LOG", "SEAMLESS_DATA", "SEAMLESS_STAGE_ATTEMPT", "SSH_AUTH_SOCK"];
    let known = |name: &&str| {
        passed.contains(name)
            || runner::TOOLCHAINS.contains(name)
            || runner::docker::DAEMON.contains(name)
            || name.to_uppercase().ends_with("_PROXY")
            || name.starts_with("SSL_CERT")
    };
    assert!(told.split(' ').all(|name| known(&name)), "{told}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(folder.join("credentials")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    // No zombie stays.
    let pid = fs::read_to_string(folder.join("pid")).unwrap();
    while Path::new("/proc").join(&pid).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_kill() {
    let data = tempfile::tempdir().unwrap();
    let (launcher, attempt) = (launcher(data.path()), attempt("stay"));
    launcher.launch(&attempt).await.unwrap();
    let folder = data.path().join("stages").join(format!("{}.3", attempt.stage));
    appears(&folder.join("ready")).await;
    let pid = fs::read_to_string(folder.join("pid")).unwrap();
    launcher.launch(&attempt).await.unwrap();
    assert_eq!(fs::read_to_string(folder.join("pid")).unwrap(), pid, "starting twice is one start");
    assert!(launcher.alive(attempt.stage, 3).await.unwrap());
    assert!(!launcher.alive(attempt.stage, 2).await.unwrap());
    launcher.kill(attempt.stage, 3).await.unwrap();
    assert!(!launcher.alive(attempt.stage, 3).await.unwrap());
    let nameless = fs::read_to_string(folder.join("nameless")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", nameless.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    launcher.kill(attempt.stage, 3).await.unwrap();
}

async fn a_dead_server() {
    let data = tempfile::tempdir().unwrap();
    let server = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("server")
        .arg(data.path())
        .status()
        .unwrap();
    assert!(!server.success());
    let (launcher, attempt) = (launcher(data.path()), attempt("stay"));
    assert!(launcher.alive(attempt.stage, 3).await.unwrap());
    appears(&data.path().join("stages").join(format!("{}.3", attempt.stage)).join("ready")).await;
    launcher.kill(attempt.stage, 3).await.unwrap();
    assert!(!launcher.alive(attempt.stage, 3).await.unwrap());
}
