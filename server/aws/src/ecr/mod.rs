//! Images in ECR: a login for a while, a repository made on first use, what is deployed kept from its lifecycle policy.
//!
//! A new repository scans what is pushed, and its tags are immutable: a commit's image is that image for good. What is thrown away
//! is ECR's to do, by the rules in `lifecycle`: what was deployed to an environment is tagged so (`deployed-production-…`) and goes by a
//! count of its own. Refuses to change a repository that it did not make, and rules that people made.

mod lifecycle;
#[cfg(test)]
pub(crate) use lifecycle::policy_before;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_ecr::types::{
    DescribeImagesFilter, ImageIdentifier, ImageScanningConfiguration, ImageTagMutability, Tag, TagStatus,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use control::ports::{Found, Images, PortError, RegistryLogin, Tagged};
use domain::{DeploymentId, EnvironmentName};
use runner::target::LogSink;
use secrecy::SecretString;
use tokio::sync::Mutex;

use crate::account::{Account, AwsError};

/// How long a login is handed out: AWS's hold for twelve hours, and a stage may take some.
const LOGIN: Duration = Duration::from_secs(30 * 60);
/// How long it is believed what was deployed: pages ask more often than that changes.
const FRESH: Duration = Duration::from_secs(60);
/// Beginning of the tags of what was deployed.
const DEPLOYED: &str = "deployed-";

/// A registry's address that is ECR's: `ACCOUNT.dkr.ecr.REGION.amazonaws.com[/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Twelve digits.
    pub account: String,
    /// Such as `eu-central-1`.
    pub region: String,
    /// What comes before a service's name in a repository's name; may be empty.
    pub prefix: String,
}

impl Address {
    /// Of a registry's address, if it is one.
    pub fn parse(address: &str) -> Option<Self> {
        let (host, prefix) = address.split_once('/').unwrap_or((address, ""));
        let host = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
        let mut parts = host.split('.');
        let (account, dkr, ecr, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let known = dkr == "dkr" && matches!(ecr, "ecr" | "ecr-fips") && parts.next().is_none();
        (digits && known && !region.is_empty()).then(|| Self {
            account: account.into(),
            region: region.into(),
            prefix: prefix.trim_matches('/').into(),
        })
    }

    /// Of an image by digest: its repository's name and the digest.
    fn image(artifact: &str) -> Option<(Self, &str)> {
        let (name, digest) = artifact.split_once('@')?;
        Some((Self::parse(name)?, digest))
    }
}

/// Where and by which deployment an image was deployed that has this tag.
fn deployed_as(tag: &str) -> Option<(EnvironmentName, DeploymentId)> {
    let (environment, deployment) = tag.strip_prefix(DEPLOYED)?.split_once('-')?;
    Some((environment.parse().ok()?, deployment.parse().ok()?))
}

/// The commit that a build's tag names: itself, or with the run where the tag was taken.
fn commit_of(tag: &str) -> Option<String> {
    let commit = tag.split('-').next()?;
    (commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit())).then(|| commit.to_owned())
}

/// When it was found out what was deployed of a service, and what.
type Deployed = (Duration, Result<Vec<Tagged>, PortError>);

/// The account's registry.
#[derive(Debug)]
pub struct Ecr {
    account: Arc<Account>,
    address: Address,
    login: Mutex<Option<(Duration, String, SecretString)>>,
    /// Repositories whose rules were seen to.
    ruled: Mutex<HashSet<String>>,
    /// What was deployed of a service, found out a moment ago, good or bad.
    deployed: Mutex<HashMap<String, Deployed>>,
}

impl Ecr {
    /// At an address.
    pub fn new(account: Arc<Account>, address: Address) -> Self {
        Self {
            account,
            address,
            login: Mutex::default(),
            ruled: Mutex::default(),
            deployed: Mutex::default(),
        }
    }

