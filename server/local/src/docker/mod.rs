//! Containers of this host and others, as far as the server and the keepers deal with them.
//!
//! Refuses to build or test anything: that is the runner's.

pub mod images;

use control::ports;
use runner::docker::Docker;

/// Whether the server's own daemon answers.
pub async fn probe() -> ports::Docker {
    let docker = Docker::here();
    match docker.version().await {
        Ok(version) => ports::Docker::Answers { version, host: docker.host() },
        Err(error) => ports::Docker::Away(error.to_string()),
    }
}
