//! Python, with pip, uv or poetry.
//!
//! Every command goes through `.venv/bin/python -m`: the scripts in `.venv/bin` remember the folder in which they were made,
//! and a deployed version runs in another.

use super::{
    draft::{Draft, Slot},
    folder::{self, Folder},
};

pub fn marker(folder: &Folder) -> Option<String> {
    // A pyproject.toml without a project in it only sets up tools.
    let is_project = folder
        .text("pyproject.toml")
        .is_none_or(|text| text.contains("[project]") || text.contains("[tool.poetry]"));
    let sure =
        folder.first_of(&["uv.lock", "poetry.lock", "requirements.txt", "setup.py", "manage.py", "Pipfile"]);
    sure.or_else(|| is_project.then(|| folder.first_of(&["pyproject.toml"])).flatten())
        .or_else(|| {
            let other = folder.has("package.json");
            (!other).then(|| folder.first_of(&["server.py", "main.py", "app.py", "wsgi.py"])).flatten()
        })
        .map(str::to_owned)
}

/// The interpreter once the dependencies are in.
const VENV: &str = ".venv/bin/python";

pub fn propose(folder: &Folder, draft: &mut Draft) {
    let python = prepare(folder, draft);
    let deps = Dependencies::of(folder);
    code_quality(folder, &deps, python, draft);
    unit_test(folder, &deps, python, draft);
    start(folder, &deps, python, draft);
}

/// What the manifests say, in one text: enough to ask whether a package is named.
struct Dependencies(String);

impl Dependencies {
    fn of(folder: &Folder) -> Self {
        let files = [
            "pyproject.toml",
            "requirements.txt",
            "requirements-dev.txt",
            "requirements-test.txt",
            "dev-requirements.txt",
            "setup.py",
            "setup.cfg",
            "Pipfile",
        ];
        let texts: Vec<&str> = files.iter().filter_map(|file| folder.text(file)).collect();
        Self(texts.join("\n").to_ascii_lowercase())
    }

    /// Whether the package is named, as a whole word; the heading of a tool's own settings does not count.
    fn has(&self, package: &str) -> bool {
        self.0.lines().filter(|line| !line.trim_start().starts_with(['[', '#'])).any(|line| {
            line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
                .any(|word| word == package)
        })
    }

    fn sets_up(&self, tool: &str) -> bool {
        self.0.contains(&format!("[tool.{tool}"))
    }
}

fn prepare(folder: &Folder, draft: &mut Draft) -> &'static str {
    let pyproject = folder.text("pyproject.toml").unwrap_or_default();
    if folder.has("uv.lock") {
        draft.command(
            Slot::Prepare,
            "uv sync --locked",
            "uv.lock is there, so uv installs exactly what it names into .venv",
        );
        return VENV;
    }
    if folder.has("poetry.lock") || pyproject.contains("[tool.poetry]") {
        let why = if folder.has("poetry.lock") {
            "poetry.lock is there"
        } else {
            "pyproject.toml has [tool.poetry]"
        };
        draft.command(
            Slot::Prepare,
            "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction",
            format!("{why}, so poetry; what it installs goes into .venv, to be deployed along"),
        );
        return VENV;
    }
    let extra = folder.first_of(&["requirements-dev.txt", "requirements-test.txt", "dev-requirements.txt"]);
    let from_requirements = folder.has("requirements.txt") || extra.is_some();
    let mut parts = Vec::new();
    if folder.has("requirements.txt") {
        parts.push("-r requirements.txt".to_owned());
    } else if pyproject.contains("[project]") || folder.has("setup.py") {
        parts.push(match ["dev", "test", "tests"].into_iter().find(|extra| has_extra(pyproject, extra)) {
            Some(extra) => format!("'.[{extra}]'"),
            None => ".".to_owned(),
        });
    }
    parts.extend(extra.map(|file| format!("-r {file}")));
    if parts.is_empty() {
        draft.no_command(
            Slot::Prepare,
            "no requirements.txt, pyproject.toml or lockfile names packages, so there is nothing to bring in",
        );
        return "python3";
    }
    let why = match (from_requirements, extra) {
        (true, Some(extra)) if folder.has("requirements.txt") => {
            format!("requirements.txt and {extra} are there, so pip")
        }
        (true, Some(extra)) => format!("{extra} is there, so pip"),
        (true, None) => "requirements.txt is there, so pip".to_owned(),
        (false, _) if pyproject.contains("[project]") => {
            "pyproject.toml is there without a lockfile, so pip".to_owned()
        }
        (false, _) => "setup.py is there, so pip".to_owned(),
    };
    draft.command(
        Slot::Prepare,
        format!("python3 -m venv .venv && {VENV} -m pip install {}", parts.join(" ")),
        format!("{why}; into .venv, to be deployed along"),
    );
    VENV
}

