//! The AWS account as pages and programs see it: what there is to pick from, and a service in it that is not there yet.
//!
//! Refuses to change a service that is there, and to run anything in a new one: deploys do.

use domain::{
    Role,
    cloud::{CloudAccount, CloudService, NewCloudService},
};

use crate::{
    Actor, Control,
    error::{Error, Result},
    ports::NotMade,
};

/// Why there is nothing to pick from where no account is set.
const NO_ACCOUNT: &str =
    "this server knows no AWS account: give it AWS_REGION, and a role or keys that may use it";

impl Control {
    /// What the account has, or why it cannot be asked; found out a moment ago at most.
    pub(crate) async fn account(&self) -> std::result::Result<CloudAccount, String> {
        let Some(cloud) = &self.ports.cloud else { return Err(NO_ACCOUNT.into()) };
        let ask = async || cloud.account().await.map_err(|e| e.to_string());
        self.cloud.get(|| self.now(), ask).await
    }

    /// Clusters and services of the account.
    pub async fn cloud(&self) -> Result<CloudAccount> {
        self.account().await.map_err(Error::Unavailable)
    }

    /// The same, for whoever is about to make a service: there is a page for it also where AWS cannot be asked, and it says why.
    pub async fn cloud_to_change(&self, actor: &Actor) -> Result<std::result::Result<CloudAccount, String>> {
        actor.must(Role::Owner)?;
        Ok(self.account().await)
    }

    /// Makes a service that is not there yet; what was made of the very same wish is there.
    pub async fn create_cloud_service(
        &self,
        actor: &Actor,
        wanted: &NewCloudService,
    ) -> Result<CloudService> {
        actor.must(Role::Owner)?;
        let problems = wanted.problems();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let Some(cloud) = &self.ports.cloud else { return Err(Error::Unavailable(NO_ACCOUNT.into())) };
        let made = cloud.create(wanted).await;
        self.cloud.forget().await;
        made.map_err(|why| match why {
            NotMade::Wrong(field) => Error::Invalid(vec![field]),
            NotMade::Not(error) => error.into(),
        })?;
        let NewCloudService { cluster, service, .. } = wanted;
        tracing::info!(cluster, service, by = actor.name, "a service was made on ECS");
        let found =
            self.account().await.unwrap_or_default().services.into_iter().find(|one| {
                one.service == *service && cluster.rsplit('/').next() == Some(one.cluster.as_str())
            });
        // Lists of AWS may be a moment late.
        Ok(found.unwrap_or_else(|| CloudService {
            cluster: cluster.rsplit('/').next().unwrap_or_default().into(),
            service: service.clone(),
            ..CloudService::default()
        }))
    }
}
