#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::PermissionsExt, process::Command as Blocking};

use tokio::io::AsyncWriteExt;

use super::*;

struct Repository {
    folder: tempfile::TempDir,
    git: CommandGit,
}

/// Runs Git as a person would, away from any settings of this machine.
fn git(folder: &Path, args: &[&str]) -> String {
    let output = Blocking::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Repository {
    /// `bare.git`, empty, and a clone of it in `clone`.
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--bare", "bare.git"]);
        git(folder.path(), &["clone", "--quiet", "bare.git", "clone"]);
        git(&folder.path().join("clone"), &["checkout", "--quiet", "-B", "main"]);
        let git = CommandGit::new(&folder.path().join("data"));
        Self { folder, git }
    }

    fn with_commits(messages: &[&str]) -> Self {
        let repository = Self::empty();
        messages.iter().for_each(|message| drop(repository.commit(message)));
        repository
    }

    fn clone(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    fn commit(&self, message: &str) -> String {
        let clone = self.clone();
        fs::write(clone.join("file name.txt"), message).unwrap();
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "-m", message]);
        git(&clone, &["push", "--quiet", "--force", "origin", "HEAD"]);
        git(&clone, &["rev-parse", "HEAD"])
    }

    fn path(&self) -> String {
        self.folder.path().join("bare.git").display().to_string()
    }

    /// An address that is not read where it lies, so that the mirror is used.
    fn far(&self) -> String {
        format!("file://localhost{}", self.path())
    }
}

#[tokio::test]
async fn branches_commits_and_files_are_found_here_and_through_the_mirror() {
    let repository = Repository::with_commits(&["one", "two\n\nwith a body", "three"]);
    let git = &repository.git;
    for at in [repository.path(), repository.far(), repository.clone().display().to_string()] {
        assert_eq!(git.default_branch(&at).await.unwrap(), "main");
        let head = git.head(&at, "main").await.unwrap();
        let newest = git.resolve(&at, None, None).await.unwrap();
        assert_eq!(
            (newest.sha.as_str(), newest.message.as_str(), newest.author.as_str()),
            (&*head, "three", "Ada")
        );
        assert_eq!(git.resolve(&at, Some("main"), Some(&head)).await.unwrap(), newest);
        assert_eq!(git.resolve(&at, None, Some(&head[..8])).await.unwrap(), newest);
        assert_eq!(git.resolve(&at, None, Some("main")).await.unwrap(), newest);
        let log = git.log(&at, None, &head, 10).await.unwrap();
        assert_eq!(log.iter().map(|c| c.message.as_str()).collect::<Vec<_>>(), ["three", "two", "one"]);
        assert_eq!(git.log(&at, Some(&log[2].sha), &head, 10).await.unwrap(), log[..2]);
        assert_eq!(git.log(&at, Some(&"1".repeat(40)), &head, 2).await.unwrap(), log[..2]);
        assert_eq!(git.files(&at, &head).await.unwrap(), ["file name.txt"]);
        let wanted = ["file name.txt".to_owned(), "absent".to_owned()];
        let read = git.read(&at, &head, &wanted).await.unwrap();
        assert_eq!(read, BTreeMap::from([("file name.txt".to_owned(), "three".to_owned())]));
    }
}

#[tokio::test]
async fn the_mirror_follows_and_keeps_what_a_force_push_replaced() {
    let repository = Repository::with_commits(&["one"]);
    let (git_, far) = (&repository.git, repository.far());
    let first = git_.resolve(&far, None, None).await.unwrap();
    git(&repository.clone(), &["commit", "--quiet", "--amend", "-m", "one again"]);
    git(&repository.clone(), &["push", "--quiet", "--force", "origin", "HEAD"]);
    assert_eq!(git_.resolve(&far, Some("main"), None).await.unwrap().message, "one again");
    assert_eq!(git_.resolve(&far, None, Some(&first.sha)).await.unwrap(), first);
    git(&repository.clone(), &["tag", "-a", "v1", "-m", "first"]);
    git(&repository.clone(), &["push", "--quiet", "origin", "v1"]);
    assert_eq!(git_.resolve(&far, None, Some("v1")).await.unwrap().message, "one again");
}

#[tokio::test]
async fn a_large_file_is_cut() {
    let repository = Repository::empty();
    fs::write(repository.clone().join("large"), "x".repeat(3 * LARGEST)).unwrap();
    let sha = repository.commit("large");
    let read = repository.git.read(&repository.path(), &sha, &["large".into()]).await.unwrap();
    assert_eq!(read["large"].len(), LARGEST);
}

