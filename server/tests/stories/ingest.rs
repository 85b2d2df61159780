//! Log lines at the server's door, spoken by hand: in both forms, many at once, wrong ones among right ones, and looked through once more.

use domain::{
    StageId, StageKind, Status, Timestamp,
    protocol::{Credentials, LogBatch, NewLine},
    view::Stream,
};
use lines::{
    block,
    wire::{self, Head},
};
use serde_json::{Value, json};
use testkit::{Answer, Api, Options, Server, Store};

use crate::{SEAMLESS, checked};

fn line(text: &str) -> NewLine {
    NewLine { at: Timestamp(1_700_000_000_000), stream: Stream::Stdout, text: text.into() }
}

fn numbered(from: usize, to: usize) -> Vec<NewLine> {
    (from..to).map(|i| line(&format!("line {i}"))).collect()
}

/// A batch as runners send it.
fn packed(first_seq: u64, lines: &[NewLine]) -> Vec<u8> {
    let head = Head { first_seq, masks: Vec::new() };
    wire::write(&head, &block::pack(lines, 1).unwrap()).unwrap()
}

/// Somebody who speaks as an attempt's runner.
struct ByHand<'a> {
    server: &'a Server,
    credentials: Credentials,
}

impl<'a> ByHand<'a> {
    /// The first stage of a new run, once it is in progress.
    async fn begins(server: &'a Server, name: &str, secrets: Value) -> Self {
        let (_, mut settings) = checked(server, name, json!({ "prepare": "true" }));
        settings["variables"] = secrets;
        let service = server.api.connect(&settings).await;
        let run = server.api.start(&service).await;
        let run = server.api.stage_is(run.id, StageKind::Prepare, Status::InProgress).await;
        let stage = run.stage(StageKind::Prepare).unwrap().id;
        Self { server, credentials: server.credentials(stage, 1).await }
    }

    fn stage(&self) -> StageId {
        self.credentials.stage
    }

    async fn send(&self, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let api = Api::new(&self.server.api.base, &self.credentials.token);
        let request = api.request("POST", &format!("/runner/v1/{path}"));
        api.send(request.header("content-type", kind).body(body)).await.unwrap()
    }

    async fn packed(&self, first_seq: u64, lines: &[NewLine]) -> Answer {
        self.send("log", wire::KIND, packed(first_seq, lines)).await
    }

    async fn plain(&self, first_seq: u64, lines: Vec<NewLine>) -> Answer {
        let batch = LogBatch { first_seq, lines, masks: Vec::new() };
        self.json("log", serde_json::to_value(batch).unwrap()).await
    }

    async fn json(&self, path: &str, body: Value) -> Answer {
        self.send(path, "application/json", body.to_string().into_bytes()).await
    }

    async fn texts(&self) -> Vec<String> {
        self.server.api.log(self.stage(), 1).await.into_iter().map(|l| l.text).collect()
    }
}

#[tokio::test]
async fn takes_both_forms_and_judges_each_batch_by_itself_on_sqlite() {
    takes_both_forms_and_judges_each_batch_by_itself(Store::Sqlite).await;
}

#[tokio::test]
async fn takes_both_forms_and_judges_each_batch_by_itself_on_postgresql() {
    takes_both_forms_and_judges_each_batch_by_itself(Store::Postgres).await;
}

