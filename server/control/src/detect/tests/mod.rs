//! Each case is a small repository and what is proposed for it.
#![allow(clippy::unwrap_used)]

use super::*;

mod compiled;
mod scripted;

fn detect(files: &[(&str, &str)]) -> Detection {
    let paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    let wanted = wanted(&paths);
    let read = files.iter().filter(|(path, _)| wanted.contains(&(*path).to_owned()));
    propose("/srv/git/orders.git", &paths, &read.map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect())
}

/// Field, value and reason of every proposal, a line each; images have a test of their own.
fn said(files: &[(&str, &str)]) -> String {
    let found = detect(files);
    found
        .proposals
        .iter()
        .skip(1)
        .filter(|p| p.field != "image")
        .map(|p| format!("{}: {} [{}]\n", p.field, p.value, p.why))
        .collect()
}

#[test]
fn an_image_fits_what_the_repository_asks_for() {
    let image = |files: &[(&str, &str)]| {
        let found = detect(files);
        let proposal = found.proposals.iter().find(|p| p.field == "image");
        proposal.map(|p| p.value.clone())
    };
    for (files, expected) in [
        (vec![("package.json", "{}")], "node:22"),
        (vec![("package.json", r#"{"engines":{"node":">=20.1"}}"#)], "node:20"),
        (vec![("package.json", r#"{"engines":{"node":">=20"}}"#), (".nvmrc", "v18.17.0\n")], "node:18"),
        (vec![("pyproject.toml", "[project]\nrequires-python = \">=3.11,<4\"\n")], "python:3.11"),
        (vec![("requirements.txt", "flask")], "python:3.13"),
        (vec![("go.mod", "module x\n\ngo 1.23.4\n")], "golang:1.23"),
        (vec![("Cargo.toml", "[package]\nname='a'\nrust-version = \"1.85\"\n")], "rust:1.85"),
        (
            vec![
                ("Cargo.toml", "[package]\nname='a'\n"),
                ("rust-toolchain.toml", "[toolchain]\nchannel = \"stable\"\n"),
            ],
            "rust:1",
        ),
        (
            vec![("pom.xml", "<project><java.version>17</java.version></project>")],
            "maven:3-eclipse-temurin-17",
        ),
        (vec![("build.gradle", "languageVersion = JavaLanguageVersion.of(17)")], "gradle:jdk17"),
        (vec![("Gemfile", "source 'x'\nruby '3.2.1'\n")], "ruby:3.2"),
        (vec![("a.csproj", "<TargetFramework>net9.0</TargetFramework>")], "mcr.microsoft.com/dotnet/sdk:9.0"),
    ] {
        assert_eq!(image(&files).as_deref(), Some(expected), "{files:?}");
    }
    assert_eq!(image(&[("README.md", "")]), None);
}

#[test]
fn several_services_in_folders() {
    let files = [
        ("README.md", ""),
        ("docker-compose.yml", ""),
        ("services/pricing/requirements.txt", "x"),
        ("services/catalog/package.json", "{}"),
        ("services/catalog/ui/package.json", "{}"),
        ("services/catalog/server.js", "'/health'"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    context: services/catalog [nothing at the top tells a runtime, and services/catalog/package.json does; other services may be in services/pricing]
    runtime: node [package.json is there]
    commands.prepare:  [package.json names no packages, so there is nothing to bring in]
    commands.code_quality:  [package.json has no script lint and no linter among its packages]
    commands.unit_test:  [package.json has no script test, and no file ends in .test.js]
    commands.start: exec node server.js [server.js is there, and no script start]
    health_path: /health ["/health" stands in services/catalog/server.js]
    "##);
}

#[test]
fn the_folder_named_like_the_repository_goes_first() {
    let files = [("services/catalog/package.json", "{}"), ("services/orders/go.mod", "")];
    insta::assert_snapshot!(said(&files), @r##"
    context: services/orders [nothing at the top tells a runtime, and services/orders/go.mod does; other services may be in services/catalog]
    runtime: go [go.mod is there]
    commands.prepare:  [there is no go.sum, so there is nothing to bring in]
    commands.code_quality: go vet ./... [it comes with Go]
    commands.unit_test: go test ./... [it comes with Go]
    commands.build:  [no main.go was found at the top, in cmd/ or one folder down]
    commands.start:  [nothing tells how it is started; give a command that listens on $PORT]
    "##);
}

#[test]
fn nothing() {
    let files = [("README.md", "")];
    insta::assert_snapshot!(said(&files), @r##"
    runtime:  [nothing among its 1 files tells a runtime that is known here; fill in the commands by hand]
    commands.start:  [nothing tells how it is started; give a command that listens on $PORT]
    "##);
}

#[test]
fn a_dockerfile_beside_a_folder_with_a_runtime_does_not_hide_it() {
    let found = detect(&[("Dockerfile", "FROM node"), ("app/package.json", "{}"), ("app/server.js", "")]);
    assert_eq!(found.runtime.as_deref(), Some("node"));
    assert_eq!(found.context.as_deref(), Some("app"));
}

#[test]
fn what_was_brought_in_tells_nothing() {
    let files = [
        ("main.go", ""),
        ("go.mod", ""),
        ("vendor/x/package.json", "{}"),
        ("node_modules/y/package.json", "{}"),
    ];
    let paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(wanted(&paths), ["go.mod", "main.go"]);
}

#[test]
fn a_large_repository_is_not_read_whole() {
    let paths: Vec<String> = (0..5000).map(|n| format!("service-{n}/package.json")).collect();
    assert_eq!(wanted(&paths).len(), MOST_FILES);
    assert_eq!(propose("x", &paths, &BTreeMap::new()).context.as_deref(), Some("service-0"));
}

#[test]
fn broken_manifests_are_no_reason_to_fail() {
    for broken in ["", "{", "[package", "<project", "\u{0}", "é\"/hé", "PORT ü 99999", "'/health"] {
        let every = [
            "package.json",
            "Cargo.toml",
            "pom.xml",
            "pyproject.toml",
            "build.gradle",
            "Gemfile",
            "Dockerfile",
            "server.js",
        ];
        for path in every {
            detect(&[(path, broken)]);
        }
    }
}

#[test]
fn names_are_made_to_fit() {
    let cases = [
        ("/srv/git/orders.git", "orders"),
        ("https://example.org/acme/Stock_API.git/", "stock-api"),
        ("git@example.org:acme/shop", "shop"),
        ("acme/Ünïcode", "n-code"),
        ("...", "service"),
        ("", "service"),
    ];
    for (hint, name) in cases {
        assert_eq!(service_name(hint), name, "{hint}");
        assert_eq!(domain::service::ServiceSettings::new(service_name(hint), "x").problems(), []);
    }
}
