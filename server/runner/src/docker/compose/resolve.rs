//! What a Compose file means: its includes, variables and defaults filled in, as Compose itself says.
//!
//! Refuses a file that Compose refuses, with Compose's own words.

use std::{path::Path, time::Duration};

use serde_json::Value;

use super::super::{Docker, DockerError, disturbs, stream};
use crate::{
    context::{Context, pairs},
    reason::Failure,
};

/// How long reading a file may take; one may include others from elsewhere.
const LONGEST: Duration = Duration::from_secs(120);

/// The variables that a file may use: the service's, and those that say which run this is. They travel in the environment.
pub(super) fn variables(stage: &Context) -> Vec<(String, String)> {
    let mut all = said(stage);
    all.extend(pairs(&stage.job.variables).filter(|(name, _)| !disturbs(name)));
    all
}

/// Those that say which run this is.
pub(super) fn said(stage: &Context) -> Vec<(String, String)> {
    let ours = |name: &str| {
        name == "CI"
            || (name.starts_with("SEAMLESS") && name != crate::tree::COOKIE && name != "SEAMLESS_CACHE")
    };
    stage.stated().into_iter().filter(|(name, _)| ours(name)).collect()
}

/// Resolves a file.
pub(super) async fn resolve(
    stage: &Context,
    docker: &Docker,
    project: &str,
    checkout: &Path,
    file: &Path,
) -> Result<Value, Failure> {
    let path = checkout.join(file);
    let folder = path.parent().unwrap_or(checkout);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (path, folder) = (text(&path), text(folder));
    let arguments = ["compose", "--file", &path, "--project-name", project, "--project-directory", &folder];
    // All profiles, so that what the test needs is there; what nobody asked for is left out later, and the log says so.
    let rest = ["--profile", "*", "--ansi", "never", "config", "--format", "json"];
    let mut command = stream::call(stage, docker, arguments.iter().chain(&rest));
    command.envs(variables(stage));
    let answer = tokio::select! {
        answer = docker.finish("compose", command, LONGEST) => answer,
        () = stage.ending.ended() => return Err(Failure::new("ended")),
    };
    let named = file.display();
    let answer = answer.map_err(|error| match error {
        DockerError::Other(said) | DockerError::Missing(said) | DockerError::RegistryAway(said) => {
            let said = said.replace(&format!("{folder}/"), "");
            Failure::new(format!("the Compose file `{named}` is not valid: {said}"))
        }
        other => Failure::new(other.to_string()),
    })?;
    answer.stderr.lines().filter_map(warning).for_each(|said| stage.log.system(format!("{named}: {said}")));
    serde_json::from_str(&answer.stdout).map_err(|e| {
        Failure::new(format!(
            "`docker compose config` answered what nobody understands ({e}): Compose 2.20 or newer is needed"
        ))
    })
}

/// The words of a line such as `time="…" level=warning msg="The \"TOKEN\" variable is not set."`.
pub(super) fn warning(line: &str) -> Option<String> {
    let (_, said) = line.split_once("level=warning msg=")?;
    Some(serde_json::from_str(said).unwrap_or_else(|_| said.trim_matches('"').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_passed_on() {
        let line = r#"time="2026-11-25T10:38:41Z" level=warning msg="The \"TOKEN\" variable is not set.""#;
        assert_eq!(warning(line).as_deref(), Some("The \"TOKEN\" variable is not set."));
        assert_eq!(warning("services.a must be a mapping"), None);
    }
}
