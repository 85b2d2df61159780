//! What is put into a real Redis is found again, by whichever line one looks for; and one server hears what another tells.

#![allow(clippy::unwrap_used)]

use control::hot::{Hot, Log, News, Row, State};
use domain::StageId;
use testkit::until;

async fn connected(redis: &testkit::Redis) -> redis::Redis {
    let one = redis::Redis::connect(&redis.url().into()).unwrap();
    until("Redis to be reached", async || (one.state() == State::Answers).then_some(())).await;
    one
}

#[tokio::test]
async fn rows_are_found_by_any_of_their_lines_and_news_are_heard() {
    let Some(mut server) = testkit::Redis::find("redis::rows_are_found_and_news_are_heard") else { return };
    let (one, two) = (connected(&server).await, connected(&server).await);
    let log = Log { stage: StageId::from_parts(1, 1), attempt: 2 };
    let rows: Vec<Row> = [(0, 4), (4, 5), (5, 300)]
        .map(|(first, next)| Row { first, next, body: vec![0, first as u8] })
        .into();
    one.put(log, &rows[1..]).await.unwrap();
    one.put(log, &rows[..1]).await.unwrap();
    for (from, most, found) in
        [(0, 9, &rows[..]), (3, 9, &rows[..]), (4, 9, &rows[1..]), (299, 9, &rows[2..]), (1, 1, &rows[..2])]
    {
        assert_eq!(two.rows(log, from, most).await.unwrap(), found, "from {from}");
    }
    assert_eq!(two.rows(Log { attempt: 1, ..log }, 0, 9).await.unwrap(), []);

    let (mut hears, mut hears_itself) = (two.listen(), one.listen());
    let run = "01JGQ5Y3X8V4T6R2N9M7K1H0FA".parse().unwrap();
    // Subscribing takes a moment; who has just done it takes it that it missed something.
    until("news to be heard", async || {
        one.tell(News::Lines(run));
        std::iter::from_fn(|| hears.try_recv().ok()).find(|news| *news == News::Lines(run))
    })
    .await;
    while let Ok(news) = hears_itself.try_recv() {
        assert_eq!(news, News::Missed, "nobody is told what it said itself");
    }

    server.kill9();
    until("it to be missed", async || one.put(log, &rows).await.err()).await;
    assert!(matches!(one.state(), State::Away(_)), "{:?}", one.state());
    assert!(one.rows(log, 0, 9).await.is_err(), "nobody waits for it now");
    server.restart();
    until("it to be back", async || (one.state() == State::Answers).then_some(())).await;
    assert_eq!(one.rows(log, 0, 9).await.unwrap(), []);
    until("news to be heard again", async || {
        one.tell(News::Dispatch);
        std::iter::from_fn(|| hears.try_recv().ok()).find(|news| *news == News::Dispatch)
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_repeating_it() {
    for wrong in ["redis://host:port", "redis://:hunter2@:::"] {
        let refused = redis::Redis::connect(&wrong.to_owned().into()).err().unwrap().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
