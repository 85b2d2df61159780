//! Repositories through the Git program: what the server wants to know of them before and beside the runs.
//!
//! Refuses to ask anybody for a password, and to hold a repository's objects twice: mirrors are shared with the runners,
//! and a repository on this machine is read where it lies.

mod call;
mod change;
mod hook;
mod mirror;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use control::{
    forge::{Forge, Login},
    ports::{Change, Git, GitError},
};
use domain::{protocol::GitLogin, view::Commit};
use runner::{address, paths::Data, without_password};
use secrecy::ExposeSecret;
use tokio::{io::AsyncReadExt, time::timeout};

use self::call::{Of, Wrong, command, run, run_as};

/// How long a question to a repository may take.
const ASK: Duration = Duration::from_secs(30);
/// How long bringing a mirror up to date may take.
const FETCH: Duration = Duration::from_secs(600);
/// How much of a file is read.
const LARGEST: usize = 256 * 1024;

/// The Git program of this machine.
#[derive(Clone)]
pub struct CommandGit {
    data: Data,
    forge: Option<Arc<dyn Forge>>,
}

fn is_local(address: &str) -> bool {
    address.starts_with("file://") || Path::new(address).exists()
}

/// The folder that holds the objects of a repository on this machine.
fn git_folder(repository: &str) -> Option<PathBuf> {
    let path = Path::new(repository.strip_prefix("file://").unwrap_or(repository));
    if path.join("HEAD").is_file() && path.join("objects").is_dir() {
        return Some(path.to_owned());
    }
    let inner = path.join(".git");
    (inner.join("HEAD").is_file() && inner.join("objects").is_dir()).then_some(inner)
}

/// What is said of a ref by another repository.
struct Advertised {
    sha: String,
    name: String,
}

fn advertised(text: &str) -> impl Iterator<Item = Advertised> + '_ {
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(sha, name)| Advertised { sha: sha.into(), name: name.into() })
}

/// `NoBranch`, or `Empty` when there is none at all.
async fn no_branch(git: &CommandGit, repository: &str, address: &str, branch: &str) -> GitError {
    let text = match git.ls_remote(address, &["--heads"], &[]).await {
        Ok(text) => text,
        Err(wrong) => return wrong.of(repository),
    };
    let mut known: Vec<String> =
        advertised(&text).filter_map(|r| Some(r.name.strip_prefix("refs/heads/")?.to_owned())).collect();
    if known.is_empty() {
        return GitError::Empty(without_password(repository));
    }
    let more = known.len().saturating_sub(10);
    known.truncate(10);
    let mut known = known.join(", ");
    if more > 0 {
        known.push_str(&format!(" and {more} more"));
    }
    GitError::NoBranch { repository: without_password(repository), branch: branch.into(), known }
}

impl CommandGit {
    /// With mirrors in this data folder.
    pub fn new(data: &Path) -> Self {
        Self { data: Data::new(data), forge: None }
    }

    /// For repositories of a forge: by their short names, and with what it lets Git log in with.
    #[must_use]
    pub fn with_forge(self, forge: Arc<dyn Forge>) -> Self {
        Self { forge: Some(forge), ..self }
    }

    /// A repository's address in full, as runners know it too.
    fn full(&self, repository: &str) -> String {
        self.forge.as_ref().map_or_else(|| repository.to_owned(), |forge| forge.address(repository))
    }

    async fn login(&self, address: &str) -> Option<GitLogin> {
        let forge = self.forge.as_ref().filter(|forge| forge.acts_as().is_some())?;
        let Login { site, username, password } = match forge.login(&forge.full_name(address)?).await {
            Ok(login) => login,
            Err(error) => {
                tracing::warn!(%error, "no password for Git");
                return None;
            }
        };
        Some(GitLogin { site, username, password: password.expose_secret().to_owned() })
    }

