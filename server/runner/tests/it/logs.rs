//! No line is lost, doubled or changed on its way, whatever the server does; and no secret gets into it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::protocol::*;
use runner::Ending;

use crate::support::*;

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..=to).map(|i| format!("line {i}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_on_the_way() {
    let server = Server::start().await;
    let faults = [
        Fault::Refuse,
        Fault::LoseAnswer,
        Fault::StoreAndFail,
        Fault::Forget(3),
        Fault::LoseAnswer,
        Fault::Forget(1),
        Fault::Refuse,
        Fault::Refuse,
        Fault::Busy(1),
        Fault::Forget(40),
    ];
    server.inner().faults.extend(faults);
    // Several batches: a pause now and then.
    let command =
        "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; [ $((i%100)) = 0 ] && sleep 0.03; done; :";
    server.succeeds(server.command(command)).await;
    assert_eq!(server.printed(), numbered(1, 2000));
    assert!(server.inner().faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_a_while() {
    let server = Server::start().await;
    let job = server.command("seq -f 'line %.0f' 1 100; until test -f go; do sleep 0.01; done; seq -f 'line %.0f' 101 60000; touch gone-on; sleep 0.3; seq -f 'line %.0f' 60001 60100");
    let workspace = server.workspace(&job);
    let credentials = server.offer(job);
    let running = tokio::spawn(async move {
        let target = Arc::new(FakeTarget::default());
        runner::stage::attempt(&credentials, target, Ending::default(), runner::stage::Adoption::Cookie)
            .await
            .code()
    });
    server.sees("line 100").await;
    server.leave();
    std::fs::write(workspace.join("go"), "").unwrap();
    eventually("the end of the command", || workspace.join("gone-on").exists()).await;
    tokio::time::sleep(Duration::from_millis(700)).await; // the outage itself
    assert!(server.inner().lines.len() < 200, "the command went on without the server");
    server.come_back().await;
    assert_eq!(running.await.unwrap(), 0);
    assert_eq!(server.printed(), numbered(1, 60100));
    assert_eq!(server.inner().finishes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restored_from_a_backup_gets_the_log_again() {
    let server = Server::start().await;
    server.inner().forgets = true;
    server.succeeds(server.command("seq -f 'line %.0f' 1 5000")).await;
    assert!(!server.inner().forgets, "it had forgotten");
    assert_eq!(server.printed(), numbered(1, 5000));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_nobody_has_any_more_are_told_and_the_others_keep_their_numbers() {
    let server = Server::start().await;
    server.inner().forgets = true;
    // Six megabytes: more than is kept here once the server has it.
    server.succeeds(server.command("seq -f 'line %01000.0f' 1 6000")).await;
    let inner = server.inner();
    assert!(!inner.forgets, "it had forgotten");
    let first = &inner.lines[0].text;
    assert!(first.starts_with("lines 1 to ") && first.contains(" are lost: the server had them"), "{first}");
    let number = |text: &str| text.strip_prefix("line ").and_then(|number| number.parse::<usize>().ok());
    let kept = inner.lines.iter().enumerate().filter_map(|(at, line)| Some((at, number(&line.text)?)));
    let before: std::collections::BTreeSet<usize> = kept.map(|(at, number)| at - number).collect();
    assert!(before.len() <= 1, "{before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_behind_is_waited_for_or_not_as_the_rules_say() {
    for behind in [Behind::Wait, Behind::Spool] {
        let server = Server::start().await;
        server.inner().brief = true;
        let mut job = server.command("head -c 96000000 /dev/zero | tr '\\0' x | fold -w 1000; touch gone-on");
        job.log.behind = behind;
        let gone_on = server.workspace(&job).join("gone-on");
        let spool = server.data().join("stages").join(format!("{}.{}", job.stage, job.attempt)).join("spool");
        let running = {
            let server = server.clone();
            tokio::spawn(async move { server.succeeds(job).await })
        };
        let size = || std::fs::metadata(&spool).map_or(0, |m| m.len());
        let busy = || server.inner().faults.resize_with(1, || Fault::Busy(1));
        if behind == Behind::Spool {
            eventually("the end of the command", || {
                busy();
                gone_on.exists()
            })
            .await;
        } else {
            eventually("a long backlog", || {
                busy();
                size() >= 64 << 20
            })
            .await;
            for _ in 0..100 {
                busy();
                assert!(!gone_on.exists() && size() < 80 << 20, "the command waits");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        server.inner().faults.clear();
        running.await.unwrap();
        assert_eq!(server.inner().lines.iter().filter(|line| line.text == "1000").count(), 96_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_line_comes_at_once_and_a_stream_not_line_by_line() {
    let server = Server::start().await;
    let job = server
        .command("echo first; sleep 1; i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.01; done");
    let start = Instant::now();
    let running = {
        let server = server.clone();
        tokio::spawn(async move { server.succeeds(job).await })
    };
    server.sees("first").await;
    // The command sleeps a second between its first line and the next.
    assert!(!server.printed().iter().any(|line| line == "1"), "{:?}", start.elapsed());
    running.await.unwrap();
    let batches = server.inner().batches.clone();
    // Fifty times a second at most, and the first few at once. On a busy machine the same hundred lines take longer.
    let most = 15 + start.elapsed().saturating_sub(Duration::from_secs(1)).as_millis() / 20;
    assert!((batches.len() as u128) < most, "{} batches, at most {most}: {batches:?}", batches.len());
    let lines = server.inner().lines.clone();
    assert_eq!(lines.len(), 102);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_do_not_get_into_the_log() {
    let server = Server::start().await;
    let mut job = server.command(
        r#"echo "key $KEY."; printf %s "$KEY" | base64; printf s3cr; sleep 0.2; echo 'et/va+lue'; printf '%s\n' "$LINES"; echo $PIN; echo "{"; echo err $KEY >&2; echo $KEY | od -An -tx1 | tr -d ' \n'"#,
    );
    for (name, value) in [("KEY", "s3cret/va+lue"), ("LINES", "{\n  \"key\": \"abc\"\n}"), ("PIN", "1234")] {
        job.variables.push(JobVariable { name: name.into(), value: value.into(), secret: true });
    }
    server.succeeds(job).await;
    let mut printed = server.printed();
    printed.retain(|l| !l.starts_with("err"));
    assert_eq!(
        printed,
        ["key ******.", "******==", "******", "******", "1234", "{", "******0a"],
        "{}",
        server.log()
    );
    assert!(server.log().contains("err ******"));
    assert!(server.log().contains("warning: the secret PIN is too short"), "{}", server.log());
    let spool = std::fs::read_dir(server.data().join("stages")).unwrap().count();
    assert_eq!(spool, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_may_ask_for_masks_while_it_runs() {
    let server = Server::start().await;
    // A server that reads nothing but JSON is told too.
    server.inner().plain = true;
    let command = r#"echo before t0ken-value; printf '::add-mask::t0ken'; sleep 0.1; printf -- '-value\n'; echo "got t0ken-value"
        echo t0ken-value | base64; echo '  ::add-mask::line one%0Aline two'; printf 'line one\nline two\nline one\n'; echo ::add-mask::abc; echo abc
        until test -f go; do sleep 0.01; done; echo t0ken-value >&2"#;
    let job = server.command(command);
    let go = server.workspace(&job).join("go");
    let running = {
        let server = server.clone();
        tokio::spawn(async move { server.succeeds(job).await })
    };
    server.sees("Stdout: abc").await;
    std::fs::write(go, "").unwrap();
    running.await.unwrap();
    let printed = server.printed();
    let expected = ["before t0ken-value", "got ******", "******K", "******", "******", "abc", "******"];
    assert_eq!(printed, expected, "{}", server.log());
    assert!(
        server.log().contains("given to ::add-mask:: under 6 characters: not masked"),
        "{}",
        server.log()
    );
    assert_eq!(server.inner().masks, ["t0ken-value", "line one\nline two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_past_its_cap_keeps_its_head_and_its_tail() {
    let server = Server::start().await;
    let job = server.command("seq -f 'line %.0f' 1 50000; echo 'error: no tea'; exit 1");
    let log = LogRules { lines: 1000, ..LogRules::default() };
    let finish = server.fails(Job { log, ..job }).await;
    let lines = server.inner().lines.clone();
    assert!((800..=1000).contains(&lines.len()), "{}", lines.len());
    let texts: Vec<&str> = lines.iter().map(|l| l.text.as_str()).collect();
    let full = texts.iter().position(|t| t.starts_with("this log is full (cap 1,000 lines)")).unwrap();
    assert!(texts[full + 1].ends_with("lines left out (cap 1,000 lines) ..."), "{}", texts[full + 1]);
    let printed = server.printed();
    assert_eq!((printed[0].as_str(), printed[printed.len() - 2].as_str()), ("line 1", "line 50000"));
    assert!(texts[texts.len() - 1].contains("exited with 1"), "our own lines stand where they were said");
    let error = finish.error.unwrap();
    assert_eq!(
        texts[error.seq as usize], "error: no tea",
        "the line to look at first is where it is said to be"
    );
    assert_eq!(finish.lines, texts.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_makes_the_child_wait_and_loses_nothing() {
    let server = Server::start().await;
    // Longer than what may wait unsent.
    server.succeeds(server.command("head -c 100000000 /dev/zero | tr '\\0' 'y' | fold -w 999")).await;
    let bytes: usize = server.printed().iter().map(String::len).sum();
    assert_eq!(bytes, 100_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_goes_when_the_server_has_it_all() {
    let server = Server::start().await;
    let job = server.command("echo x");
    let spool = runner::paths::Data::new(server.data()).stage(job.stage, job.attempt).join("spool");
    let target = Arc::new(FakeTarget::default());
    let (code, finish) = server.run_with(job, target, Ending::default()).await;
    assert_eq!((code, finish.map(|f| f.lines)), (0, Some(2)));
    assert!(!spool.exists());
}
