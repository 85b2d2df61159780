//! A service's secret variables, kept in Secrets Manager, from where ECS hands them to the container.
//!
//! One secret per ECS service and container, a JSON object of names and values; a task definition holds only references to one
//! version of it, so that a rollback of ECS's own gets the values that went with it. The version is named by the deployment, so
//! asking twice writes once. Refuses to read anything back.

use std::collections::BTreeMap;

use domain::{DeploymentId, containers::EcsService, protocol::JobVariable};
use runner::target::LogSink;
use serde_json::json;

use crate::account::{Account, AwsError};

/// The name under which they are kept.
pub(super) fn name(place: &EcsService, container: &str) -> String {
    let cluster = place.cluster.rsplit('/').next().unwrap_or(&place.cluster);
    format!("seamless/{cluster}/{}/{container}", place.service)
}

/// Puts them away; answers for each name where ECS finds its value. Asks nothing where there are none.
pub(super) async fn keep(
    account: &Account,
    log: &LogSink,
    name: &str,
    deployment: DeploymentId,
    variables: &[JobVariable],
) -> Result<BTreeMap<String, String>, AwsError> {
    let values: BTreeMap<&str, &str> =
        variables.iter().filter(|v| v.secret).map(|v| (&*v.name, &*v.value)).collect();
    if values.is_empty() {
        return Ok(BTreeMap::new());
    }
    // 32 characters at least, and the name of the version from now on.
    let version = format!("seamless-{deployment}");
    let text = json!(values).to_string();
    let put = account.insist(log, "secretsmanager:PutSecretValue", |aws| {
        let question = aws.secrets.put_secret_value().secret_id(name);
        question.client_request_token(&version).secret_string(&text).send()
    });
    let arn = match put.await {
        Ok(done) => done.arn,
        Err(error) if error.is("ResourceNotFoundException") => {
            let made = account.insist(log, "secretsmanager:CreateSecret", |aws| {
                let question = aws.secrets.create_secret().name(name).client_request_token(&version);
                question
                    .description("Variables of a service, handed over by Seamless at each deployment")
                    .secret_string(&text)
                    .send()
            });
            made.await?.arn
        }
        Err(error) => return Err(error),
    };
    let arn = arn.ok_or_else(|| AwsError::new("AWS kept the secrets and did not say where"))?;
    log.system(format!("{} secret variables are in Secrets Manager as {name}", values.len()));
    Ok(values.keys().map(|key| ((*key).to_owned(), format!("{arn}:{key}::{version}"))).collect())
}
