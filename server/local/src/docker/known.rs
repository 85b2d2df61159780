//! The daemons that may have something of this server's, written down: a service that is deleted while its daemon is away, or an
//! environment that moves to another host, must not leave anything for ever.
//!
//! Refuses to forget a daemon by itself: whoever finds nothing there strikes it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::Daemon;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Which.
    pub daemon: Daemon,
    /// Whether it has containers of a service that was deleted: it is looked at soon.
    #[serde(default)]
    pub owes: bool,
}

/// One change at a time.
static CHANGING: Mutex<()> = Mutex::new(());

fn file(data: &Path) -> PathBuf {
    data.join("daemons.json")
}

/// All of them. What cannot be read is as good as empty; daemons in use are written down again.
pub fn all(data: &Path) -> Vec<Known> {
    fs::read(file(data)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Writes these down.
///
/// # Errors
/// When it cannot be written.
pub fn note<'a>(data: &Path, daemons: impl IntoIterator<Item = &'a Daemon>, owes: bool) -> io::Result<()> {
    change(data, |known| {
        for daemon in daemons {
            match known.iter_mut().find(|one| one.daemon == *daemon) {
                Some(one) => one.owes |= owes,
                None => known.push(Known { daemon: daemon.clone(), owes }),
            }
        }
    })
}

/// Nothing of a deleted service is there any more; a daemon that has nothing at all is struck.
///
/// # Errors
/// When it cannot be written.
pub fn settle(data: &Path, daemon: &Daemon, empty: bool) -> io::Result<()> {
    change(data, |known| {
        known.retain(|one| !empty || one.daemon != *daemon);
        known.iter_mut().filter(|one| one.daemon == *daemon).for_each(|one| one.owes = false);
    })
}

fn change(data: &Path, change: impl FnOnce(&mut Vec<Known>)) -> io::Result<()> {
    let _one = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = all(data);
    let mut known = before.clone();
    change(&mut known);
    if known == before {
        return Ok(());
    }
    let mut beside = tempfile::NamedTempFile::new_in(data)?;
    beside.write_all(&serde_json::to_vec(&known)?)?;
    beside.as_file().sync_all()?;
    beside.persist(file(data))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_daemon_is_known_until_it_has_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) =
            (Daemon::default(), Daemon { host: Some("ssh://web-1".into()), certificates: None });
        let owing = || all(folder.path()).iter().map(|known| known.owes).collect::<Vec<_>>();
        note(folder.path(), [&here, &there], false).unwrap();
        note(folder.path(), [&there], true).unwrap();
        note(folder.path(), [&there], false).unwrap();
        assert_eq!(owing(), [false, true]);
        settle(folder.path(), &there, false).unwrap();
        assert_eq!(owing(), [false, false]);
        settle(folder.path(), &here, true).unwrap();
        assert_eq!(all(folder.path()), [Known { daemon: there, owes: false }]);
    }
}
