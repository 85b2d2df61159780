//! Node, with npm, pnpm or yarn.

use serde_json::Value;

use super::{
    draft::{Draft, Slot},
    folder::Folder,
};

pub fn marker(folder: &Folder) -> Option<String> {
    folder.first_of(&["package.json", "server.js", "server.mjs"]).map(str::to_owned)
}

/// A package manager: what brings the packages in, and how a script is run.
struct Manager {
    install: &'static str,
    run: &'static str,
    exec: &'static str,
    why: String,
}

pub fn propose(folder: &Folder, draft: &mut Draft) {
    let manifest: Value =
        folder.text("package.json").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let manager = manager(folder, &manifest);
    let has_packages = ["dependencies", "devDependencies", "optionalDependencies"]
        .iter()
        .any(|group| manifest[group].as_object().is_some_and(|packages| !packages.is_empty()));
    if has_packages {
        draft.command(Slot::Prepare, manager.install, manager.why.clone());
    } else {
        draft.no_command(Slot::Prepare, "package.json names no packages, so there is nothing to bring in");
    }
    code_quality(folder, &manifest, &manager, draft);
    unit_test(folder, &manifest, &manager, draft);
    if script(&manifest, "build").is_some() {
        draft.command(Slot::Build, format!("{} build", manager.run), "package.json has the script build");
    }
    if let Some(name) = ["test:integration", "integration-test", "integration"]
        .into_iter()
        .find(|name| script(&manifest, name).is_some())
    {
        draft.command(
            Slot::IntegrationTest,
            format!("{} {name}", manager.run),
            format!("package.json has the script {name}"),
        );
    }
    start(folder, &manifest, &manager, draft);
}

fn script<'a>(manifest: &'a Value, name: &str) -> Option<&'a str> {
    manifest["scripts"][name].as_str().map(str::trim).filter(|script| !script.is_empty())
}

fn depends_on(manifest: &Value, package: &str) -> bool {
    ["dependencies", "devDependencies"].iter().any(|group| manifest[group].get(package).is_some())
}

fn manager(folder: &Folder, manifest: &Value) -> Manager {
    let pinned = manifest["packageManager"].as_str().unwrap_or_default();
    let (name, version) = pinned.split_once('@').unwrap_or((pinned, ""));
    let lockfile =
        folder.first_of(&["pnpm-lock.yaml", "yarn.lock", "package-lock.json", "npm-shrinkwrap.json"]);
    let why = |command: &str| match lockfile {
        Some(file) => format!("{file} is there, so {command} installs exactly what it names"),
        None if !pinned.is_empty() => {
            format!("package.json names {pinned} as its package manager, and there is no lockfile")
        }
        None => {
            "there is no lockfile, so the newest versions that package.json allows are installed".to_owned()
        }
    };
    match (lockfile, name) {
        (Some("pnpm-lock.yaml"), _) | (None, "pnpm") => {
            let install = if lockfile.is_some() { "pnpm install --frozen-lockfile" } else { "pnpm install" };
            Manager { install, run: "pnpm run", exec: "pnpm exec", why: why("pnpm") }
        }
        (Some("yarn.lock"), _) | (None, "yarn") => {
            // Yarn 2 and later have a settings file of their own and another word for the same.
            let modern = folder.has(".yarnrc.yml")
                || version.split('.').next().is_some_and(|v| v.parse().is_ok_and(|v: u32| v > 1));
            let install = match (lockfile.is_some(), modern) {
                (false, _) => "yarn install",
                (true, true) => "yarn install --immutable",
                (true, false) => "yarn install --frozen-lockfile",
            };
            Manager { install, run: "yarn run", exec: "yarn run", why: why("yarn") }
        }
        (Some(_), _) => {
            Manager { install: "npm ci", run: "npm run", exec: "npx --no-install", why: why("npm ci") }
        }
        (None, _) => {
            Manager { install: "npm install", run: "npm run", exec: "npx --no-install", why: why("npm") }
        }
    }
}

