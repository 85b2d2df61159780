//! A run with its stages and its approval, read, changed and written as one: the only way in which any of them changes.
//!
//! A change of status is `apply`, then one update filtered by the generation that was read; zero rows is a conflict, never a silent
//! overwrite. The events that tell of it go into the same transaction.

use domain::{
    StageEvent, StageKind, Status, Timestamp,
    plan::{Next, Plan},
};
use entity::{approval, run, stage};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::*,
};
use serde_json::json;

use super::events::{self, NewEvent};
use crate::error::{Error, Result};

/// What a run's gate needs to know of its service.
#[derive(Debug, Clone, Default)]
pub struct GateFacts {
    /// Why automatic deploys to production are stopped, and by whom.
    pub hold: Option<(String, String)>,
    /// How long an approval waits, in milliseconds.
    pub approval_ms: i64,
}

/// See the module.
pub struct RunState {
    /// The run.
    pub run: run::Model,
    /// Its stages, in order.
    pub stages: Vec<stage::Model>,
    /// Its approval, once the gate was reached.
    pub approval: Option<approval::Model>,
    /// Its plan.
    pub plan: Plan,
    changed: Vec<bool>,
    run_changed: bool,
    approval_changed: bool,
    events: Vec<NewEvent>,
}

impl RunState {
    /// A run that is not stored yet.
    pub fn new(run: run::Model, stages: Vec<stage::Model>, plan: Plan) -> Self {
        let changed = vec![false; stages.len()];
        Self {
            run,
            stages,
            approval: None,
            plan,
            changed,
            run_changed: false,
            approval_changed: false,
            events: Vec::new(),
        }
    }

    /// Reads a run inside a transaction; on PostgreSQL its row stays locked until the end.
    pub async fn load<C: ConnectionTrait>(db: &C, id: &str) -> Result<Self> {
        let run = run::Entity::find_by_id(id)
            .lock_exclusive()
            .one(db)
            .await?
            .ok_or_else(|| Error::not_found("run", id))?;
        let stages = stage::Entity::find()
            .filter(stage::Column::RunId.eq(id))
            .order_by_asc(stage::Column::Ordinal)
            .all(db)
            .await?;
        let approval = approval::Entity::find_by_id(id).one(db).await?;
        let plan = serde_json::from_str(&run.plan)?;
        let mut state = Self::new(run, stages, plan);
        state.approval = approval;
        Ok(state)
    }

    /// The run's status.
    pub fn status(&self) -> Status {
        self.run.status.parse().unwrap_or(Status::Idle)
    }

    /// A stage's status.
    pub fn status_of(&self, kind: StageKind) -> Option<Status> {
        self.stage(kind).and_then(|s| s.status.parse().ok())
    }

    /// A stage's row.
    pub fn stage(&self, kind: StageKind) -> Option<&stage::Model> {
        self.stages.iter().find(|s| s.kind == kind.as_str())
    }

    /// A stage's row, to change what is not its status.
    pub fn stage_mut(&mut self, kind: StageKind) -> Option<&mut stage::Model> {
        let at = self.stages.iter().position(|s| s.kind == kind.as_str())?;
        self.changed[at] = true;
        Some(&mut self.stages[at])
    }

    /// The run's row, to change what is not its status.
    pub fn run_mut(&mut self) -> &mut run::Model {
        self.run_changed = true;
        &mut self.run
    }

    /// Adds an event to what is told when this is saved.
    pub fn tell(&mut self, kind: &'static str, payload: serde_json::Value) {
        self.events.push(NewEvent {
            run: Some(self.run.id.clone()),
            service: Some(self.run.service_id.clone()),
            kind,
            payload,
        });
    }

