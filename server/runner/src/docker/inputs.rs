//! The identity of everything an image is built from: two builds with the same identity would make the same image.
//!
//! Content counts, not the commit: another commit with the same files is the same build, and a file that a command made is part
//! of it. Refuses to be told apart by a guess: it is keyed with a secret of this data folder, so that an image's label does not
//! let anybody try out what a build secret may be.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::artifact::Hashing;

/// What checks leave behind in a workspace; made from the sources, and never the same twice.
const TRACES: [&str; 5] = ["__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".eslintcache"];

/// The secret of this data folder.
pub(crate) fn key(data: &Path) -> io::Result<Vec<u8>> {
    let path = data.join("image-inputs.key");
    match fs::read(&path) {
        Ok(key) if key.len() == 32 => return Ok(key),
        Ok(_) => fs::remove_file(&path)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let mut file = tempfile::Builder::new().prefix(".key-").tempfile_in(data)?; // 0600 from birth
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(key.to_vec()),
        // Another runner was faster: its key is the one.
        Err(_) => fs::read(&path),
    }
}

/// Texts and folders, in the order in which they were added.
pub(crate) struct Inputs(Sha256);

impl Inputs {
    pub fn new(key: &[u8]) -> Self {
        let mut inputs = Self(Sha256::new());
        inputs.text(key);
        inputs
    }

    /// A text; two do not run together.
    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    /// Every file, link and folder below, but for `.git`, what `ignored` names plainly, and what checks leave behind.
    pub fn folder(&mut self, folder: &Path, ignored: &str) -> io::Result<()> {
        self.below(folder, "", &Ignored::read(ignored))
    }

    fn below(&mut self, folder: &Path, inside: &str, ignored: &Ignored) -> io::Result<()> {
        let mut children: BTreeMap<Vec<u8>, fs::DirEntry> = BTreeMap::new();
        for child in fs::read_dir(folder)? {
            let child = child?;
            children.insert(child.file_name().as_bytes().to_vec(), child);
        }
        for (name, child) in children {
            let path = format!("{inside}{}", String::from_utf8_lossy(&name));
            if ignored.has(&path) {
                continue;
            }
            let (kind, mode) = (child.file_type()?, child.metadata()?.permissions().mode());
            if kind.is_dir() {
                self.text(format!("folder {path} {:o}", mode & 0o7777));
                self.below(&child.path(), &format!("{path}/"), ignored)?;
            } else if kind.is_symlink() {
                self.text(format!("link {path}"));
                self.text(fs::read_link(child.path())?.as_os_str().as_bytes());
            } else if kind.is_file() {
                self.text(format!("file {path} {:o}", mode & 0o7777));
                self.text(Hashing::digest_of(File::open(child.path())?)?);
            }
        }
        Ok(())
    }

    /// All of it in one text.
    pub fn finish(self) -> String {
        // Hashed twice: what is shown cannot be gone on from.
        hex::encode(&Sha256::digest(self.0.finalize())[..20])
    }
}

/// The part of a `.dockerignore` that is understood here: plain paths, and names at any depth. What is not understood counts as
/// an input, which may build once too often and never once too seldom.
struct Ignored {
    paths: Vec<String>,
    names: Vec<String>,
}

impl Ignored {
    fn read(text: &str) -> Self {
        let mut found = Self { paths: Vec::new(), names: TRACES.map(str::to_owned).into() };
        found.names.push(".git".into());
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        if lines.iter().any(|line| line.starts_with('!')) {
            return found;
        }
        for line in lines {
            let path = line.trim_start_matches("./").trim_matches('/');
            let plain = |path: &str| !path.is_empty() && !path.contains(['*', '?', '[', '\\']);
            match path.strip_prefix("**/") {
                Some(name) if plain(name) && !name.contains('/') => found.names.push(name.to_owned()),
                None if plain(path) && !path.split('/').any(|part| matches!(part, "" | "." | "..")) => {
                    found.paths.push(path.to_owned());
                }
                _ => {}
            }
        }
        found
    }

    fn has(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.names.iter().any(|known| known == name) || self.paths.iter().any(|known| known == path)
    }
}

/// The images that a Dockerfile starts from, with what is known of its arguments put in.
pub(crate) fn bases(dockerfile: &str, arguments: &BTreeMap<String, String>) -> Vec<String> {
    let (mut known, mut stages, mut found) = (BTreeMap::new(), Vec::new(), Vec::new());
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        let Some(word) = words.next() else { continue };
        if word.eq_ignore_ascii_case("ARG") && found.is_empty() && stages.is_empty() {
            let Some((name, value)) = words.next().and_then(|arg| arg.split_once('=')) else { continue };
            known.insert(name.to_owned(), value.trim_matches(['"', '\'']).to_owned());
        } else if word.eq_ignore_ascii_case("FROM") {
            let mut words = words.skip_while(|word| word.starts_with("--"));
            let Some(image) = words.next() else { continue };
            let image = filled(image, |name| arguments.get(name).or_else(|| known.get(name)));
            if image != "scratch" && !stages.contains(&image) && !found.contains(&image) {
                found.push(image);
            }
            if words.next().is_some_and(|word| word.eq_ignore_ascii_case("AS")) {
                stages.extend(words.next().map(str::to_owned));
            }
        }
    }
    found
}

