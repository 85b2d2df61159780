//! A folder of the repository, as if it were the whole: paths are relative to it.

use std::collections::BTreeMap;

/// The paths below a folder and what was read of them.
pub struct Folder<'a> {
    prefix: String,
    name: &'a str,
    paths: Vec<&'a str>,
    read: &'a BTreeMap<String, String>,
}

impl<'a> Folder<'a> {
    pub fn new(folder: &str, name: &'a str, paths: &'a [String], read: &'a BTreeMap<String, String>) -> Self {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let paths = paths
            .iter()
            .filter(|path| !is_foreign(path))
            .filter_map(|path| path.strip_prefix(&prefix))
            .collect();
        Self { prefix, name, paths, read }
    }

    /// What the service is to be called.
    pub fn name(&self) -> &str {
        self.name
    }

    pub fn has(&self, path: &str) -> bool {
        self.paths.contains(&path)
    }

    /// The first of these that is there.
    pub fn first_of(&self, paths: &[&'static str]) -> Option<&'static str> {
        paths.iter().copied().find(|path| self.has(path))
    }

    /// The first path that is as asked, in the repository's order.
    pub fn find(&self, is: impl Fn(&str) -> bool) -> Option<&'a str> {
        self.paths.iter().copied().find(|path| is(path))
    }

    pub fn all(&self, is: impl Fn(&str) -> bool) -> Vec<&'a str> {
        self.paths.iter().copied().filter(|path| is(path)).collect()
    }

    /// The content of a file, if it was read.
    pub fn text(&self, path: &str) -> Option<&'a str> {
        self.read.get(&format!("{}{path}", self.prefix)).map(String::as_str)
    }

    /// Every file of this folder that was read.
    pub fn texts(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.read
            .iter()
            .filter_map(|(path, text)| path.strip_prefix(&self.prefix).map(|path| (path, text.as_str())))
    }

    /// The path seen from the repository's top.
    pub fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The command of the process type `web` in a Procfile.
    pub fn procfile(&self) -> Option<&'a str> {
        self.text("Procfile")?
            .lines()
            .find_map(|line| line.strip_prefix("web:"))
            .map(str::trim)
            .filter(|c| !c.is_empty())
    }
}

/// The last part of a path.
pub fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a path belongs to something that was brought in or generated, and so tells nothing about the service.
pub fn is_foreign(path: &str) -> bool {
    path.split('/').any(|part| {
        matches!(
            part,
            "node_modules"
                | "vendor"
                | ".venv"
                | "venv"
                | "target"
                | "dist"
                | "third_party"
                | "testdata"
                | "fixtures"
                | "examples"
                | "site-packages"
                | "__pycache__"
        )
    })
}

/// Whether a file describes a project or its set-up.
pub fn is_manifest(path: &str) -> bool {
    let name = base(path);
    const NAMES: [&str; 40] = [
        "package.json",
        "pyproject.toml",
        "requirements.txt",
        "requirements-dev.txt",
        "requirements-test.txt",
        "dev-requirements.txt",
        "setup.py",
        "setup.cfg",
        "tox.ini",
        "pytest.ini",
        "Pipfile",
        "manage.py",
        "go.mod",
        "Cargo.toml",
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "settings.gradle",
        "settings.gradle.kts",
        "Gemfile",
        "Gemfile.lock",
        "Rakefile",
        "config.ru",
        "routes.rb",
        "Dockerfile",
        "Procfile",
        "Makefile",
        "makefile",
        "GNUmakefile",
        "wsgi.py",
        "asgi.py",
        "application.properties",
        "application.yml",
        "Containerfile",
        ".nvmrc",
        ".node-version",
        ".python-version",
        ".ruby-version",
        "rust-toolchain",
        "rust-toolchain.toml",
    ];
    NAMES.contains(&name) || [".csproj", ".fsproj", ".sln", ".slnx"].iter().any(|end| name.ends_with(end))
}
