//! What an execution is started with: which stages, for how long, and a ticket for each. The same each time it is asked for, so that starting twice is once.

use domain::{
    RunId, StageKind,
    plan::{Plan, Trigger},
};
use entity::{run, service};
use serde_json::{Map, Value, json};

use super::Executions;
use crate::{Control, error::Result, store::rows};

/// Purpose of tickets.
const TICKET: &str = "ticket";
/// How much longer than its limit a task may take: to be placed, to fetch its image, to report.
const GRACE_S: u32 = 15 * 60;

/// How much longer still a deploy's task may take: it stands in line behind other runs' deploys.
const LINE_S: u32 = 24 * 3600;
/// How much longer than an approval a gate waits: the expiry is the approval's, and this one is for when nobody is there to tell of it.
const SLACK_S: u32 = 7 * 24 * 3600;

/// What a stage's task may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// In 1024ths of a core.
    pub cpu: u32,
    /// In MiB.
    pub memory: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { cpu: 1024, memory: 2048 }
    }
}

impl Control {
    /// The input of a run's execution. No secret is in it but tickets, each good for one stage of this run.
    pub(super) fn execution_input(
        &self,
        engine: &dyn Executions,
        run: &run::Model,
        service: &service::Model,
    ) -> Result<Value> {
        let id: RunId = run.id.parse()?;
        let plan: Plan = serde_json::from_str(&run.plan)?;
        let mut stages = Map::new();
        for kind in StageKind::ALL {
            let planned = plan.stage(kind).filter(|stage| stage.skip.is_none());
            let size = engine.size(kind);
            let line = kind.environment().map_or(0, |_| LINE_S);
            stages.insert(
                kind.as_str().into(),
                json!({
                    "run": planned.is_some(),
                    "ticket": planned.map(|_| self.ticket(id, kind)).unwrap_or_default(),
                    "timeout": planned.map_or(60, |stage| stage.timeout_s.saturating_add(GRACE_S + line)),
                    "cpu": size.cpu.to_string(),
                    "memory": size.memory.to_string(),
                }),
            );
        }
        let deploys = plan.stage(StageKind::DeployProduction).is_some_and(|stage| stage.skip.is_none());
        let settled = run.trigger != Trigger::Rollback.as_str();
        Ok(json!({
            "run": run.id,
            "server": self.setup.url,
            "stages": stages,
            // Whether anybody has to be asked is found out at the gate: a hold may come up until then.
            "gate": { "ask": deploys && settled, "timeout": rows::settings(service)?.approval_timeout_s + SLACK_S },
        }))
    }

    pub(super) fn ticket(&self, run: RunId, kind: StageKind) -> String {
        self.sealer.sign(TICKET, &format!("{run}/{kind}"))
    }

    pub(super) fn admits(&self, ticket: &str, run: RunId, kind: StageKind) -> bool {
        self.sealer.signed(TICKET, &format!("{run}/{kind}"), ticket)
    }
}
