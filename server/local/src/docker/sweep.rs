//! Takes down what runners that are gone have left with the server's own daemon.
//!
//! Silent and cheap where there is no daemon. Refuses to touch what belongs to a runner that lives, to another server on this
//! machine, or to a deployment.

use std::path::Path;

use domain::StageId;
use runner::docker::{Docker, DockerError, labels, leftovers};

/// Removes everything of one attempt, which must have no runner any more.
pub async fn attempt(docker: &Docker, data: &Path, attempt: &str) {
    leftovers::remove_files(&data.join("stages").join(attempt));
    match leftovers::remove(docker, &labels::instance(data), attempt).await {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => tracing::info!(attempt, ?removed, "what a runner left with Docker was removed"),
        Err(error) => tell(&error),
    }
}

/// Removes everything of attempts whose runner does not live, as `alive` knows.
pub async fn all(docker: &Docker, data: &Path, alive: impl Fn(StageId, u32) -> bool) {
    let found = match leftovers::attempts(docker, &labels::instance(data)).await {
        Ok(found) => found,
        Err(error) => return tell(&error),
    };
    for name in found {
        let gone = parse(&name).is_some_and(|(stage, number)| !alive(stage, number));
        if gone {
            attempt(docker, data, &name).await;
        }
    }
}

/// `<stage>.<attempt>`.
fn parse(name: &str) -> Option<(StageId, u32)> {
    let (stage, number) = name.split_once('.')?;
    Some((stage.parse().ok()?, number.parse().ok()?))
}

/// No daemon is nothing to speak of: the next look finds it when it is back.
fn tell(error: &DockerError) {
    match error {
        DockerError::NoProgram | DockerError::Away { .. } => tracing::debug!(%error, "no daemon to tidy up"),
        error => tracing::warn!(%error, "what a runner left with Docker could not be removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_read_as_they_are_written() {
        let stage = StageId::from_parts(1, 2);
        assert_eq!(parse(&crate::launcher::cookie(stage, 3)), Some((stage, 3)));
        assert_eq!(parse("nonsense"), None);
    }
}
