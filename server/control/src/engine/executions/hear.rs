//! What the engine tells through its queue: at least once, in any order, perhaps late. Hearing it twice is hearing it once.

use domain::{RunId, StageEvent, StageKind, Status, Timestamp};
use entity::execution;
use sea_orm::ConnectionTrait;
use secrecy::SecretString;
use serde_json::json;

use super::{Executions, Message, claims::Claims};
use crate::{
    Control,
    error::{Error, Result},
    store::{
        events::{self, NewEvent},
        executions,
        run_state::RunState,
        services,
    },
};

/// How often a message is taken up that cannot be dealt with.
const MOST_TIMES: u32 = 5;
/// After how long the queue is told that a message is still being worked on.
const HOLD: std::time::Duration = std::time::Duration::from_secs(15);

/// A task of a stage that could not be started, or that ended without its runner's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fall {
    /// Which stage, where that is known.
    pub stage: Option<StageKind>,
    /// Why, in words for people.
    pub why: String,
    /// With which code it exited, if it did.
    pub exit_code: Option<i32>,
}

/// Something the engine tells.
#[derive(Debug, Clone)]
pub enum Letter {
    /// An execution waits at its gate, and is answered with this token.
    Gate {
        /// Which.
        run: RunId,
        /// The token.
        token: SecretString,
    },
    /// Tasks of stages could not be started, or ended badly.
    Failed {
        /// Of which run.
        run: RunId,
        /// Which, one at least.
        falls: Vec<Fall>,
    },
    /// An execution is at its end: well, or why not.
    Ended {
        /// Which.
        run: RunId,
        /// How.
        how: std::result::Result<(), String>,
    },
    /// Something about another's execution or task: nothing to do.
    Else,
}

/// What came of listening once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Messages that were dealt with.
    pub done: usize,
    /// Messages that were set aside, because nothing could be made of them.
    pub aside: usize,
}