    async fn ls_remote(&self, address: &str, options: &[&str], patterns: &[&str]) -> Result<String, Wrong> {
        let mut args = vec!["ls-remote"];
        if is_local(address) {
            // The other side runs here, and refuses repositories of other users unless told so itself.
            args.push("--upload-pack=git -c safe.directory='*' upload-pack");
        }
        args.extend(options);
        args.extend(["--", address]);
        args.extend(patterns);
        let said = run_as(&args, ASK, self.login(address).await.as_ref()).await?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Where a commit can be read: in the repository itself if it is here, else in the mirror, which is filled when needed.
    async fn source(&self, repository: &str, commit: &str) -> Result<PathBuf, GitError> {
        let mirror = self.data.mirror(repository);
        for folder in git_folder(repository).into_iter().chain([mirror.clone()]) {
            if folder.is_dir() && has(&folder, commit).await {
                return Ok(folder);
            }
        }
        let address = address(repository);
        self.fetch(&mirror, &address, &[]).await.map_err(|wrong| wrong.of(repository))?;
        if has(&mirror, commit).await {
            return Ok(mirror);
        }
        if is_full(commit) {
            // No branch leads there any more, but the server may still give it by name.
            let exact = format!("+{commit}:refs/seamless/{commit}");
            if self.fetch(&mirror, &address, &[&exact]).await.is_ok() && has(&mirror, commit).await {
                return Ok(mirror);
            }
        }
        Err(GitError::NoCommit { repository: without_password(repository), commit: commit.into() })
    }
}

fn is_full(commit: &str) -> bool {
    commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit())
}

fn in_folder(folder: &Path) -> String {
    format!("--git-dir={}", folder.display())
}

async fn has(folder: &Path, commit: &str) -> bool {
    let name = format!("{commit}^{{commit}}");
    run(&[&in_folder(folder), "cat-file", "-e", "--end-of-options", &name], ASK).await.is_ok()
}

async fn commits(folder: &Path, limit: u32, revisions: &[&str]) -> Result<Vec<Commit>, Wrong> {
    let (folder, limit) = (in_folder(folder), format!("--max-count={limit}"));
    let mut args = vec![
        folder.as_str(),
        "log",
        "--no-show-signature",
        "--no-color",
        "-z",
        &limit,
        "--format=%H%x1f%s%x1f%an",
    ];
    args.push("--end-of-options");
    args.extend(revisions);
    args.push("--");
    let out = run(&args, ASK).await?;
    let text = String::from_utf8_lossy(&out);
    let commit = |entry: &str| {
        let mut fields = entry.splitn(3, '\x1f').map(str::to_owned);
        Some(Commit { sha: fields.next()?, message: fields.next()?, author: fields.next()? })
    };
    Ok(text.split('\0').filter_map(|entry| commit(entry.trim_start_matches('\n'))).collect())
}

/// A word that Git may take for a revision and for nothing else.
fn is_revision(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || ":^~?*[\\".contains(c))
}

#[async_trait]
impl Git for CommandGit {
    async fn default_branch(&self, repository: &str) -> Result<String, GitError> {
        let repository = &*self.full(repository);
        let address = address(repository);
        let text = self
            .ls_remote(&address, &["--symref"], &["HEAD", "refs/heads/*"])
            .await
            .map_err(|w| w.of(repository))?;
        let named =
            text.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
        if let Some(branch) = named {
            return Ok(branch.to_owned());
        }
        // HEAD names a branch that is not there yet, or a commit: then the usual names, then any branch.
        let heads: Vec<String> =
            advertised(&text).filter_map(|r| Some(r.name.strip_prefix("refs/heads/")?.to_owned())).collect();
        let usual =
            ["main", "master", "trunk"].into_iter().find(|name| heads.iter().any(|head| head == name));
        usual
            .map(str::to_owned)
            .or_else(|| heads.into_iter().next())
            .ok_or_else(|| GitError::Empty(without_password(repository)))
    }

