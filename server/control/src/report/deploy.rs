//! Deployments as GitHub shows them: one for each deploy stage that began, with where it stands.

use std::collections::BTreeMap;

use domain::{EnvironmentName, StageKind, Status, view::Stage};
use serde::{Deserialize, Serialize};

use super::{Telling, Trouble};
use crate::forge::ShownDeployment;

#[derive(Default, Clone, Serialize, Deserialize)]
struct Shown {
    id: i64,
    attempt: u32,
    state: String,
}

pub(super) async fn tell(telling: &mut Telling<'_>) -> Result<(), Trouble> {
    if !telling.settings.github.deployments {
        return Ok(());
    }
    let control = telling.control;
    let mut sent: BTreeMap<String, Shown> = telling.sent()?;
    for (kind, environment) in [
        (StageKind::DeployStaging, EnvironmentName::Staging),
        (StageKind::DeployProduction, EnvironmentName::Production),
    ] {
        let Some(stage) = telling.run.stage(kind).cloned() else { continue };
        let Some(state) = state(&stage) else { continue };
        let run = telling.run.number;
        let mut shown = match sent.get(environment.as_str()) {
            Some(shown) => shown.clone(),
            None => {
                let wanted = ShownDeployment {
                    sha: telling.run.commit.sha.clone(),
                    environment: format!("{}/{environment}", telling.run.service.name),
                    production: environment == EnvironmentName::Production,
                    description: format!("run {run} of {}", telling.run.service.name),
                };
                let id = control.ports.forge.deployment(&telling.repository, &wanted).await?;
                let shown = Shown { id, ..Shown::default() };
                sent.insert(environment.as_str().into(), shown.clone());
                // Before anything else is said about it: nobody is to make it twice.
                telling.keep(&sent).await?;
                shown
            }
        };
        if (shown.attempt, shown.state.as_str()) == (stage.attempt, state) {
            continue;
        }
        let link = format!("{}?stage={kind}", telling.link());
        let why = stage.reason.clone().unwrap_or_else(|| format!("run {run}"));
        control.ports.forge.tell_deployment(&telling.repository, shown.id, state, &why, &link).await?;
        (shown.attempt, shown.state) = (stage.attempt, state.into());
        sent.insert(environment.as_str().into(), shown);
        telling.keep(&sent).await?;
    }
    Ok(())
}

/// None for a stage that deploys nothing, or has not begun to.
fn state(stage: &Stage) -> Option<&'static str> {
    stage.started_at?;
    Some(match stage.status {
        Status::Success => "success",
        Status::Failure => "failure",
        Status::Cancelled => "error",
        Status::InProgress | Status::Idle => "in_progress",
        Status::Skipped | Status::AwaitingApproval => return None,
    })
}
