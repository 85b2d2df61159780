//! What is built: the Dockerfile and the folder that goes to the daemon with it, checked to be within the checkout.
//!
//! The builder is given a copy of the Dockerfile, with a list of its own beside it of what stays out: the service's list, and
//! after it `.git`. Refuses to follow links out of the checkout.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    context::{Context, cannot},
    reason::Failure,
};

/// Never part of a build, whatever the service's list says. Later lines win.
const NEVER: &str = "\n.git\n**/.git\n";

/// What is built.
pub(crate) struct Definition {
    /// The folder that goes to the daemon.
    pub folder: PathBuf,
    /// The copy of the Dockerfile.
    pub dockerfile: PathBuf,
    /// The Dockerfile's text.
    pub text: String,
    /// What stays out, as `.dockerignore` writes it.
    pub ignored: String,
    _copies: TempDir,
}

impl Definition {
    /// Of a service whose Dockerfile has this path in its repository.
    pub fn of(stage: &Context, dockerfile: &str) -> Result<Self, Failure> {
        let workspace = stage.data.workspace(stage.job.run);
        let folder = stage.folder(&workspace)?;
        let commit = stage.job.commit.get(..12).unwrap_or(&stage.job.commit);
        let path = workspace.join(dockerfile);
        if !path.is_file() {
            return Err(Failure::new(format!(
                "the Dockerfile `{dockerfile}` does not exist in commit {commit}: correct its path in the service's settings"
            )));
        }
        for one in [&folder, &path] {
            let inside =
                || Ok::<_, io::Error>(fs::canonicalize(one)?.starts_with(fs::canonicalize(&workspace)?));
            if !inside().map_err(|e| cannot("read", one, &e))? {
                return Err(Failure::new(format!(
                    "`{}` is a link that leads out of the repository: an image is built from the repository alone",
                    one.strip_prefix(&workspace).unwrap_or(one).display()
                )));
            }
        }
        let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => {
                Failure::new(format!("`{dockerfile}` is no text, so no Dockerfile: correct its path"))
            }
            _ => cannot("read", &path, &e),
        })?;
        let mut ignored = read(&beside(&path))?;
        if ignored.is_none() {
            ignored = read(&folder.join(".dockerignore"))?;
        }
        let ignored = ignored.unwrap_or_default() + NEVER;

        let own = stage.data.stage(stage.job.stage, stage.job.attempt);
        let copies = tempfile::Builder::new()
            .prefix("image-")
            .tempdir_in(&own)
            .map_err(|e| cannot("write to", &own, &e))?;
        let copy = copies.path().join(path.file_name().unwrap_or("Dockerfile".as_ref()));
        for (path, text) in [(copy.clone(), &text), (beside(&copy), &ignored)] {
            fs::write(&path, text).map_err(|e| cannot("write", &path, &e))?;
        }
        Ok(Self { folder, dockerfile: copy, text, ignored, _copies: copies })
    }
}

/// The list of a Dockerfile's own.
fn beside(dockerfile: &Path) -> PathBuf {
    let mut name = dockerfile.file_name().unwrap_or_default().to_owned();
    name.push(".dockerignore");
    dockerfile.with_file_name(name)
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(cannot("read", path, &e)),
    }
}
