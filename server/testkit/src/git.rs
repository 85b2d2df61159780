//! Bare repositories with a working copy beside them, as a developer has them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A bare repository and a clone to commit in.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The bare repository.
    pub bare: PathBuf,
    /// The clone.
    pub clone: PathBuf,
}

impl Repository {
    /// An empty one, with `main` as its branch.
    pub fn empty(folder: &Path, name: &str) -> Self {
        let (bare, clone) = (folder.join(format!("{name}.git")), folder.join(name));
        fs::create_dir_all(folder).unwrap();
        git(folder, &["init", "--quiet", "--bare", "--initial-branch=main", &bare.to_string_lossy()]);
        git(folder, &["init", "--quiet", "--initial-branch=main", &clone.to_string_lossy()]);
        git(&clone, &["remote", "add", "origin", &bare.to_string_lossy()]);
        Self { bare, clone }
    }

    /// Its path, as it is connected.
    pub fn path(&self) -> String {
        self.bare.to_string_lossy().into_owned()
    }

    /// Writes files and commits them; the answer is the commit's hash.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, content) in files {
            let path = self.clone.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        git(&self.clone, &["add", "--all"]);
        git(&self.clone, &["commit", "--quiet", "--allow-empty", "--message", message]);
        text(&git(&self.clone, &["rev-parse", "HEAD"]).stdout)
    }

    /// Pushes a branch as a developer does, hooks and all; the answer is what Git printed.
    pub fn push(&self, branch: &str) -> String {
        text(&git(&self.clone, &["push", "--force", "origin", &format!("HEAD:refs/heads/{branch}")]).stderr)
    }

    /// Any other call of Git in the clone; the answer is what it printed.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = git(&self.clone, arguments);
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    }

    /// Commits to `main` and pushes; the answer is the commit's hash.
    pub fn change(&self, files: &[(&str, &str)], message: &str) -> String {
        let sha = self.commit(files, message);
        self.push("main");
        sha
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Git without anybody's settings.
fn git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@example.org");
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C.UTF-8");
    let output = command.current_dir(folder).args(arguments).output().expect("is Git installed?");
    assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
    output
}
