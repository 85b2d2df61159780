//! What everything a stage does has in common: its job, its folders, its log, its processes, its end.

use std::path::{Path, PathBuf};

use domain::protocol::{Job, JobVariable};

use crate::{ending::Ending, paths::Data, reason::Failure, sink::LogSink, tree::Tree};

/// Where this machine keeps its toolchains. Programs that choose a toolchain look below `HOME` unless these say otherwise, and
/// a command's `HOME` is not the one in which they were installed.
pub const TOOLCHAINS: [&str; 7] =
    ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "JAVA_HOME", "GOROOT", "DOTNET_ROOT", "PYENV_ROOT", "RBENV_ROOT"];

fn toolchains() -> impl Iterator<Item = (String, String)> {
    let rustup = || {
        let folder = PathBuf::from(std::env::var_os("HOME")?).join(".rustup");
        folder.is_dir().then(|| folder.to_string_lossy().into_owned())
    };
    TOOLCHAINS.into_iter().filter_map(move |name| {
        let value =
            std::env::var(name).ok().or_else(|| if name == "RUSTUP_HOME" { rustup() } else { None })?;
        Some((name.to_owned(), value))
    })
}

/// One stage attempt at work.
pub(crate) struct Context {
    pub job: Job,
    pub data: Data,
    pub log: LogSink,
    pub tree: Tree,
    pub ending: Ending,
}

impl Context {
    /// The environment of a command on this machine: stated in full; nothing else of the runner's own is passed on.
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into());
        let mut all = vec![("PATH".to_owned(), path)];
        all.extend(toolchains());
        all.extend(self.stated());
        all
    }

    /// What of it holds wherever the command runs. In an image it is all there is besides the image's own.
    pub fn stated(&self) -> Vec<(String, String)> {
        let (job, caches) = (&self.job, self.caches());
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut all: Vec<(String, String)> = [
            ("HOME", text(self.home())),
            ("TMPDIR", text(self.temporary())),
            ("LANG", "C.UTF-8".into()),
            ("TERM", "dumb".into()),
            ("FORCE_COLOR", "1".into()),
            ("CLICOLOR_FORCE", "1".into()),
            ("CI", "true".into()),
            ("SEAMLESS", "true".into()),
            ("SEAMLESS_RUN", job.run.to_string()),
            ("SEAMLESS_RUN_NUMBER", job.run_number.to_string()),
            ("SEAMLESS_STAGE", job.kind.to_string()),
            ("SEAMLESS_SERVICE", job.service.clone()),
            ("SEAMLESS_COMMIT", job.commit.clone()),
            ("SEAMLESS_BRANCH", job.branch.clone()),
            ("SEAMLESS_CACHE", text(caches.join("shared"))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        all.extend(pairs(&job.variables));
        all.push((crate::tree::COOKIE.to_owned(), self.tree.cookie().to_owned()));
        all
    }

    /// Makes the folders that the environment names.
    pub fn make_folders(&self) -> Result<(), Failure> {
        for folder in self.writable() {
            std::fs::create_dir_all(&folder).map_err(|e| cannot("make", &folder, &e))?;
        }
        Ok(())
    }

    /// The folders that a command may write to besides its workspace.
    pub fn writable(&self) -> [PathBuf; 3] {
        [self.home(), self.caches().join("shared"), self.temporary()]
    }

    /// Where commands keep what later runs of the service find again; nothing does where they are aside.
    pub fn caches(&self) -> PathBuf {
        match self.job.aside {
            true => self.data.own_caches(self.job.run),
            false => self.data.caches(&self.job.service),
        }
    }

    /// The HOME of commands: what tools keep there serves later runs of this service too.
    pub fn home(&self) -> PathBuf {
        self.caches().join("home")
    }

    fn temporary(&self) -> PathBuf {
        self.data.run(self.job.run).join("tmp")
    }

    /// The folder in which the service's commands run, within a checkout or an unpacked artifact.
    pub fn folder(&self, root: &Path) -> Result<PathBuf, Failure> {
        if !root.is_dir() {
            return Err(Failure::new("the workspace of this run is gone: rerun from the start"));
        }
        let Some(context) = self.job.context.as_deref().filter(|c| !c.is_empty()) else {
            return Ok(root.to_owned());
        };
        let folder = root.join(context);
        if !folder.is_dir() {
            let commit = self.job.commit.get(..12).unwrap_or(&self.job.commit);
            return Err(Failure::new(format!(
                "the folder `{context}` does not exist in commit {commit}: correct the service's context"
            )));
        }
        Ok(folder)
    }
}

/// Variables as pairs.
pub(crate) fn pairs(variables: &[JobVariable]) -> impl Iterator<Item = (String, String)> + '_ {
    variables.iter().map(|v| (v.name.clone(), v.value.clone()))
}

/// A failure of our own to read or write, in words.
pub(crate) fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind as K;
    Failure::new(match error.kind() {
        K::StorageFull | K::QuotaExceeded => {
            format!("the disk is full: could not {what} {} (free some space, then rerun)", path.display())
        }
        _ => format!("could not {what} {}: {error}", path.display()),
    })
}