impl Control {
    /// Takes what the queue holds, waiting for it for a while.
    ///
    /// # Errors
    /// When the queue or the database does not answer: what was not dealt with is handed out again.
    pub async fn listen(&self, engine: &dyn Executions) -> Result<Heard> {
        let mut heard = Heard::default();
        let received = engine.receive().await;
        let why = received.as_ref().err().map(|why| {
            format!("nothing that the engine tells is heard: {why}; it is tried again until it works")
        });
        *self.deaf.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = why;
        for message in received? {
            let dealt = {
                let dealing = self.deal(&message);
                tokio::pin!(dealing);
                loop {
                    tokio::select! {
                        dealt = &mut dealing => break dealt,
                        () = tokio::time::sleep(HOLD) => {
                            if let Err(error) = engine.hold(&message).await {
                                tracing::warn!(%error, "a message may be handed out to another server");
                            }
                        }
                    }
                }
            };
            match dealt {
                Ok(()) => heard.done += 1,
                Err(why) if given_up(&message) => {
                    self.set_aside(&message, &why.to_string()).await?;
                    heard.aside += 1;
                }
                Err(error) => {
                    let times = message.times;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        times,
                        "a message is left for later"
                    );
                    continue;
                }
            }
            engine.done(&message).await?;
        }
        Ok(heard)
    }

    /// Why nothing that the engine tells reaches this server, while that is so.
    pub(super) fn deaf(&self) -> Option<String> {
        self.deaf.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn deal(&self, message: &Message) -> Result<()> {
        match &message.letter {
            Ok(letter) => self.hear(letter).await,
            Err(why) => Err(Error::Conflict(why.clone())),
        }
    }

    /// Keeps what nothing could be made of where people see it.
    async fn set_aside(&self, message: &Message, why: &str) -> Result<()> {
        tracing::error!(why, "a message of the engine was set aside");
        let body: String = message.body.chars().take(4000).collect();
        // A gate's token is as good as an approval, and a ticket as a claim.
        let holds = ["token", "ticket"].into_iter().find(|what| body.to_lowercase().contains(what));
        let body = holds.map_or(body, |what| format!("(holds a {what}, and is not shown)"));
        let payload = json!({ "body": body, "why": why });
        let event = NewEvent { run: None, service: None, kind: "message_set_aside", payload };
        let tx = self.store.begin().await?;
        events::append(&tx, vec![event], self.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Hears one message.
    ///
    /// # Errors
    /// When the database does not answer, or somebody changed the run at the same time: hear it again.
    pub async fn hear(&self, letter: &Letter) -> Result<()> {
        let run = match letter {
            Letter::Gate { run, .. } | Letter::Failed { run, .. } | Letter::Ended { run, .. } => *run,
            Letter::Else => return Ok(()),
        };
        let now = self.now();
        let tx = self.store.begin().await?;
        let Some(mut execution) = executions::lock(&tx, &run.to_string()).await? else {
            return Ok(()); // the run was removed, or is another Seamless's
        };
        let mut state = match RunState::load(&tx, &execution.run_id).await {
            Err(Error::NotFound { .. }) => return Ok(()), // deleted with its service; its execution is stopped
            state => state?,
        };
        let mut claims = Claims::of(&execution)?;
        match letter {
            Letter::Failed { falls, .. } => {
                for fall in falls {
                    fail_driven(&mut state, &mut claims, fall, now)?;
                }
            }
            Letter::Ended { how, .. } => {
                let why = how.as_ref().err().map_or("its execution ended without it", String::as_str);
                let fall = Fall { stage: None, why: why.to_owned(), exit_code: None };
                fail_driven(&mut state, &mut claims, &fall, now)?;
            }
            Letter::Gate { token, .. } if execution.state != executions::OVER => {
                self.add_gate_token(&mut execution, token)?;
            }
            Letter::Gate { .. } | Letter::Else => {}
        }
        let service = services::by_id(&tx, &state.run.service_id).await?;
        state.settle(&crate::runs::gate_facts(&service)?, now)?;
        state.save(&tx, now).await?;
        claims.keep(&mut execution)?;
        if matches!(letter, Letter::Ended { .. }) {
            execution.state = executions::OVER.into();
            execution.gate_token = None;
            self.well_again(&tx, &mut execution).await?;
        }
        execution.seen_at = now.0;
        executions::keep(&tx, execution).await?;
        tx.commit().await?;
        self.nudge.changed(Some(run));
        self.nudge.dispatch();
        Ok(())
    }

    /// What kept an execution from going on is over.
    pub(super) async fn well_again<C: ConnectionTrait>(
        &self,
        db: &C,
        row: &mut execution::Model,
    ) -> Result<()> {
        if row.trouble.take().is_some() {
            self.tell_trouble(db, row.run_id.parse()?, None).await?;
        }
        (row.tries, row.again_at) = (0, 0);
        Ok(())
    }
}

/// Whether a message that could not be dealt with is set aside. A gate's never is: without its token nobody could ever answer.
fn given_up(message: &Message) -> bool {
    match &message.letter {
        Err(_) => true,
        Ok(Letter::Gate { .. }) => false,
        Ok(_) => message.times >= MOST_TIMES,
    }
}

/// An engine will do no more for a stage, or for a whole run: what has no verdict gets one.
fn fail_driven(state: &mut RunState, claims: &mut Claims, fall: &Fall, now: Timestamp) -> Result<()> {
    let Fall { stage, why, exit_code } = fall;
    if state.status().is_terminal() {
        return Ok(());
    }
    let cancelled = state.run.cancel_requested.then(|| state.run.cancel_by.clone().unwrap_or_default());
    for kind in StageKind::ALL.into_iter().filter(|kind| stage.is_none_or(|stage| stage == *kind)) {
        let Some(status) = state.status_of(kind).filter(|status| !status.is_terminal()) else { continue };
        if status == Status::InProgress {
            claims.shut_out(kind, now);
        }
        if let Some(by) = &cancelled {
            state.apply(kind, StageEvent::Cancel, Some(format!("cancelled by {by}")), now)?;
            continue;
        }
        // Only what could have been started is to blame; what comes after it is skipped by itself.
        match status {
            Status::InProgress => {
                state.apply(kind, StageEvent::Fail, Some(format!("runner lost: {why}")), now)?;
                if let Some(row) = state.stage_mut(kind) {
                    row.exit_code = *exit_code;
                }
            }
            Status::Idle if state.stage(kind).is_some_and(|row| row.ready_at.is_some()) => {
                state.apply(kind, StageEvent::Start, None, now)?;
                state.apply(kind, StageEvent::Fail, Some(why.to_owned()), now)?;
            }
            Status::AwaitingApproval if stage.is_none() => {
                if state.approval.as_ref().is_some_and(|a| a.state == "waiting") {
                    state.decide("cancelled", None, None, now);
                }
                state.apply(kind, StageEvent::Cancel, Some(why.to_owned()), now)?;
            }
            _ => {}
        }
    }
    Ok(())
}