async fn takes_both_forms_and_judges_each_batch_by_itself(store: Store) {
    let options = Options { store, slots: 8, by_hand: true, ..Options::default() };
    let mut server = Server::start_with(SEAMLESS, options).await;
    {
        let one = ByHand::begins(&server, "one", json!({})).await;
        assert_eq!(one.packed(0, &numbered(0, 5)).await.is(200), json!({ "next_seq": 5 }));
        // Once more, with something new; in the other form; from the middle of what is there.
        assert_eq!(one.packed(0, &numbered(0, 7)).await.is(200)["next_seq"], 7);
        assert_eq!(one.plain(7, numbered(7, 8)).await.is(200)["next_seq"], 8);
        assert_eq!(one.packed(3, &numbered(3, 6)).await.is(200)["next_seq"], 8);
        assert_eq!(one.packed(9, &numbered(9, 10)).await.is(409)["next_seq"], 8);
        assert_eq!(one.packed(8, &[]).await.is(200)["next_seq"], 8);
        // What is no batch, and what is too much for one.
        let damaged = one.send("log", wire::KIND, b"nonsense".to_vec()).await;
        damaged.names(&["body"]);
        let mut body = packed(8, &numbered(8, 20));
        let last = body.len() - 3;
        body.truncate(last);
        one.send("log", wire::KIND, body).await.names(&["body"]);
        let two_lines = wire::write(&Head { first_seq: 8, masks: Vec::new() }, &{
            block::with_text(&block::pack(&[line("x")], 1).unwrap(), b"x\ny\n", 1).unwrap()
        });
        one.send("log", wire::KIND, two_lines.unwrap()).await.names(&["body"]);
        one.packed(8, &vec![line(""); block::MOST_LINES + 1]).await.problem(413);
        assert_eq!(one.texts().await.len(), 8);

        // Many stages at once, in small batches one after the other, with wrong ones in between.
        let mut all = Vec::new();
        for i in 0..6 {
            all.push(ByHand::begins(&server, &format!("many-{i}"), json!({})).await);
        }
        let speak = async |hand: &ByHand<'_>| {
            let mut next = 0;
            while next < 300 {
                let end = next + 1 + next % 7;
                assert_eq!(hand.packed(next as u64, &numbered(next, end)).await.is(200)["next_seq"], end);
                assert_eq!(hand.packed(end as u64 + 1, &numbered(0, 2)).await.is(409)["next_seq"], end);
                next = end;
            }
            next
        };
        let ends = futures::future::join_all(all.iter().map(speak)).await;
        for (hand, end) in all.iter().zip(ends) {
            let expected: Vec<String> = numbered(0, end).into_iter().map(|l| l.text).collect();
            assert_eq!(hand.texts().await, expected);
        }
        // Another attempt's token, and one of a stage that is over.
        let [first, second] = [&all[0], &all[1]];
        let end = json!({ "outcome": "success", "reason": null, "error": null, "lines": 1 });
        first.json("finish", end).await;
        first.packed(0, &numbered(0, 1)).await.problem(409);
        let stranger =
            second.credentials.token.replace(&second.stage().to_string(), &one.stage().to_string());
        let stranger = ByHand {
            server: &server,
            credentials: Credentials { token: stranger, ..one.credentials.clone() },
        };
        stranger.packed(0, &numbered(0, 1)).await.problem(401);
    }
    // What was acknowledged is there after the worst.
    let count = "SELECT CAST(SUM(next_seq - first_seq) AS BIGINT) FROM log_chunk";
    let before = server.number(count).await;
    server.kill9();
    server.restart().await;
    assert_eq!(server.number(count).await, before);
}

#[tokio::test]
async fn looks_once_more_for_secrets() {
    let server = Server::start_with(SEAMLESS, Options { by_hand: true, ..Options::default() }).await;
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0B\n-----END KEY-----\n";
    let secrets = json!({ "KEY": { "value": "s3cret-of-orders", "secret": true }, "PEM": { "value": key, "secret": true }, "LEVEL": "debugging" });
    let hand = ByHand::begins(&server, "orders", secrets).await;
    let said: Vec<NewLine> = [
        "clear",
        "key=s3cret-of-orders; debugging",
        "czNjcmV0LW9mLW9yZGVycw==",
        "s3cret-of-orders s3cret-of-order",
    ]
    .into_iter()
    .chain(key.lines())
    .map(line)
    .collect();
    let masked = [
        "clear",
        "key=******; debugging",
        "******==",
        "****** s3cret-of-order",
        "******",
        "******",
        "******",
        "******",
    ];
    hand.packed(0, &said).await.is(200);
    assert_eq!(hand.texts().await, masked, "as packed lines");
    hand.plain(8, said).await.is(200);
    assert_eq!(hand.texts().await, [masked, masked].concat(), "as JSON");
    // What came up in mid-run comes with every batch, and is forgotten by none.
    let head = Head { first_seq: 16, masks: vec!["fetched-token".into()] };
    let body =
        wire::write(&head, &block::pack(&[line("got fetched-token"), line("s3cret-of-orders")], 1).unwrap())
            .unwrap();
    hand.send("log", wire::KIND, body).await.is(200);
    hand.packed(18, &[line("a fetched-token is one no more")]).await.is(200);
    assert_eq!(hand.texts().await[16..], ["got ******", "******", "a fetched-token is one no more"]);
    let end = json!({ "outcome": "failure", "reason": "no s3cret-of-orders", "lines": 19, "error": { "seq": 0, "text": "s3cret-of-orders!" } });
    hand.json("finish", end).await;
    let answer = server.api.get("/runs?status=failure").await.is(200);
    let stage = &answer["items"][0]["stages"][0];
    assert_eq!(stage["reason"], "no ******", "{stage}");
    assert!(!answer.to_string().contains("s3cret"), "{answer}");
}

#[tokio::test]
async fn a_secret_too_short_to_be_masked_is_refused() {
    let server = Server::start(SEAMLESS).await;
    let (_, mut settings) = checked(&server, "orders", json!({ "prepare": "true" }));
    for short in ["abc", "  abc   "] {
        settings["variables"] = json!({ "KEY": { "value": short, "secret": true } });
        server.api.post("/services", settings.clone()).await.names(&["variables.KEY"]);
    }
}
