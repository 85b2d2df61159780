//! A login to the registry that lives as long as it is needed, in a folder of its own.
//!
//! The user's own configuration goes along (plugins, contexts, other logins) and is never changed. Refuses to pass the
//! password as an argument, and to ask the registry: a login that is wrong shows itself when it is used.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::protocol::Registry;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::Docker;

/// A daemon with a login; the login is forgotten with it.
#[derive(Debug)]
pub struct LoggedIn {
    /// The daemon.
    pub docker: Docker,
    _folder: Option<TempDir>,
}

/// Host and port of a registry's address, as logins are filed under.
pub fn host(address: &str) -> &str {
    address.split('/').next().unwrap_or(address)
}

impl Docker {
    /// With the registry's login, where it has one.
    ///
    /// # Errors
    /// When no private folder can be made.
    pub fn logged_in(&self, registry: Option<&Registry>) -> io::Result<LoggedIn> {
        self.logged_in_below(&std::env::temp_dir(), registry)
    }

    /// The same, with the private folder in one that whoever comes after a crash knows.
    ///
    /// # Errors
    /// When no private folder can be made.
    pub fn logged_in_below(&self, parent: &Path, registry: Option<&Registry>) -> io::Result<LoggedIn> {
        let login =
            registry.and_then(|r| Some((host(&r.address), r.username.as_ref()?, r.password.as_ref()?)));
        let Some((host, username, password)) = login else {
            return Ok(LoggedIn { docker: self.clone(), _folder: None });
        };
        let folder = tempfile::Builder::new().prefix("seamless-docker-").tempdir_in(parent)?; // 0700 from birth
        let own = own_config();
        let mut config = own
            .as_ref()
            .and_then(|own| fs::read(own.join("config.json")).ok())
            .and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok())
            .unwrap_or_default();
        // A helper would be asked in the place of what is written here.
        config.remove("credsStore");
        if let Some(helpers) = config.get_mut("credHelpers").and_then(Value::as_object_mut) {
            helpers.remove(host);
        }
        let auth = STANDARD.encode(format!("{username}:{password}"));
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(host.to_owned(), json!({ "auth": auth }));
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(folder.path().join("config.json"))?;
        file.write_all(&serde_json::to_vec(&config)?)?;
        for part in ["cli-plugins", "contexts", "buildx"] {
            if let Some(there) = own.as_ref().map(|own| own.join(part)).filter(|there| there.is_dir()) {
                symlink(there, folder.path().join(part))?;
            }
        }
        Ok(LoggedIn { docker: self.clone().with_config(folder.path()), _folder: Some(folder) })
    }
}

/// Where the program keeps its configuration.
fn own_config() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKER_CONFIG").filter(|named| !named.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_login_is_a_private_file_and_goes_with_its_holder() {
        let registry = Registry {
            address: "127.0.0.1:5000/acme".into(),
            username: Some("ci".into()),
            password: Some("hunter22".into()),
            refused: None,
            warning: None,
        };
        let with = Docker::here().logged_in(Some(&registry)).unwrap();
        let command = with.docker.command(["pull"]);
        let folder =
            command.as_std().get_envs().find(|(name, _)| *name == "DOCKER_CONFIG").unwrap().1.unwrap();
        let folder = PathBuf::from(folder);
        let file = folder.join("config.json");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let config: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(config["auths"]["127.0.0.1:5000"]["auth"], "Y2k6aHVudGVyMjI=");
        drop(with);
        assert!(!folder.exists());
        let without = Docker::here().logged_in(None).unwrap();
        assert_eq!(without.docker, Docker::here());
    }
}
