//! Who may know whom. The direction of dependencies is what keeps the parts apart, so it is held here rather than remembered.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Each of our crates with those of ours that it may use outside its tests.
const MAY_USE: [(&str, &[&str]); 15] = [
    ("domain", &[]),
    ("entity", &["domain"]),
    ("migration", &[]),
    ("lines", &["domain"]),
    ("control", &["domain", "entity", "lines", "migration"]),
    ("runner", &["domain", "lines"]),
    ("github", &["control", "domain"]),
    ("local", &["control", "domain", "runner"]),
    ("redis", &["control"]),
    ("aws", &["control", "domain", "runner"]),
    ("app", &["control", "domain"]),
    ("frontend", &["app"]),
    ("bundle", &[]),
    ("testkit", &["aws", "control", "domain", "entity", "lines", "local", "migration", "runner"]),
    ("server", &["app", "aws", "control", "domain", "github", "lines", "local", "redis", "runner"]),
];

/// What a crate must not reach, by whatever way: a framework or a database that is none of its business.
const MUST_NOT_REACH: [(&str, &[&str]); 9] = [
    ("domain", &["tokio", "axum", "leptos", "sea-orm", "reqwest", "futures", "getrandom", "rand"]),
    ("lines", &["tokio", "axum", "leptos", "sea-orm", "reqwest"]),
    ("control", &["axum", "leptos", "leptos_axum", "octocrab", "aws-config", "reqwest", "fred"]),
    ("runner", &["sea-orm", "sqlx", "sqlx-core", "redis", "fred", "axum", "leptos"]),
    ("local", &["axum", "leptos", "fred"]),
    ("redis", &["axum", "leptos", "reqwest"]),
    ("github", &["axum", "leptos", "octocrab"]),
    ("aws", &["axum", "leptos", "octocrab", "fred"]),
    ("entity", &["axum", "leptos", "reqwest"]),
];

/// What a crate must not name, though what it uses may.
const MUST_NOT_NAME: [(&str, &[&str]); 5] = [
    ("local", &["sea-orm", "sqlx"]),
    ("redis", &["sea-orm", "sqlx"]),
    ("github", &["sea-orm", "sqlx"]),
    ("aws", &["sea-orm", "sqlx"]),
    ("server", &["sea-orm", "sqlx", "octocrab", "fred"]),
];

fn metadata() -> Metadata {
    // Crates for other platforms need not have been downloaded, and nothing is downloaded for this.
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(vec!["--offline".into(), "--filter-platform".into(), host()])
        .exec()
        .unwrap()
}

/// The platform on which this runs.
fn host() -> String {
    let said = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn ours(metadata: &Metadata) -> BTreeMap<String, PackageId> {
    let packages = metadata.workspace_packages().into_iter();
    packages.map(|package| (package.name.to_string(), package.id.clone())).collect()
}

#[test]
fn our_crates_use_each_other_in_one_direction() {
    let metadata = metadata();
    let ours = ours(&metadata);
    let known: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = ours.keys().map(String::as_str).collect();
    assert_eq!(there, known, "a new crate needs a line in MAY_USE");
    for (name, allowed) in MAY_USE {
        let dependencies = &metadata[&ours[name]].dependencies;
        for dependency in dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            let is_ours = ours.contains_key(&dependency.name);
            assert!(
                !is_ours || allowed.contains(&dependency.name.as_str()),
                "{name} must not use {}",
                dependency.name
            );
        }
    }
}

#[test]
fn nothing_reaches_what_is_none_of_its_business() {
    let metadata = metadata();
    let ours = ours(&metadata);
    let nodes = metadata.resolve.as_ref().unwrap().nodes.iter();
    let nodes: BTreeMap<&PackageId, _> = nodes.map(|node| (&node.id, node)).collect();
    for (name, forbidden) in MUST_NOT_REACH {
        // Remembers by whom each was brought in, to tell the way.
        let mut by: BTreeMap<&PackageId, Option<&PackageId>> = BTreeMap::from([(&ours[name], None)]);
        let mut left = vec![&ours[name]];
        while let Some(id) = left.pop() {
            for dependency in &nodes[id].deps {
                let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
                if normal && !by.contains_key(&dependency.pkg) {
                    by.insert(&dependency.pkg, Some(id));
                    left.push(&dependency.pkg);
                }
            }
        }
        if let Some(reached) = by.keys().find(|id| forbidden.contains(&metadata[**id].name.as_str())) {
            let mut way = vec![metadata[*reached].name.to_string()];
            let mut at = *reached;
            while let Some(Some(parent)) = by.get(at) {
                way.insert(0, metadata[*parent].name.to_string());
                at = parent;
            }
            panic!("{name} must not reach that: {}", way.join(" -> "));
        }
    }
}

#[test]
fn nothing_names_what_only_another_may_use() {
    let metadata = metadata();
    let ours = ours(&metadata);
    for (name, forbidden) in MUST_NOT_NAME {
        let dependencies = &metadata[&ours[name]].dependencies;
        for dependency in dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            let name_of_it = dependency.name.as_str();
            assert!(!forbidden.contains(&name_of_it), "{name} must not use {name_of_it}");
        }
    }
}

#[test]
fn the_browsers_side_of_the_app_knows_nothing_of_the_server() {
    let metadata = metadata();
    let app = &metadata[&ours(&metadata)["app"]];
    let server_only = ["control", "axum", "leptos_axum", "tokio", "http"];
    for dependency in app.dependencies.iter().filter(|d| server_only.contains(&d.name.as_str())) {
        assert!(dependency.optional, "app must not always bring in {}", dependency.name);
    }
    for feature in &app.features["hydrate"] {
        let names_server = server_only.iter().any(|name| feature == &format!("dep:{name}"));
        assert!(!names_server && !feature.contains("ssr"), "the feature hydrate brings in {feature}");
    }
}
