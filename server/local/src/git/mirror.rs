//! Mirrors, shared with the runners: the same folders, the same locks, the same names for refs.
//!
//! Refuses to collect garbage: a checkout may borrow any object.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use control::ports::GitError;
use runner::address;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::{CommandGit, FETCH, Of, Wrong, has, in_folder, is_local, run, run_as};

impl CommandGit {
    /// The mirror, if it holds the commit after its branch was brought up to date.
    pub(super) async fn with_branch(
        &self,
        repository: &str,
        branch: &str,
        commit: &str,
    ) -> Result<Option<PathBuf>, GitError> {
        let mirror = self.data.mirror(repository);
        if mirror.is_dir() && has(&mirror, commit).await {
            return Ok(Some(mirror));
        }
        let reference = format!("refs/heads/{branch}");
        // The name that the runners give it.
        let kept = hex::encode(&Sha256::digest(reference.as_bytes())[..8]);
        let wanted = format!("+{reference}:refs/seamless/{kept}");
        match self.fetch(&mirror, &address(repository), &[&wanted]).await {
            Ok(()) => Ok(has(&mirror, commit).await.then_some(mirror)),
            Err(Wrong::NoCommit) => Ok(None),
            Err(wrong) => Err(wrong.of(repository)),
        }
    }

    /// Brings refs into a mirror, which is made when it is not there; all branches and tags when none are named.
    pub(super) async fn fetch(&self, mirror: &Path, address: &str, wanted: &[&str]) -> Result<(), Wrong> {
        let _lock = self.lock(mirror).await?;
        if !mirror.is_dir() {
            self.create(mirror).await?;
        }
        let folder = in_folder(mirror);
        let mut args = vec![
            folder.as_str(),
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
        ];
        if is_local(address) {
            args.push("--upload-pack=git -c safe.directory='*' upload-pack");
        }
        args.extend(["--", address]);
        match wanted {
            [] => args.extend(["+refs/heads/*:refs/seamless/heads/*", "+refs/tags/*:refs/seamless/tags/*"]),
            some => args.extend(some),
        }
        run_as(&args, FETCH, self.login(address).await.as_ref()).await.map(drop)
    }

    async fn lock(&self, mirror: &Path) -> Result<File, Wrong> {
        let cannot =
            |e: io::Error| Wrong::Other(format!("the mirror {} cannot be locked: {e}", mirror.display()));
        fs::create_dir_all(self.data.mirrors()).map_err(cannot)?;
        let path = mirror.with_extension("lock");
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(cannot)?;
        let deadline = Instant::now() + FETCH;
        let mut pause = Duration::from_millis(2);
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(cannot(error.into()));
            }
            if Instant::now() > deadline {
                return Err(Wrong::Other(
                    "its mirror is being fetched by somebody else, for too long".into(),
                ));
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        Ok(file)
    }

    /// A mirror appears whole or not at all.
    async fn create(&self, mirror: &Path) -> Result<(), Wrong> {
        let cannot =
            |e: io::Error| Wrong::Other(format!("the mirror {} cannot be made: {e}", mirror.display()));
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(self.data.mirrors()).map_err(cannot)?;
        let inside = new.path().join("mirror.git");
        let path = inside.to_string_lossy();
        run(&["init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", &path], FETCH)
            .await?;
        let mut config = File::options().append(true).open(inside.join("config")).map_err(cannot)?;
        io::Write::write_all(&mut config, b"[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n")
            .map_err(cannot)?;
        fs::rename(&inside, mirror).map_err(cannot)
    }
}
