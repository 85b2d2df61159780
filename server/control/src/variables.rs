//! Variables of a service: sealed on the way in, opened for runners alone.

use std::collections::BTreeMap;

use domain::{
    EnvironmentName,
    protocol::JobVariable,
    service::{SecretVariable, ServiceSettings, Variable},
};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    seal::Sealer,
};

pub const PURPOSE: &str = "variable";

/// Seals every secret; one without a value keeps what `before` has under its name.
pub fn seal(sealer: &Sealer, settings: &mut ServiceSettings, before: Option<&ServiceSettings>) -> Result<()> {
    type Group = fn(&ServiceSettings) -> &BTreeMap<String, Variable>;
    let groups: [(&str, &mut BTreeMap<String, Variable>, Group); 3] = [
        ("variables", &mut settings.variables, |s| &s.variables),
        ("environments.staging.variables", &mut settings.environments.staging.variables, |s| {
            &s.environments.staging.variables
        }),
        ("environments.production.variables", &mut settings.environments.production.variables, |s| {
            &s.environments.production.variables
        }),
    ];
    for (path, group, of) in groups {
        for (name, variable) in group.iter_mut() {
            let Variable::Secret(SecretVariable { value, secret }) = variable else { continue };
            match (value.take(), *secret) {
                (Some(text), true) => *value = Some(sealer.seal(PURPOSE, &text)?),
                (Some(text), false) => *variable = Variable::Plain(text),
                (None, _) => match before.and_then(|b| of(b).get(name)) {
                    Some(kept @ Variable::Secret(_)) => *variable = kept.clone(),
                    _ => {
                        return Err(Error::field(
                            &format!("{path}.{name}"),
                            "give a value; none is stored under this name",
                        ));
                    }
                },
            }
        }
    }
    Ok(())
}

/// Every secret of settings, as it is sealed.
pub fn secrets(settings: &mut ServiceSettings) -> impl Iterator<Item = &mut String> {
    let environments = &mut settings.environments;
    let groups = [
        &mut settings.variables,
        &mut environments.staging.variables,
        &mut environments.production.variables,
    ];
    groups.into_iter().flat_map(BTreeMap::values_mut).filter_map(|variable| match variable {
        Variable::Secret(SecretVariable { value, secret: true }) => value.as_mut(),
        _ => None,
    })
}

/// The variables of commands (`environment` absent) or of a started service, the environment's own winning.
pub fn open(
    sealer: &Sealer,
    settings: &ServiceSettings,
    environment: Option<EnvironmentName>,
) -> Result<Vec<JobVariable>> {
    let mut merged = settings.variables.clone();
    match environment {
        Some(EnvironmentName::Staging) => merged.extend(settings.environments.staging.variables.clone()),
        Some(EnvironmentName::Production) => {
            merged.extend(settings.environments.production.variables.clone())
        }
        None => {}
    }
    merged
        .into_iter()
        .map(|(name, variable)| {
            Ok(match variable {
                Variable::Plain(value) => JobVariable { name, value, secret: false },
                Variable::Secret(SecretVariable { value, secret }) => {
                    let value = value.map(|v| sealer.open(PURPOSE, &v)).transpose()?.unwrap_or_default();
                    JobVariable { name, value, secret }
                }
            })
        })
        .collect()
}

/// Identity of a configuration: SHA-256 over what the service is started with.
pub fn config_hash(launch: &domain::plan::LaunchPlan, variables: &[JobVariable]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(&(launch, variables))?);
    Ok(hex::encode(hash.finalize()))
}
