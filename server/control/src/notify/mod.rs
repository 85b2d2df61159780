//! What teams are told of outside of pages: a message for each event that is news, to the topic of the service's pipeline, from where it
//! goes to whoever subscribed.
//!
//! Two steps, each idempotent, as in [`report`](crate::report). The event log is read behind a durable cursor, and the message of each
//! event that is news is written whole into the transaction in which the cursor moves. Then each message is sent, and its row removed: a
//! crash between the two sends it once more, with the same `id`, and never loses it. What goes wrong is tried again, later and later.
//!
//! Refuses to tell of what happened before it was asked to tell, and of what is older than a day: that is no news any more.

mod subscriptions;
mod words;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use domain::{
    EnvironmentName, StageKind, Status,
    news::{Hears, News},
    plan::Trigger,
};
use entity::{event, notice};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Control,
    error::{Error, Result},
    pause::growing,
    store::{cursors, notices, runs, services},
};

pub use subscriptions::Wanted;

/// The reader of the event log that this is, and the work that one server does at a time.
pub const READER: &str = "notify";
/// For how long a server has that work to itself; longer than any one question to the notifier takes.
pub const TURN: Duration = Duration::from_secs(40);
/// Events that are read at a time.
const MANY: u64 = 500;
/// Messages that are sent at a time.
const LOT: u64 = 50;
/// The shortest and the longest wait after something went wrong, in milliseconds.
const WAIT_MS: (i64, i64) = (2_000, 5 * 60_000);
/// What is refused so often is given up.
const MOST_REFUSALS: i32 = 12;
/// What could not be sent for so long is given up.
const OLD_MS: i64 = 24 * 3_600_000;

/// A message, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// At most 99 printable ASCII characters.
    pub subject: String,
    /// For people who read it as it is.
    pub text: String,
    /// For programs and chats.
    pub structured: Value,
    /// What subscriptions filter by; none is empty.
    pub attributes: BTreeMap<String, String>,
}

/// Somebody who subscribed, as the notifier has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// By which it is changed and removed; none as long as it waits to be confirmed.
    pub id: Option<String>,
    /// Such as `email`.
    pub protocol: String,
    /// Where, whole.
    pub endpoint: String,
    /// What it hears of; none where that cannot be told.
    pub hears: Option<Hears>,
}

/// Why the notifier did not do it, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// It will be the same for everything until something changes elsewhere: not reached, throttled, no right to.
    #[error("{0}")]
    Away(String),
    /// It takes this as it is not.
    #[error("{0}")]
    Refused(String),
}

/// Topics, one for each pipeline, and who subscribed to them. A topic is made when it is first needed.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// The address of a pipeline's topic.
    async fn topic(&self, pipeline: &str) -> Result<String, NotifyError>;
    /// Sends a message to whoever subscribed. At least once: the same may arrive twice.
    async fn publish(&self, pipeline: &str, message: &Message) -> Result<(), NotifyError>;
    /// Who subscribed.
    async fn subscriptions(&self, pipeline: &str) -> Result<Vec<Found>, NotifyError>;
    /// Subscribes somebody by a protocol (`email`, `https`), who is asked to confirm it. The same again asks again.
    async fn subscribe(
        &self,
        pipeline: &str,
        protocol: &str,
        endpoint: &str,
        hears: &Hears,
    ) -> Result<(), NotifyError>;
    /// Changes what somebody hears of.
    async fn change(&self, pipeline: &str, id: &str, hears: &Hears) -> Result<(), NotifyError>;
    /// Lets somebody hear nothing any more; who is gone is gone.
    async fn unsubscribe(&self, pipeline: &str, id: &str) -> Result<(), NotifyError>;
}

impl Control {
    /// Whether anything is told of elsewhere.
    pub fn notifies(&self) -> bool {
        self.ports.notifier.is_some()
    }

    /// Sends what there is to send; answers how many messages that were.
    pub async fn notify(&self) -> Result<usize> {
        let Some(notifier) = self.ports.notifier.clone() else { return Ok(0) };
        while self.note_what_is_news().await? == MANY as usize {}
        let mut sent = 0;
        loop {
            let due = notices::due(self.store.read(), self.now(), LOT).await?;
            if due.is_empty() || !self.turn(READER, TURN).await? {
                return Ok(sent);
            }
            for row in due {
                let message: Message = serde_json::from_str(&row.message)?;
                match notifier.publish(&row.pipeline_id, &message).await {
                    Ok(()) => {
                        notices::done(self.store.write(), row.seq).await?;
                        sent += 1;
                    }
                    Err(error) => {
                        if self.not_sent(&row, &message, &error).await? {
                            return Ok(sent);
                        }
                    }
                }
            }
        }
    }

