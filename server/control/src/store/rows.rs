//! From rows to what API and pages show.

use std::collections::HashMap;

use domain::{
    Timestamp,
    service::{SecretVariable, ServiceSettings, Variable},
    view::{
        Approval, Artifact, Commit, Deployment, ErrorLine, Hold, Pipeline, PullRequest, Retention, Run,
        Service, ServiceRef, Stage,
    },
};
use entity::{approval, deployment, pipeline, run, service, stage};

use crate::{error::Result, readiness::Ready};

/// What a pipeline keeps.
pub fn retention(row: &pipeline::Model) -> Retention {
    Retention {
        log_days: row.log_days.max(0) as u32,
        log_megabytes: row.log_megabytes.max(0) as u64,
        run_days: row.run_days.max(0) as u32,
    }
}

/// A pipeline.
pub fn pipeline(row: pipeline::Model, services: u64) -> Result<Pipeline> {
    Ok(Pipeline {
        id: row.id.parse()?,
        environments: serde_json::from_str(&row.environments)?,
        services,
        retention: retention(&row),
        name: row.name,
        created_at: Timestamp(row.created_at),
    })
}

/// The settings as stored: secrets sealed.
pub fn settings(row: &service::Model) -> Result<ServiceSettings> {
    Ok(serde_json::from_str(&row.settings)?)
}

/// The settings as they are shown: secrets' values stay behind.
pub fn shown(row: &service::Model) -> Result<ServiceSettings> {
    let mut settings = settings(row)?;
    let groups = [
        &mut settings.variables,
        &mut settings.environments.staging.variables,
        &mut settings.environments.production.variables,
    ];
    for variable in groups.into_iter().flat_map(|g| g.values_mut()) {
        if let Variable::Secret(SecretVariable { value, secret: true }) = variable {
            *value = None;
        }
    }
    Ok(settings)
}

/// A service; its secrets' values stay behind.
pub fn service(row: service::Model) -> Result<Service> {
    let mut settings = shown(&row)?;
    settings.port = Some(row.production_port as u16);
    settings.branch = Some(row.branch);
    settings.environments.production.port = Some(row.production_port as u16);
    settings.environments.staging.port = Some(row.staging_port as u16);
    let hold = row.hold_since.map(|since| Hold {
        reason: row.hold_reason.unwrap_or_default(),
        by: row.hold_by.unwrap_or_default(),
        since: Timestamp(since),
    });
    Ok(Service {
        id: row.id.parse()?,
        pipeline: row.pipeline_id.parse()?,
        settings,
        runtime: row.runtime,
        hold,
        notices: row.notices,
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
    })
}

/// Which service.
pub fn service_ref(row: &service::Model) -> Result<ServiceRef> {
    let name = match row.draft {
        Some(_) => settings(row)?.name,
        None => row.name.clone(),
    };
    Ok(ServiceRef { id: row.id.parse()?, name })
}

/// What a list of stages is shown with.
#[derive(Debug, Default)]
pub struct StageFacts {
    /// Median duration by kind.
    pub usual: HashMap<String, i64>,
    /// Place in the queue by stage id.
    pub queue: HashMap<String, u32>,
}

/// A stage.
pub fn stage(row: stage::Model, facts: &StageFacts) -> Result<Stage> {
    let status: domain::Status = row.status.parse()?;
    // Between two attempts nothing runs: the times of the attempt before would mislead.
    let (started, ended) = match status {
        domain::Status::Idle | domain::Status::AwaitingApproval => (None, None),
        _ => (row.started_at, row.ended_at),
    };
    Ok(Stage {
        kind: row.kind.parse()?,
        status,
        reason: row.reason,
        attempt: row.attempt as u32,
        started_at: started.map(Timestamp),
        ended_at: ended.map(Timestamp),
        duration_ms: started.zip(ended).map(|(from, to)| to - from),
        usual_ms: facts.usual.get(&row.kind).copied(),
        lines: if row.log_removed.is_some() { 0 } else { row.lines as u64 },
        log_removed: row.log_removed,
        exit_code: row.exit_code,
        error: row.error_seq.zip(row.error_text).map(|(seq, text)| ErrorLine { seq: seq as u64, text }),
        queue: facts.queue.get(&row.id).copied(),
        id: row.id.parse()?,
    })
}

/// An approval.
pub fn approval(row: approval::Model) -> Approval {
    Approval {
        state: row.state,
        artifact: row.artifact,
        requested_at: Timestamp(row.requested_at),
        expires_at: Timestamp(row.expires_at),
        by: row.decided_by,
        comment: row.comment,
        decided_at: row.decided_at.map(Timestamp),
        note: row.note,
    }
}

/// A run with everything that belongs to it.
pub fn run(
    row: run::Model,
    service: ServiceRef,
    stages: Vec<stage::Model>,
    facts: &StageFacts,
    approved: Option<approval::Model>,
) -> Result<Run> {
    Ok(Run {
        id: row.id.parse()?,
        number: row.number,
        service,
        status: row.status.parse()?,
        reason: row.reason,
        trigger: row.trigger.parse()?,
        requested_by: row.requested_by,
        branch: row.branch,
        commit: Commit { sha: row.commit_sha, message: row.commit_message, author: row.commit_author },
        pull_request: row
            .pull_request
            .map(|number| PullRequest { number: number as u64, fork: row.fork.clone() }),
        plan: serde_json::from_str(&row.plan)?,
        stages: stages.into_iter().map(|s| stage(s, facts)).collect::<Result<_>>()?,
        approval: approved.map(approval),
        artifact: row.artifact.map(|digest| Artifact { digest, size: row.artifact_size.unwrap_or(0) as u64 }),
        rerun_of: row.rerun_of.map(|r| r.parse()).transpose()?,
        execution: None,
        created_at: Timestamp(row.created_at),
        started_at: row.started_at.map(Timestamp),
        ended_at: row.ended_at.map(Timestamp),
        duration_ms: row.started_at.zip(row.ended_at).map(|(from, to)| to - from),
    })
}

/// A deployment, and whether one can go back to it.
pub fn deployment(row: deployment::Model, ready: Ready) -> Result<Deployment> {
    Ok(Deployment {
        id: row.id.parse()?,
        environment: row.environment.parse()?,
        artifact: Artifact { digest: row.artifact, size: row.artifact_size as u64 },
        commit: Commit { sha: row.commit_sha, message: row.commit_message, author: row.commit_author },
        run: row.run_id.parse()?,
        run_number: row.run_number,
        live: row.live,
        since: Timestamp(row.since),
        until: row.until.map(Timestamp),
        rollback: row.rollback,
        can_roll_back: ready.why_not.is_none(),
        why_not: ready.why_not,
        doubt: ready.doubt,
    })
}
