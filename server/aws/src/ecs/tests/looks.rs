//! What pages are told.

use control::ports::Cloud;
use domain::cloud::CloudContainer;
use serde_json::json;

use super::*;
use crate::{clock::Clock, ecs::EcsCloud};

#[tokio::test]
async fn services_are_listed_with_what_they_run() {
    let script = Script::serve(world(), |_, _| ()).await;
    let found = EcsCloud::new(script.account(|_| "KEY")).account().await.unwrap();
    let containers = [("web", "shop/orders:old"), ("mesh", "shop/mesh:7")]
        .map(|(name, image)| CloudContainer { name: name.into(), image: image.into() });
    assert_eq!(found.clusters, ["main"]);
    let one = &found.services[0];
    assert_eq!((&*one.cluster, &*one.service, one.running, one.desired), ("main", "orders", 0, 2));
    assert_eq!(one.containers, containers);
    // What it runs is said beside it; that it is there does not hang on that.
    script.refuse(|action, _, _| {
        let code = "AccessDeniedException";
        (action == "DescribeTaskDefinition").then(|| (400, code, "User: x is not authorized".to_owned()))
    });
    let found = EcsCloud::new(script.account(|_| "KEY")).account().await.unwrap();
    assert_eq!((&*found.services[0].service, &found.services[0].containers[..]), ("orders", &[][..]));
    script.refuse(|_, _, _| Some((400, "AccessDeniedException", "User: x is not authorized".into())));
    let refused = EcsCloud::new(script.account(|_| "KEY")).account().await.unwrap_err();
    assert!(
        refused.0.starts_with("AWS refuses ecs:ListClusters: User: x is not authorized; allow it"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_cluster_that_cannot_be_listed_keeps_no_other_from_it() {
    let script = Script::serve(world(), |_, _| ()).await;
    script.world(|world| world.gone = vec!["old"]);
    let found = EcsCloud::new(script.account(|_| "KEY")).account().await.unwrap();
    assert_eq!(found.clusters, ["main", "old"]);
    assert_eq!(found.services.len(), 1);
    assert_eq!(found.unlisted[0].cluster, "old");
    assert!(found.unlisted[0].reason.contains("Cluster not found"), "{:?}", found.unlisted);
    // Where that is so of all of them, it is said once.
    script.refuse(|action, _, _| {
        let denied = || (400, "AccessDeniedException", "User: x is not authorized".to_owned());
        (action == "ListServices").then(denied)
    });
    let refused = EcsCloud::new(script.account(|_| "KEY")).account().await.unwrap_err();
    assert!(refused.0.starts_with("AWS refuses ecs:ListServices: User: x is not authorized"), "{refused}");
}

#[tokio::test]
async fn what_really_runs_is_held_against_what_should() {
    let (script, ended, _) = played(world(), heals).await;
    assert_eq!(ended, Ok(()));
    let cloud = EcsCloud::new(script.account(|_| "KEY"));
    let (image, web) = (work(9).launch.artifact, EcsService { container: Some("web".into()), ..place() });
    script.world(|world| world.service["runningCount"] = json!(2));
    let found = cloud.deployed("orders", &web, &image).await.unwrap();
    assert_eq!((found.deployment, &*found.health), (Some(work(9).deployment), "healthy"));
    let later = || async { script.clock.sleep(Duration::from_secs(10)).await };
    script.world(|world| world.service["runningCount"] = json!(1));
    assert_eq!(
        cloud.deployed("orders", &web, &image).await.unwrap().health,
        "healthy",
        "it is believed for a moment"
    );
    later().await;
    assert_eq!(
        cloud.deployed("orders", &web, &image).await.unwrap().reason.as_deref(),
        Some("1 of 2 tasks run")
    );
    later().await;
    script.world(|world| world.service["desiredCount"] = json!(0));
    assert_eq!(cloud.deployed("orders", &web, &image).await.unwrap().health, "stopped");
    later().await;
    script.world(|world| world.deploy(revision(1).as_str().unwrap()));
    let found = cloud.deployed("orders", &web, &image).await.unwrap();
    assert_eq!((&*found.health, found.deployment), ("drifted", None));
    assert!(found.reason.unwrap().contains("orders:1 is live there, with the image shop/orders:old"));
}

#[tokio::test]
async fn it_is_the_container_with_the_services_name_that_is_looked_at() {
    // Two containers that no balancer tells apart, and a balancer that sends to the one beside the service's.
    for behind in [None, Some("mesh")] {
        let mut world = world();
        world.service["loadBalancers"] = match behind {
            Some(name) => json!([{ "containerName": name, "containerPort": 80, "targetGroupArn": "arn:tg" }]),
            None => json!([]),
        };
        let script = Script::serve(world, heals).await;
        let mut work = work(9);
        work.launch.service = "web".into();
        assert_eq!(deploys(&script.account(|_| "KEY"), &work).await.0, Ok(()));
        script.world(|world| world.service["runningCount"] = json!(2));
        let cloud = EcsCloud::new(script.account(|_| "KEY"));
        let found = cloud.deployed("web", &place(), &work.launch.artifact).await.unwrap();
        let healthy = (Some(work.deployment), "healthy", None);
        assert_eq!((found.deployment, &*found.health, found.reason.as_deref()), healthy, "{behind:?}");
        // Of another service in the same task it says nothing.
        let other = cloud.deployed("mesh", &place(), &work.launch.artifact).await.unwrap();
        assert_eq!((other.deployment, &*other.health), (None, "drifted"));
    }
}

#[tokio::test]
async fn two_services_in_one_task_have_a_deployment_each() {
    let script = Script::serve(world(), heals).await;
    let account = script.account(|_| "KEY");
    let mut both = [work(8), work(9)];
    for (work, name) in both.iter_mut().zip(["mesh", "web"]) {
        work.launch.service = name.into();
        work.launch.artifact = work.launch.artifact.replace("orders@", &format!("{name}@"));
        script.world(|world| world.updated_at = None);
        assert_eq!(deploys(&account, work).await.0, Ok(()), "{name}");
    }
    script.world(|world| world.service["runningCount"] = json!(2));
    let cloud = EcsCloud::new(account.clone());
    for work in &both {
        let found = cloud.deployed(&work.launch.service, &place(), &work.launch.artifact).await.unwrap();
        assert_eq!((found.deployment, &*found.health), (Some(work.deployment), "healthy"));
        // The second try of either finds that it was deployed.
        assert_eq!(deploys(&account, work).await.0, Ok(()));
    }
    assert_eq!(script.world(|world| world.count_of("UpdateService")), 2);
}
