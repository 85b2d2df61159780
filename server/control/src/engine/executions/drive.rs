//! Has the engine do what the rows say: starts what is wanted, answers at gates that were decided, stops what was cancelled, and looks at
//! what was not heard of for long. It takes no input, and doing it twice is doing it once.

use std::time::{Duration, Instant};

use domain::{RunId, Timestamp};
use entity::{execution, run, stage};
use futures::StreamExt;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{
    EngineError, Executions, Standing, gate,
    step::{Step, step, stuck},
};
use crate::{
    Control,
    error::{Error, Result},
    store::{
        events::{self, NewEvent},
        executions, runs, services,
    },
};

/// How many executions are driven at the same time.
const AT_ONCE: usize = 8;
/// Executions are driven each second; after a longer gap than this, in milliseconds, nobody could tell anything meanwhile.
const GAP_MS: i64 = 30_000;
/// Looks at executions are so far apart, in all: the engine's own limit is far above, and shared with everybody in the account.
const LOOKS: Duration = Duration::from_secs(1);
/// Pauses while the engine cannot be asked, in milliseconds: doubled each time, up to the longest.
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 60_000;

impl Control {
    /// One look at every execution that is not over.
    ///
    /// # Errors
    /// When the database does not answer. What the engine refuses is written on the run, and tried again; what else goes wrong with one is logged.
    pub async fn drive(&self, engine: &dyn Executions) -> Result<()> {
        let open = executions::open(self.store.read()).await?;
        let since = self.listening_since();
        // Several at a time: the engine takes its time for each answer, and no run is to wait for all before it.
        let driving = futures::stream::iter(open).for_each_concurrent(AT_ONCE, async |execution| {
            match self.drive_one(engine, &execution, since).await {
                // It moved on in between: the next look sees how it stands now.
                Ok(()) | Err(Error::Conflict(_)) => {}
                // One that cannot be dealt with must not keep the others from going on.
                Err(error) => tracing::error!(
                    run = execution.run_id,
                    error = &error as &dyn std::error::Error,
                    "an execution could not be dealt with"
                ),
            }
        });
        driving.await;
        Ok(())
    }

    /// Since when runners could tell that they live: while this server or its database was away, none could.
    fn listening_since(&self) -> Timestamp {
        let now = self.now();
        let mut drove = self.drove.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let since = match *drove {
            Some((last, since)) if now.0 - last.0 <= GAP_MS => since,
            _ => now,
        };
        *drove = Some((now, since));
        since
    }

    async fn drive_one(
        &self,
        engine: &dyn Executions,
        execution: &execution::Model,
        since: Timestamp,
    ) -> Result<()> {
        let now = self.now();
        if execution.again_at > now.0 {
            return Ok(());
        }
        let run: RunId = execution.run_id.parse()?;
        let row = match runs::get(self.store.read(), run).await {
            Err(Error::NotFound { .. }) => return self.abandon(engine, run, execution).await,
            row => row?,
        };
        let stages = runs::stages_of(self.store.read(), std::slice::from_ref(&row.id)).await?;
        let stages = stages.get(&row.id).map_or(&[][..], Vec::as_slice);
        let step = step(execution, &row, stages, since, now);
        if step == Step::Look && !self.may_look() {
            return Ok(());
        }
        match self.take(engine, run, execution, (&row, stages), &step).await? {
            Ok(()) => Ok(()),
            Err(error) => self.note_trouble(run, execution, &error).await,
        }
    }

    /// The run was deleted with its service: nobody is there any more for whom the execution could go on.
    async fn abandon(&self, engine: &dyn Executions, run: RunId, execution: &execution::Model) -> Result<()> {
        if let Some(name) = execution.name.as_deref().filter(|_| execution.state == executions::STARTED) {
            match engine.stop(name, "its service was deleted").await {
                Ok(()) | Err(EngineError::Gone(_)) => {}
                Err(error) => return self.note_trouble(run, execution, &error).await,
            }
        }
        executions::forget(self.store.write(), &execution.run_id).await
    }

