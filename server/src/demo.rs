//! The demo: three services of ours, carried in the binary, that become bare Git repositories in the data folder.
//!
//! Refuses to connect them, to install hooks or to start runs: that goes the same way as for anybody's repository. It never
//! touches a repository that is already there, since by then it is the user's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use domain::{
    EnvironmentName,
    containers::TargetKind,
    service::{Commands, ServiceSettings},
};

/// What the services' Dockerfiles start from; `scripts/demo-base` makes it.
pub const BASE_IMAGE: &str = "seamless/demo-base";

/// A service of the demo: its files, and how a person would have connected it.
pub struct DemoService {
    /// Its name, which is also its repository's.
    pub name: &'static str,
    /// Programs it cannot do without.
    pub needs: &'static [&'static str],
    /// Path and content of every file.
    files: &'static [(&'static str, &'static str)],
    commands: [Option<&'static str>; 6],
}

macro_rules! files {
    ($service:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../end2end/fixtures/", $service, "/", $path
        )))),+]
    };
}

static SERVICES: [DemoService; 3] = [
    DemoService {
        name: "catalog",
        needs: &["node"],
        files: files!("catalog": ".dockerignore", "Dockerfile", "README.md", "package.json", "catalog.mjs", "server.mjs", "integration.mjs", "test/catalog.test.mjs"),
        commands: [
            Some("node --version"),
            Some("for file in *.mjs test/*.mjs; do node --check \"$file\" || exit 1; done"),
            Some("node --test"),
            None,
            Some("node integration.mjs"),
            Some("exec node server.mjs"),
        ],
    },
    DemoService {
        name: "pricing",
        needs: &["python3"],
        files: files!("pricing": ".dockerignore", ".gitignore", "Dockerfile", "README.md", "prices.py", "server.py", "test_prices.py", "integration_check.py"),
        commands: [
            Some("python3 --version"),
            Some("python3 -W error -m py_compile *.py"),
            Some("python3 -m unittest -v"),
            None,
            Some("python3 integration_check.py"),
            Some("exec python3 server.py"),
        ],
    },
    DemoService {
        name: "shop",
        needs: &["cc", "make"],
        files: files!("shop": ".dockerignore", ".gitignore", "Dockerfile", "README.md", "Makefile", "shop.h", "shop.c", "server.c", "test.c"),
        commands: [
            Some("cc --version"),
            Some("make lint"),
            Some("make test"),
            Some("make build"),
            Some("make integration"),
            Some("exec build/shop"),
        ],
    },
];

/// The demo's services, in the order in which they are best deployed: `shop` calls the other two.
pub fn demo_services() -> &'static [DemoService] {
    &SERVICES
}

impl DemoService {
    /// The first program that it needs and this machine does not have.
    pub fn missing(&self) -> Option<&'static str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        self.needs
            .iter()
            .copied()
            .find(|program| !folders.iter().any(|folder| folder.join(program).is_file()))
    }

    /// Settings as the form in the browser would send them.
    ///
    /// As containers, the checks run in the image that the Dockerfiles start from, and those say how a service is built and
    /// started; as processes, it is this machine's programs and the commands.
    pub fn settings(&self, repository: &Path, target: TargetKind) -> ServiceSettings {
        let mut settings = ServiceSettings::new(self.name, repository.to_string_lossy());
        let [prepare, code_quality, unit_test, build, integration_test, start] =
            self.commands.map(|command| command.map(str::to_owned));
        settings.branch = Some("main".into());
        settings.commands = Commands { prepare, code_quality, unit_test, build, integration_test, start };
        settings.health_path = Some("/health".into());
        for environment in EnvironmentName::ALL {
            settings.environments.of_mut(environment).target = Some(target);
        }
        if target.takes_images() {
            settings.image = Some(BASE_IMAGE.into());
            settings.dockerfile = Some("Dockerfile".into());
            settings.commands.build = None;
            settings.commands.start = None;
        }
        settings
    }

    /// Where its repository is, or will be.
    pub fn repository(&self, data: &Path) -> PathBuf {
        data.join("demo").join(format!("{}.git", self.name))
    }
}

/// Makes a bare repository with one commit on `main` for each service that has none yet, and names them all.
///
/// A repository appears whole or not at all: it is made beside its place and moved there.
pub fn create_repositories(data: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = data.join("demo");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut repositories = Vec::new();
    for service in demo_services() {
        let repository = service.repository(data);
        if !repository.exists() {
            let workshop = folder.join(format!(".{}.{}", service.name, std::process::id()));
            let made = create(service, &workshop, &repository);
            // Gone already when the very making of it failed; what counts is why.
            let _ = fs::remove_dir_all(&workshop);
            made.with_context(|| format!("cannot make the demo's repository {}", repository.display()))?;
        }
        repositories.push(repository);
    }
    Ok(repositories)
}

