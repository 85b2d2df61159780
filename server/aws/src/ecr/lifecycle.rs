//! What ECR throws away: the rules that a repository of ours is given.
//!
//! ECR judges an image by the first rule whose tags it has and by no other, though it counts it in all of them. What runs in production
//! came through staging and has the tags of both, so production's rule is the first: no number of deployments to staging, or of
//! builds, may throw away what is live for users. Refuses to judge by age: what is seldom deployed is old and live.

use aws_sdk_ecr::types::Tag;
use domain::EnvironmentName;
use serde_json::{Value, json};

use super::DEPLOYED;
use crate::account::{Account, AwsError};

/// The tag of a repository that was made here.
pub(super) const MADE_BY: (&str, &str) = ("made-by", "seamless");

/// How many deployed images of each environment are kept, and how many that were never deployed.
pub(super) const KEPT: (u32, u32) = (50, 200);

/// Gives a repository its rules.
pub(super) async fn put(account: &Account, name: &str) -> Result<(), AwsError> {
    let policy = policy().to_string();
    let put = account.ask("ecr:PutLifecyclePolicy", |aws| {
        aws.ecr.put_lifecycle_policy().repository_name(name).lifecycle_policy_text(&policy).send()
    });
    put.await.map(drop)
}

/// Sees to it that a repository which was made here has its rules. One that was not, and rules that people made, stay as they are.
pub(super) async fn mend(account: &Account, name: &str, arn: &str) -> Result<(), AwsError> {
    let tags = account
        .ask("ecr:ListTagsForResource", |aws| aws.ecr.list_tags_for_resource().resource_arn(arn).send());
    let ours = |tag: &Tag| (tag.key(), tag.value()) == MADE_BY;
    if !tags.await?.tags().iter().any(ours) {
        return Ok(());
    }
    let there = account
        .ask("ecr:GetLifecyclePolicy", |aws| aws.ecr.get_lifecycle_policy().repository_name(name).send());
    match there.await {
        Err(error) if error.is("LifecyclePolicyNotFoundException") => put(account, name).await,
        Err(error) => Err(error),
        Ok(there) => match there.lifecycle_policy_text().map(serde_json::from_str::<Value>) {
            Some(Ok(there)) if there == policy_before() => put(account, name).await,
            _ => Ok(()),
        },
    }
}

/// The rules, production's first.
fn policy() -> Value {
    rules(EnvironmentName::ALL.into_iter().rev())
}

/// What repositories were given at first: with staging's rule before production's, it threw away what was live.
pub(crate) fn policy_before() -> Value {
    rules(EnvironmentName::ALL.into_iter())
}

/// One rule for each environment, in this order, then one for the rest.
fn rules(environments: impl Iterator<Item = EnvironmentName>) -> Value {
    let deployed = environments.map(|environment| {
        let tags = json!({ "tagStatus": "tagged", "tagPrefixList": [format!("{DEPLOYED}{environment}-")] });
        (format!("what was deployed to {environment}"), tags, KEPT.0)
    });
    let rest = json!({ "tagStatus": "tagged", "tagPatternList": ["*"] });
    let all = deployed.chain([("what was built".into(), rest, KEPT.1)]).zip(1..);
    let rules = all.map(|((what, mut selection, count), priority)| {
        selection["countType"] = "imageCountMoreThan".into();
        selection["countNumber"] = count.into();
        json!({ "rulePriority": priority, "description": what, "selection": selection, "action": { "type": "expire" } })
    });
    json!({ "rules": rules.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An image by what it was used for: `b` built only, `s` deployed to staging, `p` to production alone, `P` to both.
    fn tags(image: char) -> Vec<String> {
        let deployed = |names: &[&str]| names.iter().map(|name| format!("{DEPLOYED}{name}-01J")).collect();
        let more: Vec<String> = match image {
            's' => deployed(&["staging"]),
            'p' => deployed(&["production"]),
            'P' => deployed(&["staging", "production"]),
            _ => Vec::new(),
        };
        [vec!["4f1c2d3e".repeat(5)], more].concat()
    }

    /// What ECR keeps of images, the newest first, **by its documented rules**: all rules are looked at and mark what is beyond their count,
    /// in the order of when it was pushed; then they are applied by priority, and an image that has the tags of a rule cannot
    /// be expired by a later one, though that counts it. Leaves unproven whether ECR does as it says.
    fn kept(policy: &Value, images: &str) -> String {
        let mut rules: Vec<&Value> = policy["rules"].as_array().unwrap().iter().collect();
        rules.sort_by_key(|rule| rule["rulePriority"].as_u64().unwrap());
        let judged_by = |rule: &Value, image: char| {
            let of = &rule["selection"];
            let list = |name: &str| of[name].as_array().into_iter().flatten().filter_map(Value::as_str);
            let has = |beginning: &str| tags(image).iter().any(|tag| tag.starts_with(beginning));
            let patterns = list("tagPatternList").map(|pattern| pattern.strip_suffix('*').unwrap());
            list("tagPrefixList").chain(patterns).all(has)
        };
        let mut gone = vec![false; images.len()];
        let mut claimed = gone.clone();
        for rule in rules {
            assert_eq!(rule["selection"]["countType"], "imageCountMoreThan");
            let most = rule["selection"]["countNumber"].as_u64().unwrap() as usize;
            let of = images.char_indices().filter(|(_, image)| judged_by(rule, *image)).map(|(at, _)| at);
            for (place, at) in of.enumerate() {
                gone[at] |= place >= most && !claimed[at];
                claimed[at] = true;
            }
        }
        images.char_indices().filter(|(at, _)| !gone[*at]).map(|(_, image)| image).collect()
    }

    #[test]
    fn what_is_live_in_production_outlives_any_number_of_deployments_to_staging() {
        let live = |newer: &str| kept(&policy(), &format!("{newer}P")).ends_with('P');
        assert!(live(&"s".repeat(60)), "staging's fifty newest are others");
        assert!(live(&"sb".repeat(500)));
        assert!(live(&"b".repeat(500)));
        // A rule that protected by staging's tag first threw it away.
        assert_eq!(kept(&policy_before(), &format!("{}P", "s".repeat(60))), "s".repeat(50));
    }

    #[test]
    fn each_kind_goes_by_its_own_count() {
        assert_eq!(kept(&policy(), &"P".repeat(60)), "P".repeat(50));
        assert_eq!(kept(&policy(), &"p".repeat(60)), "p".repeat(50));
        assert_eq!(kept(&policy(), &"s".repeat(60)), "s".repeat(50));
        assert_eq!(kept(&policy(), &"b".repeat(260)), "b".repeat(200));
        // Staging's newest stays, whatever was built since.
        assert!(kept(&policy(), &format!("{}s", "b".repeat(260))).ends_with('s'));
    }
}
