//! A Makefile with targets of the usual names, for runtimes that are not known here.

use super::{
    draft::{Draft, Slot},
    folder::Folder,
};

const NAMES: [&str; 3] = ["Makefile", "makefile", "GNUmakefile"];
const TARGETS: [(Slot, &[&str]); 6] = [
    (Slot::Prepare, &["deps", "dependencies", "setup"]),
    (Slot::CodeQuality, &["lint", "check"]),
    (Slot::UnitTest, &["test", "unit-test", "unit", "tests"]),
    (Slot::Build, &["build", "all"]),
    (Slot::IntegrationTest, &["integration-test", "integration", "test-integration"]),
    (Slot::Start, &["start", "run", "serve"]),
];

/// A Makefile counts only when it has a target that means something here.
pub fn marker(folder: &Folder) -> Option<String> {
    let path = folder.first_of(&NAMES)?;
    let known = targets(folder.text(path)?);
    let useful = TARGETS.iter().any(|(_, names)| names.iter().any(|name| known.contains(name)));
    useful.then(|| path.to_owned())
}

pub fn propose(folder: &Folder, draft: &mut Draft) {
    let Some(path) = folder.first_of(&NAMES) else { return };
    let known = folder.text(path).map(targets).unwrap_or_default();
    for (slot, names) in TARGETS {
        if let Some(name) = names.iter().find(|name| known.contains(name)) {
            draft.command(slot, format!("make {name}"), format!("{path} has the target {name}"));
        }
    }
}

fn targets(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with(['\t', ' ', '#', '.']));
    let rules = lines.filter_map(|line| line.split_once(':')).filter(|(_, rest)| !rest.starts_with('='));
    rules.flat_map(|(names, _)| names.split_whitespace()).collect()
}
