//! News on one channel: who sends them, and where to look again. Many of one kind at once are one.
//!
//! Refuses to carry facts; whoever hears of a run reads it in the database.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use control::hot::{News, State};
use fred::{
    clients::{Pool, SubscriberClient},
    interfaces::{ClientLike, EventInterface, PubsubInterface},
};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};

use crate::{options, patiently};

/// The channel. Databases of one Redis share it, and so may servers that have nothing to do with each other: what one hears of and
/// does not know, it does not find.
const CHANNEL: &str = "seamless:news";
/// How long to wait before subscribing is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Written in one or two words.
pub(crate) fn written(news: News) -> String {
    match news {
        News::Lines(run) => format!("lines {run}"),
        News::Changed(Some(run)) => format!("changed {run}"),
        News::Changed(None) => "changed".into(),
        News::Dispatch => "dispatch".into(),
        News::Missed => "missed".into(),
    }
}

/// What was written; nothing where it is of another version.
pub(crate) fn read(text: &str) -> Option<News> {
    Some(match text.split_once(' ') {
        Some(("lines", run)) => News::Lines(run.parse().ok()?),
        Some(("changed", run)) => News::Changed(Some(run.parse().ok()?)),
        None if text == "changed" => News::Changed(None),
        None if text == "dispatch" => News::Dispatch,
        None if text == "missed" => News::Missed,
        _ => return None,
    })
}

/// Sends what is to be told, in one go whatever has come together meanwhile. While nobody can be reached it is dropped.
pub(crate) async fn send(pool: &Pool, own: &str, state: &RwLock<State>, mut news: mpsc::Receiver<News>) {
    let mut some = Vec::new();
    while news.recv_many(&mut some, crate::NEWS).await > 0 {
        let mut texts: Vec<String> = Vec::with_capacity(some.len());
        for one in some.drain(..).map(written) {
            if !texts.contains(&one) {
                texts.push(one);
            }
        }
        if matches!(&*state.read().unwrap_or_else(PoisonError::into_inner), State::Away(_)) {
            continue;
        }
        let pipeline = pool.next().pipeline().with_options(&options());
        let call = async {
            for text in texts {
                let _: () = pipeline.publish(CHANNEL, format!("{own} {text}")).await?;
            }
            pipeline.all::<()>().await
        };
        if let Err(error) = patiently(call).await {
            tracing::debug!(%error, "news were not sent");
        }
    }
}

/// Hears what others tell, and says when some may have been missed: after each time that the connection was made.
pub(crate) async fn hear(client: &SubscriberClient, own: &str, heard: broadcast::Sender<News>) {
    let (mut messages, mut connected) = (client.message_rx(), client.reconnect_rx());
    let connection = client.connect();
    loop {
        let news = tokio::select! {
            message = messages.recv() => match message {
                Ok(message) => message.value.as_str().and_then(|text| foreign(&text, own)),
                Err(RecvError::Lagged(_)) => Some(News::Missed),
                Err(RecvError::Closed) => break,
            },
            made = connected.recv() => match made {
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    subscribe(client).await;
                    Some(News::Missed)
                }
                Err(RecvError::Closed) => break,
            },
        };
        if let Some(news) = news {
            let _ = heard.send(news);
        }
    }
    connection.abort();
}

/// Until it is done; the connection may be lost and made again meanwhile.
async fn subscribe(client: &SubscriberClient) {
    while let Err(error) = patiently(client.subscribe(CHANNEL)).await {
        tracing::debug!(%error, "not subscribed yet");
        tokio::time::sleep(AGAIN).await;
    }
}

/// What somebody else tells.
fn foreign(text: &str, own: &str) -> Option<News> {
    let (who, news) = text.split_once(' ')?;
    read(news).filter(|_| who != own)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let run = "01JGQ5Y3X8V4T6R2N9M7K1H0FA".parse().unwrap();
        for news in
            [News::Lines(run), News::Changed(Some(run)), News::Changed(None), News::Dispatch, News::Missed]
        {
            assert_eq!(read(&written(news)), Some(news));
        }
        assert_eq!([foreign("a dispatch", "a"), foreign("b dispatch", "a")], [None, Some(News::Dispatch)]);
        assert_eq!([read("lines"), read("lines x"), read("other"), read("")], [None; 4]);
    }
}