    async fn resolve(
        &self,
        repository: &str,
        branch: Option<&str>,
        commit: Option<&str>,
    ) -> Result<Commit, GitError> {
        let repository = &*self.full(repository);
        let Some(commit) = commit else {
            let branch = match branch {
                Some(branch) => branch.to_owned(),
                None => self.default_branch(repository).await?,
            };
            let sha = self.head(repository, &branch).await?;
            return self.resolve(repository, Some(&branch), Some(&sha)).await;
        };
        let absent =
            || GitError::NoCommit { repository: without_password(repository), commit: commit.into() };
        if !is_revision(commit) {
            return Err(absent());
        }
        // A branch's or a tag's name is what it is there and now; the mirror's copy may be old.
        let mut name = commit.to_owned();
        if !is_full(commit) {
            let (head, tag) = (format!("refs/heads/{commit}"), format!("refs/tags/{commit}"));
            let peeled = format!("{tag}^{{}}");
            let address = address(repository);
            let text =
                self.ls_remote(&address, &[], &[&head, &tag, &peeled]).await.map_err(|w| w.of(repository))?;
            let found = |name: &str| advertised(&text).find(|r| r.name == name).map(|r| r.sha);
            if let Some(sha) = found(&peeled).or_else(|| found(&tag)).or_else(|| found(&head)) {
                name = sha;
            } else if commit.len() < 4 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(absent());
            }
        }
        let folder = match branch {
            // One branch is cheaper to bring than all of them.
            Some(branch) if git_folder(repository).is_none() => {
                self.with_branch(repository, branch, &name).await?
            }
            _ => None,
        };
        let folder = match folder {
            Some(folder) => folder,
            None => self.source(repository, &name).await.map_err(|e| match e {
                GitError::NoCommit { .. } => absent(),
                other => other,
            })?,
        };
        let found = commits(&folder, 1, &[&name]).await.map_err(|w| w.of(repository))?;
        found.into_iter().next().ok_or_else(absent)
    }

    async fn head(&self, repository: &str, branch: &str) -> Result<String, GitError> {
        let repository = &*self.full(repository);
        let (address, name) = (address(repository), format!("refs/heads/{branch}"));
        let text = self.ls_remote(&address, &[], &[&name]).await.map_err(|w| w.of(repository))?;
        match advertised(&text).find(|r| r.name == name) {
            Some(found) => Ok(found.sha),
            None => Err(no_branch(self, repository, &address, branch).await),
        }
    }

    async fn log(
        &self,
        repository: &str,
        from: Option<&str>,
        to: &str,
        limit: u32,
    ) -> Result<Vec<Commit>, GitError> {
        let repository = &*self.full(repository);
        let folder = self.source(repository, to).await?;
        let without = match from {
            // What was replaced by a force push leaves no trace to count from; then the newest ones have to do.
            Some(from) if is_revision(from) && has(&folder, from).await => Some(format!("^{from}")),
            _ => None,
        };
        let revisions: Vec<&str> = [to].into_iter().chain(without.as_deref()).collect();
        commits(&folder, limit, &revisions).await.map_err(|w| w.of(repository))
    }

    async fn files(&self, repository: &str, commit: &str) -> Result<Vec<String>, GitError> {
        let repository = &*self.full(repository);
        let folder = self.source(repository, commit).await?;
        let args = [
            &*in_folder(&folder),
            "ls-tree",
            "-r",
            "-z",
            "--name-only",
            "--full-tree",
            "--end-of-options",
            commit,
        ];
        let out = run(&args, ASK).await.map_err(|w| w.of(repository))?;
        Ok(String::from_utf8_lossy(&out)
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect())
    }

    async fn read(
        &self,
        repository: &str,
        commit: &str,
        paths: &[String],
    ) -> Result<BTreeMap<String, String>, GitError> {
        let repository = &*self.full(repository);
        let folder = self.source(repository, commit).await?;
        let mut found = BTreeMap::new();
        for path in paths {
            let name = format!("{commit}:{path}");
            let mut child = command(&[&in_folder(&folder), "cat-file", "blob", "--end-of-options", &name])
                .stderr(Stdio::null())
                .spawn()
                .map_err(|e| {
                    Wrong::Other(format!("the program `git` could not be started: {e}")).of(repository)
                })?;
            let mut bytes = Vec::new();
            if let Some(out) = child.stdout.take() {
                let mut out = out.take(LARGEST as u64);
                let _ = timeout(ASK, out.read_to_end(&mut bytes)).await;
            }
            // Its pipe is closed by now: of a large file the rest is not wanted, and Git ends of it.
            let whole = child.wait().await.is_ok_and(|status| status.success());
            if whole || bytes.len() == LARGEST {
                found.insert(path.clone(), String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(found)
    }

    async fn change(
        &self,
        repository: &str,
        reference: &str,
        from: &str,
        to: &str,
        three_dots: bool,
    ) -> Result<Change, GitError> {
        let repository = &*self.full(repository);
        self.changed(repository, reference, from, to, three_dots).await
    }

    async fn precedes(&self, repository: &str, from: &str, to: &str) -> Result<bool, GitError> {
        let repository = &*self.full(repository);
        self.is_before(repository, from, to).await
    }

    async fn install_hook(&self, repository: &str, line: &str) -> Result<bool, GitError> {
        hook::install(repository, line).await
    }

    async fn remove_hook(&self, repository: &str, line: &str) -> Result<(), GitError> {
        hook::remove(repository, line).await
    }
}

#[cfg(test)]
mod tests;