    async fn token(&self) -> Result<(String, SecretString), AwsError> {
        let mut kept = self.login.lock().await;
        let now = self.account.clock().now();
        if let Some((at, name, password)) = &*kept
            && now - *at < LOGIN
        {
            return Ok((name.clone(), password.clone()));
        }
        let asked = self.account.ask("ecr:GetAuthorizationToken", |aws| async move {
            aws.ecr.get_authorization_token().send().await
        });
        let data = asked.await?.authorization_data.unwrap_or_default().into_iter().next();
        let token =
            data.and_then(|data| data.authorization_token).and_then(|token| STANDARD.decode(token).ok());
        let text = token.and_then(|token| String::from_utf8(token).ok()).unwrap_or_default();
        let (name, password) = text
            .split_once(':')
            .ok_or_else(|| AwsError::new("ECR gave no login that anybody understands"))?;
        let login = (name.to_owned(), SecretString::from(password));
        *kept = Some((now, login.0.clone(), login.1.clone()));
        Ok(login)
    }

    /// The repository of a service.
    fn repository(&self, service: &str) -> String {
        match &*self.address.prefix {
            "" => service.to_owned(),
            prefix => format!("{prefix}/{service}"),
        }
    }

    /// All images of a service that have a tag of a deployment.
    async fn tagged(&self, service: &str) -> Result<Vec<Tagged>, AwsError> {
        let (name, mut next, mut all) = (self.repository(service), None::<String>, Vec::new());
        let tagged = DescribeImagesFilter::builder().tag_status(TagStatus::Tagged).build();
        loop {
            let asked = self.account.ask("ecr:DescribeImages", |aws| {
                let question = aws.ecr.describe_images().registry_id(&self.address.account);
                let question = question.repository_name(&name).filter(tagged.clone()).max_results(1000);
                question.set_next_token(next.clone()).send()
            });
            let page = match asked.await {
                Ok(page) => page,
                Err(error) if error.is("RepositoryNotFoundException") => return Ok(all),
                Err(error) => return Err(error),
            };
            for image in page.image_details.unwrap_or_default() {
                let size = image.image_size_in_bytes.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                let Some(digest) = image.image_digest else { continue };
                let tags = image.image_tags.unwrap_or_default();
                let commit = tags.iter().find_map(|tag| commit_of(tag));
                all.extend(tags.iter().filter_map(|tag| {
                    let (environment, deployment) = deployed_as(tag)?;
                    let (digest, commit) = (digest.clone(), commit.clone());
                    Some(Tagged { digest, deployment, environment, commit, size })
                }));
            }
            match page.next_token {
                Some(more) => next = Some(more),
                None => return Ok(all),
            }
        }
    }

    /// Makes the repository unless it is there, and sees to its rules once. Where ECR did not take those, this is what follows.
    async fn ensure(&self, service: &str) -> Result<Option<String>, AwsError> {
        let name = self.repository(service);
        let there = self.account.ask("ecr:DescribeRepositories", |aws| {
            aws.ecr.describe_repositories().repository_names(&name).send()
        });
        let ruled = match there.await {
            Ok(_) if self.ruled.lock().await.contains(&name) => return Ok(None),
            Ok(there) => {
                let arn = there.repositories().first().and_then(|one| one.repository_arn());
                lifecycle::mend(&self.account, &name, arn.unwrap_or_default()).await
            }
            Err(error) if error.is("RepositoryNotFoundException") => match self.make(&name).await? {
                true => lifecycle::put(&self.account, &name).await,
                false => return Ok(None),
            },
            Err(error) => return Err(error),
        };
        match ruled {
            Ok(()) => {
                self.ruled.lock().await.insert(name);
                Ok(None)
            }
            Err(error) => Ok(Some(format!(
                "ECR's rules for the repository {name} could not be seen to ({error}); until a build can do it, ECR may keep everything, or by rules of an earlier version throw away what is live"
            ))),
        }
    }

