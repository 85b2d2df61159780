//! Looks whether everything is there that runs and services on AWS need, and says what to mend. Permissions are tried by calls that cannot do
//! anything: what they name does not exist, or what they carry cannot be read, and AWS looks at the permission first.
//!
//! Refuses to change anything, and so does not try what only works by changing something (creating, pushing, handing over roles).

mod engine;
mod quotas;
mod services;

use aws_config::SdkConfig;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use control::engine::executions::EngineError;

use crate::{
    ecr::Address,
    engine::{EngineSettings, configuration},
    trouble::{Kind, engine_error, kind_of},
};

/// How one thing stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As it should.
    Good(String),
    /// It works, but is worth a thought.
    Doubtful(String),
    /// Not, and what helps.
    Bad(String),
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What.
    pub what: &'static str,
    /// How it stands.
    pub found: Found,
}

/// What of AWS a server uses.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    /// Runs are executions of a state machine.
    pub engine: Option<EngineSettings>,
    /// Images are in ECR.
    pub images: Option<Address>,
}

impl Uses {
    /// In which region it is asked, where the environment names none.
    pub fn region(&self) -> Option<&str> {
        let engine = self.engine.as_ref().and_then(EngineSettings::region);
        engine.or(self.images.as_ref().map(|images| images.region.as_str()))
    }
}

/// Looks at all of it.
pub async fn examine(uses: &Uses) -> Vec<Checked> {
    let mut here = configuration(uses.engine.as_ref().and_then(EngineSettings::region)).await;
    if here.region().is_none() {
        let Some(region) = uses.region() else {
            let help = "no region is known: set AWS_REGION, such as eu-central-1";
            return vec![Checked { what: "region", found: Found::Bad(help.into()) }];
        };
        here = configuration(Some(region)).await;
    }
    let mut all = vec![Checked { what: "credentials", found: who(&here).await }];
    if matches!(all[0].found, Found::Bad(_)) {
        return all; // nothing else can be asked
    }
    if let Some(settings) = &uses.engine {
        all.extend(engine::examine(settings, &here).await);
    }
    all.extend(services::deploys(&here).await);
    if let Some(address) = &uses.images {
        all.extend(services::images(address, &configuration(Some(&address.region)).await).await);
    }
    let stage = uses.engine.as_ref().map(EngineSettings::largest_cpu);
    all.extend(quotas::examine(&here, stage).await);
    all
}

async fn who(config: &SdkConfig) -> Found {
    match aws_sdk_sts::Client::new(config).get_caller_identity().send().await {
        Ok(found) => Found::Good(found.arn.unwrap_or_else(|| "known".into())),
        Err(error) => bad(engine_error("AWS does not know who asks", &error)),
    }
}

/// A call that cannot do anything was made: whether it was refused for lack of a permission.
fn allowed<T, E, R>(permission: &'static str, answer: Result<T, SdkError<E, R>>) -> Checked
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let found = match answer {
        Ok(_) => Found::Good("allowed".into()),
        Err(error) => match error.as_service_error().and_then(|e| e.code()).map(kind_of) {
            Some(Kind::Denied) => {
                Found::Bad(format!("not allowed: add {permission} to the role that the server works with"))
            }
            Some(Kind::Gone | Kind::Wrong) => Found::Good("allowed".into()),
            Some(Kind::Throttled) => Found::Doubtful("AWS asks for patience; look again in a minute".into()),
            Some(Kind::Expired | Kind::Unsigned) | None => bad(engine_error("it cannot be asked", &error)),
        },
    };
    Checked { what: permission, found }
}

fn bad(error: EngineError) -> Found {
    Found::Bad(error.to_string())
}
