//! Whether anybody holds the lock on a file: the kernel lets go of it exactly when its holder is gone.

use std::{fs::File, io, path::Path};

use rustix::{fs::FlockOperation, io::Errno};

/// Whether a file is locked; one that is not there is not.
///
/// # Errors
/// When it cannot be looked at.
pub fn held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(other) => Err(other.into()),
    }
}