fn create(service: &DemoService, workshop: &Path, repository: &Path) -> anyhow::Result<()> {
    let (files, bare) = (workshop.join("files"), workshop.join("bare.git"));
    for (path, content) in service.files {
        let file = files.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&files))?;
        fs::write(&file, content)?;
    }
    git(&[
        Path::new("init"),
        Path::new("--quiet"),
        Path::new("--bare"),
        Path::new("--initial-branch=main"),
        &bare,
    ])?;
    let in_both = |arguments: &[&str]| {
        let mut all = vec![Path::new("--git-dir"), bare.as_path(), Path::new("--work-tree"), files.as_path()];
        all.extend(arguments.iter().map(Path::new));
        git(&all)
    };
    in_both(&["add", "--all"])?;
    in_both(&["commit", "--quiet", "--message", &format!("Start {}", service.name)])?;
    // Left by `add`; a bare repository has no use for it.
    let _ = fs::remove_file(bare.join("index"));
    fs::write(bare.join("description"), format!("{}, of the demo\n", service.name))?;
    fs::rename(&bare, repository)?;
    Ok(())
}

/// Runs Git without anybody's configuration and with an author and a date of its own, so that the same files make the same
/// commit everywhere.
fn git(arguments: &[&Path]) -> anyhow::Result<()> {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Seamless demo");
        command.env(format!("GIT_{role}_EMAIL"), "demo@seamless.invalid");
        command.env(format!("GIT_{role}_DATE"), "2026-01-05T09:00:00Z");
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").args(arguments);
    let output = command.output().context("cannot start git; is it installed?")?;
    if !output.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(repository: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git").arg("--git-dir").arg(repository).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn each_service_becomes_a_repository_with_one_commit() {
        let data = tempfile::tempdir().unwrap();
        let repositories = create_repositories(data.path()).unwrap();
        assert_eq!(repositories.len(), 3);
        for (service, repository) in demo_services().iter().zip(&repositories) {
            assert_eq!(read(repository, &["rev-list", "--count", "main"]), "1\n");
            assert_eq!(read(repository, &["symbolic-ref", "HEAD"]), "refs/heads/main\n");
            let listed = read(repository, &["ls-tree", "-r", "--name-only", "main"]);
            assert_eq!(listed.lines().count(), service.files.len());
            for (path, content) in service.files {
                assert_eq!(read(repository, &["show", &format!("main:{path}")]), *content, "{path}");
            }
        }
        let left: Vec<_> =
            fs::read_dir(data.path().join("demo")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn the_same_files_make_the_same_commit_and_a_second_call_changes_nothing() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let head = |data: &Path| {
            let repositories = create_repositories(data).unwrap();
            repositories.iter().map(|repository| read(repository, &["rev-parse", "main"])).collect::<Vec<_>>()
        };
        let first = head(one.path());
        assert_eq!(first, head(two.path()));
        fs::write(demo_services()[0].repository(one.path()).join("description"), "mine").unwrap();
        assert_eq!(first, head(one.path()));
        assert_eq!(
            fs::read_to_string(demo_services()[0].repository(one.path()).join("description")).unwrap(),
            "mine"
        );
    }

    #[test]
    fn settings_are_such_as_a_person_may_send() {
        for service in demo_services() {
            for target in [TargetKind::Process, TargetKind::Docker] {
                let settings = service.settings(Path::new("/srv/demo.git"), target);
                assert_eq!(settings.problems(), []);
                assert!(settings.commands.start.is_some() != target.takes_images());
                assert!(settings.commands.unit_test.is_some());
            }
        }
    }

    #[test]
    fn every_file_of_a_service_is_carried() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../end2end/fixtures");
        for service in demo_services() {
            let root = fixtures.join(service.name);
            let listed = Command::new("git")
                .args(["ls-files", "--cached", "--others", "--exclude-standard"])
                .current_dir(&root)
                .output()
                .unwrap();
            let mut there: Vec<_> =
                String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
            let mut carried: Vec<_> = service.files.iter().map(|(path, _)| (*path).to_owned()).collect();
            there.sort();
            carried.sort();
            assert_eq!(there, carried, "{}", service.name);
        }
    }
}