    /// Whether the repository was made: somebody may have been quicker, and gives it what it needs.
    async fn make(&self, name: &str) -> Result<bool, AwsError> {
        let (key, value) = lifecycle::MADE_BY;
        let made_by = Tag::builder().key(key).value(value).build();
        let made_by = made_by.map_err(|e| AwsError::new(e.to_string()))?;
        let scans = ImageScanningConfiguration::builder().scan_on_push(true).build();
        let made = self.account.ask("ecr:CreateRepository", |aws| {
            let question = aws.ecr.create_repository().repository_name(name).tags(made_by.clone());
            question
                .image_tag_mutability(ImageTagMutability::Immutable)
                .image_scanning_configuration(scans.clone())
                .send()
        });
        match made.await {
            Ok(_) => Ok(true),
            Err(error) if error.is("RepositoryAlreadyExistsException") => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn find(&self, artifact: &str) -> Found {
        let unknown = |why: &dyn std::fmt::Display| Found::Unknown(why.to_string());
        let Some((address, digest)) = Address::image(artifact) else {
            return unknown(&"its image is in no registry of ECR");
        };
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let asked = self.account.ask("ecr:DescribeImages", |aws| {
            let question = aws.ecr.describe_images().registry_id(&address.account);
            question.repository_name(&address.prefix).image_ids(id.clone()).send()
        });
        match asked.await {
            Ok(_) => Found::There,
            Err(error) if error.is("ImageNotFoundException") || error.is("RepositoryNotFoundException") => {
                Found::Gone("its image is not in ECR any more: run that commit again to build it anew".into())
            }
            Err(error) => unknown(&error),
        }
    }
}

#[async_trait]
impl Images for Ecr {
    async fn login(&self, service: &str, push: bool) -> Result<RegistryLogin, PortError> {
        let warning = match push {
            true => self.ensure(service).await.map_err(PortError::new)?,
            false => None,
        };
        let (username, password) = self.token().await.map_err(PortError::new)?;
        Ok(RegistryLogin { username, password, warning })
    }

    async fn found(&self, wanted: &[String]) -> Vec<Found> {
        // A page shows twenty at a time; ECR answers thousands of questions a second.
        let mut found = Vec::new();
        for artifact in wanted {
            found.push(self.find(artifact).await);
        }
        found
    }

    async fn deployed(&self, service: &str) -> Result<Vec<Tagged>, PortError> {
        let (mut known, now) = (self.deployed.lock().await, self.account.clock().now());
        known.retain(|_, (at, _)| now - *at < FRESH);
        if let Some((_, found)) = known.get(service) {
            return found.clone();
        }
        let found = self.tagged(service).await.map_err(PortError::new);
        known.insert(service.to_owned(), (now, found.clone()));
        found
    }
}

/// Tags an image as deployed, so that nothing that is built throws it away. Where that cannot be, the log says what follows.
pub(crate) async fn mark(
    account: &Account,
    log: &LogSink,
    artifact: &str,
    environment: EnvironmentName,
    deployment: DeploymentId,
) {
    let Some((Address { account: registry, prefix: name, .. }, digest)) = Address::image(artifact) else {
        return;
    };
    let tag = format!("{DEPLOYED}{environment}-{deployment}");
    let id = ImageIdentifier::builder().image_digest(digest).build();
    let marked = async {
        let got = account.ask("ecr:BatchGetImage", |aws| {
            let question = aws.ecr.batch_get_image().registry_id(&registry).repository_name(&name);
            question.image_ids(id.clone()).send()
        });
        let image = got.await?.images.unwrap_or_default().into_iter().next();
        let image = image.ok_or_else(|| AwsError::new("the image is not in ECR"))?;
        let put = account.ask("ecr:PutImage", |aws| {
            let question = aws.ecr.put_image().registry_id(&registry).repository_name(&name);
            question
                .set_image_manifest(image.image_manifest.clone())
                .set_image_manifest_media_type(image.image_manifest_media_type.clone())
                .image_tag(&tag)
                .send()
        });
        match put.await {
            Err(error) if !error.is("ImageAlreadyExistsException") => Err(error),
            _ => Ok(()),
        }
    };
    if let Err(error) = marked.await {
        let kept = lifecycle::KEPT.1;
        log.system(format!(
            "warning: the image could not be tagged as deployed ({error}); after {kept} newer builds ECR may throw it away"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ecr_is_told_from_any_other() {
        let address = Address::parse("123456789012.dkr.ecr.eu-central-1.amazonaws.com/acme/shop");
        let (account, region, prefix) = ("123456789012".into(), "eu-central-1".into(), "acme/shop".into());
        assert_eq!(address, Some(Address { account, region, prefix }));
        assert!(Address::parse("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn").is_some());
        for other in
            ["registry.example.org/acme", "public.ecr.aws/acme", "12.dkr.ecr.eu-central-1.amazonaws.com"]
        {
            assert_eq!(Address::parse(other), None, "{other}");
        }
    }
}
