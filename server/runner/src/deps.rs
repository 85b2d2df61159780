//! Installed dependencies, kept between runs by what the lockfile says.
//!
//! A run gets a copy of its own, so that two runs never write to the same files. Refuses to keep what holds the path of its
//! workspace, such as a Python environment: the download caches in the service's own HOME serve those.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use crate::{context::Context, work::aside};

/// A lockfile, the folder that its installer fills, and installers that empty the folder first.
struct Kind {
    lockfile: &'static str,
    folder: &'static str,
    tool: &'static str,
    starts_over: &'static [&'static str],
}

const KINDS: [Kind; 6] = [
    Kind {
        lockfile: "package-lock.json",
        folder: "node_modules",
        tool: "node",
        starts_over: &["npm ci", "npm clean-install"],
    },
    Kind {
        lockfile: "npm-shrinkwrap.json",
        folder: "node_modules",
        tool: "node",
        starts_over: &["npm ci", "npm clean-install"],
    },
    Kind { lockfile: "pnpm-lock.yaml", folder: "node_modules", tool: "node", starts_over: &[] },
    Kind { lockfile: "yarn.lock", folder: "node_modules", tool: "node", starts_over: &[] },
    Kind { lockfile: "composer.lock", folder: "vendor", tool: "php", starts_over: &[] },
    Kind { lockfile: "Gemfile.lock", folder: "vendor/bundle", tool: "ruby", starts_over: &[] },
];

/// Copies kept for one service; the least recently used go first.
const KEEP: usize = 3;
/// More than this is not kept: copying it would take longer than installing it again.
const MOST_BYTES: u64 = 2 << 30;

/// What is to be kept if the command goes well.
pub(crate) struct Keep {
    folder: &'static str,
    store: PathBuf,
}

/// Puts the dependencies of the same lockfile into the workspace, if they were kept; `image` is the one that they are for.
pub(crate) async fn restore(
    stage: &Context,
    folder: &Path,
    command: &str,
    image: Option<&str>,
) -> Option<Keep> {
    let kind = KINDS.iter().find(|k| folder.join(k.lockfile).is_file())?;
    if kind.starts_over.iter().any(|s| command.contains(s)) || folder.join(kind.folder).exists() {
        return None;
    }
    let lock = fs::read(folder.join(kind.lockfile)).ok()?;
    let programs = image.map_or_else(|| fingerprint(kind.tool), |image| image.as_bytes().to_vec());
    let key = key(&[kind.lockfile.as_bytes(), &lock, command.as_bytes(), &programs]);
    let store = stage.caches().join("deps").join(key);
    if !store.is_dir() {
        return Some(Keep { folder: kind.folder, store });
    }
    let (from, into) = (store.clone(), folder.join(kind.folder));
    let copied = aside(stage, move || {
        let now = fs::File::open(&from).and_then(|f| f.set_modified(SystemTime::now()));
        let done = place(&from, &into).map(drop);
        now.and(done)
    });
    match copied.await {
        Ok(Ok(())) => stage
            .log
            .system(format!("{} is as {} says: taken from an earlier run", kind.folder, kind.lockfile)),
        // Somebody may just have cleaned up. The command installs them then.
        Ok(Err(error)) => {
            stage.log.system(format!("{} of an earlier run could not be used: {error}", kind.folder))
        }
        Err(_) => {}
    }
    None
}

/// Keeps what the command installed.
pub(crate) async fn save(stage: &Context, folder: &Path, keep: Option<Keep>) {
    let Some(Keep { folder: name, store }) = keep else { return };
    let from = folder.join(name);
    if !from.is_dir() {
        return;
    }
    let kept = aside(stage, move || -> io::Result<bool> {
        if larger(&from, &mut MOST_BYTES.clone())? {
            return Ok(false);
        }
        place(&from, &store)?;
        if let Some(all) = store.parent() {
            prune(all)?;
        }
        Ok(true)
    });
    match kept.await {
        Ok(Ok(true)) => stage.log.system(format!("{name} is kept for later runs with the same lockfile")),
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(error)) => stage.log.system(format!("{name} could not be kept for later runs: {error}")),
    }
}

fn key(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex::encode(&digest.finalize()[..16])
}

/// Tells one installation of a tool from another without starting it: compiled modules fit one version only.
fn fingerprint(tool: &str) -> Vec<u8> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find_map(|p| fs::canonicalize(p.join(tool)).ok());
    let meta = found.as_ref().and_then(|p| fs::metadata(p).ok());
    format!("{found:?} {:?} {}", meta.map(|m| (m.len(), m.mtime())), std::env::consts::ARCH).into_bytes()
}

/// Copies a folder to a name that must not be there yet; it appears whole or not at all. Somebody faster is as good.
fn place(from: &Path, into: &Path) -> io::Result<()> {
    let parent = into.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(parent)?;
    let inside = new.path().join("copy");
    copy(from, &inside)?;
    match fs::rename(&inside, into) {
        Err(_) if into.is_dir() => Ok(()),
        other => other,
    }
}

fn copy(from: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir(into)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, into.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to)?;
        }
    }
    fs::set_permissions(into, fs::metadata(from)?.permissions())
}

/// Whether a folder holds more than what is left.
fn larger(folder: &Path, left: &mut u64) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let (entry, meta) = entry.and_then(|e| e.metadata().map(|m| (e, m)))?;
        if meta.is_dir() && larger(&entry.path(), left)? {
            return Ok(true);
        }
        match left.checked_sub(meta.len()) {
            Some(rest) => *left = rest,
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// Removes all but the last used ones. One that is being read goes under its reader's hands, who then installs instead.
fn prune(all: &Path) -> io::Result<()> {
    let mut kept: Vec<(SystemTime, PathBuf)> = fs::read_dir(all)?
        .filter_map(|e| {
            let e = e.ok()?;
            (!e.file_name().to_string_lossy().starts_with('.'))
                .then(|| Some((e.metadata().ok()?.modified().ok()?, e.path())))?
        })
        .collect();
    kept.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
    for (_, path) in kept.into_iter().skip(KEEP) {
        // Out of sight first: whoever reads it now finds it gone, rather than incomplete without noticing.
        let gone = tempfile::Builder::new().prefix(".gone-").tempdir_in(all)?;
        fs::rename(path, gone.path().join("copy"))?;
    }
    Ok(())
}
