//! Whether one can go back to what ran before, told before anybody tries: the artifact is there, the configuration of today still
//! resolves, and whatever would run it answers.
//!
//! Refuses to call an artifact gone that nobody could be asked about: that is a doubt, and no reason against a rollback.

use domain::{
    EnvironmentName,
    containers::{ArtifactKind, ContainerSettings, TargetKind},
    service::ServiceSettings,
};
use entity::{deployment, service};

use crate::{Control, error::Result, ports::Found, store::rows, variables};

/// Whether one can go back to a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ready {
    /// Why not, and what helps.
    pub why_not: Option<String>,
    /// What could not be found out.
    pub doubt: Option<String>,
}

impl Ready {
    /// Of what is live.
    pub fn live() -> Self {
        Self::not("it is what runs now")
    }

    fn not(why: impl Into<String>) -> Self {
        Self { why_not: Some(why.into()), doubt: None }
    }
}

impl From<Found> for Ready {
    fn from(found: Found) -> Self {
        match found {
            Found::There => Self::default(),
            Found::Gone(why) | Found::NoDaemon(why) => Self::not(why),
            Found::Unknown(why) => Self { why_not: None, doubt: Some(why) },
        }
    }
}

impl Control {
    /// Whether an artifact is gone for certain, as the server's own daemon finds it.
    pub(crate) async fn is_gone(&self, artifact: &str) -> bool {
        let wanted = [artifact.to_owned()];
        let found = match &self.ports.images {
            // Built here and then perhaps pruned: the registry has it.
            Some(images) if artifact.contains('@') => images.found(&wanted).await,
            _ => {
                let registry = self.registry("", false).await;
                let here = ContainerSettings::default();
                self.ports.host.artifacts(&wanted, &here, registry.as_ref()).await
            }
        };
        matches!(found[..], [Found::Gone(_)])
    }

    /// Whether one can go back to each of these deployments of a service, in their order.
    pub(crate) async fn readiness(
        &self,
        service: &service::Model,
        deployments: &[deployment::Model],
    ) -> Result<Vec<Ready>> {
        let settings = rows::settings(service)?;
        let elsewhere = self.elsewhere(service).await?;
        let mut ready = vec![Ready::default(); deployments.len()];
        for environment in EnvironmentName::ALL {
            let unresolved = self.unresolved(&settings, environment);
            let mut asked = Vec::new();
            for (index, row) in deployments.iter().enumerate() {
                if row.environment != environment.as_str() {
                    continue;
                }
                let why = other_kind(&settings, environment, &row.artifact)
                    .or_else(|| self.fleeting(&settings, environment))
                    .or_else(|| unresolved.clone());
                match why {
                    _ if row.live => ready[index] = Ready::live(),
                    Some(why) => ready[index] = Ready::not(why),
                    None => asked.push(index),
                }
            }
            if asked.is_empty() {
                continue;
            }
            let wanted: Vec<String> =
                asked.iter().map(|&index| deployments[index].artifact.clone()).collect();
            let (of, images) = (settings.environments.of(environment), self.ports.images.as_ref());
            let on_ecs = of.target.unwrap_or_else(|| settings.target()) == TargetKind::Ecs;
            let found = match &elsewhere {
                // ECS fetches it from the registry, wherever this server is.
                _ if on_ecs => match images {
                    Some(images) => images.found(&wanted).await,
                    None => vec![Found::Unknown("its registry cannot be asked".into()); wanted.len()],
                },
                Some(host) => {
                    vec![Found::Unknown(format!("it is on {host}; a server there knows")); wanted.len()]
                }
                None => {
                    let registry = self.registry(&service.name, false).await;
                    self.ports.host.artifacts(&wanted, &of.container, registry.as_ref()).await
                }
            };
            for (index, found) in asked.into_iter().zip(found) {
                ready[index] = found.into();
            }
        }
        Ok(ready)
    }

    /// Why what is deployed to an environment would not stay, if it would not.
    pub(crate) fn fleeting(
        &self,
        settings: &ServiceSettings,
        environment: EnvironmentName,
    ) -> Option<String> {
        let target = settings.environments.of(environment).target.unwrap_or_else(|| settings.target());
        let why = self.ends_with_its_task().filter(|_| target != TargetKind::Ecs);
        why.map(str::to_owned)
    }

    /// Why what runs in an environment could not be configured, if it could not.
    pub(crate) fn unresolved(
        &self,
        settings: &ServiceSettings,
        environment: EnvironmentName,
    ) -> Option<String> {
        let opened = variables::open(&self.sealer, settings, Some(environment));
        opened.err().map(|_| {
            "its variables cannot be opened: SEAMLESS_SECRET_KEY, or secret.key, is not the one they were sealed with; bring that back, or enter the service's secrets anew".to_owned()
        })
    }
}

/// Why an artifact is nothing that an environment takes now, if so.
fn other_kind(settings: &ServiceSettings, environment: EnvironmentName, artifact: &str) -> Option<String> {
    let target = settings.environments.of(environment).target.unwrap_or_else(|| settings.target());
    match (ArtifactKind::of(artifact), target.takes_images()) {
        (ArtifactKind::Image, false) => Some(
            "it is an image, and the service is deployed as a process now: set its target back to `docker` first"
                .to_owned(),
        ),
        (ArtifactKind::Bundle, true) => Some(
            "it is a bundle of files, and the service is deployed as containers now: set its target back to `process` first"
                .to_owned(),
        ),
        _ => None,
    }
}
