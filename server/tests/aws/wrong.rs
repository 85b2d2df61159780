//! What goes wrong over there.

use domain::{RunId, StageKind, Status, view::Run};
use serde_json::{Value, json};
use testkit::{Server, Store, aws::Aws, rows::change, tiny, until};

use crate::{Driven, decide, greets};

/// No room, a host that goes away, an execution that somebody stops, a run that is cancelled in the middle.
#[tokio::test]
async fn what_goes_wrong_there_is_told_here() {
    let Some(aws) = Aws::find("aws::wrong::what_goes_wrong_there_is_told_here").await else { return };
    let driven = Driven::start(&aws, "wrong", Store::Sqlite).await;
    let server = &driven.server;

    aws.fault(
        &json!({ "operation": "RunTask", "containing": ["wrong"], "times": 3, "failure": "RESOURCE:MEMORY" }),
    )
    .await;
    let service = server.api.connect(&greets(server, "no-room", None).1).await;
    let run = server.api.start(&service).await.id;
    let run = server.api.run_until(run, "over", |r| r.status.is_terminal()).await;
    let prepare = run.stage(StageKind::Prepare).unwrap();
    assert_eq!((run.status, prepare.status), (Status::Failure, Status::Failure));
    assert!(
        prepare.reason.as_deref().unwrap().contains("no machine of the cluster has that much room"),
        "{run:?}"
    );

    // `seamless doctor` finds all of it, and says what is missing when something is.
    let examined = |change: &[(&str, &str)]| {
        let mut command = server.command(&["doctor"]);
        let said = command.envs(change.iter().copied()).output().unwrap();
        (said.status.code(), String::from_utf8(said.stdout).unwrap())
    };
    let (code, said) = examined(&[]);
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "ok   credentials",
        "ok   state machine",
        "ok   states:StartExecution",
        "ok   sqs:ReceiveMessage",
        "ok   ecs:DescribeServices",
        "hm   EC2 cores",
        "ok   clock",
        "hm   way of tasks",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let other = driven.installation.machine.replace(":wrong", ":nowhere");
    let (code, said) = examined(&[("SEAMLESS_STATE_MACHINE", other.as_str())]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("bad  state machine") && said.contains("One thing is to be mended."), "{said}");

    // The host is taken back while the command runs: another task does it again.
    let (_, mut settings) = tiny(server, "spot");
    let go = server.scratch("go");
    settings["commands"]["unit_test"] =
        json!(format!("echo begun; while [ ! -e {} ]; do sleep 0.05; done; echo done", go.display()));
    let service = server.api.connect(&settings).await;
    let run = server.api.start(&service).await.id;
    let begun = |r: &Run| r.stage(StageKind::UnitTest).is_some_and(|s| s.lines > 0);
    server.api.run_until(run, "in its unit tests", begun).await;
    let claims = json!(rows(server, run).await["unit_test"]["task"]);
    aws.lose(claims.as_str().unwrap(), "spot").await;
    server
        .api
        .run_until(run, "tried again", |r| r.stage(StageKind::UnitTest).is_some_and(|s| s.attempt == 2))
        .await;
    std::fs::write(&go, "").unwrap();
    let run = server.api.succeeded(run).await;
    assert_eq!(server.api.printed(&run, StageKind::UnitTest).await, ["begun", "done"]);

    // Cancelled in the middle: the task ends, and so does the execution.
    std::fs::remove_file(&go).unwrap();
    let run = server.api.start(&service).await.id;
    server.api.run_until(run, "in its unit tests", begun).await;
    let run = decide(server, run, "cancel").await;
    assert_eq!(run.status, Status::Cancelled);
    until("the execution to be stopped", async || {
        driven.sent("StopExecution").iter().any(|r| r.to_string().contains(&run.id.to_string())).then_some(())
    })
    .await;

    // Somebody stops the execution over there.
    let run = server.api.start(&service).await.id;
    server.api.run_until(run, "in its unit tests", begun).await;
    let arn = driven.installation.machine.replace(":stateMachine:", ":execution:");
    let stop = json!({ "executionArn": format!("{arn}:{run}"), "error": "Tidy", "cause": "by hand" });
    aws.call("AWSStepFunctions.StopExecution", &stop).await.unwrap();
    let run = server.api.run_until(run, "over", |r| r.status.is_terminal()).await;
    let reason = run.stage(StageKind::UnitTest).unwrap().reason.clone().unwrap();
    // What they say with it, LocalStack does not pass on.
    assert_eq!(reason, "runner lost: its execution was stopped in AWS");
}

