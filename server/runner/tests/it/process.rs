//! The runner as a process of its own: its credentials, its life, its orphans, its memory, a disk that is full.

use std::{
    fs::File,
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use domain::protocol::*;
use rustix::fs::{FlockOperation, flock};

use crate::{
    commands::{lives, unique},
    support::*,
};

/// Not a test: the runner itself, started by the tests below.
#[test]
#[ignore = "started by other tests"]
fn child() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let code = runtime.block_on(runner::run(Arc::new(FakeTarget::default())));
    if std::env::var_os("TELL_MEMORY").is_some() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap().to_owned();
        std::fs::write(std::env::var_os("TELL_MEMORY").unwrap(), peak).unwrap();
    }
    std::process::exit(code);
}

pub fn itself() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["process::child", "--exact", "--ignored", "--nocapture"]).stdout(Stdio::null());
    command
}

/// Starts a runner as the server does: the locked credentials file is its standard input.
pub fn start(server: &Server, job: Job, mut command: Command) -> (Child, std::path::PathBuf) {
    let credentials = server.offer(job);
    let path = server.data().join("credentials");
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    file.write_all(&serde_json::to_vec(&credentials).unwrap()).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    (command.stdin(file).spawn().unwrap(), path)
}

fn locked(path: &std::path::Path) -> bool {
    flock(File::open(path).unwrap(), FlockOperation::NonBlockingLockExclusive).is_err()
}

