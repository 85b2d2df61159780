//! Two commits compared: what changed between them, and which is older.

use std::path::PathBuf;

use control::ports::{Change, GitError};
use runner::{address, without_password};
use sha2::{Digest, Sha256};

use super::{ASK, CommandGit, Of, git_folder, has, in_folder, is_full, run};

impl CommandGit {
    /// A folder that holds both commits: the repository itself if it is here, else the mirror, which is filled when needed.
    async fn both(
        &self,
        repository: &str,
        reference: Option<&str>,
        from: &str,
        to: &str,
    ) -> Result<PathBuf, GitError> {
        let mirror = self.data.mirror(repository);
        for folder in git_folder(repository).into_iter().chain([mirror.clone()]) {
            if folder.is_dir() && has(&folder, from).await && has(&folder, to).await {
                return Ok(folder);
            }
        }
        if let Some(reference) = reference {
            // The name that the runners give it.
            let kept = hex::encode(&Sha256::digest(reference.as_bytes())[..8]);
            let wanted = format!("+{reference}:refs/seamless/{kept}");
            // What is not there under this name may still be found under others.
            let _ = self.fetch(&mirror, &address(repository), &[&wanted]).await;
        }
        self.source(repository, to).await?;
        self.source(repository, from).await
    }

    pub(super) async fn changed(
        &self,
        repository: &str,
        reference: &str,
        from: &str,
        to: &str,
        three_dots: bool,
    ) -> Result<Change, GitError> {
        for commit in [from, to] {
            if !is_full(commit) {
                let repository = without_password(repository);
                return Err(GitError::NoCommit { repository, commit: commit.into() });
            }
        }
        let folder = in_folder(&self.both(repository, Some(reference), from, to).await?);
        let between = format!("{from}{}{to}", if three_dots { "..." } else { ".." });
        let paths = ["diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", &between, "--"];
        let paths = run(&[&[folder.as_str()], &paths[..]].concat(), ASK).await;
        let paths = paths.map_err(|w| w.of(repository))?;
        let message = [folder.as_str(), "log", "-1", "--no-show-signature", "--format=%B", to, "--"];
        let message = run(&message, ASK).await.map_err(|w| w.of(repository))?;
        Ok(Change {
            message: String::from_utf8_lossy(&message).trim().to_owned(),
            paths: String::from_utf8_lossy(&paths)
                .split('\0')
                .filter(|path| !path.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }

    pub(super) async fn is_before(&self, repository: &str, from: &str, to: &str) -> Result<bool, GitError> {
        if !is_full(from) || !is_full(to) {
            return Ok(false);
        }
        let folder = in_folder(&self.both(repository, None, from, to).await?);
        Ok(run(&[&folder, "merge-base", "--is-ancestor", from, to], ASK).await.is_ok())
    }
}
