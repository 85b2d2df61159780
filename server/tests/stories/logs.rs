//! Logs: ranges, search, the whole as text; what is in them and what must not be.

use domain::{
    StageKind, Status,
    view::{LogMatches, LogPage, Stream},
};
use serde_json::json;
use std::fs;

use testkit::{Options, Server, Store, until};

use crate::{SEAMLESS, checked};

#[tokio::test]
async fn are_read_in_pieces_searched_and_taken_whole() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let print = "i=0; while [ $i -lt 2500 ]; do echo line $i; i=$((i+1)); done; printf 'La%s\\n' st >&2";
    let (_, settings) = checked(&server, "orders", json!({ "unit_test": print }));
    let service = api.connect(&settings).await;
    let run = api.start(&service).await;
    let run = api.succeeded(run.id).await;
    let stage = run.stage(StageKind::UnitTest).unwrap();
    let path = format!("/stages/{}/log", stage.id);

    let all = api.log(stage.id, 1).await;
    assert!(all.iter().enumerate().all(|(i, l)| l.seq == i as u64));
    assert!(all.windows(2).all(|two| two[0].at <= two[1].at), "times go on");
    let printed: Vec<&str> =
        all.iter().filter(|l| l.stream == Stream::Stdout).map(|l| l.text.as_str()).collect();
    assert_eq!(printed, (0..2500).map(|i| format!("line {i}")).collect::<Vec<_>>());
    let errors: Vec<&str> =
        all.iter().filter(|l| l.stream == Stream::Stderr).map(|l| l.text.as_str()).collect();
    assert_eq!(errors, ["Last"]);
    assert_eq!(stage.lines, all.len() as u64);

    let piece: LogPage = api.get(&format!("{path}?from=990&limit=25")).await.to(200);
    assert_eq!(piece.lines, all[990..1015]);
    assert_eq!((piece.next_seq, piece.total, piece.complete), (1015, all.len() as u64, false));
    let end: LogPage = api.get(&format!("{path}?from={}", all.len() - 3)).await.to(200);
    assert!(end.complete && end.lines.len() == 3);
    let beyond: LogPage = api.get(&format!("{path}?from=99999")).await.to(200);
    assert!(beyond.complete && beyond.lines.is_empty());

    let found: LogMatches = api.get(&format!("{path}?q=line%20249&limit=3")).await.to(200);
    assert_eq!(found.total, 11);
    assert_eq!(
        found.matches.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(),
        ["line 249", "line 2490", "line 2491"]
    );
    let total = async |q: &str| api.get(&format!("{path}?q={q}")).await.to::<LogMatches>(200).total;
    assert_eq!((total("last").await, total("Last").await, total("LAST").await), (1, 1, 0));

    let tail: LogPage = api.get(&format!("{path}?tail=5")).await.to(200);
    assert!(tail.complete && tail.lines == all[all.len() - 5..], "the last lines");
    let find = async |query: &str| api.get(&format!("{path}?{query}")).await.to::<LogMatches>(200);
    let texts = |found: &LogMatches| found.matches.iter().map(|m| m.text.clone()).collect::<Vec<_>>();
    let sevens = find("q=%5Eline%20%5B0-9%5D7%24&regex=true").await;
    assert_eq!((sevens.total, texts(&sevens)[8].as_str()), (9, "line 97"));
    // Window by window, in both directions.
    let first = find("q=line%2024&limit=100").await;
    assert_eq!((first.total, first.earlier, first.matches.len()), (111, 0, 100));
    let rest = find(&format!("q=line%2024&limit=100&from={}", first.next.unwrap())).await;
    assert_eq!((rest.total, rest.earlier, rest.matches.len(), rest.next), (111, 100, 11, None));
    let before = find(&format!("q=line%2024&limit=5&before={}", rest.matches[0].seq)).await;
    assert_eq!((before.total, before.earlier, before.next), (111, 95, first.next));
    assert_eq!(before.matches, first.matches[95..]);
    assert_eq!((find("q=last&case=exact").await.total, find("q=LAST&case=ignore").await.total), (0, 1));
    assert_eq!(find("errors=true").await.total, 0);
    for (wrong, field) in [
        ("q=%28&regex=true", "q"),
        ("regex=true", "regex"),
        ("q=a&tail=3", "tail"),
        ("tail=0", "tail"),
        ("tail=3&from=1", "tail"),
        ("q=a&from=1&before=2", "before"),
        ("q=a&errors=true", "errors"),
    ] {
        api.get(&format!("{path}?{wrong}")).await.names(&[field]);
    }

    let text = api.get(&format!("/stages/{}/log.txt", stage.id)).await;
    assert!(text.kind.starts_with("text/plain"));
    assert_eq!(
        text.text.lines().collect::<Vec<_>>(),
        all.iter().map(|l| l.text.as_str()).collect::<Vec<_>>()
    );
    for wrong in ["?attempt=2", ".txt?attempt=2"] {
        api.get(&format!("{path}{wrong}")).await.problem(404);
    }
    api.get(&format!("{path}?limit=10001")).await.names(&["limit"]);
    api.get("/stages/01JGQ5Y3X8V4T6R2N9M7K1H0FA/log.txt").await.problem(404);
}