/// A task has its place, and does not begin: an agent that hangs, an image that takes for ever.
#[tokio::test]
async fn a_task_that_never_starts_is_told_and_another_takes_its_place() {
    let Some(aws) =
        Aws::find("aws::wrong::a_task_that_never_starts_is_told_and_another_takes_its_place").await
    else {
        return;
    };
    let driven = Driven::start(&aws, "waits", Store::Sqlite).await;
    let (server, api) = (&driven.server, &driven.server.api);
    let (_, mut settings) = tiny(server, "orders");
    settings["commands"] = json!({ "prepare": "echo prepared" });
    let service = api.connect(&settings).await;
    let never = json!({ "operation": "RunTask", "containing": ["waits"], "task": "pending" });

    aws.fault(&never).await;
    let run = api.start(&service).await.id;
    let task = driven.task_of(run).await;
    // A quarter of an hour, for which nobody waits here.
    let database = server.database();
    let stage =
        format!("UPDATE stage SET ready_at = ready_at - 1000000 WHERE run_id = '{run}' AND kind = 'prepare'");
    change(&database, &stage).await;
    let told =
        |run: &Run| run.reason.as_deref().is_some_and(|why| why.starts_with("no task has come for Prepare"));
    let why = until("the run to say what it waits for", async || {
        // Whatever is heard of it meanwhile makes it young again.
        change(&database, &format!("UPDATE execution SET seen_at = seen_at - 200000 WHERE run_id = '{run}'"))
            .await;
        Some(api.run(run).await).filter(told)
    })
    .await
    .reason
    .unwrap();
    assert!(
        why.ends_with("look whether the cluster has room, and whether its machines reach this server"),
        "{why}"
    );
    // Somebody does, and stops it.
    let stop = json!({ "cluster": "waits", "task": task, "reason": "it hangs" });
    aws.call("AmazonEC2ContainerServiceV20141113.StopTask", &stop).await.unwrap();
    let run = api.succeeded(run).await;
    let prepare = run.stage(StageKind::Prepare).unwrap();
    assert_eq!((run.reason.as_deref(), prepare.attempt), (None, 1), "the first never had it");
    assert_eq!(api.printed(&run, StageKind::Prepare).await, ["prepared"]);

    // Where nobody looks, it can be cancelled: its task is stopped, and nothing is left.
    aws.fault(&never).await;
    let run = api.start(&service).await.id;
    let task = driven.task_of(run).await;
    let run = decide(server, run, "cancel").await;
    assert_eq!(run.status, Status::Cancelled);
    assert!(run.stages.iter().all(|stage| stage.attempt == 0), "{run:?}");
    driven.executions_are_over().await;
    let look = json!({ "cluster": "waits", "tasks": [task] });
    until("the task to be stopped", async || {
        let found = aws.call("AmazonEC2ContainerServiceV20141113.DescribeTasks", &look).await.unwrap();
        (found["tasks"][0]["lastStatus"] == "STOPPED").then_some(())
    })
    .await;

    // One whose image cannot be fetched is started again, twice; then that is what the run says.
    aws.fault(&json!({ "operation": "RunTask", "containing": ["waits"], "task": "image", "times": 3 })).await;
    let run = api.ended(api.start(&service).await.id).await;
    let prepare = run.stage(StageKind::Prepare).unwrap();
    assert_eq!((run.status, prepare.status), (Status::Failure, Status::Failure));
    let why = prepare.reason.as_deref().unwrap();
    assert!(why.starts_with("its task ended: CannotPullContainerError"), "{why}");
    assert!(why.contains("; check the image of the runner's task definition"), "{why}");
}

/// The claims of a run's execution.
async fn rows(server: &Server, run: RunId) -> Value {
    let url = server.database();
    let sql = format!("SELECT claims FROM execution WHERE run_id = '{run}'");
    serde_json::from_str(&testkit::rows::texts(&url, &sql).await[0]).unwrap()
}

impl Driven<'_> {
    /// The first task that was started of a run, once there is one.
    async fn task_of(&self, run: RunId) -> String {
        until("a task", async || {
            let asked = self.sent("RunTask").iter().any(|body| body.to_string().contains(&run.to_string()));
            let list = json!({ "cluster": self.installation.settings.cluster });
            let found = self.aws.call("AmazonEC2ContainerServiceV20141113.ListTasks", &list).await.unwrap();
            found["taskArns"][0].as_str().map(str::to_owned).filter(|_| asked)
        })
        .await
    }
}