pub async fn ended(mut child: Child) -> Option<i32> {
    tokio::task::spawn_blocking(move || child.wait().unwrap().code()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_life_is_told_by_the_lock_and_its_token_leaves_the_disk() {
    let long = unique();
    let server = Server::start().await;
    let job = server.command(format!("(setsid sleep {long} >/dev/null 2>&1 &) ; echo begun; sleep {long}"));
    let cookie = format!("{}.{}", job.stage, job.attempt);
    let (mut child, path) = start(&server, job, itself());
    server.sees("begun").await;
    eventually("a process that leaves its session", || lives(&long)).await;
    assert!(locked(&path));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "the token is gone from the disk");
    child.kill().unwrap();
    ended(child).await;
    assert!(!locked(&path), "no process that it started holds the lock");
    eventually("what kill -9 leaves behind", || lives(&long)).await;
    let found = runner::tree::kill(&cookie, Duration::from_secs(5)).await;
    assert!(found.iter().any(|p| p.name == "sleep"), "{found:?}");
    assert!(!lives(&long));
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_without_a_cookie_are_found_too() {
    let (long, longer) = (unique(), unique());
    let server = Server::start().await;
    let job = server.command(format!("(env -i setsid sleep {long} >/dev/null 2>&1 &) ; echo done"));
    let (child, _) = start(&server, job, itself());
    assert_eq!(ended(child).await, Some(0));
    assert!(!lives(&long));
    assert!(server.log().contains("left running were ended: sleep"), "{}", server.log());

    let job = server.command(format!("(env -i setsid sh -c 'trap \"\" TERM; sleep {longer}; sleep {longer}' >/dev/null 2>&1 &) ; echo begun; sleep {longer}"));
    let (child, _) = start(&server, job, itself());
    server.sees("begun").await;
    server.inner().cancel = true;
    assert_eq!(ended(child).await, Some(0));
    assert_eq!(server.inner().finishes[0].outcome, Outcome::Cancelled);
    assert!(!lives(&longer));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_its_start_to_the_first_line_it_takes_no_time() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let commit = repository.commit("One", &[("a", "")]);
    server.succeeds(repository.prepare(&server, &commit, None)).await; // the mirror is there, as in all but the first run
    let commit = repository.commit("Two", &[("a", "x")]);
    let mut took = Vec::new();
    for _ in 0..9 {
        server.inner().job = None;
        let job = repository.prepare(&server, &commit, Some("echo begun"));
        let start = std::time::Instant::now();
        let (child, _) = start_runner(&server, job);
        server.sees("Stdout: begun").await;
        took.push(start.elapsed());
        assert_eq!(ended(child).await, Some(0));
    }
    took.sort();
    println!("fastest {:?}, median {:?}", took[0], took[4]);
    assert!(took[0] < Duration::from_millis(500), "{took:?}");
}

fn start_runner(server: &Server, job: Job) -> (Child, std::path::PathBuf) {
    start(server, job, itself())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_in_order() {
    let long = unique();
    let server = Server::start().await;
    let (child, _) = start(&server, server.command(format!("echo begun; sleep {long}")), itself());
    server.sees("begun").await;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(ended(child).await, Some(0));
    let finish = server.inner().finishes[0].clone();
    assert_eq!(
        (finish.outcome, finish.reason.as_deref()),
        (Outcome::Cancelled, Some("the runner was told to stop"))
    );
    assert!(!lives(&long));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_it_does_nothing() {
    for text in ["", "{}", "nonsense"] {
        let mut child = itself().stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert_eq!(ended(child).await, Some(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_of_output_fits_into_little_memory() {
    let server = Server::start().await;
    // Four hundred thousand lines on the way, one gigabyte in all.
    server.inner().brief = true;
    let command = "yes \"$(head -c 2499 /dev/zero | tr '\\0' 'y')\" | head -c 1000000000";
    let job = Job { timeout_s: 900, ..server.command(command) };
    let memory = server.data().join("memory");
    let mut command = itself();
    command.env("TELL_MEMORY", &memory);
    let (child, _) = start(&server, job, command);
    assert_eq!(ended(child).await, Some(0));
    let printed = server.printed();
    assert_eq!(printed.len(), 400_000);
    assert!(printed.iter().all(|l| l == "2499"));
    let peak = std::fs::read_to_string(memory).unwrap();
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 64 << 10, "{peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told() {
    // A small file system of its own, in a namespace of its own.
    let wrap = |server: &Server| {
        let data = server.data().to_string_lossy().into_owned();
        let script = format!("mount -t tmpfs -o size=3m tmpfs {data} && mkdir -p {data}/work && exec \"$@\"");
        let mut command = Command::new("unshare");
        let own = itself();
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
        command.arg(own.get_program()).args(own.get_args()).stdout(Stdio::null());
        command.process_group(0);
        command
    };
    let allowed = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /tmp"])
        .stderr(Stdio::null())
        .status();
    if !allowed.is_ok_and(|s| s.success()) {
        println!("skipped: this machine allows no file system of one's own");
        return;
    }

    // The checkout does not fit.
    let (server, repository) = (Server::start().await, Repository::empty());
    let noise: String =
        (0..700_000u64).map(|i| format!("{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let commit = repository.commit("Large", &[("large", &noise)]);
    let (child, _) = start(&server, repository.prepare(&server, &commit, None), wrap(&server));
    assert_eq!(ended(child).await, Some(0));
    let reason = server.inner().finishes[0].reason.clone().unwrap();
    assert!(reason.starts_with("the disk is full"), "{reason}");

    // The command's own files do not fit, nor what it prints meanwhile.
    repository.git(&["checkout", "--quiet", "--orphan", "small"]);
    let small = repository.commit("Small", &[("large", "x")]);
    repository.git(&["branch", "--quiet", "-f", "main", "small"]);
    repository.git(&["checkout", "--quiet", "main"]);
    let command = "head -c 50000000 /dev/zero > more; seq 1 20000; exit 1";
    let (child, _) = start(&server, repository.prepare(&server, &small, Some(command)), wrap(&server));
    assert_eq!(ended(child).await, Some(0), "{}", server.log());
    let finish = server.inner().finishes[0].clone();
    let reason = finish.reason.unwrap();
    assert!(reason.starts_with("the disk is full"), "{reason}\n{:?}", finish.error);
    let printed = server.printed();
    assert_eq!(printed.last().map(String::as_str), Some("20000"), "what does not fit waits, and comes");
    assert_eq!(printed.len(), 20_001);
}
