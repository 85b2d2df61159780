//! How deployments end.

use serde_json::json;

use super::*;

const BACK: &str = "; orders:1 was put back";

#[tokio::test]
async fn a_healthy_version_serves() {
    let (script, ended, log) = played(world(), |world, seconds| {
        if seconds >= 10 {
            world.event("(service orders) has started 1 tasks: (task 0123).");
        }
        heals(world, seconds);
    })
    .await;
    assert_eq!(ended, Ok(()));
    insta::assert_snapshot!(log.join("\n"), @r"
    1 secret variables are in Secrets Manager as seamless/main/orders/web
    made orders:2 with the image 9f86d081884c in its container web
    orders:2 takes the place of orders:1 in main/orders (ecs-svc/102)
    waiting for 15 minutes at most: 1 round of at most 2 tasks, each 180 s to start, 190 s to become healthy, 330 s to end the old ones
    0 of 2 tasks run, 2 start, 2 of the version before
    ECS: has started 1 tasks: (task 0123).
    1 of 2 tasks run, 1 start, 2 of the version before
    2 of 2 tasks run
    ");
    assert_eq!(script.world(|w| (w.count_of("RegisterTaskDefinition"), w.count_of("UpdateService"))), (1, 1));
}

#[tokio::test]
async fn a_slow_one_gets_the_time_that_its_own_settings_ask_for() {
    let (script, ended, _) = played(world(), |world, seconds| {
        if seconds > 12 * 60 {
            world.complete()
        }
    })
    .await;
    assert_eq!(ended, Ok(()));
    assert!(script.clock_minutes() >= 12);
}

#[tokio::test]
async fn one_that_is_never_healthy_is_undone_at_the_deadline() {
    let (script, ended, log) = played(world(), |world, seconds| {
        world.running(1);
        if seconds > 60 {
            world.event("(service orders) (port 8080) is unhealthy in (target-group arn:tg) due to (reason Health checks failed with these codes: [503]).");
        }
    })
    .await;
    let why = ended.unwrap_err();
    assert!(
        why.starts_with("it was not healthy within 15 minutes, which is what its health settings come to"),
        "{why}"
    );
    assert!(why.contains("Health checks failed with these codes: [503]") && why.ends_with(BACK), "{why}");
    assert!(log.iter().any(|line| line.starts_with("ECS: (port 8080) is unhealthy")), "{log:#?}");
    assert_eq!(runs(&script), "orders:1");
}

#[tokio::test]
async fn what_the_circuit_breaker_rolled_back_is_a_failure_though_the_service_is_stable() {
    let (script, ended, log) = played(world(), |world, seconds| match seconds {
        0..20 => {}
        20..40 if world.tasks.is_empty() => world.stopped(
            "ServiceSchedulerInitiated",
            "Task failed ELB health checks in (target-group arn:tg)",
            json!([]),
        ),
        20..40 => {}
        40..60 if world.primary()["taskDefinition"] == revision(2) => world.give_up(),
        40..60 => {}
        // Nothing of ours is to be seen any more, and the service is stable.
        _ => world.complete(),
    })
    .await;
    assert_eq!(
        ended.unwrap_err(),
        "ECS deployment circuit breaker: tasks failed to start: Task failed ELB health checks in (target-group arn:tg); ECS went back to orders:1"
    );
    assert!(
        log.iter()
            .any(|line| line
                == "task 00000000 stopped: Task failed ELB health checks in (target-group arn:tg)"),
        "{log:#?}"
    );
    assert_eq!(script.world(|w| w.count_of("UpdateService")), 1, "ECS itself went back");
}

#[tokio::test]
async fn a_rollback_between_two_looks_is_seen_as_well() {
    let (_, ended, _) = played(world(), |world, seconds| {
        if seconds > 5 && world.primary()["taskDefinition"] == revision(2) {
            world.give_up();
            world.complete();
        }
    })
    .await;
    let why = ended.unwrap_err();
    assert!(why.contains("circuit breaker") && why.ends_with("ECS went back to orders:1"), "{why}");
}

#[tokio::test]
async fn what_an_alarm_rolled_back_names_the_alarm() {
    let (script, ended, log) = played(world(), |world, seconds| {
        match seconds {
            0..20 => {}
            // The two sentences are AWS's; that no reason beside them names the alarm is the least it could say.
            // All tasks run, and ECS watches the alarms for a while before it calls that completed.
            20..120 => world.running(2),
            _ if world.primary()["taskDefinition"] == revision(2) => {
                let id = world.primary()["id"].as_str().unwrap().to_owned();
                world
                    .event(&format!("(service orders) (deployment {id}) deployment failed: alarm detected."));
                world.event("(service orders) rolling back to deployment ecs-svc/100.");
                world.primary()["rolloutState"] = json!("FAILED");
                world.deploy(revision(1).as_str().unwrap());
            }
            _ => world.complete(),
        }
    })
    .await;
    assert_eq!(
        ended.unwrap_err(),
        "ECS gave the deployment up: (deployment ecs-svc/102) deployment failed: alarm detected; ECS went back to orders:1"
    );
    let told: Vec<_> = log.iter().filter(|line| line.contains("alarm") || line.contains("rolling")).collect();
    assert_eq!(
        told,
        [
            "ECS: (deployment ecs-svc/102) deployment failed: alarm detected.",
            "ECS: rolling back to deployment ecs-svc/100."
        ]
    );
    assert_eq!(script.world(|w| w.count_of("UpdateService")), 1, "ECS itself went back");
}

#[tokio::test]
async fn while_ecs_watches_alarms_it_is_waited_for() {
    let mut watched = world();
    let alarms = json!({ "alarmNames": ["orders-5xx"], "enable": true, "rollback": true });
    watched.service["deploymentConfiguration"]["alarms"] = alarms.clone();
    let (script, ended, log) = played(watched, |world, seconds| match seconds {
        0..1800 => world.running(2),
        _ => world.complete(),
    })
    .await;
    assert_eq!(ended, Ok(()), "{log:#?}");
    assert!(log.iter().any(|line| line.ends_with(", 2700 s in which ECS watches the alarms")), "{log:#?}");
    script
        .world(|world| assert_eq!(world.last("UpdateService")["deploymentConfiguration"]["alarms"], alarms));
}

/// As made from the form before there was an image: no tasks yet.
fn created() -> World {
    let mut world = world();
    world.definitions[0]["containerDefinitions"][0]["dockerLabels"] = json!({ "seamless.tasks": "2" });
    world.service["desiredCount"] = json!(0);
    world
}

#[tokio::test]
async fn the_first_deployment_raises_the_count_of_tasks() {
    let (script, ended, _) = played(created(), heals).await;
    assert_eq!(ended, Ok(()));
    script.world(|world| {
        assert_eq!(world.last("UpdateService")["desiredCount"], 2);
        let labels = &world.last("RegisterTaskDefinition")["containerDefinitions"][0]["dockerLabels"];
        assert_eq!(labels["seamless.tasks"], json!(null), "the count is people's from now on");
    });
}

#[tokio::test]
async fn a_first_deployment_that_fails_has_nothing_to_go_back_to() {
    let (_, ended, _) = played(created(), |world, seconds| {
        world.service["deployments"].as_array_mut().unwrap().retain(|d| d["status"] == "PRIMARY");
        if seconds > 30 && world.tasks.is_empty() {
            world.stopped(
                "EssentialContainerExited",
                "Essential container in task exited",
                json!([{ "name": "web", "exitCode": 1 }]),
            );
            world.give_up();
        }
    })
    .await;
    assert_eq!(
        ended.unwrap_err(),
        "ECS deployment circuit breaker: tasks failed to start: the container web ends again and again with exit code 1; its own log says why; there is no earlier deployment that ECS could go back to"
    );
}

#[tokio::test]
async fn a_service_that_wants_no_tasks_is_not_called_deployed() {
    let mut none = world();
    none.service["desiredCount"] = json!(0);
    let (script, ended, _) = played(none, heals).await;
    assert!(ended.unwrap_err().contains("wants 0 tasks"));
    assert_eq!(script.world(|w| w.count_of("UpdateService")), 0);
}

#[tokio::test]
async fn an_image_that_is_gone_is_found_out_at_once() {
    let (script, ended, _) = played(world(), |world, _| {
        if world.tasks.is_empty() {
            world.stopped("TaskFailedToStart", "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref: not found", json!([]));
        }
    })
    .await;
    let why = ended.unwrap_err();
    assert!(
        why.starts_with("CannotPullContainerError")
            && why.contains("still in its registry")
            && why.ends_with(BACK),
        "{why}"
    );
    assert_eq!((runs(&script), script.clock_minutes()), ("orders:1".into(), 0));
}

#[tokio::test]
async fn the_same_exit_code_three_times_is_enough() {
    let (script, ended, _) = played(world(), |world, seconds| {
        if world.tasks.len() < 3 && seconds >= 10 * (world.tasks.len() as u64 + 1) {
            world.stopped(
                "EssentialContainerExited",
                "Essential container in task exited",
                json!([{ "name": "mesh", "exitCode": 0 }, { "name": "web", "exitCode": 78 }]),
            );
        }
    })
    .await;
    let why = ended.unwrap_err();
    assert_eq!(
        why,
        format!(
            "the container web ends again and again with exit code 78; its own log says why (3 tasks){BACK}"
        )
    );
    assert_eq!((runs(&script), script.clock_minutes()), ("orders:1".into(), 0));
}

const NO_PLACE: &str = "(service orders) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 1) has insufficient memory available.";

fn on_machines(memory: i64) -> World {
    let mut world = world();
    world.service["launchType"] = json!("EC2");
    world.machines = vec![json!({ "containerInstanceArn": "arn:1", "registeredResources": [
        { "name": "CPU", "type": "INTEGER", "integerValue": 2048 }, { "name": "MEMORY", "type": "INTEGER", "integerValue": memory },
    ]})];
    world
}

#[tokio::test]
async fn capacity_that_can_never_be_there_ends_it_and_capacity_that_may_come_is_waited_for() {
    let never = |world: &mut World, _| world.event(NO_PLACE);
    let (_, ended, _) = played(on_machines(768), never).await;
    let why = ended.unwrap_err();
    assert!(why.contains("it wants 512 CPU units and 1024 MiB, the largest have 2048 and 768"), "{why}");
    let later = |world: &mut World, seconds| {
        world.event(NO_PLACE);
        if seconds > 300 {
            world.complete();
        }
    };
    let (script, ended, _) = played(on_machines(4096), later).await;
    assert_eq!((ended, script.clock_minutes()), (Ok(()), 5));
}

#[tokio::test]
async fn a_second_writer_is_told_and_not_undone() {
    let (script, ended, _) = played(world(), |world, seconds| {
        if seconds > 5 && world.definitions.len() == 2 {
            let theirs = world.definitions[0].clone();
            let theirs = world.register(theirs);
            world.deploy(&theirs);
        }
    })
    .await;
    let why = ended.unwrap_err();
    assert!(why.starts_with("somebody else deployed orders:3 to the same service meanwhile"), "{why}");
    assert_eq!(runs(&script), "orders:3");
}

#[tokio::test]
async fn cancelling_puts_the_one_before_back() {
    let cancel = CancellationToken::new();
    let firing = cancel.clone();
    let script = Script::serve(world(), move |_, seconds| {
        if seconds > 5 {
            firing.cancel()
        }
    })
    .await;
    let (ended, _) = deploys_until(&script.account(|_| "KEY"), &work(9), &cancel).await;
    assert_eq!((ended.unwrap_err(), runs(&script)), (format!("cancelled{BACK}"), "orders:1".into()));
    // Before anything was changed there is nothing to put back.
    let (ended, _) = deploys_until(&script.account(|_| "KEY"), &work(10), &cancel).await;
    assert_eq!((ended.unwrap_err(), script.world(|w| w.count_of("UpdateService"))), ("cancelled".into(), 2));
}
