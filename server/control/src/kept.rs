//! What was deployed to ECS and outlived its record: the image is in ECR, tagged with the deployment that brought it live, and the revision
//! of the task definition that ran it names that deployment as well.
//!
//! So a rollback needs no row of ours: image and deployment are the tag's, the commit is another tag of the image, and how it is deployed is
//! asked of today's settings. Refuses to offer an image whose commit no tag tells, and one that a record of ours leads to anyway.

use std::collections::HashSet;

use domain::{
    DeploymentId, RunId, ServiceId, Timestamp,
    containers::TargetKind,
    plan::{Plan, Trigger},
    view::{Artifact, KeptImage},
};
use entity::{deployment, service};

use crate::{
    Control,
    error::Result,
    ports::Tagged,
    store::{deployments, rows, services},
};

/// How many are offered of each environment.
const MOST: usize = 10;

impl Control {
    /// What one can go back to of which the registry alone knows, newest first.
    pub async fn kept(&self, id: ServiceId) -> Result<Vec<KeptImage>> {
        self.kept_of(&services::get(self.store.read(), id).await?).await
    }

    pub(crate) async fn kept_of(&self, row: &service::Model) -> Result<Vec<KeptImage>> {
        let mut kept = Vec::new();
        let tagged = self.tagged(row).await?;
        let settings = rows::settings(row)?;
        let artifacts: Vec<String> = tagged.iter().map(|(artifact, _)| artifact.clone()).collect();
        let known: HashSet<_> =
            deployments::known(self.store.read(), &row.id, &artifacts).await?.into_iter().collect();
        for (artifact, Tagged { deployment, environment, commit, size, .. }) in tagged {
            let known = known.contains(&(environment.to_string(), artifact.clone()));
            let again = |one: &KeptImage| one.environment == environment && one.artifact.digest == artifact;
            let of = kept.iter().filter(|one: &&KeptImage| one.environment == environment).count();
            let (Some(commit), false) = (commit, known || of == MOST || kept.iter().any(again)) else {
                continue;
            };
            kept.push(KeptImage {
                deployment,
                environment,
                artifact: Artifact { digest: artifact, size },
                commit,
                at: Timestamp(deployment.0.timestamp_ms() as i64),
                why_not: self.unresolved(&settings, environment),
            });
        }
        Ok(kept)
    }

    /// A deployment without a record, as its row would be.
    pub(crate) async fn kept_deployment(
        &self,
        row: &service::Model,
        id: DeploymentId,
    ) -> Result<Option<deployment::Model>> {
        let found = self.tagged(row).await?.into_iter().find(|(_, tagged)| tagged.deployment == id);
        let Some((artifact, Tagged { environment, commit: Some(sha), size, .. })) = found else {
            return Ok(None);
        };
        let plan = Plan::make(&rows::settings(row)?, Trigger::Rollback, Some(environment));
        let Some(launch) = plan.launch else { return Ok(None) };
        // What Git still knows of it is nice to have.
        let told = self.ports.git.log(&row.repository, None, &sha, 1).await.unwrap_or_default();
        let commit = told.into_iter().next().filter(|commit| commit.sha == sha).unwrap_or_default();
        Ok(Some(deployment::Model {
            id: id.to_string(),
            service_id: row.id.clone(),
            environment: environment.to_string(),
            artifact,
            artifact_size: size as i64,
            commit_sha: sha,
            commit_message: commit.message,
            commit_author: commit.author,
            launch: serde_json::to_string(&launch)?,
            config_hash: String::new(),
            run_id: RunId::from_parts(0, 0).to_string(),
            run_number: 0,
            built_by: 0,
            rollback: false,
            live: false,
            since: id.0.timestamp_ms() as i64,
            until: None,
        }))
    }

    /// The deployed images of a service on ECS, each as an artifact of ours, newest first.
    async fn tagged(&self, row: &service::Model) -> Result<Vec<(String, Tagged)>> {
        let (Some(images), Some(registry)) = (&self.ports.images, &self.setup.registry) else {
            return Ok(Vec::new());
        };
        let settings = rows::settings(row)?;
        if settings.target() != TargetKind::Ecs {
            return Ok(Vec::new());
        }
        let mut tagged = images.deployed(&row.name).await?;
        tagged.sort_by_key(|one| std::cmp::Reverse(one.deployment));
        let name = format!("{}/{}", registry.address.trim_end_matches('/'), row.name);
        Ok(tagged.into_iter().map(|one| (format!("{name}@{}", one.digest), one)).collect())
    }
}
