//! Images: which are still there.
//!
//! Refuses to say that one is gone when nobody could be asked: a rollback then finds out by itself, and says why.

use std::collections::HashSet;

use domain::protocol::Registry;
use runner::docker::{Docker, DockerError};

/// Which of these images the server's daemon has.
pub async fn present(images: &[&String], _registry: Option<&Registry>) -> HashSet<String> {
    let docker = Docker::here();
    let mut found = HashSet::new();
    for image in images {
        match docker.ask(&["image", "inspect", "--format", "{{.Id}}", image]).await {
            Err(DockerError::Missing(_)) => {}
            _ => drop(found.insert((*image).clone())),
        }
    }
    found
}
