//! Branch heads compared with what was seen: what no hook told of is taken in like a hook.

use domain::DeliveryId;
use entity::service;

use super::{GitHook, POLLED};
use crate::{
    Control,
    error::Result,
    forge::ForgeError,
    store::{rows, services},
};

impl Control {
    /// Compares branch heads with what was seen, and takes in what no hook told of. `all` looks at repositories with a hook too.
    pub async fn look_at_heads(&self, all: bool) -> Result<()> {
        for row in services::all(self.store.read()).await? {
            if !self.at_home(row.folder.as_deref()) {
                continue;
            }
            if !(all || row.notices == "poll") || !rows::settings(&row)?.triggers.push {
                continue;
            }
            let Some(head) = self.head_of(&row).await else { continue };
            let seen = services::by_id(self.store.read(), &row.id).await?.head;
            if seen.as_deref() == Some(&head) {
                continue;
            }
            let hook = GitHook {
                reference: format!("refs/heads/{}", row.branch),
                before: seen.clone().unwrap_or_default(),
                after: head.clone(),
                ..GitHook::default()
            };
            let guid = format!("{POLLED}{}", self.new_id::<DeliveryId>()?);
            self.receive("poll", &guid, row.id.parse()?, &hook).await?;
        }
        Ok(())
    }

    /// The head of a service's branch: from the forge, which is quick to say that nothing moved, else from the repository.
    async fn head_of(&self, row: &service::Model) -> Option<String> {
        let forge = &self.ports.forge;
        if let Some(name) = forge.full_name(&row.repository).filter(|_| forge.acts_as().is_some()) {
            match forge.head(&name, &row.branch).await {
                Ok(Some(head)) => return Some(head),
                Ok(None) => {}
                Err(ForgeError::Limited { .. }) => return None,
                Err(error) => tracing::debug!(service = row.name, %error, "GitHub does not tell its head"),
            }
        }
        match self.ports.git.head(&row.repository, &row.branch).await {
            Ok(head) => Some(head),
            Err(error) => {
                tracing::warn!(service = row.name, %error, "its repository could not be read");
                None
            }
        }
    }
}
