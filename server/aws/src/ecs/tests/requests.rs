//! What is asked of AWS, and how often.

use serde_json::json;

use super::*;

#[tokio::test]
async fn only_the_services_own_container_changes() {
    let (script, ended, _) = played(world(), heals).await;
    assert_eq!(ended, Ok(()));
    script.world(|world| {
        let asked = world.last("RegisterTaskDefinition").clone();
        insta::assert_snapshot!(serde_json::to_string_pretty(&asked).unwrap());
        let rules = json!({ "maximumPercent": 150, "minimumHealthyPercent": 50, "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
        let update = json!({ "cluster": "main", "service": "orders", "taskDefinition": revision(2), "deploymentConfiguration": rules });
        assert_eq!(world.last("UpdateService"), &update, "nothing else of the service is touched");
    });
}

#[tokio::test]
async fn secrets_are_said_to_secrets_manager_and_nowhere_else() {
    let script = Script::serve(world(), heals).await;
    let account = script.account(|_| "KEY");
    let (ended, log) = deploys(&account, &work(9)).await;
    assert_eq!(ended, Ok(()));
    assert!(!log.join("\n").contains(SECRET));
    script.world(|world| {
        let told: Vec<_> = world
            .calls
            .iter()
            .filter(|(_, asked)| asked.to_string().contains(SECRET))
            .map(|(name, _)| &**name)
            .collect();
        assert_eq!(told, ["PutSecretValue", "CreateSecret"], "the first says that there is none yet");
        assert_eq!(
            world.kept.last().unwrap(),
            &("seamless/main/orders/web".into(), json!(format!("{{\"TOKEN\":\"{SECRET}\"}}")))
        );
    });
    // One that is taken away here goes there as well, as do those of the version before; what others put there stays.
    script.play(heals);
    let mut next = work(10);
    next.launch.variables.clear();
    assert_eq!(deploys(&account, &next).await.0, Ok(()));
    script.world(|world| {
        let web = &world.last("RegisterTaskDefinition")["containerDefinitions"][0];
        assert_eq!(web["secrets"], json!([]));
        let names: Vec<_> =
            web["environment"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["MODE", "SEAMLESS_COMMIT", "SEAMLESS_DEPLOYMENT", "SEAMLESS_ENVIRONMENT", "SEAMLESS_SERVICE"]
        );
    });
}

#[tokio::test]
async fn asking_twice_is_asking_once() {
    let script = Script::serve(world(), heals).await;
    let account = script.account(|_| "KEY");
    assert_eq!(deploys(&account, &work(9)).await.0, Ok(()));
    let (ended, log) = deploys(&account, &work(9)).await;
    assert_eq!(ended, Ok(()));
    assert!(log[0].contains("orders:2 is this deployment already"), "{log:?}");
    assert_eq!(script.world(|w| (w.count_of("RegisterTaskDefinition"), w.count_of("UpdateService"))), (1, 1));
}

#[tokio::test]
async fn a_try_that_ended_before_it_deployed_is_taken_up() {
    let script = Script::serve(world(), heals).await;
    let account = script.account(|_| "KEY");
    script.refuse(|action, _, _| {
        (action == "UpdateService").then(|| (400, "AccessDeniedException", "no".into()))
    });
    let (ended, _) = deploys(&account, &work(9)).await;
    assert!(ended.unwrap_err().starts_with("AWS refuses ecs:UpdateService: no; allow it"));
    script.refuse(|_, _, _| None);
    assert_eq!(deploys(&account, &work(9)).await.0, Ok(()));
    assert_eq!(script.world(|w| w.count_of("RegisterTaskDefinition")), 1);
}

#[tokio::test]
async fn what_ecs_has_given_up_is_not_tried_again() {
    let (script, ended, _) = played(world(), |world, seconds| {
        if seconds > 5 && world.primary()["taskDefinition"] == revision(2) {
            world.give_up();
            world.complete();
        }
    })
    .await;
    assert!(ended.is_err());
    script.world(|world| {
        world.history = vec![json!({ "targetServiceRevisionArn": "arn:rev/2", "of": revision(2), "status": "ROLLBACK_SUCCESSFUL",
            "statusReason": "Service deployment rolled back because the circuit breaker threshold was exceeded." })];
    });
    let (ended, _) = deploys(&script.account(|_| "KEY"), &work(9)).await;
    assert_eq!(
        ended.unwrap_err(),
        "orders:2 was this deployment; ECS says it is rollback successful: Service deployment rolled back because the circuit breaker threshold was exceeded"
    );
    assert_eq!(script.world(|w| w.count_of("UpdateService")), 1);
}

#[tokio::test]
async fn going_back_brings_the_configuration_of_then() {
    let script = Script::serve(world(), heals).await;
    let account = script.account(|_| "KEY");
    assert_eq!(deploys(&account, &work(9)).await.0, Ok(()));
    // Somebody gives it more memory, and the next version comes.
    script.world(|world| {
        let mut larger = world.definitions[1].clone();
        larger["memory"] = json!("4096");
        let larger = world.register(larger);
        world.deploy(&larger);
        world.complete();
    });
    script.play(heals);
    assert_eq!(deploys(&account, &work(10)).await.0, Ok(()));
    assert_eq!(script.world(|w| w.last("RegisterTaskDefinition")["memory"].clone()), "4096");
    script.play(heals);
    let mut back = work(11);
    back.back_to = Some(work(9).deployment);
    let (ended, log) = deploys(&account, &back).await;
    assert_eq!(ended, Ok(()));
    assert!(log.contains(&"going back to what orders:2 was".into()), "{log:#?}");
    assert_eq!(script.world(|w| w.last("RegisterTaskDefinition")["memory"].clone()), "1024");
}
