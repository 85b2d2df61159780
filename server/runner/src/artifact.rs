//! Immutable artifacts: a folder as a tar stream in which nothing but the files' content, names and modes counts.
//!
//! The same files give the same SHA-256 on every machine at every time. Refuses to unpack anything whose digest differs.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// What went wrong with an artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// No artifact of that digest is there.
    #[error("the artifact {0} is gone: start a new run to build it again")]
    Gone(String),
    /// The stored file is not what its name says.
    #[error(
        "the artifact {expected} is damaged (its content has {found}): start a new run to build it again"
    )]
    Damaged {
        /// The digest that was asked for.
        expected: String,
        /// The digest that was found.
        found: String,
    },
    /// A file changed while it was read.
    #[error("{} changed while it was bundled: the build command must not leave anything running", .0.display())]
    Changed(PathBuf),
    /// Reading or writing failed.
    #[error("{} could not be {what}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ArtifactError {
    fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}

/// A finished artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// SHA-256 of the uncompressed tar stream: its identity.
    pub digest: String,
    /// Size of the stored file in bytes.
    pub size: u64,
    /// How many files, links and folders it holds.
    pub entries: u64,
}

/// Where an artifact is stored: `artifacts/<digest>.tar.zst`.
pub fn path(artifacts: &Path, digest: &str) -> PathBuf {
    artifacts.join(format!("{digest}.tar.zst"))
}

/// Hashes what passes through to the writer below.
pub(crate) struct Hashing<T> {
    inner: T,
    digest: Sha256,
}

impl Hashing<io::Sink> {
    /// The SHA-256 of everything that can be read.
    pub fn digest_of(mut from: impl Read) -> io::Result<impl AsRef<[u8]>> {
        let mut hashing = Hashing { inner: io::sink(), digest: Sha256::new() };
        io::copy(&mut from, &mut hashing)?;
        Ok(hashing.digest.finalize())
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

/// Bundles a folder into `artifacts`. Blocks; leaves `.git` out, and sockets, pipes and devices.
///
/// # Errors
/// When a file cannot be read or changes meanwhile, or the artifact cannot be written.
pub fn bundle(folder: &Path, artifacts: &Path) -> Result<Bundle, ArtifactError> {
    fs::create_dir_all(artifacts).map_err(ArtifactError::io("created", artifacts))?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(artifacts)
        .map_err(ArtifactError::io("written to", artifacts))?;
    let written = ArtifactError::io("written to", artifacts);
    let encoder = match zstd::Encoder::new(io::BufWriter::with_capacity(1 << 20, file.as_file_mut()), 3) {
        Ok(encoder) => encoder,
        Err(e) => return Err(written(e)),
    };
    let mut tar = tar::Builder::new(Hashing { inner: encoder, digest: Sha256::new() });
    let mut entries = 0;
    add_folder(&mut tar, folder, Path::new(""), &mut entries)?;
    let close = || -> io::Result<String> {
        let hashing = tar.into_inner()?;
        hashing.inner.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(hex::encode(hashing.digest.finalize()))
    };
    let digest = close().map_err(ArtifactError::io("written to", artifacts))?;
    let seal = || -> io::Result<u64> {
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        let size = file.as_file().metadata()?.len();
        file.persist(path(artifacts, &digest)).map_err(|e| e.error)?;
        File::open(artifacts)?.sync_all()?;
        Ok(size)
    };
    let size = seal().map_err(ArtifactError::io("written to", artifacts))?;
    Ok(Bundle { digest, size, entries })
}

fn add_folder<W: Write>(
    tar: &mut tar::Builder<W>,
    folder: &Path,
    inside: &Path,
    entries: &mut u64,
) -> Result<(), ArtifactError> {
    let read = |path: &Path| fs::read_dir(path)?.collect::<io::Result<Vec<_>>>();
    let mut children = read(folder).map_err(ArtifactError::io("read", folder))?;
    children.sort_by(|a, b| a.file_name().as_bytes().cmp(b.file_name().as_bytes()));
    for child in children {
        if child.file_name() == ".git" {
            continue;
        }
        let (path, name) = (child.path(), inside.join(child.file_name()));
        let meta = fs::symlink_metadata(&path).map_err(ArtifactError::io("read", &path))?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mode(meta.permissions().mode() & 0o7777);
        header.set_size(0);
        let kind = meta.file_type();
        if kind.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, &name, io::empty()).map_err(ArtifactError::io("bundled", &path))?;
            *entries += 1;
            add_folder(tar, &path, &name, entries)?;
        } else if kind.is_symlink() {
            let to = fs::read_link(&path).map_err(ArtifactError::io("read", &path))?;
            header.set_mode(0o777);
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, &name, &to).map_err(ArtifactError::io("bundled", &path))?;
            *entries += 1;
        } else if kind.is_file() {
            let file = File::open(&path).map_err(ArtifactError::io("read", &path))?;
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(meta.len());
            let mut exact = Exact { file, left: meta.len() };
            tar.append_data(&mut header, &name, &mut exact).map_err(|source| {
                if source.kind() == io::ErrorKind::UnexpectedEof {
                    return ArtifactError::Changed(path.clone());
                }
                ArtifactError::Io { what: "bundled", path: path.clone(), source }
            })?;
            *entries += 1;
        }
    }
    Ok(())
}

/// Reads just as many bytes as the header promised; a file that shrank is an error, what it grew by is left.
struct Exact {
    file: File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Unpacks an artifact into `into`, which must not exist yet. Blocks. Nothing appears under that name unless the whole
/// content has the digest that was asked for.
///
/// # Errors
/// When the artifact is gone or damaged, or the folder cannot be written.
pub fn unpack(artifacts: &Path, digest: &str, into: &Path) -> Result<(), ArtifactError> {
    let stored = path(artifacts, digest);
    let file = match File::open(&stored) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ArtifactError::Gone(digest.to_owned())),
        other => other.map_err(ArtifactError::io("read", &stored))?,
    };
    let parent = into.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(ArtifactError::io("created", parent))?;
    let temporary = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)
        .map_err(ArtifactError::io("written to", parent))?;
    let content = temporary.path().join("content");
    let pour = || -> io::Result<String> {
        fs::create_dir(&content)?;
        let decoder = zstd::Decoder::new(file)?;
        let mut archive = tar::Archive::new(Hashing { inner: decoder, digest: Sha256::new() });
        archive.set_preserve_permissions(true);
        // A version's files are as old as its deployment; 1970 would make browsers cache them for years.
        archive.set_preserve_mtime(false);
        archive.set_unpack_xattrs(false);
        archive.unpack(&content)?;
        let mut rest = archive.into_inner();
        io::copy(&mut rest, &mut io::sink())?;
        Ok(hex::encode(rest.digest.finalize()))
    };
    let found = pour().map_err(ArtifactError::io("unpacked to", into))?;
    if found != digest {
        return Err(ArtifactError::Damaged { expected: digest.to_owned(), found });
    }
    fs::rename(&content, into).map_err(ArtifactError::io("written to", into))
}
