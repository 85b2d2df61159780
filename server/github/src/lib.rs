//! GitHub: whether a hook is really its, what its payloads mean, which addresses are repositories of it, and its REST API.
//!
//! Refuses to touch the database and to show types of any client in its signatures; what it finds out it says in `control`'s words.

mod address;
mod client;
mod credentials;
mod hooks;
mod login;
mod payload;
mod repositories;
mod signature;
mod tell;

use std::sync::Arc;

use async_trait::async_trait;
use control::{
    forge::{
        CommitStatus, Forge, ForgeError, HookState, Limit, Listed, Login, Missed, Said, ShownDeployment,
        WantedHook,
    },
    ports::PortError,
};
use domain::Timestamp;
use secrecy::SecretString;

pub use address::Place;
pub use credentials::{App, Credentials};
pub use login::SignIn;
pub use payload::repositories;
pub use signature::fits;

/// GitHub, or a GitHub Enterprise Server.
pub struct GitHub {
    place: Place,
    client: client::Client,
}

impl GitHub {
    /// The one at this place, to be asked as whoever the credentials are.
    pub fn new(place: Place, credentials: Option<Arc<Credentials>>) -> Self {
        Self { client: client::Client::new(&place, credentials), place }
    }
}

#[async_trait]
impl Forge for GitHub {
    fn full_name(&self, repository: &str) -> Option<String> {
        self.place.full_name(repository)
    }
    fn address(&self, repository: &str) -> String {
        self.place.address(repository)
    }
    fn read(&self, event: &str, payload: &str) -> Result<Said, PortError> {
        payload::read(event, payload)
    }
    fn acts_as(&self) -> Option<&'static str> {
        self.client.acts_as()
    }
    fn site(&self) -> String {
        self.place.site()
    }
    fn limit(&self) -> Limit {
        self.client.limit()
    }
    fn forget(&self) {
        self.client.forget();
    }
    async fn repositories(&self, person: Option<&SecretString>) -> Result<(Vec<Listed>, bool), ForgeError> {
        repositories::all(&self.client, person).await
    }
    async fn make_hook(&self, repository: &str, wanted: &WantedHook) -> Result<i64, ForgeError> {
        hooks::make(&self.client, repository, wanted).await
    }
    async fn look_at_hook(&self, repository: &str, id: i64, url: &str) -> Result<HookState, ForgeError> {
        hooks::look(&self.client, repository, id, url).await
    }
    async fn mend_hook(&self, repository: &str, id: i64, wanted: &WantedHook) -> Result<(), ForgeError> {
        hooks::mend(&self.client, repository, id, wanted).await
    }
    async fn remove_hook(&self, repository: &str, id: i64) -> Result<(), ForgeError> {
        hooks::remove(&self.client, repository, id).await
    }
    async fn missed(&self, repository: &str, hook: i64, since: Timestamp) -> Result<Vec<Missed>, ForgeError> {
        hooks::missed(&self.client, repository, hook, since).await
    }
    async fn redeliver(&self, repository: &str, hook: i64, delivery: &str) -> Result<(), ForgeError> {
        hooks::redeliver(&self.client, repository, hook, delivery).await
    }
    async fn head(&self, repository: &str, branch: &str) -> Result<Option<String>, ForgeError> {
        tell::head(&self.client, repository, branch).await
    }
    async fn tell_status(
        &self,
        repository: &str,
        sha: &str,
        status: &CommitStatus,
    ) -> Result<(), ForgeError> {
        tell::status(&self.client, repository, sha, status).await
    }
    async fn comment(
        &self,
        repository: &str,
        pull_request: u64,
        known: Option<i64>,
        text: &str,
    ) -> Result<i64, ForgeError> {
        tell::comment(&self.client, repository, pull_request, known, text).await
    }
    async fn deployment(&self, repository: &str, shown: &ShownDeployment) -> Result<i64, ForgeError> {
        tell::deployment(&self.client, repository, shown).await
    }
    async fn tell_deployment(
        &self,
        repository: &str,
        id: i64,
        state: &str,
        description: &str,
        url: &str,
    ) -> Result<(), ForgeError> {
        tell::deployment_status(&self.client, repository, id, state, description, url).await
    }
    async fn merge(&self, repository: &str, pull_request: u64, sha: &str) -> Result<(), ForgeError> {
        tell::merge(&self.client, repository, pull_request, sha).await
    }
    async fn login(&self, repository: &str) -> Result<Login, ForgeError> {
        let password = self.client.token(repository, true).await?;
        Ok(Login { site: self.place.site(), username: "x-access-token".into(), password })
    }
}
