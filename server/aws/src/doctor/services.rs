//! What pages and builds ask of ECS and ECR. What a deploy asks is its stage's role to do, and seen in the stage's log.

use aws_config::SdkConfig;
use aws_sdk_ecr::types::ImageIdentifier;

use super::{Checked, allowed};
use crate::ecr::Address;

/// A name that nothing has.
const NOBODY: &str = "seamless-nobody";

pub(super) async fn deploys(config: &SdkConfig) -> Vec<Checked> {
    let ecs = aws_sdk_ecs::Client::new(config);
    let clusters = ecs.list_clusters().max_results(1).send().await;
    let services = ecs.list_services().cluster(NOBODY).send().await;
    let service = ecs.describe_services().cluster(NOBODY).services(NOBODY).send().await;
    let definition = ecs.describe_task_definition().task_definition(NOBODY).send().await;
    vec![
        allowed("ecs:ListClusters", clusters),
        allowed("ecs:ListServices", services),
        allowed("ecs:DescribeServices", service),
        allowed("ecs:DescribeTaskDefinition", definition),
    ]
}

pub(super) async fn images(address: &Address, config: &SdkConfig) -> Vec<Checked> {
    let ecr = aws_sdk_ecr::Client::new(config);
    let name = match address.prefix.as_str() {
        "" => NOBODY.to_owned(),
        prefix => format!("{prefix}/{NOBODY}"),
    };
    let login = ecr.get_authorization_token().send().await;
    let repository = ecr.describe_repositories().registry_id(&address.account);
    let repository = repository.repository_names(&name).send().await;
    let images = ecr.describe_images().registry_id(&address.account).repository_name(&name).send().await;
    let rules = ecr.get_lifecycle_policy().registry_id(&address.account).repository_name(&name).send().await;
    let image = ImageIdentifier::builder().image_tag("nobody").build();
    let fetch = ecr.batch_get_image().registry_id(&address.account).repository_name(&name);
    let fetch = fetch.image_ids(image).send().await;
    vec![
        allowed("ecr:GetAuthorizationToken", login),
        allowed("ecr:DescribeRepositories", repository),
        allowed("ecr:DescribeImages", images),
        allowed("ecr:GetLifecyclePolicy", rules),
        allowed("ecr:BatchGetImage", fetch),
    ]
}
