//! Runs whose engine was taken away: this server drives runs by itself now, and nobody is heard of any more who would drive them.
//!
//! Refuses to go on with one halfway: its workspace and its artifact lie where its tasks ran.

use domain::RunId;

use super::Letter;
use crate::{
    Control,
    engine::attempt::last_word,
    error::{Error, Result},
    store::{executions, runs},
};

/// What nobody was heard of for so long, no other server drives either, in milliseconds.
const LEFT_MS: i64 = 600_000;

impl Control {
    /// Gives those runs their end, or, where nothing had begun, to the embedded engine. Does nothing while an engine elsewhere is set.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn let_go(&self) -> Result<()> {
        if self.ports.executions.is_some() {
            return Ok(());
        }
        let now = self.now();
        for execution in executions::open(self.store.read()).await? {
            let run: RunId = execution.run_id.parse()?;
            let stages = runs::stages_of(self.store.read(), std::slice::from_ref(&execution.run_id)).await?;
            let stages = stages.get(&execution.run_id).map_or(&[][..], Vec::as_slice);
            let word = stages.iter().filter_map(last_word).max();
            let last = word.unwrap_or_default().max(execution.seen_at).max(self.started().0);
            if now.0 - last <= LEFT_MS {
                continue;
            }
            let untouched =
                execution.state == executions::WANTED && stages.iter().all(|row| row.attempt == 0);
            // Without stages its service was deleted, and the run with it.
            if untouched || stages.is_empty() {
                tracing::warn!(%run, "nothing of this run was started elsewhere; it is at home here");
                executions::forget(self.store.write(), &execution.run_id).await?;
                self.nudge.dispatch();
                continue;
            }
            tracing::warn!(%run, "nobody drives this run any more");
            let why = "the engine that drove it is not set any more: run it again".to_owned();
            match self.hear(&Letter::Ended { run, how: Err(why) }).await {
                Ok(()) | Err(Error::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
