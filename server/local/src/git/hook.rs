//! Our lines in a repository's post-receive hook, between our own marks.
//!
//! A hook that somebody else wrote for a shell goes on working: what was pushed is read once and given to both. Refuses to
//! touch hooks in other languages, shared hook folders, and what is not a bare repository of this machine.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use control::ports::GitError;

use super::{ASK, Of, Wrong, git_folder, in_folder, run};

const BEGIN: &str = "# >>> seamless >>> kept by Seamless; do not edit between the marks";
const END: &str = "# <<< seamless <<<";
const BEFORE: &str = "printf '%s\\n' \"$seamless_pushed\" | ";
const AFTER: &str = " || :";
const SHEBANG: &str = "#!/bin/sh";

/// A hook's text in three parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Hook {
    shebang: String,
    ours: Vec<String>,
    theirs: String,
}

impl Hook {
    fn parse(text: &str) -> Self {
        let mut hook = Self::default();
        let mut rest = text;
        if text.starts_with("#!") {
            let (first, after) = text.split_once('\n').unwrap_or((text, ""));
            hook.shebang = first.to_owned();
            rest = after;
        }
        let mut inside = false;
        for line in rest.split_inclusive('\n') {
            let bare = line.trim_end_matches('\n');
            match (inside, bare) {
                (false, BEGIN) => inside = true,
                (true, END) => inside = false,
                (true, _) => {
                    hook.ours.extend(
                        bare.strip_prefix(BEFORE).and_then(|l| l.strip_suffix(AFTER)).map(str::to_owned),
                    );
                }
                (false, _) => hook.theirs.push_str(line),
            }
        }
        hook
    }

    fn text(&self) -> String {
        let shebang = if self.shebang.is_empty() { SHEBANG } else { &self.shebang };
        let mut text = format!("{shebang}\n");
        if !self.ours.is_empty() {
            text.push_str(&format!("{BEGIN}\nseamless_pushed=$(cat)\n"));
            for line in &self.ours {
                text.push_str(&format!("{BEFORE}{line}{AFTER}\n"));
            }
            // Whoever comes after us finds what was pushed where it always was.
            text.push_str(&format!("exec <<seamless_end\n$seamless_pushed\nseamless_end\n{END}\n"));
        }
        text.push_str(&self.theirs);
        text
    }

    /// Whether it is a shell's: without a first line that says otherwise, it is.
    fn is_shell(&self) -> bool {
        let Some(program) = self.shebang.strip_prefix("#!") else { return self.shebang.is_empty() };
        let mut words = program.split_whitespace();
        let first = words.next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let name =
            if first == "env" { words.find(|w| !w.starts_with('-')).unwrap_or_default() } else { first };
        ["sh", "bash", "dash", "ash", "ksh", "zsh"].contains(&name)
    }

    fn is_empty(&self) -> bool {
        self.ours.is_empty() && self.theirs.trim().is_empty()
    }
}

/// The hook's path, if it is ours to write.
async fn path(repository: &str) -> Option<PathBuf> {
    let folder = fs::canonicalize(git_folder(repository)?).ok()?;
    let ask = async |what: &[&str]| {
        let at = in_folder(&folder);
        let args: Vec<&str> = [at.as_str(), "rev-parse"].into_iter().chain(what.iter().copied()).collect();
        run(&args, ASK).await.ok().map(|out| String::from_utf8_lossy(&out).trim_end_matches('\n').to_owned())
    };
    if ask(&["--is-bare-repository"]).await? != "true" {
        return None;
    }
    let told = PathBuf::from(ask(&["--git-path", "hooks/post-receive"]).await?);
    // Commands run in `/`, so what is not absolute is odd. A hook folder outside is shared with other repositories.
    (told.is_absolute() && told.starts_with(&folder)).then_some(told)
}

fn read(path: &Path) -> io::Result<Option<(Hook, u32)>> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some((Hook::default(), 0o755))),
        Err(e) => return Err(e),
    };
    let mode = meta.permissions().mode() & 0o777;
    // A hook that is not executable does not run; to make it run would be to run what its owner has switched off.
    if !meta.is_file() || mode & 0o100 == 0 {
        return Ok(None);
    }
    let bytes = fs::read(path)?;
    let hook = std::str::from_utf8(&bytes).ok().map(Hook::parse).filter(Hook::is_shell);
    Ok(hook.map(|hook| (hook, mode)))
}

fn write(path: &Path, hook: &Hook, mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".seamless-").tempfile_in(folder)?;
    file.write_all(hook.text().as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn other(repository: &str, path: &Path, e: &io::Error) -> GitError {
    Wrong::Other(format!("its hook {} could not be changed: {e}", path.display())).of(repository)
}

/// Adds a line; false when the hook is not ours to write.
pub async fn install(repository: &str, line: &str) -> Result<bool, GitError> {
    if line.contains(['\n', '\0']) {
        return Err(Wrong::Other("a hook's command must be one line".into()).of(repository));
    }
    let Some(path) = path(repository).await else { return Ok(false) };
    let add = || -> io::Result<bool> {
        let Some((mut hook, mode)) = read(&path)? else { return Ok(false) };
        if !hook.ours.iter().any(|known| known == line) {
            hook.ours.push(line.to_owned());
            write(&path, &hook, mode)?;
        }
        Ok(true)
    };
    match add() {
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            Ok(false)
        }
        done => done.map_err(|e| other(repository, &path, &e)),
    }
}

/// Takes a line out; a hook that holds nothing else goes with it.
pub async fn remove(repository: &str, line: &str) -> Result<(), GitError> {
    let Some(path) = path(repository).await else { return Ok(()) };
    let take = || -> io::Result<()> {
        let Some((mut hook, mode)) = read(&path)? else { return Ok(()) };
        let before = hook.ours.len();
        hook.ours.retain(|known| known != line);
        match hook.ours.len() {
            after if after == before => Ok(()),
            _ if hook.is_empty() => fs::remove_file(&path),
            _ => write(&path, &hook, mode),
        }
    };
    take().map_err(|e| other(repository, &path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays_as_it_was() {
        let theirs = "#!/usr/bin/env bash\nset -e\n\nwhile read a b c; do echo \"$c\"; done";
        let mut hook = Hook::parse(theirs);
        assert!(hook.is_shell());
        hook.ours = vec!["seamless hook 'a b'".into(), "other".into()];
        let ours = hook.text();
        assert_eq!(Hook::parse(&ours), hook);
        hook.ours.clear();
        assert_eq!(hook.text(), theirs);
    }

    #[test]
    fn only_shells_are_shells() {
        let is_shell = |first: &str| Hook::parse(&format!("{first}\nx\n")).is_shell();
        assert!(
            ["#!/bin/sh", "#!/bin/bash -e", "#! /usr/bin/env -S zsh", "echo hello"].into_iter().all(is_shell)
        );
        assert!(!["#!/usr/bin/python3", "#!/usr/bin/env node", "#!"].into_iter().any(is_shell));
    }
}
