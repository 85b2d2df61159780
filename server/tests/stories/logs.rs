//! Logs: ranges, search, the whole as text; what is in them and what must not be.

use domain::{
    StageKind,
    view::{LogMatches, LogPage, Stream},
};
use serde_json::json;
use testkit::Server;

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
