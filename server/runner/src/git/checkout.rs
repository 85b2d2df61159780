//! A run's own checkout, which borrows every object from the mirror: nothing is copied but the files themselves.
//!
//! It appears whole or not at all. The address is written into it without its password.

use std::{fs, io, path::Path};

use super::{Git, GitError, address, without_password};

impl Git<'_> {
    /// Checks a commit of a mirror out into `into`; whatever was there is replaced.
    pub async fn checkout(
        &self,
        mirror: &Path,
        repository: &str,
        branch: &str,
        commit: &str,
        into: &Path,
    ) -> Result<(), GitError> {
        let cannot = |e: io::Error| match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => GitError::NoSpace,
            _ => GitError::Other(format!("the workspace {} cannot be made: {e}", into.display())),
        };
        let parent = into.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(cannot)?;
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).map_err(cannot)?;
        let tree = new.path().join("src");
        let origin = without_password(&address(repository));
        lay_out(&tree.join(".git"), mirror, &origin, branch, commit).map_err(cannot)?;
        self.git(&tree, &["reset", "--hard", "--quiet", commit]).await?;
        if tree.join(".gitmodules").is_file() {
            self.log.system("fetching submodules");
            let done = self.git(&tree, &["submodule", "update", "--init", "--recursive", "--quiet"]).await;
            done.map_err(GitError::of_submodule)?;
        }
        let old = into.to_owned();
        // Many files may lie there; signs of life go on meanwhile.
        match tokio::task::spawn_blocking(move || fs::remove_dir_all(old)).await.map_err(io::Error::other) {
            Ok(Err(e)) if e.kind() != io::ErrorKind::NotFound => return Err(cannot(e)),
            Err(e) => return Err(cannot(e)),
            _ => {}
        }
        fs::rename(&tree, into).map_err(cannot)
    }
}

/// What `git clone --shared --no-checkout` would make, without starting three processes for it.
fn lay_out(git: &Path, mirror: &Path, origin: &str, branch: &str, commit: &str) -> io::Result<()> {
    fs::create_dir_all(git.join("objects/info"))?;
    fs::create_dir_all(git.join("refs/heads"))?;
    let mirror = fs::canonicalize(mirror)?;
    fs::write(git.join("objects/info/alternates"), format!("{}\n", mirror.join("objects").display()))?;
    let quoted = origin.replace('\\', "\\\\").replace('"', "\\\"");
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
         [remote \"origin\"]\n\turl = \"{quoted}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\
         [gc]\n\tauto = 0\n"
    );
    fs::write(git.join("config"), config)?;
    let named = !branch.is_empty()
        && !branch.starts_with(['-', '/', '.'])
        && !branch.contains("..")
        && !branch.contains(|c: char| c.is_whitespace() || c.is_control());
    if !named {
        return fs::write(git.join("HEAD"), format!("{commit}\n"));
    }
    let head = git.join("refs/heads").join(branch);
    if let Some(parent) = head.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(head, format!("{commit}\n"))?;
    fs::write(git.join("HEAD"), format!("ref: refs/heads/{branch}\n"))
}