#[tokio::test]
async fn each_bad_repository_has_its_own_words() {
    let repository = Repository::empty();
    let (git, path) = (&repository.git, repository.path());
    assert_eq!(git.default_branch(&path).await, Err(GitError::Empty(path.clone())));
    assert_eq!(git.resolve(&path, None, None).await, Err(GitError::Empty(path.clone())));
    assert_eq!(git.head(&path, "main").await, Err(GitError::Empty(path.clone())));
    for absent in ["/nowhere/at-all.git".to_owned(), repository.folder.path().display().to_string()] {
        assert_eq!(git.default_branch(&absent).await, Err(GitError::NoRepository(absent.clone())));
    }
    // A folder inside a repository is not that repository.
    let inner = repository.clone().join("inner");
    fs::create_dir(&inner).unwrap();
    let inner = inner.display().to_string();
    assert_eq!(git.head(&inner, "main").await, Err(GitError::NoRepository(inner.clone())));
    assert!(!git.install_hook(&inner, "true").await.unwrap());

    repository.commit("one");
    let no_branch = git.head(&path, "release").await.unwrap_err();
    assert_eq!(no_branch.to_string(), format!("{path} has no branch \"release\"; it has: main"));
    for gone in ["1".repeat(40), "abcdef1".into(), "--all".into(), "no-such-tag".into(), "main~1".into()] {
        for at in [&path, &repository.far()] {
            let error = git.resolve(at, None, Some(&gone)).await.unwrap_err();
            assert_eq!(error, GitError::NoCommit { repository: at.clone(), commit: gone.clone() });
        }
    }
}

#[tokio::test]
async fn a_repository_behind_a_password_says_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://me:secret@{}/a.git", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0u8; 2048];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 401 no\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let error = CommandGit::new(folder.path()).default_branch(&at).await.unwrap_err();
    assert!(matches!(&error, GitError::NeedsPassword(shown) if !shown.contains("secret")), "{error:?}");
}

#[tokio::test]
async fn a_hook_is_installed_once_and_runs_with_what_was_pushed() {
    let repository = Repository::with_commits(&["one"]);
    let (git_, path, folder) = (&repository.git, repository.path(), repository.folder.path());
    let hook = folder.join("bare.git/hooks/post-receive");
    let (ours, second) = (format!("cat > '{}'", folder.join("ours").display()), "false".to_owned());
    for _ in 0..2 {
        assert!(git_.install_hook(&path, &ours).await.unwrap());
        assert!(git_.install_hook(&path, &second).await.unwrap());
    }
    assert_eq!(fs::read_to_string(&hook).unwrap().matches("seamless_pushed\" |").count(), 2);
    let sha = repository.commit("two");
    let told = fs::read_to_string(folder.join("ours")).unwrap();
    assert!(told.ends_with(&format!("{sha} refs/heads/main\n")) && told.lines().count() == 1, "{told}");
    git_.remove_hook(&path, &ours).await.unwrap();
    assert!(hook.exists());
    git_.remove_hook(&path, &second).await.unwrap();
    git_.remove_hook(&path, &second).await.unwrap();
    assert!(!hook.exists());
}

#[tokio::test]
async fn somebody_elses_hook_goes_on_working() {
    let repository = Repository::with_commits(&["one"]);
    let (git_, path, folder) = (&repository.git, repository.path(), repository.folder.path());
    let hook = folder.join("bare.git/hooks/post-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let theirs = format!(
        "#!/bin/sh\nset -eu\nwhile read -r old new ref; do echo \"$new\" >> '{}/theirs'; done\n",
        folder.display()
    );
    fs::write(&hook, &theirs).unwrap();
    assert!(!git_.install_hook(&path, "true").await.unwrap(), "it is switched off and stays so");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let ours = format!("cat >> '{}/ours'; false", folder.display());
    assert!(git_.install_hook(&path, &ours).await.unwrap());
    let sha = repository.commit("two");
    assert_eq!(fs::read_to_string(folder.join("theirs")).unwrap().trim(), sha);
    assert!(fs::read_to_string(folder.join("ours")).unwrap().contains(&sha));
    git_.remove_hook(&path, &ours).await.unwrap();
    assert_eq!(fs::read_to_string(&hook).unwrap(), theirs);

    fs::write(&hook, "#!/usr/bin/env python3\nprint(1)\n").unwrap();
    assert!(!git_.install_hook(&path, &ours).await.unwrap());
    let clone = repository.clone().display().to_string();
    assert!(!git_.install_hook(&clone, &ours).await.unwrap(), "nobody pushes to a working copy");
    assert!(!git_.install_hook("https://example.org/a.git", &ours).await.unwrap());
}
