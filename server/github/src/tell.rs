//! What GitHub is told of commits, pull requests and deployments, and the little that it is asked.
//!
//! <https://docs.github.com/en/rest/commits/statuses>, `/issues/comments`, `/deployments`, `/pulls`, `/git/refs`

use control::forge::{CommitStatus, ForgeError, ShownDeployment};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;

#[derive(Deserialize)]
struct Made {
    id: i64,
}

#[derive(Deserialize)]
struct Object {
    sha: String,
}

#[derive(Deserialize)]
struct Reference {
    object: Object,
}

pub(crate) async fn head(
    client: &Client,
    repository: &str,
    branch: &str,
) -> Result<Option<String>, ForgeError> {
    match client.look::<Reference>(repository, &format!("/git/ref/heads/{branch}")).await {
        Ok(reference) => Ok(Some(reference.object.sha)),
        Err(ForgeError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) async fn status(
    client: &Client,
    repository: &str,
    sha: &str,
    status: &CommitStatus,
) -> Result<(), ForgeError> {
    let body = json!({
        "state": status.state, "context": status.context, "description": short(&status.description), "target_url": status.url,
    });
    client.tell(Method::POST, repository, &format!("/statuses/{sha}"), Some(body)).await
}

/// GitHub takes 140 characters.
fn short(text: &str) -> String {
    if text.chars().count() <= 140 {
        return text.to_owned();
    }
    text.chars().take(139).chain(['…']).collect()
}

pub(crate) async fn comment(
    client: &Client,
    repository: &str,
    pull_request: u64,
    known: Option<i64>,
    text: &str,
) -> Result<i64, ForgeError> {
    let body = json!({ "body": text });
    if let Some(id) = known {
        match client
            .tell(Method::PATCH, repository, &format!("/issues/comments/{id}"), Some(body.clone()))
            .await
        {
            // Somebody deleted it: then there is a new one.
            Err(ForgeError::Missing(_)) => {}
            done => return done.map(|()| id),
        }
    }
    let made: Made = client
        .call(Method::POST, repository, &format!("/issues/{pull_request}/comments"), Some(body))
        .await?;
    Ok(made.id)
}

pub(crate) async fn deployment(
    client: &Client,
    repository: &str,
    shown: &ShownDeployment,
) -> Result<i64, ForgeError> {
    let body = json!({
        "ref": shown.sha,
        "environment": shown.environment,
        "description": short(&shown.description),
        "production_environment": shown.production,
        "transient_environment": false,
        "auto_merge": false,
        // Whether it may be deployed was decided here.
        "required_contexts": Vec::<Value>::new(),
    });
    let made: Made = client.call(Method::POST, repository, "/deployments", Some(body)).await?;
    Ok(made.id)
}

pub(crate) async fn deployment_status(
    client: &Client,
    repository: &str,
    id: i64,
    state: &str,
    description: &str,
    url: &str,
) -> Result<(), ForgeError> {
    let body =
        json!({ "state": state, "description": short(description), "log_url": url, "auto_inactive": true });
    client.tell(Method::POST, repository, &format!("/deployments/{id}/statuses"), Some(body)).await
}

pub(crate) async fn merge(
    client: &Client,
    repository: &str,
    pull_request: u64,
    sha: &str,
) -> Result<(), ForgeError> {
    let path = format!("/pulls/{pull_request}/merge");
    client.tell(Method::PUT, repository, &path, Some(json!({ "sha": sha }))).await
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn descriptions_fit() {
        assert_eq!(short("ok"), "ok");
        assert_eq!(short(&"ä".repeat(200)).chars().count(), 140);
    }
}
