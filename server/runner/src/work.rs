//! What each kind of stage does.

use domain::protocol::{DeployWork, GitLogin, ImageWork, Outputs, Work};

use crate::{
    artifact::{self, ArtifactError},
    context::{Context, cannot},
    deps,
    docker::{self, Place},
    git::{self, Git},
    integrate,
    reason::Failure,
    target::Target,
};

/// Does the stage's work.
pub(crate) async fn perform(
    stage: &Context,
    target: &dyn Target,
    outputs: &mut Outputs,
) -> Result<(), Failure> {
    match &stage.job.work {
        Work::Prepare { repository, reference, login, command } => {
            prepare(stage, repository, reference, login.as_ref(), command.as_deref(), outputs).await
        }
        Work::Command { command } => in_workspace(stage, command).await,
        Work::Build { command, bundle, image } => {
            build(stage, command.as_deref(), *bundle, image.as_ref(), outputs).await
        }
        // One image among them is enough: the others can take part as processes.
        Work::Integrate { command, candidate, neighbours, compose }
            if std::iter::once(candidate).chain(neighbours).any(|launch| launch.container.is_some()) =>
        {
            docker::compose::perform(stage, target, command, candidate, neighbours, compose.as_ref()).await
        }
        Work::Integrate { command, candidate, neighbours, .. } => {
            integrate::perform(stage, target, command, candidate, neighbours).await
        }
        Work::Deploy(work) => deploy(stage, target, work, outputs).await,
    }
}

async fn prepare(
    stage: &Context,
    repository: &str,
    reference: &str,
    login: Option<&GitLogin>,
    command: Option<&str>,
    outputs: &mut Outputs,
) -> Result<(), Failure> {
    let (job, log) = (&stage.job, &stage.log);
    let git = Git { data: &stage.data, cookie: stage.tree.cookie(), ending: &stage.ending, log, login };
    let named = git::without_password(repository);
    let reason = |error: git::GitError| error.reason(&named, &job.commit);
    let (mirror, commit) = git.ensure(repository, reference, &job.commit).await.map_err(reason)?;
    let workspace = stage.data.workspace(job.run);
    git.checkout(&mirror, repository, &job.branch, &job.commit, &workspace).await.map_err(reason)?;
    let short = job.commit.get(..7).unwrap_or(&job.commit);
    log.system(format!("checked out {short} of {named}: {} ({})", commit.message, commit.author));
    (outputs.message, outputs.author) = (Some(commit.message), Some(commit.author));
    let Some(command) = command.filter(|c| !c.trim().is_empty()) else { return Ok(()) };
    let folder = stage.folder(&workspace)?;
    let place = Place::of(stage).await?;
    let kept = deps::restore(stage, &folder, command, place.image()).await;
    place.run(stage, &folder, command).await?;
    deps::save(stage, &folder, kept).await;
    Ok(())
}

async fn in_workspace(stage: &Context, command: &str) -> Result<(), Failure> {
    let folder = stage.folder(&stage.data.workspace(stage.job.run))?;
    Place::of(stage).await?.run(stage, &folder, command).await
}

async fn build(
    stage: &Context,
    command: Option<&str>,
    bundle: bool,
    image: Option<&ImageWork>,
    outputs: &mut Outputs,
) -> Result<(), Failure> {
    if let Some(command) = command.filter(|c| !c.trim().is_empty()) {
        in_workspace(stage, command).await?;
    }
    if let Some(image) = image {
        return docker::image(stage, image, outputs).await;
    }
    if !bundle {
        return Ok(());
    }
    let workspace = stage.data.workspace(stage.job.run);
    stage.folder(&workspace)?;
    let artifacts = stage.data.artifacts();
    let made = aside(stage, move || artifact::bundle(&workspace, &artifacts)).await?.map_err(told)?;
    stage.log.system(format!(
        "made artifact {} of commit {} ({} entries, {})",
        &made.digest[..12],
        stage.job.commit.get(..7).unwrap_or(&stage.job.commit),
        made.entries,
        size(made.size)
    ));
    (outputs.artifact, outputs.artifact_size) = (Some(made.digest), Some(made.size));
    Ok(())
}

async fn deploy(
    stage: &Context,
    target: &dyn Target,
    work: &DeployWork,
    outputs: &mut Outputs,
) -> Result<(), Failure> {
    if let Some(why) = &work.refused {
        return Err(Failure::new(why.clone()));
    }
    target
        .deploy(work, &stage.log, stage.ending.token())
        .await
        .map_err(|error| Failure::new(error.message))?;
    outputs.deployment = Some(work.deployment);
    Ok(())
}

/// Runs what blocks beside the rest, until the stage must end.
pub(crate) async fn aside<T: Send + 'static>(
    stage: &Context,
    blocking: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::select! {
        done = tokio::task::spawn_blocking(blocking) => done.map_err(|e| Failure::new(format!("the runner failed: {e}"))),
        () = stage.ending.ended() => Err(Failure::new("ended")),
    }
}

/// An artifact's error in words.
pub(crate) fn told(error: ArtifactError) -> Failure {
    match &error {
        ArtifactError::Io { path, source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            cannot("write", path, source)
        }
        _ => Failure::new(error.to_string()),
    }
}

/// `12 kB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