#[tokio::test]
async fn are_archived_once_they_are_over_and_read_the_same_on_sqlite() {
    are_archived_once_they_are_over_and_read_the_same(Store::Sqlite).await;
}

#[tokio::test]
async fn are_archived_once_they_are_over_and_read_the_same_on_postgresql() {
    are_archived_once_they_are_over_and_read_the_same(Store::Postgres).await;
}

async fn are_archived_once_they_are_over_and_read_the_same(store: Store) {
    let mut server = Server::start_with(SEAMLESS, Options { store, ..Options::default() }).await;
    let go = server.scratch("go");
    // Little by little, so that it comes in many batches.
    let print = format!(
        "i=0; while ! [ -e {go} ]; do echo \"line $i\"; i=$((i+1)); sleep 0.02; done; printf '\\033[31merror:\\033[0m no tea\\n' >&2; exit 1",
        go = go.display()
    );
    let (_, settings) = checked(&server, "orders", json!({ "unit_test": print }));
    let service = server.api.connect(&settings).await;
    let run = server.api.start(&service).await;
    let run = server.api.stage_is(run.id, StageKind::UnitTest, Status::InProgress).await;
    let stage = run.stage(StageKind::UnitTest).unwrap().id;
    let rows = format!("SELECT COUNT(*) FROM log_chunk WHERE stage_id = '{stage}'");
    let waiting = format!("SELECT COUNT(*) FROM log_unarchived WHERE stage_id = '{stage}'");
    until("many small rows", async || (server.number(&rows).await > 3).then_some(())).await;
    let path = format!("/stages/{stage}/log");
    let live = server.api.log(stage, 1).await;
    let find =
        async |api: &testkit::Api, q: &str| api.get(&format!("{path}?{q}")).await.to::<LogMatches>(200);
    let found = find(&server.api, "q=line&limit=3").await;
    assert!(found.total >= 3 && server.number(&waiting).await == 1, "what still grows is searched and waits");

    fs::write(&go, "").unwrap();
    let run = server.api.ended(run.id).await;
    assert_eq!(run.status, Status::Failure);
    let over = server.api.log(stage, 1).await;
    assert_eq!(over[..live.len()], live);
    until("it is archived", async || (server.number(&waiting).await == 0).then_some(())).await;
    assert_eq!(server.number(&rows).await, 1, "one row holds it all");
    for _ in 0..2 {
        let api = &server.api;
        assert_eq!(api.log(stage, 1).await, over, "line by line the same");
        assert_eq!(api.run(run.id).await.stage(StageKind::UnitTest).unwrap().lines, over.len() as u64);
        let page: LogPage = api.get(&format!("{path}?from=2&limit=3")).await.to(200);
        assert_eq!((&page.lines[..], page.total), (&over[2..5], over.len() as u64));
        let text = api.get(&format!("/stages/{stage}/log.txt")).await;
        let lines: Vec<&str> = over.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(text.text.lines().collect::<Vec<_>>(), lines);
        assert_eq!(find(api, "q=line&limit=3").await.matches, found.matches);
        let error = find(api, "errors=true").await;
        assert_eq!(error.matches[0].text, "\u{1b}[31merror:\u{1b}[0m no tea", "found without its colours");
        // Nothing of it lives in the process alone.
        server.kill9();
        server.restart().await;
    }
}

#[tokio::test]
async fn show_colours_but_no_secrets() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let print = r#"printf '\033[31mred\033[0m\n'; echo "key: $KEY"; echo "$KEY" | base64; printf 'bad \377\376 bytes\n'; env"#;
    let (_, mut settings) = checked(&server, "orders", json!({ "unit_test": print }));
    settings["variables"] =
        json!({ "KEY": { "value": "s3cret-of-orders", "secret": true }, "LEVEL": "info" });
    let service = api.connect(&settings).await;
    let run = api.start(&service).await;
    let run = api.succeeded(run.id).await;
    let printed = api.printed(&run, StageKind::UnitTest).await;
    assert_eq!(printed[0], "\u{1b}[31mred\u{1b}[0m");
    assert_eq!(printed[1], "key: ******");
    assert!(printed[3].starts_with("bad ") && printed[3].ends_with(" bytes"), "{:?}", printed[3]);
    let all = printed.join("\n");
    assert!(!all.contains("s3cret-of-orders") && !all.contains("czNjcmV0LW9mLW9yZGVyc"), "{all}");
    // The environment is the stated one and nothing of the server's.
    let has = |variable: &str| printed.iter().any(|l| l == variable);
    assert!(
        has("CI=true")
            && has("LEVEL=info")
            && has("SEAMLESS_SERVICE=orders")
            && has(&format!("SEAMLESS_COMMIT={}", run.commit.sha))
    );
    for ours in ["SEAMLESS_DATA=", "SEAMLESS_LISTEN=", "DATABASE_URL=", "RUST_BACKTRACE="] {
        assert!(!printed.iter().any(|l| l.starts_with(ours)), "{ours} {all}");
    }
}