fn code_quality(folder: &Folder, manifest: &Value, manager: &Manager, draft: &mut Draft) {
    let names: Vec<&str> = ["lint", "typecheck", "type-check", "format:check"]
        .into_iter()
        .filter(|name| script(manifest, name).is_some())
        .collect();
    if !names.is_empty() {
        let command: Vec<String> = names.iter().map(|name| format!("{} {name}", manager.run)).collect();
        let word = if names.len() == 1 { "script" } else { "scripts" };
        draft.command(
            Slot::CodeQuality,
            command.join(" && "),
            format!("package.json has the {word} {}", names.join(", ")),
        );
    } else if depends_on(manifest, "eslint") {
        draft.command(
            Slot::CodeQuality,
            format!("{} eslint .", manager.exec),
            "eslint is among the packages, without a script",
        );
    } else if depends_on(manifest, "@biomejs/biome") {
        draft.command(
            Slot::CodeQuality,
            format!("{} biome ci", manager.exec),
            "biome is among the packages, without a script",
        );
    } else if depends_on(manifest, "typescript") && folder.has("tsconfig.json") {
        draft.command(
            Slot::CodeQuality,
            format!("{} tsc --noEmit", manager.exec),
            "there is no linter, but tsconfig.json, so types are checked",
        );
    } else {
        draft.no_command(
            Slot::CodeQuality,
            "package.json has no script lint and no linter among its packages",
        );
    }
}

fn unit_test(folder: &Folder, manifest: &Value, manager: &Manager, draft: &mut Draft) {
    let named =
        ["test:unit", "test"].into_iter().find_map(|name| script(manifest, name).map(|text| (name, text)));
    match named {
        // What `npm init` writes; it always fails.
        Some((_, text)) if text.contains("no test specified") => {
            draft.no_command(
                Slot::UnitTest,
                "the script test of package.json is npm's placeholder, which always fails",
            );
        }
        Some((name, text)) => {
            let command = if name == "test" && manager.run == "npm run" {
                "npm test".to_owned()
            } else {
                format!("{} {name}", manager.run)
            };
            draft.command(Slot::UnitTest, command, format!("package.json has the script {name}: {text}"));
        }
        None => {
            let file = folder
                .find(|path| [".test.js", ".test.mjs", ".test.cjs"].iter().any(|end| path.ends_with(end)));
            match file {
                Some(file) => draft.command(
                    Slot::UnitTest,
                    "node --test",
                    format!("{file} is there, and no script test, so Node's own runner"),
                ),
                None => draft.no_command(
                    Slot::UnitTest,
                    "package.json has no script test, and no file ends in .test.js",
                ),
            }
        }
    }
}

fn start(folder: &Folder, manifest: &Value, manager: &Manager, draft: &mut Draft) {
    let named =
        ["start:prod", "start"].into_iter().find_map(|name| script(manifest, name).map(|text| (name, text)));
    if let Some(command) = folder.procfile() {
        draft.command(Slot::Start, format!("exec {command}"), "it is the process web of the Procfile");
    } else if let Some((name, text)) = named {
        let plain = text.starts_with("node ") && !text.contains(['&', '|', ';', '>', '<', '$', '`', '(']);
        if plain {
            draft.command(
                Slot::Start,
                format!("exec {text}"),
                format!("it is the script {name}, without a package manager between Seamless and it"),
            );
        } else {
            draft.command(
                Slot::Start,
                format!("{} {name}", manager.run),
                format!("package.json has the script {name}: {text}"),
            );
        }
    } else if let Some(main) =
        manifest["main"].as_str().map(|main| main.trim_start_matches("./")).filter(|main| folder.has(main))
    {
        draft.command(
            Slot::Start,
            format!("exec node {main}"),
            format!("package.json names {main} as its main file"),
        );
    } else if let Some(file) = folder.first_of(&[
        "server.js",
        "server.mjs",
        "app.js",
        "index.js",
        "index.mjs",
        "src/server.js",
        "src/index.js",
        "src/index.mjs",
    ]) {
        draft.command(
            Slot::Start,
            format!("exec node {file}"),
            format!("{file} is there, and no script start"),
        );
    }
}
