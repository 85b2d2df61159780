//! Starts stages: a bounded number at a time, first those of services with the fewest in progress, then the oldest.
//!
//! Several servers decide one after the other. Deploys to one environment of a service never overlap, and an older commit never replaces a newer one by itself.

use std::collections::{HashMap, HashSet};

use domain::{RunId, StageEvent, StageId, StageKind, Status};
use entity::stage;

use crate::{
    Control,
    error::{Error, Result},
    ports::Attempt,
    store::{backend, executions, run_state::RunState, runs, services},
};

impl Control {
    /// Starts what may start. Returns how many stages were started.
    pub async fn dispatch(&self) -> Result<usize> {
        let (ready, busy) = runs::queue(self.store.read()).await?;
        let mine = |stage: &&stage::Model| self.at_home(stage.folder.as_deref());
        let mut free = self.setup.limits.slots.saturating_sub(busy.iter().filter(mine).count());
        let mut per_service: HashMap<String, usize> = HashMap::new();
        let mut deploying: HashSet<(String, String)> = HashSet::new();
        for stage in &busy {
            *per_service.entry(stage.service_id.clone()).or_default() += 1;
            if is_deploy(stage) {
                deploying.insert((stage.service_id.clone(), stage.kind.clone()));
            }
        }
        let mut waiting = self.of_services_here(ready).await?;
        let mut started = 0;
        while free > 0 {
            // The queue is in order of readiness, and the smallest count wins: a service with many runs cannot starve another.
            let next = waiting
                .iter()
                .enumerate()
                .filter(|(_, s)| {
                    !(is_deploy(s) && deploying.contains(&(s.service_id.clone(), s.kind.clone())))
                })
                .min_by_key(|(at, s)| (per_service.get(&s.service_id).copied().unwrap_or(0), *at))
                .map(|(at, _)| at);
            let Some(at) = next else { break };
            let stage = waiting.remove(at);
            match self.start_stage(&stage).await {
                Ok(Start::Full) => break,
                Ok(Start::Done) => {
                    free -= 1;
                    started += 1;
                    *per_service.entry(stage.service_id.clone()).or_default() += 1;
                    if is_deploy(&stage) {
                        deploying.insert((stage.service_id.clone(), stage.kind.clone()));
                    }
                }
                Ok(Start::Not) => {}
                // Somebody changed the run in between: the next look sees how it stands now.
                Err(Error::Conflict(_) | Error::NotFound { .. }) => self.nudge.dispatch(),
                Err(e) => return Err(e),
            }
        }
        Ok(started)
    }

    /// Those of services that are at home in this data folder, where a run's stages share its workspace and its artifacts, and whose
    /// run no engine elsewhere drives.
    async fn of_services_here(&self, ready: Vec<stage::Model>) -> Result<Vec<stage::Model>> {
        if ready.is_empty() {
            return Ok(ready);
        }
        let services = services::all_with_drafts(self.store.read()).await?;
        let here: HashSet<String> =
            services.into_iter().filter(|s| self.at_home(s.folder.as_deref())).map(|s| s.id).collect();
        let driven = executions::open(self.store.read()).await?;
        let driven: HashSet<String> = driven.into_iter().map(|execution| execution.run_id).collect();
        Ok(ready
            .into_iter()
            .filter(|stage| here.contains(&stage.service_id) && !driven.contains(&stage.run_id))
            .collect())
    }

    /// Starts one stage, unless it turns out that it must not start.
    async fn start_stage(&self, row: &stage::Model) -> Result<Start> {
        let kind: StageKind = row.kind.parse()?;
        let stage: StageId = row.id.parse()?;
        let run: RunId = row.run_id.parse()?;
        let now = self.now();
        let tx = self.store.begin().await?;
        // Other servers decide too: what was counted before may not be so any more.
        backend::lock(&tx, backend::Lock::Dispatch).await?;
        let (_, busy) = runs::queue(&tx).await?;
        if busy.iter().filter(|s| self.at_home(s.folder.as_deref())).count() >= self.setup.limits.slots {
            return Ok(Start::Full);
        }
        if is_deploy(row) && busy.iter().any(|s| s.service_id == row.service_id && s.kind == row.kind) {
            return Ok(Start::Not);
        }
        let mut state = RunState::load(&tx, &row.run_id).await?;
        if state.status_of(kind) != Some(Status::Idle)
            || state.stage(kind).is_none_or(|s| s.ready_at.is_none())
        {
            return Ok(Start::Not);
        }
        let service = services::by_id(&tx, &row.service_id).await?;
        if self.overtaken(&tx, &mut state, kind, now).await? {
            state.settle(&crate::runs::gate_facts(&service)?, now)?;
            state.save(&tx, now).await?;
            tx.commit().await?;
            self.nudge.changed(Some(run));
            return Ok(Start::Not);
        }
        let (attempt, token) = self.begin(&mut state, kind, &self.setup.node.folder, now)?;
        services::settle_in(&tx, &row.service_id, &self.setup.node.folder).await?;
        state.settle(&crate::runs::gate_facts(&service)?, now)?;
        let _launching = Launching::begin(self, stage, attempt);
        state.save(&tx, now).await?;
        tx.commit().await?;
        self.nudge.changed(Some(run));
        if let Err(error) = self.ports.launcher.launch(&Attempt { run, stage, attempt, kind, token }).await {
            tracing::error!(%run, %stage, attempt, %error, "a runner could not be started");
            let reason = format!("its runner could not be started: {error}");
            self.change_run(&row.run_id, |state| {
                if state.status_of(kind) == Some(Status::InProgress) {
                    state.apply(kind, StageEvent::Fail, Some(reason.clone()), self.now())?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(Start::Done)
    }
}

/// What came of trying to start a stage.
enum Start {
    /// It is started.
    Done,
    /// It must not start now.
    Not,
    /// There is no slot any more.
    Full,
}

fn is_deploy(stage: &stage::Model) -> bool {
    stage.kind.starts_with("deploy_")
}

/// Marks an attempt as being started, until dropped.
struct Launching<'a> {
    control: &'a Control,
    key: (StageId, u32),
}

impl<'a> Launching<'a> {
    fn begin(control: &'a Control, stage: StageId, attempt: u32) -> Self {
        let key = (stage, attempt);
        control.launching.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key);
        Self { control, key }
    }
}

impl Drop for Launching<'_> {
    fn drop(&mut self) {
        self.control.launching.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&self.key);
    }
}