    /// Changes a stage's status.
    pub fn apply(
        &mut self,
        kind: StageKind,
        event: StageEvent,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<()> {
        let from = self
            .status_of(kind)
            .ok_or_else(|| Error::Conflict(format!("this run has no stage {}", kind.title())))?;
        let to = from.apply(event)?;
        let Some(row) = self.stage_mut(kind) else { return Ok(()) };
        row.status = to.as_str().into();
        row.reason = reason.clone();
        match event {
            StageEvent::Start => {
                row.attempt += 1;
                row.started_at = Some(now.0);
                row.ended_at = None;
                row.error_seq = None;
                row.error_text = None;
                row.exit_code = None;
                row.heartbeat_at = None;
                row.lines = 0;
            }
            StageEvent::Approve => row.ready_at = Some(now.0),
            StageEvent::Retry => {
                row.ready_at = Some(now.0);
                row.ended_at = Some(now.0);
            }
            StageEvent::OpenGate => {}
            StageEvent::Succeed | StageEvent::Fail | StageEvent::Skip | StageEvent::Cancel => {
                // What never started has no end: its duration would be somebody else's.
                row.ended_at = row.started_at.map(|_| now.0);
                row.ready_at = None;
            }
        }
        let attempt = row.attempt;
        if event == StageEvent::Start && self.run.started_at.is_none() {
            self.run_mut().started_at = Some(now.0);
        }
        self.tell(
            "stage_changed",
            json!({ "stage": kind, "from": from, "to": to, "reason": reason, "attempt": attempt }),
        );
        Ok(())
    }

    /// Ends a wait for approval.
    pub fn decide(&mut self, state: &str, by: Option<&str>, comment: Option<String>, now: Timestamp) {
        if let Some(approval) = &mut self.approval {
            approval.state = state.into();
            approval.decided_by = by.map(str::to_owned);
            approval.comment = comment.clone();
            approval.decided_at = Some(now.0);
            self.approval_changed = true;
            self.tell("approval_decided", json!({ "decision": state, "by": by, "comment": comment }));
        }
    }

    /// Skips what is left to deploy, because something newer is live already.
    pub fn supersede(&mut self, by: &str, now: Timestamp) -> Result<()> {
        let reason = format!("superseded by {by}");
        for kind in [StageKind::DeployStaging, StageKind::DeployProduction] {
            if matches!(self.status_of(kind), Some(Status::Idle | Status::AwaitingApproval)) {
                self.apply(kind, StageEvent::Skip, Some(reason.clone()), now)?;
            }
        }
        if self.approval.as_ref().is_some_and(|a| a.state == "waiting") {
            self.decide("superseded", None, None, now);
        }
        self.run_mut().reason = Some(reason);
        Ok(())
    }

    /// Lets everything follow from how the stages stand: skips, opens the gate, makes stages ready, and moves the run itself.
    pub fn settle(&mut self, facts: &GateFacts, now: Timestamp) -> Result<()> {
        for planned in self.plan.stages.clone() {
            let kind = planned.kind;
            if self.status_of(kind) != Some(Status::Idle) {
                continue;
            }
            if let Some(reason) = planned.skip {
                self.apply(kind, StageEvent::Skip, Some(reason), now)?;
                continue;
            }
            match self.plan.next(kind, |k| self.status_of(k)) {
                Next::Wait => {}
                Next::Skip(reason) => self.apply(kind, StageEvent::Skip, Some(reason), now)?,
                Next::Ready if self.gate(kind, planned.gate, facts, now)? => {}
                Next::Ready => {
                    if self.stage(kind).is_some_and(|s| s.ready_at.is_none())
                        && let Some(row) = self.stage_mut(kind)
                    {
                        row.ready_at = Some(now.0);
                    }
                }
            }
        }
        self.settle_run(now);
        Ok(())
    }

    /// Opens the gate where one is due; true when the stage now waits for a person.
    fn gate(&mut self, kind: StageKind, planned: bool, facts: &GateFacts, now: Timestamp) -> Result<bool> {
        let held = facts
            .hold
            .as_ref()
            .filter(|_| kind == StageKind::DeployProduction && self.run.trigger != "rollback");
        let approved = self.approval.as_ref().is_some_and(|a| a.state == "approved");
        if approved || !(planned || held.is_some()) {
            return Ok(false);
        }
        let note = held
            .map(|(reason, by)| format!("automatic deploys to production were stopped by {by}: {reason}"));
        self.apply(kind, StageEvent::OpenGate, note.clone(), now)?;
        self.approval = Some(approval::Model {
            run_id: self.run.id.clone(),
            state: "waiting".into(),
            artifact: self.run.artifact.clone(),
            note,
            requested_at: now.0,
            expires_at: now.plus(facts.approval_ms).0,
            decided_by: None,
            comment: None,
            decided_at: None,
        });
        self.approval_changed = true;
        self.tell("approval_requested", json!({ "stage": kind, "artifact": self.run.artifact }));
        Ok(true)
    }

    fn settle_run(&mut self, now: Timestamp) {
        let stages: Vec<_> =
            self.plan.stages.iter().filter_map(|p| Some((p.kind, self.status_of(p.kind)?))).collect();
        let mut status = Plan::run_status(&stages);
        let superseded = self.run.reason.as_deref().is_some_and(|r| r.starts_with("superseded by "));
        if status == Status::Success && superseded {
            status = Status::Skipped;
        }
        if status == self.status() {
            return;
        }
        let from = self.status();
        if status.is_terminal() {
            let reason = stages.iter().find(|(_, s)| *s == status).and_then(|(kind, _)| {
                let why = self.stage(*kind).and_then(|s| s.reason.clone())?;
                matches!(status, Status::Failure | Status::Cancelled)
                    .then(|| format!("{}: {why}", kind.title()))
            });
            let run = self.run_mut();
            run.ended_at = Some(now.0);
            if reason.is_some() {
                run.reason = reason;
            }
        }
        self.run_mut().status = status.as_str().into();
        let reason = self.run.reason.clone();
        self.tell("run_changed", json!({ "from": from, "to": status, "reason": reason }));
    }

    /// Stores a new run with everything it was made with.
    pub async fn insert<C: ConnectionTrait>(mut self, db: &C, now: Timestamp) -> Result<()> {
        run::Entity::insert(run::ActiveModel::from(self.run.clone())).exec_without_returning(db).await?;
        stage::Entity::insert_many(self.stages.iter().cloned().map(stage::ActiveModel::from))
            .exec_without_returning(db)
            .await?;
        if let Some(approval) = self.approval.take() {
            approval::Entity::insert(approval::ActiveModel::from(approval))
                .exec_without_returning(db)
                .await?;
        }
        events::append(db, self.events, now).await
    }

    /// Writes what changed.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a row was changed since it was read: nothing is written then, as the caller's transaction ends.
    pub async fn save<C: ConnectionTrait>(self, db: &C, now: Timestamp) -> Result<()> {
        let conflict = |what: &str| {
            Error::Conflict(format!("the {what} changed at the same time; look again and repeat"))
        };
        for (row, changed) in self.stages.into_iter().zip(self.changed) {
            if !changed {
                continue;
            }
            let (id, read) = (row.id.clone(), row.generation);
            let started = row.status == "in_progress" && row.heartbeat_at.is_none() && row.lines == 0;
            let mut model = stage::ActiveModel::from(row).reset_all();
            model.generation = Set(read + 1);
            // The archive and the retention see to these.
            (model.log_bytes, model.log_removed) = (NotSet, NotSet);
            if !started {
                // Log batches and signs of life write these two on their own.
                model.lines = NotSet;
                model.heartbeat_at = NotSet;
            }
            let done = stage::Entity::update_many()
                .set(model)
                .filter(stage::Column::Id.eq(id))
                .filter(stage::Column::Generation.eq(read))
                .exec(db)
                .await?;
            if done.rows_affected == 0 {
                return Err(conflict("stage"));
            }
        }
        if self.run_changed {
            let (id, read) = (self.run.id.clone(), self.run.generation);
            let mut model = run::ActiveModel::from(self.run).reset_all();
            model.generation = Set(read + 1);
            let done = run::Entity::update_many()
                .set(model)
                .filter(run::Column::Id.eq(id))
                .filter(run::Column::Generation.eq(read))
                .exec(db)
                .await?;
            if done.rows_affected == 0 {
                return Err(conflict("run"));
            }
        }
        if let (true, Some(approval)) = (self.approval_changed, self.approval) {
            approval::Entity::delete_by_id(&approval.run_id).exec(db).await?;
            approval::Entity::insert(approval::ActiveModel::from(approval))
                .exec_without_returning(db)
                .await?;
        }
        events::append(db, self.events, now).await
    }
}
