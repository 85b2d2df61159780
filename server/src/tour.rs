//! Connects the demo's services at the first start, the way a person would: through the same use cases.
//!
//! Refuses to do it twice: who forgot a service of the demo does not get it back at the next start.

use std::path::Path;

use control::{Actor, Control};
use domain::containers::TargetKind;
use runner::docker::Docker;

use crate::demo::{BASE_IMAGE, create_repositories, demo_services};

const MARK: &str = "connected";

/// Containers where a daemon has the image that the demo's Dockerfiles start from, else processes.
async fn target() -> TargetKind {
    let docker = Docker::here();
    match docker.ask(&["image", "inspect", "--format", "{{.Id}}", BASE_IMAGE]).await {
        Ok(_) => TargetKind::Docker,
        Err(why) => {
            tracing::info!(%why, "the demo's services run as processes");
            TargetKind::Process
        }
    }
}

/// Makes the repositories, connects the services and starts their first runs.
///
/// # Errors
/// When Git is missing, or a service cannot be connected; what is missing is made at the next start.
pub async fn connect(control: &Control, data: &Path) -> anyhow::Result<()> {
    let mark = data.join("demo").join(MARK);
    if mark.exists() {
        return Ok(());
    }
    let folder = data.to_path_buf();
    tokio::task::spawn_blocking(move || create_repositories(&folder)).await??;
    let actor = Actor::named("demo");
    let known = control.services().await?;
    let target = target().await;
    for service in demo_services() {
        if let Some(program) = service.missing().filter(|_| target == TargetKind::Process) {
            tracing::warn!(
                service = service.name,
                program,
                "this service of the demo needs a program that is not here"
            );
            continue;
        }
        let repository = service.repository(data);
        let found = known.iter().find(|s| s.settings.repository == repository.display().to_string());
        let id = match found {
            Some(service) => service.id,
            None => {
                let mut settings = service.settings(&repository, target);
                // The shop is what the tour changes: its production waits for a person. Its neighbours deploy by themselves.
                settings.auto_deploy = service.name != "shop";
                control.create_service(&actor, settings).await?.id
            }
        };
        if control.runs(Some(id), None, None, 1).await?.items.is_empty() {
            control.start_run(&actor, id, None, None).await?;
        }
    }
    std::fs::write(mark, "")?;
    Ok(())
}
