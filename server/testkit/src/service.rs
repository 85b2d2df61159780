//! A service that starts in a few hundredths of a second and needs nothing but Python itself.

use std::{process::Command, sync::OnceLock};

use serde_json::{Value, json};

use crate::{Api, Repository, Server, free_port, until};

/// What the service is made of.
pub const APP: &str = include_str!("../fixtures/app.py");

/// The Python that is there, by its own path: what is on the path may be a slow script that looks for it.
pub fn python() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let said = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let said = said.expect("these tests deploy a small service: install python3");
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    })
}

/// A repository with the small service at version 1, and the settings with which a person would connect it: every deploy happens by
/// itself, pushes start runs, and the ports are this test's own.
pub fn tiny(server: &Server, name: &str) -> (Repository, Value) {
    let repository = Repository::empty(&server.repositories(), name);
    repository.change(&[("app.py", APP), ("VERSION", "1\n")], "Start");
    let settings = json!({
        "name": name,
        "repository": repository.path(),
        "branch": "main",
        "health_path": "/health",
        "health_timeout_s": 60,
        "auto_deploy": true,
        "commands": { "start": format!("exec {} -S -E app.py", python()) },
        "port": free_port(),
        "environments": { "staging": { "port": free_port() } },
    });
    (repository, settings)
}

/// Waits until the small service answers with a version on a port.
pub async fn serves(api: &Api, port: u16, version: &str) {
    until(&format!("version {version} on port {port}"), async || {
        let said = api.plain(&format!("http://127.0.0.1:{port}/")).await.unwrap_or_default();
        said.split(' ').next().filter(|v| *v == version).map(|_| ())
    })
    .await;
}
