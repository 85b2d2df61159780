//! The keys that seal secrets, in a file of the data folder.
//!
//! Refuses to leave half a file, and to make a second key where there was one.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};

/// The file in the data folder that holds the key: the first line seals, the others open what they sealed before.
pub const KEY_FILE: &str = "secret.key";

/// Reads the keys, or makes one, for its owner's eyes only. Two processes that start at once end up with the same one.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<SecretString>> {
    if !path.exists() {
        let draft = draft(path, &[control::seal::new_token()?])?;
        // A link fails when somebody else was first, where a rename would replace their key.
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft)?;
        if let Err(e) = linked
            && e.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(e).with_context(|| format!("{} cannot be made", path.display()));
        }
    }
    let keys = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let keys: Vec<SecretString> =
        keys.lines().map(str::trim).filter(|k| !k.is_empty()).map(Into::into).collect();
    if keys.is_empty() {
        bail!("{} is empty: bring the key back, without which nobody opens the secrets", path.display());
    }
    Ok(keys)
}

/// Keys in a file beside the one that is meant, for its owner's eyes only.
fn draft(path: &Path, keys: &[SecretString]) -> anyhow::Result<PathBuf> {
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    for key in keys {
        writeln!(file, "{}", key.expose_secret())?;
    }
    file.sync_all()?;
    Ok(draft)
}

/// Puts other keys in the place of those in the file: there are always the old ones or the new ones.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace_keys(path: &Path, keys: &[SecretString]) -> anyhow::Result<()> {
    let draft = draft(path, keys)?;
    fs::rename(&draft, path).with_context(|| format!("{} cannot be replaced", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.key");
        let read = || -> Vec<String> {
            super::read(&path).unwrap().iter().map(|k| k.expose_secret().to_owned()).collect()
        };
        let first = read();
        assert_eq!((first.len(), &first), (1, &read()));
        let both = [SecretString::from("another"), first[0].clone().into()];
        replace_keys(&path, &both).unwrap();
        assert_eq!(read(), ["another", &*first[0]]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
