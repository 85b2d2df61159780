//! One bare mirror per repository: fetched into when a commit is missing, shared by every run's checkout.
//!
//! Refuses to collect garbage: a checkout may borrow any object. Two runners never fetch into one mirror at once.

use std::{fs::File, io::Write, path::Path, path::PathBuf, time::Duration};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::{Git, GitError, address, without_password};

/// How often a fetch is tried while the repository cannot be reached.
const TRIES: u32 = 4;

/// What a commit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// First line of its message.
    pub message: String,
    /// Who wrote it.
    pub author: String,
}

impl Git<'_> {
    /// Makes sure that the mirror holds the commit; answers the mirror and what the commit says.
    pub async fn ensure(
        &self,
        repository: &str,
        reference: &str,
        commit: &str,
    ) -> Result<(PathBuf, CommitInfo), GitError> {
        let mirror = self.data.mirror(repository);
        if mirror.is_dir()
            && let Ok(info) = self.info(&mirror, commit).await
        {
            return Ok((mirror, info));
        }
        let (_lock, waited) = self.lock(&mirror).await?;
        if !mirror.is_dir() {
            self.create(&mirror).await?;
        }
        // Whoever held the lock may have fetched this very commit. When nobody did, a second look only costs a process.
        if waited && let Ok(info) = self.info(&mirror, commit).await {
            return Ok((mirror, info));
        }
        let address = address(repository);
        self.log.system(format!("fetching {}", without_password(&address)));
        let info = self.fetch(&mirror, &address, reference, commit).await?;
        Ok((mirror, info))
    }

    async fn info(&self, mirror: &Path, commit: &str) -> Result<CommitInfo, GitError> {
        let commit = format!("{commit}^{{commit}}");
        let told = self
            .git(
                mirror,
                &["log", "-1", "--no-show-signature", "--no-color", "--format=%s%x00%an", &commit, "--"],
            )
            .await?;
        let (message, author) = told.trim_end_matches('\n').split_once('\0').unwrap_or((told.trim(), ""));
        Ok(CommitInfo { message: message.to_owned(), author: author.to_owned() })
    }

    /// Waits for the mirror's lock, for as long as the stage may; answers also whether somebody else had it.
    async fn lock(&self, mirror: &Path) -> Result<(File, bool), GitError> {
        let cannot = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::StorageFull => GitError::NoSpace,
            _ => GitError::Other(format!("the mirror {} cannot be locked: {e}", mirror.display())),
        };
        std::fs::create_dir_all(self.data.mirrors()).map_err(cannot)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(mirror.with_extension("lock"))
            .map_err(cannot)?;
        let (mut pause, mut waited) = (Duration::from_millis(2), false);
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            waited = true;
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(cannot(error.into()));
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(Duration::from_millis(100)),
                () = self.ending.ended() => return Err(GitError::Ended),
            }
        }
        Ok((file, waited))
    }

    /// A mirror appears whole or not at all.
    async fn create(&self, mirror: &Path) -> Result<(), GitError> {
        let cannot = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::StorageFull => GitError::NoSpace,
            _ => GitError::Other(format!("the mirror {} cannot be made: {e}", mirror.display())),
        };
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(self.data.mirrors()).map_err(cannot)?;
        let inside = new.path().join("mirror.git");
        let path = inside.to_string_lossy();
        self.git(new.path(), &["init", "--quiet", "--bare", "--template=", "--initial-branch=main", &path])
            .await?;
        let mut config = File::options().append(true).open(inside.join("config")).map_err(cannot)?;
        config.write_all(b"[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n").map_err(cannot)?;
        std::fs::rename(&inside, mirror).map_err(cannot)
    }

    async fn fetch(
        &self,
        mirror: &Path,
        address: &str,
        reference: &str,
        commit: &str,
    ) -> Result<CommitInfo, GitError> {
        // Each ref gets a name of its own here: `a` and `a/b` may not both be there, but may follow each other.
        let kept = hex::encode(&Sha256::digest(reference.as_bytes())[..8]);
        let branch = format!("+{reference}:refs/seamless/{kept}");
        let exact = format!("+{commit}:refs/seamless/{commit}");
        let mut last = GitError::NoCommit;
        // The ref first, which is cheap; then the commit by its name, for when the ref has moved on to elsewhere; then all.
        for wanted in [branch.as_str(), exact.as_str(), "+refs/heads/*:refs/seamless/heads/*"] {
            if wanted.starts_with("+:") {
                continue;
            }
            match self.fetch_once(mirror, address, wanted).await {
                Ok(()) => match self.info(mirror, commit).await {
                    Ok(info) => return Ok(info),
                    Err(GitError::Ended) => return Err(GitError::Ended),
                    Err(_) => last = GitError::NoCommit,
                },
                Err(GitError::NoCommit) => {
                    let ask = [&["ls-remote"], pack(address), &["--", address]].concat();
                    let refs = self.git(mirror, &ask).await?;
                    if refs.trim().is_empty() {
                        return Err(GitError::Empty);
                    }
                    last = GitError::NoCommit;
                }
                // Servers have many words for a commit that they do not give by name.
                Err(error @ GitError::Other(_)) if wanted == exact => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(if matches!(last, GitError::Other(_)) { GitError::NoCommit } else { last })
    }

    async fn fetch_once(&self, mirror: &Path, address: &str, wanted: &str) -> Result<(), GitError> {
        let mut args =
            vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"];
        args.extend(pack(address));
        if wanted.contains('*') {
            args.push("--prune");
        }
        args.extend(["--", address, wanted]);
        let mut pause = Duration::from_millis(500);
        for attempt in 1.. {
            match self.git(mirror, &args).await {
                Err(error) if error.passes() && attempt < TRIES => {
                    self.log.system(format!(
                        "the repository cannot be reached; trying again in {} ms",
                        pause.as_millis()
                    ));
                    tokio::select! {
                        () = sleep(pause) => pause *= 3,
                        () = self.ending.ended() => return Err(GitError::Ended),
                    }
                }
                other => return other.map(drop),
            }
        }
        Ok(())
    }
}

/// The other side of a local path runs here, and refuses repositories of other users unless told so itself.
fn pack(address: &str) -> &'static [&'static str] {
    match address.starts_with('/') || address.starts_with("file://") {
        true => &["--upload-pack", "git -c safe.directory='*' upload-pack"],
        false => &[],
    }
}
