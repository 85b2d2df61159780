//! Servers that work in one data folder know of each other by locked files: the kernel lets go of a lock exactly when its holder is
//! gone.
//!
//! Refuses to keep a time: a server that hangs lives.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::FlockOperation;

use crate::lock;

/// What a file is older than before it is taken for a leftover: one that is just being made is not locked yet.
const MADE: Duration = Duration::from_secs(60);

/// Says that a server works in a data folder, for as long as this is held.
#[derive(Debug)]
pub struct Presence {
    _lock: File,
    path: PathBuf,
}

impl Presence {
    /// A server's own, by the id of its start. Files of servers that are gone are removed.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn take(data: &Path, node: &str) -> io::Result<Self> {
        let folder = data.join("servers");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for left in fs::read_dir(&folder)?.flatten() {
            let age = left.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > MADE) && !lock::held(&left.path()).unwrap_or(true) {
                let _ = fs::remove_file(left.path());
            }
        }
        let path = folder.join(node);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(Self { _lock: file, path })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a server lives. What cannot be looked at counts as alive.
pub fn lives(data: &Path, node: &str) -> bool {
    lock::held(&data.join("servers").join(node)).unwrap_or(true)
}

/// The data folder's own id, made once. Servers that begin at the same time end up with the same one.
///
/// # Errors
/// When the folder cannot be written.
pub fn folder_id(data: &Path, fresh: &str) -> io::Result<String> {
    let path = data.join("folder.id");
    if !path.exists() {
        let draft = data.join(format!(".folder.id.{fresh}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(fresh.as_bytes())?;
        file.sync_all()?;
        // A link fails when another was first, where a rename would replace theirs.
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        linked.or_else(|e| if e.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })?;
    }
    Ok(fs::read_to_string(&path)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_server_lives_as_long_as_it_holds_its_file() {
        let data = tempfile::tempdir().unwrap();
        assert!(!lives(data.path(), "a"));
        let own = Presence::take(data.path(), "a").unwrap();
        assert!(lives(data.path(), "a") && !lives(data.path(), "b"));
        drop(own);
        assert!(!lives(data.path(), "a"));
        let fallen = data.path().join("servers/c");
        fs::write(&fallen, "1").unwrap();
        assert!(!lives(data.path(), "c"), "a file that nobody holds");
        let _other = Presence::take(data.path(), "d").unwrap();
        assert!(fallen.exists(), "one that was just made may be about to be locked");
    }

    #[test]
    fn a_folder_has_one_id() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(folder_id(data.path(), "one").unwrap(), "one");
        assert_eq!(folder_id(data.path(), "two").unwrap(), "one");
    }
}
