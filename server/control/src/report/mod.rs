//! What is told of runs on the forge: commit statuses, a comment on the pull request, deployments, and the merge that may follow.
//!
//! Two steps, each idempotent. The event log is read behind a durable cursor, and every run it names gets a row for each channel in the
//! same transaction in which the cursor moves. Then each row that is due is told as things stand *now*: a burst of events is one telling,
//! an older state never follows a newer one, and what was told already is not told again. What goes wrong is tried again, later and later.
//!
//! Refuses to tell of what happened before there was anybody to tell it as.

mod comment;
mod deploy;
mod merge;
mod status;

use domain::{plan::Trigger, view::Run};
use entity::report;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Control,
    error::{Error, Result},
    forge::ForgeError,
    pause::growing,
    store::{cursors, forge, rows, runs, services},
};

/// The reader of the event log that this is.
const READER: &str = "forge";
/// Events that are read at a time.
const MANY: u64 = 500;
/// The shortest and the longest wait after something went wrong, in milliseconds.
const WAIT_MS: (i64, i64) = (2_000, 15 * 60_000);
/// What is refused so often in a row is given up.
const MOST_REFUSALS: i32 = 12;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Status,
    Comment,
    Deployment,
    Merge,
}

impl Channel {
    fn as_str(self) -> &'static str {
        match self {
            Channel::Status => "status",
            Channel::Comment => "comment",
            Channel::Deployment => "deployment",
            Channel::Merge => "merge",
        }
    }

    /// Those that a run has anything for.
    fn of(run: &entity::run::Model) -> Vec<Channel> {
        let mut channels = Vec::new();
        if run.trigger != "rollback" {
            channels.push(Channel::Status);
        }
        channels.extend(match run.pull_request {
            Some(_) => vec![Channel::Comment, Channel::Merge],
            None => vec![Channel::Deployment],
        });
        channels
    }
}

/// A row while it is told: what was told before, and where to write down what is told now.
struct Telling<'a> {
    control: &'a Control,
    repository: String,
    run: Run,
    settings: domain::service::ServiceSettings,
    row: report::Model,
}

impl Telling<'_> {
    fn sent<T: DeserializeOwned + Default>(&self) -> Result<T> {
        Ok(serde_json::from_str::<Option<T>>(&self.row.sent)?.unwrap_or_default())
    }

    /// Writes it down at once: whatever happens next, this was told.
    async fn keep<T: Serialize>(&mut self, sent: &T) -> Result<(), Trouble> {
        self.row.sent = serde_json::to_string(sent).map_err(Error::from)?;
        Ok(forge::told(self.control.store.write(), &self.row).await?)
    }

    fn link(&self) -> String {
        format!("{}/runs/{}", self.control.setup.url, self.run.id)
    }
}

/// Why a row was not told.
enum Trouble {
    Forge(ForgeError),
    Ours(Error),
}

impl From<ForgeError> for Trouble {
    fn from(error: ForgeError) -> Self {
        Trouble::Forge(error)
    }
}
impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Ours(error)
    }
}

impl Control {
    /// Tells the forge what there is to tell.
    pub async fn report(&self) -> Result<()> {
        if !self.acts_on_forge() {
            return Ok(());
        }
        while self.note_news().await? == MANY as usize {}
        loop {
            let due = forge::due(self.store.read(), self.now(), 50).await?;
            if due.is_empty() {
                return Ok(());
            }
            for row in due {
                if let Some(until) = self.tell_one(row).await? {
                    // Nobody else gets through either.
                    tracing::warn!(until, "GitHub's limit is reached; what is told waits");
                    return Ok(());
                }
            }
        }
    }

    /// Reads on in the event log.
    async fn note_news(&self) -> Result<usize> {
        let Some(unread) = cursors::unread(&self.store, READER, MANY).await? else { return Ok(0) };
        let mut newest = std::collections::BTreeMap::new();
        for event in &unread.events {
            if let Some(run) = &event.run_id {
                newest.insert(run.clone(), event.seq);
            }
        }
        let tx = self.store.begin().await?;
        for (run, seq) in newest {
            let Ok(run) = runs::get(&tx, run.parse()?).await else { continue };
            if run.trigger == Trigger::Trial.as_str() {
                continue;
            }
            let service = services::by_id(&tx, &run.service_id).await?;
            if self.ports.forge.full_name(&service.repository).is_none() {
                continue;
            }
            for channel in Channel::of(&run) {
                forge::want(&tx, &run.id, channel.as_str(), seq, self.now()).await?;
            }
        }
        if !cursors::advance(&tx, READER, &unread).await? {
            return Ok(0);
        }
        tx.commit().await?;
        Ok(unread.events.len())
    }

    /// Tells one row; answers until when nobody is to be asked anything.
    async fn tell_one(&self, row: report::Model) -> Result<Option<i64>> {
        let (wanted, tries) = (row.wanted, row.tries);
        let mut after = row.clone();
        let told = match self.telling(row).await? {
            Some(mut telling) => {
                let told = match telling.row.channel.as_str() {
                    "status" => status::tell(&mut telling).await,
                    "comment" => comment::tell(&mut telling).await,
                    "deployment" => deploy::tell(&mut telling).await,
                    "merge" => merge::tell(&mut telling).await,
                    _ => Ok(()),
                };
                after = telling.row;
                told
            }
            None => Ok(()),
        };
        let now = self.now();
        let later = now.plus(growing(tries, WAIT_MS)).0;
        let mut limited = None;
        match told {
            Ok(()) => (after.done, after.tries, after.problem) = (wanted, 0, None),
            Err(Trouble::Forge(ForgeError::Limited { until_ms })) => {
                after.next_at = until_ms;
                limited = Some(until_ms);
            }
            Err(Trouble::Forge(error @ (ForgeError::Refused(_) | ForgeError::Missing(_))))
                if tries >= MOST_REFUSALS =>
            {
                tracing::warn!(run = after.run_id, channel = after.channel, %error, "given up");
                (after.done, after.tries) = (wanted, 0);
                after.problem = Some(format!("given up: {error}"));
            }
            Err(Trouble::Forge(error)) => {
                tracing::warn!(run = after.run_id, channel = after.channel, %error, "not told yet");
                (after.tries, after.next_at, after.problem) = (tries + 1, later, Some(error.to_string()));
            }
            Err(Trouble::Ours(error)) => return Err(error),
        }
        forge::told(self.store.write(), &after).await?;
        Ok(limited)
    }

    /// What a row is about; none when nothing is left to tell.
    async fn telling(&self, row: report::Model) -> Result<Option<Telling<'_>>> {
        let Ok(run) = self.run(row.run_id.parse()?).await else { return Ok(None) };
        let service = services::get(self.store.read(), run.service.id).await?;
        let settings = rows::settings(&service)?;
        let Some(repository) = self.ports.forge.full_name(&service.repository) else { return Ok(None) };
        Ok(Some(Telling { control: self, repository, run, settings, row }))
    }
}
