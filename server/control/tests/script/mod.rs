//! What lies outside, answering from a script. Whatever the script does not say is a refusal.

#![allow(clippy::unwrap_used)]
// Each test crate uses its part of this.
#![allow(dead_code)]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use control::{
    Ports,
    ports::{Attempt, Change, Deployed, Docker, Found, Git, GitError, Host, Keep, Launcher, PortError},
};
use domain::{
    EnvironmentName, PipelineId, ServiceId, StageId, containers::ContainerSettings, protocol::Registry,
    service::ServiceSettings, view::Commit,
};
use entity::service;

/// Ports that the script answers, without people, Redis, AWS.
pub fn ports(script: &Arc<Script>) -> Ports {
    let url: url::Url = "https://github.com".parse().unwrap();
    let forge = github::GitHub::new(github::Place { api: url.clone(), url }, None);
    Ports {
        launcher: script.clone(),
        git: script.clone(),
        host: script.clone(),
        forge: Arc::new(forge),
        identity: None,
        hot: None,
        executions: None,
        images: None,
        cloud: None,
        notifier: None,
    }
}

pub type Asked = (Vec<String>, Option<String>);

/// Answers what it was told to, and remembers what it was asked.
#[derive(Default)]
pub struct Script {
    pub found: Mutex<HashMap<String, Found>>,
    pub asked: Mutex<Vec<Asked>>,
    pub kept: Mutex<Vec<Keep>>,
    /// The commit that a repository has, if there is one.
    pub commit: Mutex<Option<Commit>>,
    /// What was launched; none of it ever lives. Without it nothing can be.
    pub launched: Mutex<Option<Vec<Attempt>>>,
    /// Servers of this data folder that live.
    pub servers: Mutex<HashSet<String>>,
}

/// The row of a service that is at home nowhere yet.
pub fn service(id: ServiceId, settings: &ServiceSettings) -> service::Model {
    service::Model {
        id: id.to_string(),
        pipeline_id: PipelineId::from_parts(1, 1).to_string(),
        name: settings.name.clone(),
        settings: serde_json::to_string(settings).unwrap(),
        repository: settings.repository.clone(),
        branch: "main".into(),
        runtime: None,
        production_port: 4100,
        staging_port: 4600,
        hook_secret: String::new(),
        notices: "poll".into(),
        head: None,
        hold_reason: None,
        hold_by: None,
        hold_since: None,
        last_run: 0,
        folder: None,
        draft: None,
        generation: 0,
        created_at: 1,
        updated_at: 1,
    }
}

fn unasked<T>() -> Result<T, PortError> {
    Err(PortError::new("nobody should ask this here"))
}

#[async_trait]
impl Host for Script {
    async fn deployed(&self, _: &str, _: EnvironmentName) -> Result<Deployed, PortError> {
        unasked()
    }
    async fn artifacts(
        &self,
        wanted: &[String],
        daemon: &ContainerSettings,
        _: Option<&Registry>,
    ) -> Vec<Found> {
        self.asked.lock().unwrap().push((wanted.to_vec(), daemon.host.clone()));
        let found = self.found.lock().unwrap();
        wanted.iter().map(|artifact| found.get(artifact).cloned().unwrap_or(Found::There)).collect()
    }
    async fn docker(&self) -> Docker {
        Docker::Away("it is scripted".into())
    }
    async fn free_port(&self, _: EnvironmentName, _: &[u16]) -> Result<u16, PortError> {
        unasked()
    }
    async fn server_lives(&self, node: &str) -> bool {
        self.servers.lock().unwrap().contains(node)
    }
    async fn port_is_free(&self, _: u16) -> bool {
        false
    }
    async fn ensure(&self) -> Result<(), PortError> {
        unasked()
    }
    async fn retire(&self, _: &str) -> Result<(), PortError> {
        unasked()
    }
    async fn clean(&self, keep: &Keep) -> Result<(), PortError> {
        self.kept.lock().unwrap().push(keep.clone());
        Ok(())
    }
}

#[async_trait]
impl Launcher for Script {
    async fn launch(&self, attempt: &Attempt) -> Result<(), PortError> {
        match &mut *self.launched.lock().unwrap() {
            Some(launched) => launched.push(attempt.clone()),
            None => return unasked(),
        }
        Ok(())
    }
    async fn alive(&self, stage: StageId, attempt: u32) -> Result<bool, PortError> {
        match &*self.launched.lock().unwrap() {
            Some(launched) if launched.iter().any(|a| (a.stage, a.attempt) == (stage, attempt)) => Ok(false),
            _ => unasked(),
        }
    }
    async fn kill(&self, stage: StageId, attempt: u32) -> Result<(), PortError> {
        self.alive(stage, attempt).await.map(drop)
    }
    async fn sweep(&self) -> Result<(), PortError> {
        unasked()
    }
}

fn no_repository<T>() -> Result<T, GitError> {
    Err(GitError::NoRepository("here".into()))
}

#[async_trait]
impl Git for Script {
    async fn default_branch(&self, _: &str) -> Result<String, GitError> {
        no_repository()
    }
    async fn resolve(&self, _: &str, _: Option<&str>, _: Option<&str>) -> Result<Commit, GitError> {
        self.commit.lock().unwrap().clone().map_or_else(no_repository, Ok)
    }
    async fn head(&self, _: &str, _: &str) -> Result<String, GitError> {
        no_repository()
    }
    async fn log(&self, _: &str, _: Option<&str>, _: &str, _: u32) -> Result<Vec<Commit>, GitError> {
        no_repository()
    }
    async fn files(&self, _: &str, _: &str) -> Result<Vec<String>, GitError> {
        no_repository()
    }
    async fn read(&self, _: &str, _: &str, _: &[String]) -> Result<BTreeMap<String, String>, GitError> {
        no_repository()
    }
    async fn change(&self, _: &str, _: &str, _: &str, _: &str, _: bool) -> Result<Change, GitError> {
        no_repository()
    }
    async fn precedes(&self, _: &str, _: &str, _: &str) -> Result<bool, GitError> {
        no_repository()
    }
    async fn install_hook(&self, _: &str, _: &str) -> Result<bool, GitError> {
        no_repository()
    }
    async fn remove_hook(&self, _: &str, _: &str) -> Result<(), GitError> {
        no_repository()
    }
}