/// With `$NAME`, `${NAME}` and `${NAME:-value}` replaced.
fn filled<'a>(text: &str, value: impl Fn(&str) -> Option<&'a String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, otherwise, then) = match after.strip_prefix('{').and_then(|a| a.split_once('}')) {
            Some((inside, then)) => {
                let (name, otherwise) = inside.split_once(":-").unwrap_or((inside, ""));
                (name, otherwise, then)
            }
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], "", &after[end..])
            }
        };
        out.push_str(value(name).map_or(otherwise, String::as_str));
        rest = then;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn identity(folder: &Path, ignored: &str) -> String {
        let mut inputs = Inputs::new(b"key");
        inputs.folder(folder, ignored).unwrap();
        inputs.finish()
    }

    #[test]
    fn the_same_files_are_the_same_build() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("src")).unwrap();
        fs::write(path("src/a"), "1").unwrap();
        let ignored = "node_modules\n**/tmp\n*.log";
        let first = identity(folder.path(), ignored);
        for (name, content) in
            [(".git/HEAD", "x"), ("node_modules/a/b", "x"), ("src/tmp/y", "x"), ("src/__pycache__/z", "x")]
        {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), content).unwrap();
        }
        assert_eq!(identity(folder.path(), ignored), first);
        // Every one of these must count, also what a pattern that is not understood may leave out.
        let changes: [&dyn Fn(); 5] = [
            &|| fs::write(path("src/a"), "2").unwrap(),
            &|| fs::set_permissions(path("src/a"), fs::Permissions::from_mode(0o755)).unwrap(),
            &|| fs::rename(path("src/a"), path("src/b")).unwrap(),
            &|| std::os::unix::fs::symlink("b", path("src/c")).unwrap(),
            &|| fs::write(path("x.log"), "").unwrap(),
        ];
        let mut all = vec![first];
        for change in changes {
            change();
            let now = identity(folder.path(), ignored);
            assert!(!all.contains(&now));
            all.push(now);
        }
        assert_ne!(identity(folder.path(), "node_modules\n!node_modules/a"), *all.last().unwrap());
    }

    #[test]
    fn the_key_is_private_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let first = key(folder.path()).unwrap();
        assert_eq!(key(folder.path()).unwrap(), first);
        let mode = fs::metadata(folder.path().join("image-inputs.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(key(tempfile::tempdir().unwrap().path()).unwrap(), first);
    }

    #[test]
    fn base_images_are_found() {
        let dockerfile = "ARG BASE=debian:12\nARG NODE=\"22\"\nFROM --platform=linux/amd64 node:${NODE} AS build\nRUN x\n\
            FROM build AS test\nfrom $BASE\nCOPY --from=build /a /a\nFROM ${OTHER:-alpine}\nFROM scratch\n";
        assert_eq!(bases(dockerfile, &BTreeMap::new()), ["node:22", "debian:12", "alpine"]);
        let given = BTreeMap::from([("BASE".to_owned(), "seamless/demo-base".to_owned())]);
        assert_eq!(bases(dockerfile, &given), ["node:22", "seamless/demo-base", "alpine"]);
    }
}
