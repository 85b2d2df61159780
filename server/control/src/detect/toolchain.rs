//! The image in which a service's checks may run: the runtime's official one, in the version that the repository asks for.
//!
//! Refuses to switch it on: without an image the checks run on the server's own machine, and a person decides.

use super::{
    draft::Draft,
    folder::{Folder, base},
};

/// A version and where it stands.
struct Asked {
    version: String,
    place: String,
}

/// Proposes the image of a runtime.
pub fn hints(runtime: &str, folder: &Folder, draft: &mut Draft) {
    let (name, newest, asked) = match runtime {
        "node" => ("node:", "22", node(folder)),
        "python" => ("python:", "3.13", python(folder)),
        "go" => ("golang:", "1", line_after(folder, "go.mod", "go ", 2)),
        "rust" => ("rust:", "1", rust(folder)),
        "java" if folder.has("pom.xml") => ("maven:3-eclipse-temurin-", "21", maven(folder)),
        "java" => ("gradle:jdk", "21", gradle(folder)),
        "ruby" => ("ruby:", "3", ruby(folder)),
        "dotnet" => ("mcr.microsoft.com/dotnet/sdk:", "8.0", dotnet(folder)),
        _ => return,
    };
    let (version, why) = match asked {
        Some(Asked { version, place }) => (version, format!("{place} asks for that version")),
        None => (newest.to_owned(), "nothing in the repository asks for a version".to_owned()),
    };
    let image = format!("{name}{version}");
    let why = format!("{image} would do: {why}; without an image, checks run on the server's own machine");
    draft.image(&image, why);
}

/// The first number with at most `parts` parts in a text: `>=3.11,<4` with two is `3.11`.
fn number(text: &str, parts: usize) -> Option<String> {
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let end = text[digits..].find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len() - digits);
    let all: Vec<&str> =
        text[digits..digits + end].split('.').filter(|part| !part.is_empty()).take(parts).collect();
    (!all.is_empty() && all.iter().all(|part| part.len() <= 4)).then(|| all.join("."))
}

fn asked(version: Option<String>, place: &str) -> Option<Asked> {
    version.map(|version| Asked { version, place: place.to_owned() })
}

/// A file that holds nothing but a version.
fn plain(folder: &Folder, files: &[&'static str], parts: usize) -> Option<Asked> {
    let file = folder.first_of(files)?;
    asked(number(folder.text(file)?, parts), file)
}

/// The number on the first line of a file that begins with this.
fn line_after(folder: &Folder, file: &str, start: &str, parts: usize) -> Option<Asked> {
    let rest = folder.text(file)?.lines().find_map(|line| line.trim().strip_prefix(start))?;
    asked(number(rest, parts), file)
}

/// The number after the first of these words in a file.
fn after(folder: &Folder, file: &str, words: &[&str], parts: usize) -> Option<Asked> {
    let text = folder.text(file)?;
    let rest = words.iter().find_map(|word| text.split_once(word))?.1;
    asked(number(rest.lines().next()?, parts), file)
}

fn node(folder: &Folder) -> Option<Asked> {
    let engines = || {
        let package: serde_json::Value = serde_json::from_str(folder.text("package.json")?).ok()?;
        let wanted = package.get("engines")?.get("node")?.as_str()?.to_owned();
        asked(number(&wanted, 1), "package.json")
    };
    plain(folder, &[".nvmrc", ".node-version"], 1).or_else(engines)
}

fn python(folder: &Folder) -> Option<Asked> {
    plain(folder, &[".python-version"], 2)
        .or_else(|| after(folder, "pyproject.toml", &["requires-python", "\npython ="], 2))
}

fn rust(folder: &Folder) -> Option<Asked> {
    plain(folder, &["rust-toolchain"], 2)
        .or_else(|| after(folder, "rust-toolchain.toml", &["channel"], 2))
        .or_else(|| after(folder, "Cargo.toml", &["rust-version"], 2))
}

fn maven(folder: &Folder) -> Option<Asked> {
    after(folder, "pom.xml", &["<maven.compiler.release>", "<java.version>", "<release>"], 1)
}

fn gradle(folder: &Folder) -> Option<Asked> {
    ["build.gradle", "build.gradle.kts"]
        .iter()
        .find_map(|file| after(folder, file, &["JavaLanguageVersion.of(", "JavaVersion.VERSION_"], 1))
}

fn ruby(folder: &Folder) -> Option<Asked> {
    plain(folder, &[".ruby-version"], 2).or_else(|| line_after(folder, "Gemfile", "ruby ", 2))
}

fn dotnet(folder: &Folder) -> Option<Asked> {
    let project = folder.find(|path| base(path).ends_with("proj"))?;
    after(folder, project, &["<TargetFramework>net", "<TargetFrameworks>net"], 2)
}