fn has_extra(pyproject: &str, name: &str) -> bool {
    let parsed: Option<toml::Table> = pyproject.parse().ok();
    parsed.is_some_and(|table| {
        let extras = table.get("project").and_then(|project| project.get("optional-dependencies"));
        extras.is_some_and(|extras| extras.get(name).is_some())
    })
}

fn code_quality(folder: &Folder, deps: &Dependencies, python: &str, draft: &mut Draft) {
    let ruff_file = folder.first_of(&["ruff.toml", ".ruff.toml"]);
    if deps.has("ruff") {
        draft.command(Slot::CodeQuality, format!("{python} -m ruff check ."), "ruff is among the packages");
    } else if ruff_file.is_some() || deps.sets_up("ruff") {
        let place = ruff_file.unwrap_or("pyproject.toml");
        let command = if folder.has("uv.lock") { "uvx ruff check ." } else { "ruff check ." };
        draft.command(
            Slot::CodeQuality,
            command,
            format!("{place} sets up ruff, which must be on this machine, being no package of the project"),
        );
    } else if deps.has("flake8") {
        draft.command(
            Slot::CodeQuality,
            format!("{python} -m flake8 --exclude .venv"),
            "flake8 is among the packages",
        );
    } else if folder.has(".flake8") {
        draft.command(
            Slot::CodeQuality,
            "flake8 --exclude .venv",
            ".flake8 is there; flake8 must be on this machine, being no package of the project",
        );
    } else {
        draft.no_command(Slot::CodeQuality, "neither ruff nor flake8 is set up");
    }
}

fn unit_test(folder: &Folder, deps: &Dependencies, python: &str, draft: &mut Draft) {
    let is_test = |path: &str| {
        let name = folder::base(path);
        name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"))
    };
    let set_up = folder.first_of(&["pytest.ini", "conftest.py", "tests/conftest.py"]);
    if deps.has("pytest") {
        draft.command(Slot::UnitTest, format!("{python} -m pytest"), "pytest is among the packages");
    } else if let Some(file) = set_up {
        draft.command(Slot::UnitTest, format!("{python} -m pytest"), format!("{file} is there"));
    } else if deps.sets_up("pytest") {
        draft.command(Slot::UnitTest, format!("{python} -m pytest"), "pyproject.toml sets up pytest");
    } else if folder.has("manage.py") {
        draft.command(
            Slot::UnitTest,
            format!("{python} manage.py test"),
            "manage.py is there, so Django's own runner",
        );
    } else if let Some(file) = folder.find(|path| is_test(path) && !path.contains('/')) {
        draft.command(
            Slot::UnitTest,
            format!("{python} -m unittest -v"),
            format!("{file} is there and pytest is not, so Python's own runner"),
        );
    } else if let Some((folder_of_tests, file)) = folder.find(is_test).and_then(|path| path.rsplit_once('/'))
    {
        draft.command(
            Slot::UnitTest,
            format!("{python} -m unittest discover -v -s {folder_of_tests}"),
            format!("{folder_of_tests}/{file} is there and pytest is not, so Python's own runner"),
        );
    } else {
        draft.no_command(Slot::UnitTest, "no file is called test_*.py, and pytest is not set up");
    }
}

