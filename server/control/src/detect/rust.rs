//! Rust, with cargo.
//!
//! What cargo compiles is kept in the service's cache: it is large, the same from run to run, and no part of what is deployed.

use super::{
    draft::{Draft, Slot},
    folder::Folder,
};

pub fn marker(folder: &Folder) -> Option<String> {
    folder.first_of(&["Cargo.toml"]).map(str::to_owned)
}

pub fn propose(folder: &Folder, draft: &mut Draft) {
    let locked = if folder.has("Cargo.lock") { " --locked" } else { "" };
    let why = if locked.is_empty() {
        "Cargo.toml is there, without a Cargo.lock"
    } else {
        "Cargo.lock is there, so exactly what it names"
    };
    draft.command(Slot::Prepare, format!("cargo fetch{locked}"), why);
    let target = "--target-dir \"$SEAMLESS_CACHE/target\"";
    draft.command(
        Slot::CodeQuality,
        format!("cargo fmt --check && cargo clippy{locked} --all-targets {target} -- -D warnings"),
        "rustfmt and clippy come with Rust",
    );
    draft.command(Slot::UnitTest, format!("cargo test{locked} {target}"), "it comes with Rust");

    let binaries = binaries(folder);
    let Some(chosen) = binaries.iter().find(|binary| binary.name == folder.name()).or_else(|| {
        binaries
            .iter()
            .find(|binary| ["server", "api", "app"].contains(&binary.name.as_str()))
            .or(binaries.first())
    }) else {
        draft.no_command(Slot::Build, "no src/main.rs and no [[bin]] was found, so this may be a library");
        return;
    };
    let others: Vec<&str> = binaries.iter().filter(|b| *b != chosen).map(|b| b.name.as_str()).collect();
    let besides =
        if others.is_empty() { String::new() } else { format!("; there is also {}", others.join(", ")) };
    let package = chosen.package.as_ref().map(|package| format!(" --package {package}")).unwrap_or_default();
    let name = &chosen.name;
    // Two runs share the cache: the lock keeps one from taking the other's binary.
    draft.command(
        Slot::Build,
        format!(
            "flock \"$SEAMLESS_CACHE\" sh -c 'cargo build{locked} --release{package} --bin {name} {target} && \
             install -D \"$SEAMLESS_CACHE/target/release/{name}\" bin/{name}'"
        ),
        format!("{} makes the binary {name}{besides}; only that is kept", chosen.from),
    );
    draft.command(Slot::Start, format!("exec bin/{name}"), "it is what the build makes");
}

#[derive(PartialEq)]
struct Binary {
    name: String,
    /// The member of the workspace, when it is one.
    package: Option<String>,
    from: String,
}

fn binaries(folder: &Folder) -> Vec<Binary> {
    let mut found = Vec::new();
    let manifests = folder.all(|path| path == "Cargo.toml" || path.ends_with("/Cargo.toml"));
    for path in manifests {
        let Some(table) = folder.text(path).and_then(|text| text.parse::<toml::Table>().ok()) else {
            continue;
        };
        let Some(package) = table.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str()) else {
            continue;
        };
        let parent = path.strip_suffix("Cargo.toml").unwrap_or_default();
        let member = (!parent.is_empty()).then(|| package.to_owned());
        let named = table.get("bin").and_then(|bins| bins.as_array()).into_iter().flatten();
        let mut names: Vec<String> =
            named.filter_map(|bin| bin.get("name")?.as_str().map(str::to_owned)).collect();
        if names.is_empty() && folder.has(&format!("{parent}src/main.rs")) {
            names.push(package.to_owned());
        }
        found.extend(names.into_iter().map(|name| Binary {
            name,
            package: member.clone(),
            from: path.to_owned(),
        }));
    }
    found
}
