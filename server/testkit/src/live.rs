//! `/live/runs/{id}` as a browser reads it: messages with an id, an event and data.

use std::{pin::Pin, time::Duration};

use domain::RunId;
use futures::{Stream, StreamExt};
use serde_json::Value;

use crate::Api;

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// What `Last-Event-ID` goes on after.
    pub id: String,
    /// `run`, `stage`, `log`, `changed` or `end`.
    pub event: String,
    /// Its data.
    pub data: Value,
}

/// A stream that is being read.
pub struct Follow {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<Vec<u8>>> + Send>>,
    read: Vec<u8>,
}

impl Follow {
    /// As [`Follow::run`]; none where the server does not answer, or cannot.
    pub async fn try_run(api: &Api, run: RunId, after: Option<&str>) -> Option<Self> {
        let answer = Self::request(api, run, after).send().await.ok().filter(|a| a.status() == 200)?;
        Some(Self::reading(answer))
    }

    fn request(api: &Api, run: RunId, after: Option<&str>) -> reqwest::RequestBuilder {
        let request = api.request("GET", &format!("/live/runs/{run}"));
        match after {
            Some(after) => request.header("last-event-id", after),
            None => request,
        }
    }

    fn reading(answer: reqwest::Response) -> Self {
        Self { bytes: Box::pin(answer.bytes_stream().map(|b| b.map(|b| b.to_vec()))), read: Vec::new() }
    }

    /// Opens a run's stream, after a message where one is given.
    pub async fn run(api: &Api, run: RunId, after: Option<&str>) -> Self {
        let answer = Self::request(api, run, after).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap_or_default());
        Self::reading(answer)
    }

    /// The next message; none when the stream is over or its connection broke.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.read.drain(..end + 2).collect();
                if let Some(message) = parse(&String::from_utf8_lossy(&block)) {
                    return Some(message);
                }
                continue;
            }
            let more = tokio::time::timeout(Duration::from_secs(60), self.bytes.next()).await;
            match more.expect("a live stream was silent for a minute, without even a comment") {
                Some(Ok(bytes)) => self.read.extend(bytes),
                Some(Err(_)) | None => return None,
            }
        }
    }
}

fn parse(block: &str) -> Option<Message> {
    let field = |name: &str| {
        let lines = block.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        lines.map(|l| l.strip_prefix(' ').unwrap_or(l)).collect::<Vec<_>>()
    };
    let data = field("data").join("\n");
    let event = (*field("event").first()?).to_owned();
    Some(Message {
        id: field("id").first().copied().unwrap_or_default().into(),
        event,
        data: serde_json::from_str(&data).ok()?,
    })
}
