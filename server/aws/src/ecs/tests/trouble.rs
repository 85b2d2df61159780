//! What becomes of it when AWS does not answer as it should, or is asked for what is not there.

use serde_json::json;

use super::*;

#[tokio::test]
async fn throttling_is_waited_out_and_said() {
    let script = Script::serve(world(), heals).await;
    script.refuse(|action, _, seconds| match action {
        "RegisterTaskDefinition" if seconds < 20 => Some((
            400,
            "ClientException",
            "Too many concurrent attempts to create a new revision of the specified family.".into(),
        )),
        "DescribeServices" if (25..80).contains(&seconds) => {
            Some((400, "ThrottlingException", "Rate exceeded".into()))
        }
        "ListTasks" if (80..130).contains(&seconds) => Some((503, "", "try later".into())),
        _ => None,
    });
    let (ended, log) = deploys(&script.account(|_| "KEY"), &work(9)).await;
    assert_eq!(ended, Ok(()), "{log:#?}");
    for line in [
        "AWS throttles ecs:RegisterTaskDefinition; trying again",
        "AWS throttles ecs:DescribeServices; trying again",
        "AWS answers ecs:DescribeServices again",
    ] {
        assert_eq!(log.iter().filter(|l| *l == line).count(), 1, "{line} in {log:#?}");
    }
    let asked = script.world(|w| w.count_of("DescribeServices"));
    assert!(asked < 60, "{asked} questions are more than a throttled API should hear");
}

#[tokio::test]
async fn credentials_that_expire_in_the_middle_are_renewed() {
    let script = Script::serve(world(), heals).await;
    script.refuse(|_, key, seconds| {
        (key == "OLD" && seconds >= 15).then(|| {
            (400, "ExpiredTokenException", "The security token included in the request is expired".into())
        })
    });
    // New ones come after another minute.
    let account = script.account(|seconds| if seconds < 75 { "OLD" } else { "NEW" });
    let (ended, log) = deploys(&account, &work(9)).await;
    assert_eq!(ended, Ok(()), "{log:#?}");
    assert!(
        log.iter().any(|line| line.contains("the credentials for AWS do not hold any more")
            && line.ends_with("new ones are asked for")),
        "{log:#?}"
    );
    assert!(script.clock_minutes() >= 1);
}

#[tokio::test]
async fn credentials_that_are_never_renewed_end_it_in_words() {
    let script = Script::serve(world(), heals).await;
    script.refuse(|_, _, seconds| {
        (seconds >= 15).then(|| {
            (400, "ExpiredTokenException", "The security token included in the request is expired".into())
        })
    });
    let (ended, _) = deploys(&script.account(|_| "OLD"), &work(9)).await;
    let why = ended.unwrap_err();
    assert!(why.contains("ExpiredTokenException") && why.contains("tried again for 15 minutes"), "{why}");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let script = Script::serve(world(), heals).await;
    let account = script.account(|_| "KEY");
    for (place, words) in [
        (
            EcsService { cluster: "other".into(), ..place() },
            "there is no cluster other in this account and region",
        ),
        (
            EcsService { service: "stock".into(), ..place() },
            "the cluster main has no service stock (any more)",
        ),
        (
            EcsService { container: Some("app".into()), ..place() },
            "orders has no container \"app\"; it has: web, mesh",
        ),
    ] {
        let mut work = work(9);
        work.ecs = Some(place);
        let why = deploys(&account, &work).await.0.unwrap_err();
        assert!(why.starts_with(words), "{why}");
    }
    let mut only_here = work(9);
    only_here.launch.artifact = DIGEST.into();
    assert!(deploys(&account, &only_here).await.0.unwrap_err().contains("set SEAMLESS_REGISTRY"));
    assert_eq!(script.world(|w| w.count_of("RegisterTaskDefinition")), 0);
}

#[tokio::test]
async fn a_service_that_others_deploy_is_left_to_them() {
    let mut theirs = world();
    theirs.service["deploymentController"] = json!({ "type": "CODE_DEPLOY" });
    let (_, ended, _) = played(theirs, heals).await;
    assert!(ended.unwrap_err().contains("is deployed by CODE_DEPLOY"));
}

#[tokio::test]
async fn secrets_need_a_role_that_can_read_them() {
    let mut bare = world();
    bare.definitions[0].as_object_mut().unwrap().remove("executionRoleArn");
    let (_, ended, _) = played(bare, heals).await;
    assert!(ended.unwrap_err().contains("has no execution role"));
}
