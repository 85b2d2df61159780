//! Commands as they should not be.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{protocol::*, view::Stream};
use runner::{Cause, Ending};

use crate::support::*;

/// Seconds that no other process of this machine sleeps.
pub fn unique() -> String {
    (10_000_000 + random() % 90_000_000).to_string()
}

/// Whether a process with this argument lives.
pub fn lives(argument: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let path = entry.path();
        let zombie = || std::fs::read_to_string(path.join("stat")).is_ok_and(|s| s.contains(") Z "));
        std::fs::read_to_string(path.join("cmdline"))
            .is_ok_and(|line| line.split('\0').any(|a| a == argument) && !zombie())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_stated_in_full() {
    let server = Server::start().await;
    let mut job = server.command("env | sort; cat; echo out; echo err >&2");
    job.variables.push(JobVariable { name: "GREETING".into(), value: "hello".into(), secret: false });
    server.succeeds(job).await;
    let printed = server.printed();
    let names: Vec<_> = printed.iter().filter_map(|l| l.split_once('=')).map(|(name, _)| name).collect();
    let expected = [
        "CI",
        "CLICOLOR_FORCE",
        "FORCE_COLOR",
        "GREETING",
        "HOME",
        "LANG",
        "PATH",
        "PWD",
        "SEAMLESS",
        "SEAMLESS_BRANCH",
        "SEAMLESS_CACHE",
        "SEAMLESS_COMMIT",
        "SEAMLESS_RUN",
        "SEAMLESS_RUN_NUMBER",
        "SEAMLESS_SERVICE",
        "SEAMLESS_STAGE",
        "SEAMLESS_STAGE_ATTEMPT",
        "TERM",
        "TMPDIR",
    ];
    // Some shells count their own depth.
    let shells = ["_", "SHLVL", "OLDPWD"];
    // Which toolchains there are, and where, is the machine's to say.
    let names: Vec<_> =
        names.into_iter().filter(|n| !shells.contains(n) && !runner::TOOLCHAINS.contains(n)).collect();
    assert_eq!(names, expected);
    let lines = server.inner().lines.clone();
    assert!(lines.iter().any(|l| l.stream == Stream::Stderr && l.text == "err"));
    assert!(lines.iter().any(|l| l.stream == Stream::Stdout && l.text == "out"));
    assert!(lines.windows(2).all(|two| two[0].at <= two[1].at));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails() {
    let server = Server::start().await;
    let finish =
        server.fails(server.command("echo fine; echo 'Error: no x in y' >&2; echo more; exit 4")).await;
    assert!(finish.reason.unwrap().ends_with("exited with 4"));
    let error = finish.error.unwrap();
    assert_eq!(error.text, "Error: no x in y");
    assert_eq!(server.inner().lines[error.seq as usize].text, error.text);
    let finish = server.fails(server.command("kill -9 $$")).await;
    assert!(finish.reason.unwrap().starts_with("`kill -9 $$` was killed by signal 9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_exist() {
    let server = Server::start().await;
    let reason = server.fails(server.command("no-such-tool --fast")).await.reason.unwrap();
    assert!(reason.starts_with("not found: `no-such-tool` does not exist on this machine"), "{reason}");
    let job = server.command("./data.txt");
    std::fs::write(server.workspace(&job).join("data.txt"), "x").unwrap();
    let reason = server.fails(job).await.reason.unwrap();
    assert!(reason.contains("not an executable file"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_prints_ten_megabytes_without_a_line_end() {
    let server = Server::start().await;
    server.succeeds(server.command("head -c 10000000 /dev/zero | tr '\\0' x")).await;
    let printed = server.printed();
    assert_eq!(printed.iter().map(String::len).sum::<usize>(), 10_000_000);
    assert!(printed.iter().all(|l| l.len() <= 64 << 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_prints_what_is_not_text() {
    let server = Server::start().await;
    server.succeeds(server.command(r"printf 'a\377b\n\000\n\360\237\230\n'; printf 'no end'")).await;
    assert_eq!(server.printed(), ["a\u{fffd}b", "\0", "\u{fffd}", "no end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_ends() {
    let long = unique();
    let server = Server::start().await;
    let job = Job { timeout_s: 1, ..server.command(format!("echo waiting for godot; sleep {long}")) };
    let start = Instant::now();
    let finish = server.fails(job).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(finish.reason.unwrap().starts_with("Unit Test did not end within 1 s"));
    assert_eq!(finish.error.unwrap().text, "waiting for godot");
    assert!(!lives(&long));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ignores_sigterm_and_is_cancelled() {
    let long = unique();
    let server = Server::start().await;
    let job = server.command(format!(
        "trap '' TERM; echo begun; sleep {long} & (trap '' TERM; sleep {long}) & wait; sleep {long}"
    ));
    let credentials = server.offer(job);
    let running = tokio::spawn(async move {
        let target = Arc::new(FakeTarget::default());
        runner::stage::attempt(&credentials, target, Ending::default(), runner::stage::Adoption::Cookie)
            .await
            .code()
    });
    server.sees("begun").await;
    let start = Instant::now();
    server.inner().cancel = true;
    assert_eq!(running.await.unwrap(), 0);
    let took = start.elapsed();
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(16), "the grace was kept: {took:?}");
    let finish = server.inner().finishes[0].clone();
    assert_eq!((finish.outcome, finish.reason.as_deref()), (Outcome::Cancelled, Some("cancelled")));
    assert!(!lives(&long));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_leaves_children_behind() {
    let long = unique();
    let server = Server::start().await;
    // One in the background that holds the pipe, one that forked twice and closed it, one that ignores SIGTERM.
    let command = format!(
        "sleep {long} & (setsid sleep {long} >/dev/null 2>&1 &) ; (trap '' TERM; exec sleep {long}) & echo done"
    );
    let start = Instant::now();
    server.succeeds(server.command(command)).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(!lives(&long));
    assert!(
        server.log().contains("processes that the command left running were ended: sleep ("),
        "{}",
        server.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_writes_when_the_shell_is_gone_may_finish() {
    let server = Server::start().await;
    server.succeeds(server.command("(sleep 0.2; echo late) & echo early")).await;
    assert_eq!(server.printed(), ["early", "late"]);
    assert!(!server.log().contains("left running"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_attempt_ends_this_one() {
    let long = unique();
    let server = Server::start().await;
    let credentials = server.offer(server.command(format!("echo begun; sleep {long}")));
    let running = tokio::spawn(async move {
        let target = Arc::new(FakeTarget::default());
        runner::stage::attempt(&credentials, target, Ending::default(), runner::stage::Adoption::Cookie)
            .await
            .code()
    });
    server.sees("begun").await;
    server.inner().fenced = true;
    assert_eq!(running.await.unwrap(), runner::stage::End::Fenced.code());
    assert!(!lives(&long));
    assert!(server.inner().finishes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told_apart_from_a_cancel() {
    let long = unique();
    let server = Server::start().await;
    let ending = end_when(&server, "begun", Cause::Stopped);
    let job = server.command(format!("echo begun; sleep {long}"));
    let (code, finish) = server.run_with(job, Arc::new(FakeTarget::default()), ending).await;
    let finish = finish.unwrap();
    assert_eq!((code, finish.outcome), (0, Outcome::Cancelled));
    assert_eq!(finish.reason.as_deref(), Some("the runner was told to stop"));
}