    async fn take(
        &self,
        engine: &dyn Executions,
        run: RunId,
        execution: &execution::Model,
        (row, stages): (&run::Model, &[stage::Model]),
        step: &Step,
    ) -> Result<std::result::Result<(), EngineError>> {
        let name = execution.name.as_deref().unwrap_or_default();
        match step {
            Step::Nothing => {}
            Step::Start => {
                let service = services::by_id(self.store.read(), &row.service_id).await?;
                let name = match engine.start(run, &self.execution_input(engine, row, &service)?).await {
                    Ok(name) => name,
                    Err(error) => return Ok(Err(error)),
                };
                self.change_execution(run, |e| {
                    e.name = Some(name);
                    // Its end may have been told already.
                    if e.state == executions::WANTED {
                        e.state = executions::STARTED.into();
                    }
                })
                .await?;
            }
            Step::Forget => self.change_execution(run, |e| e.state = executions::OVER.into()).await?,
            Step::Stop(why) => {
                match engine.stop(name, why).await {
                    Ok(()) | Err(EngineError::Gone(_)) => {}
                    Err(error) => return Ok(Err(error)),
                }
                self.over(run, why).await?;
            }
            Step::Answer(passes) => {
                for token in self.gate_tokens(execution)? {
                    match engine.answer(&token, passes.clone()).await {
                        // It does not wait with that one any more: answered before a crash, or asked again with another.
                        Ok(()) | Err(EngineError::Gone(_)) => {}
                        Err(error) => return Ok(Err(error)),
                    }
                }
                let answered = execution.gate_token.clone();
                self.change_execution(run, |e| {
                    // Another may have come meanwhile: then all of them are answered again.
                    if e.gate_token == answered {
                        e.gate_token = Some(gate::ANSWERED.into());
                    }
                })
                .await?;
            }
            Step::Look => match engine.look(name).await {
                Ok(Standing::Running) => match stuck(execution, row, stages, self.now()) {
                    Some(why) => return Ok(Err(EngineError::Gone(why))),
                    None => self.change_execution(run, |_| {}).await?,
                },
                Ok(Standing::Ended(Ok(()))) => self.over(run, "its execution ended without it").await?,
                Ok(Standing::Ended(Err(why))) => self.over(run, &why).await?,
                Ok(Standing::Unknown) => {
                    self.over(run, "its execution is gone: it was deleted, or its state machine was").await?;
                }
                Err(error) => return Ok(Err(error)),
            },
        }
        Ok(Ok(()))
    }

    /// An execution will do no more: whatever of its run has no verdict gets one.
    async fn over(&self, run: RunId, why: &str) -> Result<()> {
        self.hear(&super::Letter::Ended { run, how: Err(why.to_owned()) }).await
    }

    async fn change_execution(&self, run: RunId, change: impl FnOnce(&mut execution::Model)) -> Result<()> {
        let now = self.now();
        let tx = self.store.begin().await?;
        let mut was_in_trouble = false;
        executions::change(&tx, &run.to_string(), |row| {
            change(row);
            was_in_trouble = row.trouble.is_some();
            (row.trouble, row.tries, row.again_at, row.seen_at) = (None, 0, 0, now.0);
        })
        .await?;
        if was_in_trouble {
            self.tell_trouble(&tx, run, None).await?;
        }
        tx.commit().await?;
        self.nudge.changed(Some(run));
        Ok(())
    }

    /// Writes on the run what keeps it from going on, and when it is tried again.
    async fn note_trouble(&self, run: RunId, before: &execution::Model, error: &EngineError) -> Result<()> {
        let now = self.now();
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << before.tries.min(10)).min(LONGEST_PAUSE_MS);
        tracing::warn!(%run, %error, pause, "the engine did not do what it was asked");
        let words = format!("{error}; it is tried again until it works");
        let tx = self.store.begin().await?;
        executions::change(&tx, &run.to_string(), |row| {
            row.trouble = Some(words.clone());
            row.tries += 1;
            row.again_at = now.plus(pause).0;
        })
        .await?;
        if before.trouble.as_ref() != Some(&words) {
            self.tell_trouble(&tx, run, Some(&words)).await?;
        }
        tx.commit().await?;
        self.nudge.changed(Some(run));
        Ok(())
    }

    pub(super) async fn tell_trouble<C: ConnectionTrait>(
        &self,
        db: &C,
        run: RunId,
        why: Option<&str>,
    ) -> Result<()> {
        let kind = if why.is_some() { "engine_trouble" } else { "engine_back" };
        let event =
            NewEvent { run: Some(run.to_string()), service: None, kind, payload: json!({ "why": why }) };
        events::append(db, vec![event], self.now()).await
    }

    fn may_look(&self) -> bool {
        let mut last = self.looked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_some_and(|last: Instant| last.elapsed() < LOOKS) {
            return false;
        }
        *last = Some(Instant::now());
        true
    }
}
