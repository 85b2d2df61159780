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
    step::{Step, step, stuck, waits},
};
use crate::{
    Control,
    error::{Error, Result},
    pause::growing,
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
/// The shortest and the longest pause while an execution does not get on, in milliseconds.
const PAUSE_MS: (i64, i64) = (1_000, 60_000);

/// Why an execution does not get on.
enum Trouble {
    /// The engine did not do what it was asked.
    Engine(EngineError),
    /// It goes on, and nothing comes of it.
    Stuck(String),
    Ours(Error),
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Trouble::Engine(error)
    }
}
impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Ours(error)
    }
}

/// What is gone needs no stop and no answer any more.
fn unless_gone(asked: std::result::Result<(), EngineError>) -> std::result::Result<(), EngineError> {
    match asked {
        Err(EngineError::Gone(_)) => Ok(()),
        asked => asked,
    }
}

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
        let taken = self.take(engine, run, execution, (&row, stages), &step).await;
        self.noted(run, execution, taken).await
    }

    /// The run was deleted with its service: nobody is there any more for whom the execution could go on.
    async fn abandon(&self, engine: &dyn Executions, run: RunId, execution: &execution::Model) -> Result<()> {
        let stopped = match execution.name.as_deref().filter(|_| execution.state == executions::STARTED) {
            Some(name) => unless_gone(engine.stop(name, "its service was deleted").await),
            None => Ok(()),
        };
        if stopped.is_ok() {
            return executions::forget(self.store.write(), &execution.run_id).await;
        }
        self.noted(run, execution, stopped.map_err(Trouble::from)).await
    }

    async fn take(
        &self,
        engine: &dyn Executions,
        run: RunId,
        execution: &execution::Model,
        (row, stages): (&run::Model, &[stage::Model]),
        step: &Step,
    ) -> std::result::Result<(), Trouble> {
        let name = execution.name.as_deref().unwrap_or_default();
        match step {
            Step::Nothing => {}
            Step::Start => {
                let service = services::by_id(self.store.read(), &row.service_id).await?;
                let name = engine.start(run, &self.execution_input(engine, row, &service)?).await?;
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
                unless_gone(engine.stop(name, why).await)?;
                self.over(run, why).await?;
            }
            Step::Answer(passes) => {
                for token in self.gate_tokens(execution)? {
                    // Where it does not wait with that one any more, it was answered before a crash, or asked again with another.
                    unless_gone(engine.answer(&token, passes.clone()).await)?;
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
            Step::Look => match engine.look(name).await? {
                Standing::Running => {
                    let hindrance = match waits(stages) {
                        Some(_) => {
                            engine.hindrance(name).await?.map(|why| format!("{why}; it is tried again"))
                        }
                        None => None,
                    };
                    let stuck = || {
                        let why = stuck(execution, row, stages, self.now())?;
                        // Where nothing can be heard, that is why.
                        Some(self.deaf().unwrap_or(why))
                    };
                    match hindrance.or_else(stuck) {
                        Some(why) => return Err(Trouble::Stuck(why)),
                        None => self.change_execution(run, |_| {}).await?,
                    }
                }
                Standing::Ended(Ok(())) => self.over(run, "its execution ended without it").await?,
                Standing::Ended(Err(why)) => self.over(run, &why).await?,
                Standing::Unknown => {
                    self.over(run, "its execution is gone: it was deleted, or its state machine was").await?;
                }
            },
        }
        Ok(())
    }

    /// An execution will do no more: whatever of its run has no verdict gets one.
    async fn over(&self, run: RunId, why: &str) -> Result<()> {
        self.hear(&super::Letter::Ended { run, how: Err(why.to_owned()) }).await
    }

    async fn change_execution(&self, run: RunId, change: impl FnOnce(&mut execution::Model)) -> Result<()> {
        let tx = self.store.begin().await?;
        if let Some(mut row) = executions::lock(&tx, &run.to_string()).await? {
            change(&mut row);
            row.seen_at = self.now().0;
            self.well_again(&tx, &mut row).await?;
            executions::keep(&tx, row).await?;
        }
        tx.commit().await?;
        self.nudge.changed(Some(run));
        Ok(())
    }

    /// Writes on the run what keeps it from going on, if anything does, and when it is tried again.
    async fn noted(
        &self,
        run: RunId,
        before: &execution::Model,
        taken: std::result::Result<(), Trouble>,
    ) -> Result<()> {
        let (words, looked_at) = match taken {
            Ok(()) => return Ok(()),
            Err(Trouble::Ours(error)) => return Err(error),
            Err(Trouble::Engine(error)) => (format!("{error}; it is tried again until it works"), false),
            Err(Trouble::Stuck(why)) => (why, true),
        };
        let again = self.now().plus(growing(before.tries, PAUSE_MS));
        tracing::warn!(%run, words, again = again.0, "an execution does not get on");
        let tx = self.store.begin().await?;
        if let Some(mut row) = executions::lock(&tx, &run.to_string()).await? {
            (row.trouble, row.again_at) = (Some(words.clone()), again.0);
            row.tries += 1;
            if looked_at {
                // The next look is another's: many that are stuck must not keep the others from being looked at.
                row.seen_at = self.now().0;
            }
            executions::keep(&tx, row).await?;
        }
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