    /// Writes down why a message was not sent; answers whether the others need not be tried either.
    async fn not_sent(&self, row: &notice::Model, message: &Message, error: &NotifyError) -> Result<bool> {
        let now = self.now();
        let away = matches!(error, NotifyError::Away(_));
        if now.0 - row.created_at > OLD_MS || (!away && row.tries >= MOST_REFUSALS) {
            tracing::error!(subject = message.subject, %error, "a notification is given up");
            notices::done(self.store.write(), row.seq).await?;
            return Ok(away);
        }
        tracing::warn!(subject = message.subject, %error, "a notification is not sent yet");
        let next = now.plus(growing(row.tries, WAIT_MS));
        notices::failed(self.store.write(), row.seq, &error.to_string(), next).await?;
        if away {
            // All of them wait, so that they arrive in the order in which things happened.
            notices::wait(self.store.write(), next).await?;
        }
        Ok(away)
    }

    /// Reads on in the event log.
    async fn note_what_is_news(&self) -> Result<usize> {
        let Some(unread) = cursors::unread(&self.store, READER, MANY).await? else { return Ok(0) };
        let mut rows = Vec::new();
        let since = self.now().plus(-OLD_MS).0;
        for event in unread.events.iter().filter(|event| event.at > since) {
            rows.extend(self.notice_of(event).await?);
        }
        let tx = self.store.begin().await?;
        if !cursors::advance(&tx, READER, &unread).await? {
            // Another server was here meanwhile, and what it noted may have been sent already.
            return Ok(0);
        }
        for row in rows {
            notices::put(&tx, row).await?;
        }
        tx.commit().await?;
        Ok(unread.events.len())
    }

    /// The message that an event is worth, if any. What was removed since is no news.
    async fn notice_of(&self, event: &event::Model) -> Result<Option<notice::Model>> {
        let payload: Value = serde_json::from_str(&event.payload)?;
        let Some(found) = what_it_is(&event.kind, &payload) else { return Ok(None) };
        let Some(service) = &event.service_id else { return Ok(None) };
        let service = there(services::by_id(self.store.read(), service).await)?;
        let Some(service) = service.filter(|service| service.draft.is_none()) else { return Ok(None) };
        let pipeline = services::pipeline(self.store.read(), service.pipeline_id.parse()?).await?;
        let about = words::About {
            id: event.seq,
            news: found.0,
            environment: found.1,
            service: &service.name,
            service_id: &service.id,
            pipeline: &pipeline.name,
            url: &self.setup.url,
        };
        let message = match &event.run_id {
            Some(run) => self.message_of_run(about, run).await?,
            None => Some(words::of_service(&about, &payload)),
        };
        let Some(message) = message else { return Ok(None) };
        Ok(Some(notice::Model {
            seq: event.seq,
            pipeline_id: service.pipeline_id,
            message: serde_json::to_string(&message)?,
            created_at: event.at,
            tries: 0,
            next_at: self.now().0,
            problem: None,
        }))
    }

    async fn message_of_run(&self, mut about: words::About<'_>, id: &str) -> Result<Option<Message>> {
        let Some(run) = there(self.run(id.parse()?).await)? else { return Ok(None) };
        match about.news {
            _ if run.trigger == Trigger::Trial => return Ok(None),
            // What failed to be deployed was told as that.
            News::RunFailed if run.failed_stage().is_some_and(|s| s.kind.environment().is_some()) => {
                return Ok(None);
            }
            News::RunRecovered => {
                let row = runs::get(self.store.read(), run.id).await?;
                let counts = run.pull_request.is_none() && run.trigger != Trigger::Rollback;
                if !(counts && runs::follows_failure(self.store.read(), &row).await?) {
                    return Ok(None);
                }
            }
            News::ApprovalNeeded if run.status != Status::AwaitingApproval => return Ok(None),
            News::Deployed if run.trigger == Trigger::Rollback => about.news = News::RolledBack,
            _ => {}
        }
        Ok(Some(words::of_run(&about, &run)))
    }
}

/// None for what was removed; what could not be read is no answer.
fn there<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(Error::NotFound { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// What an event may be news of, by itself.
fn what_it_is(kind: &str, payload: &Value) -> Option<(News, Option<EnvironmentName>)> {
    let word = |name: &str| payload[name].as_str().unwrap_or_default();
    let status: Option<Status> = word("to").parse().ok();
    Some(match kind {
        "stage_changed" => {
            let environment = word("stage").parse::<StageKind>().ok()?.environment()?;
            let news = match status? {
                Status::Success => News::Deployed,
                Status::Failure => News::DeployFailed,
                _ => return None,
            };
            (news, Some(environment))
        }
        "run_changed" => match status? {
            Status::Failure => (News::RunFailed, None),
            Status::Success => (News::RunRecovered, None),
            _ => return None,
        },
        "approval_requested" => {
            (News::ApprovalNeeded, word("stage").parse::<StageKind>().ok()?.environment())
        }
        "approval_decided" if word("decision") == "expired" => {
            (News::ApprovalExpired, Some(EnvironmentName::Production))
        }
        "hold_set" => (News::DeploysStopped, Some(EnvironmentName::Production)),
        "hold_cleared" => (News::DeploysResumed, Some(EnvironmentName::Production)),
        _ => return None,
    })
}