fn start(folder: &Folder, deps: &Dependencies, python: &str, draft: &mut Draft) {
    if let Some(command) = folder.procfile() {
        let (program, rest) = command.split_once(' ').unwrap_or((command, ""));
        let as_module = matches!(program, "gunicorn" | "uvicorn" | "hypercorn" | "flask" | "waitress-serve")
            && python == VENV;
        let command = if as_module {
            format!("{python} -m {} {rest}", program.trim_end_matches("-serve"))
        } else {
            command.to_owned()
        };
        draft.command(Slot::Start, format!("exec {command}"), "it is the process web of the Procfile");
        return;
    }
    if folder.has("manage.py") {
        let wsgi = folder
            .find(|path| folder::base(path) == "wsgi.py")
            .and_then(|path| path.strip_suffix(".py"))
            .map(|path| path.replace('/', "."));
        match wsgi {
            Some(module) if deps.has("gunicorn") => {
                draft.command(
                    Slot::Start,
                    format!("exec {python} -m gunicorn {module} --bind 127.0.0.1:$PORT"),
                    "manage.py is there, and gunicorn among the packages",
                );
            }
            _ => draft.command(
                Slot::Start,
                format!("exec {python} manage.py runserver --noreload 127.0.0.1:$PORT"),
                "manage.py is there; its own server, for want of gunicorn among the packages",
            ),
        }
        return;
    }
    for (path, text) in
        folder.texts().filter(|(path, _)| path.ends_with(".py") && !folder::base(path).starts_with("test_"))
    {
        let module = path
            .trim_end_matches(".py")
            .trim_start_matches("src/")
            .trim_end_matches("/__init__")
            .replace('/', ".");
        let src = if path.starts_with("src/") { "PYTHONPATH=src " } else { "" };
        let runner = if src.is_empty() { format!("exec {python}") } else { format!("{src}exec {python}") };
        if let Some(app) = assigned(text, "FastAPI(").or_else(|| assigned(text, "Starlette(")) {
            draft.command(
                Slot::Start,
                format!("{runner} -m uvicorn {module}:{app} --host 127.0.0.1 --port $PORT"),
                format!("{path} makes an ASGI application called {app}"),
            );
            return;
        }
        if let Some(app) = assigned(text, "Flask(") {
            let command = if deps.has("gunicorn") {
                format!("{runner} -m gunicorn {module}:{app} --bind 127.0.0.1:$PORT")
            } else {
                format!("{runner} -m flask --app {module}:{app} run --port $PORT")
            };
            draft.command(Slot::Start, command, format!("{path} makes a Flask application called {app}"));
            return;
        }
    }
    if let Some(file) =
        folder.first_of(&["server.py", "main.py", "app.py", "src/server.py", "src/main.py", "src/app.py"])
    {
        draft.command(Slot::Start, format!("exec {python} {file}"), format!("{file} is there"));
    } else if let Some(package) = folder
        .find(|path| folder::base(path) == "__main__.py")
        .and_then(|path| path.strip_suffix("/__main__.py"))
    {
        draft.command(
            Slot::Start,
            format!("exec {python} -m {}", package.replace('/', ".")),
            format!("{package}/__main__.py is there"),
        );
    }
}

/// The name to which the result of a call is assigned at the beginning of a line.
fn assigned<'a>(text: &'a str, call: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.split(':').next()?;
        let is_name = !name.starts_with(char::is_whitespace)
            && name.trim().chars().all(|c| c.is_alphanumeric() || c == '_');
        (is_name && value.trim_start().starts_with(call)).then(|| name.trim())
    })
}
