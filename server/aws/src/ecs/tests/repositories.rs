//! ECR: repositories, their rules, and what is told of their images.

use control::ports::{Found, Images};
use domain::EnvironmentName;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::ecr::{Address, Ecr};

fn ecr(script: &Script) -> Ecr {
    let address = Address::parse("123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop").unwrap();
    Ecr::new(script.account(|_| "KEY"), address)
}

/// The rules of the repository `shop/stock`, in their order.
fn rules(script: &Script) -> Vec<String> {
    let policy = script.world(|world| world.repositories[0].2.clone()).unwrap_or_default();
    let policy: Value = serde_json::from_str(&policy).unwrap_or_default();
    let all = policy["rules"].as_array().into_iter().flatten();
    all.map(|rule| rule["description"].as_str().unwrap().to_owned()).collect()
}

const RULES: [&str; 3] =
    ["what was deployed to production", "what was deployed to staging", "what was built"];

#[tokio::test]
async fn a_repository_is_made_on_first_use_and_what_is_deployed_is_tagged() {
    let (script, ended, log) = played(world(), heals).await;
    assert_eq!(ended, Ok(()), "{log:#?}");
    script.world(|world| {
        let tag = world.last("PutImage")["imageTag"].as_str().unwrap().to_owned();
        assert_eq!(tag, format!("deployed-production-{}", work(9).deployment));
    });
    let ecr = ecr(&script);
    for _ in 0..2 {
        let login = ecr.login("stock", true).await.unwrap();
        assert_eq!((&*login.username, login.password.expose_secret()), ("AWS", "hunter2"));
        assert_eq!(login.warning, None);
    }
    script.world(|world| {
        let made = world.last("CreateRepository");
        assert_eq!(
            (&made["repositoryName"], &made["imageTagMutability"]),
            (&json!("shop/stock"), &json!("IMMUTABLE"))
        );
        assert_eq!(made["imageScanningConfiguration"], json!({ "scanOnPush": true }));
        for (action, times) in
            [("CreateRepository", 1), ("PutLifecyclePolicy", 1), ("GetAuthorizationToken", 1)]
        {
            assert_eq!(world.count_of(action), times, "{action}");
        }
    });
    // What was deployed is told by its tags, each with its commit where another tag names one.
    let (commit, old) = ("4f1c2d3e".repeat(5), work(3).deployment);
    script.world(|world| {
        world.images = vec![
            json!({ "imageDigest": "sha256:1", "imageSizeInBytes": 7, "imageTags": [format!("{commit}-12-1"), format!("deployed-staging-{old}")] }),
            json!({ "imageDigest": "sha256:2", "imageTags": ["latest", format!("deployed-production-{old}"), "deployed-nowhere-x"] }),
        ];
    });
    let found = ecr.deployed("stock").await.unwrap();
    let told: Vec<_> =
        found.iter().map(|t| (&*t.digest, t.environment, t.deployment, t.commit.clone())).collect();
    assert_eq!(
        told,
        [
            ("sha256:1", EnvironmentName::Staging, old, Some(commit)),
            ("sha256:2", EnvironmentName::Production, old, None)
        ]
    );
    let asked = script.world(|world| world.last("DescribeImages").clone());
    assert_eq!(asked["repositoryName"], "shop/stock");
    let there = work(9).launch.artifact;
    let gone = there.replace("9f86", "0000");
    assert!(matches!(&ecr.found(&[there, gone]).await[..], [Found::There, Found::Gone(_)]));
}

#[tokio::test]
async fn a_repository_without_its_rules_gets_them_with_a_later_build() {
    let script = Script::serve(world(), |_, _| ()).await;
    let ecr = ecr(&script);
    let refused = |action: &str, _: &str, _| {
        (action == "PutLifecyclePolicy").then(|| (500, "ServerException", "of all things".to_owned()))
    };
    script.refuse(refused);
    for _ in 0..2 {
        let warning = ecr.login("stock", true).await.unwrap().warning.unwrap();
        assert!(warning.starts_with("ECR's rules for the repository shop/stock could not be seen to (AWS has a fault at ecr:PutLifecyclePolicy"), "{warning}");
    }
    assert_eq!(rules(&script), [""; 0], "the build went on without");
    script.refuse(|_, _, _| None);
    assert_eq!(ecr.login("stock", false).await.unwrap().warning, None, "who only fetches changes nothing");
    assert_eq!(rules(&script), [""; 0]);
    for _ in 0..2 {
        assert_eq!(ecr.login("stock", true).await.unwrap().warning, None);
        assert_eq!(rules(&script), RULES);
    }
    assert_eq!(script.world(|world| world.count_of("GetLifecyclePolicy")), 2, "once, when it is done");
}

#[tokio::test]
async fn rules_of_ours_that_threw_away_what_was_live_are_replaced_and_those_of_people_stay() {
    let (ours, theirs) =
        (json!([{ "Key": "made-by", "Value": "seamless" }]), json!([{ "Key": "team", "Value": "shop" }]));
    let before = serde_json::to_string_pretty(&crate::ecr::policy_before()).unwrap();
    let own = before.replace("50", "10");
    for (tags, policy, replaced) in [
        (&ours, Some(&before), true),
        (&ours, None, true),
        (&ours, Some(&own), false),
        (&theirs, Some(&before), false),
        (&theirs, None, false),
    ] {
        let script = Script::serve(world(), |_, _| ()).await;
        script.world(|world| world.repositories = vec![("shop/stock".into(), tags.clone(), policy.cloned())]);
        assert_eq!(ecr(&script).login("stock", true).await.unwrap().warning, None);
        let now = script.world(|world| world.repositories[0].2.clone());
        match replaced {
            true => assert_eq!(rules(&script), RULES, "{tags} {policy:?}"),
            false => assert_eq!(now.as_ref(), policy, "{tags}"),
        }
        assert_eq!(script.world(|world| world.count_of("PutLifecyclePolicy")), usize::from(replaced));
    }
}
