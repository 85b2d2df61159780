//! Which Compose file: the one that was named, else the first of the usual names.
//!
//! Refuses to leave the repository, also by a link in it.

use std::path::{Path, PathBuf};

use domain::protocol::ComposeWork;

use crate::{
    context::Context,
    git::{self, Git},
    reason::Failure,
};

/// In this order: what is made for tests first.
const USUAL: [&str; 8] = [
    "compose.test.yaml",
    "compose.test.yml",
    "docker-compose.test.yaml",
    "docker-compose.test.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// The checkout that holds it: the run's own workspace, or `into` when it is in another repository.
pub(super) async fn checkout(stage: &Context, work: &ComposeWork, into: &Path) -> Result<PathBuf, Failure> {
    let Some((repository, commit)) = &work.repository else {
        let workspace = stage.data.workspace(stage.job.run);
        stage.folder(&workspace)?;
        return Ok(workspace);
    };
    let git = Git {
        data: &stage.data,
        cookie: stage.tree.cookie(),
        ending: &stage.ending,
        log: &stage.log,
        login: work.login.as_ref(),
    };
    let named = git::without_password(repository);
    let reason = |error: git::GitError| {
        let failure = error.reason(&named, commit);
        Failure { reason: format!("the repository of the integration tests: {}", failure.reason), ..failure }
    };
    let (mirror, told) = git.ensure(repository, "HEAD", commit).await.map_err(reason)?;
    git.checkout(&mirror, repository, "", commit, into).await.map_err(reason)?;
    let short = commit.get(..7).unwrap_or(commit);
    stage.log.system(format!("checked out {short} of {named}: {} ({})", told.message, told.author));
    Ok(into.to_owned())
}

/// The file in a checkout, as a path in it.
pub(super) fn file(checkout: &Path, context: Option<&str>, work: &ComposeWork) -> Result<PathBuf, Failure> {
    let inside = |path: &Path| {
        let real = checkout.join(path).canonicalize().ok()?;
        let root = checkout.canonicalize().ok()?;
        (real.is_file() && real.starts_with(root)).then(|| path.to_owned())
    };
    if let Some(named) = work.file.as_deref().filter(|named| !named.is_empty()) {
        return inside(Path::new(named)).ok_or_else(|| {
            Failure::new(format!(
                "there is no Compose file `{named}` in the repository: correct the service's settings (integration.compose_file), or commit the file"
            ))
        });
    }
    // The service's own folder first; of another repository there is only the whole.
    let folders = context.filter(|c| !c.is_empty() && work.repository.is_none()).into_iter().chain([""]);
    let mut places = folders.flat_map(|folder| USUAL.iter().map(move |name| Path::new(folder).join(name)));
    places.find_map(|place| inside(&place)).ok_or_else(|| {
        Failure::new(format!(
            "the service's integration tests want a Compose file, and there is none of {} in the repository: add one, name it (integration.compose_file), or take `integration` out and give an integration command",
            USUAL.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_named_one_else_the_usual_ones_and_never_outside() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("repository"), folder.path().join("outside.yaml"));
        std::fs::create_dir_all(root.join("services/shop")).unwrap();
        std::fs::write(&outside, "").unwrap();
        let mut work = ComposeWork {
            repository: None,
            login: None,
            file: None,
            service: "shop".into(),
            test_service: "test".into(),
        };
        let found = |work: &ComposeWork| file(&root, Some("services/shop"), work).map_err(|f| f.reason);
        assert!(found(&work).unwrap_err().contains("none of compose.test.yaml, "));
        std::fs::write(root.join("docker-compose.yml"), "").unwrap();
        assert_eq!(found(&work).unwrap(), Path::new("docker-compose.yml"));
        std::fs::write(root.join("compose.test.yml"), "").unwrap();
        assert_eq!(found(&work).unwrap(), Path::new("compose.test.yml"));
        std::fs::write(root.join("services/shop/compose.yaml"), "").unwrap();
        assert_eq!(found(&work).unwrap(), Path::new("services/shop/compose.yaml"));
        std::os::unix::fs::symlink(&outside, root.join("link.yaml")).unwrap();
        for named in ["link.yaml", "nowhere.yaml", "services"] {
            work.file = Some(named.into());
            assert!(found(&work).unwrap_err().starts_with(&format!("there is no Compose file `{named}`")));
        }
    }
}
