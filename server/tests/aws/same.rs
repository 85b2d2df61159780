//! Every kind of run on both engines, while everything that the queue is given is told twice.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use domain::{
    StageKind, Status,
    view::{Run, Service},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use testkit::{Server, Store, aws::Aws, signature};

use crate::{
    Driven, SEAMLESS, SECRET, decide, greets, settled,
    story::{alike, of_deployments, of_run},
    through,
};

/// What becomes of a service's runs.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A full run, a rejected one, one that is cancelled at its gate, another full one, and a rollback.
    Usual,
    /// Nobody approves in time.
    Expired,
    /// Cancelled in the middle of a stage.
    CutOff,
    /// A pull request, of which the checks alone are run.
    Proposed,
    /// One that fails in this stage; of some the rest is run once more.
    Fails(StageKind),
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Usual,
        Self::Expired,
        Self::CutOff,
        Self::Proposed,
        Self::Fails(StageKind::Prepare),
        Self::Fails(StageKind::CodeQuality),
        Self::Fails(StageKind::UnitTest),
        Self::Fails(StageKind::Build),
        Self::Fails(StageKind::IntegrationTest),
        Self::Fails(StageKind::DeployStaging),
        Self::Fails(StageKind::DeployProduction),
    ];

    /// All that is told of it in the end.
    async fn play(self, server: &Server) -> Vec<String> {
        let name = match self {
            Self::Fails(stage) => stage.as_str().replace('_', "-"),
            kind => format!("{kind:?}").to_lowercase(),
        };
        let fails = if let Self::Fails(stage) = self { Some(stage) } else { None };
        let (repository, mut settings) = greets(server, &name, fails);
        match self {
            Self::Expired => settings["approval_timeout_s"] = json!(1),
            Self::CutOff => settings["commands"]["unit_test"] = json!("echo begun; sleep 600"),
            _ => {}
        }
        let service = server.api.connect(&settings).await;
        let runs = match self {
            Self::Usual => usual(server, &service).await,
            Self::Expired => {
                let run = server.api.start(&service).await.id;
                vec![(Status::Cancelled, server.api.ended(run).await)]
            }
            Self::CutOff => vec![(Status::Cancelled, cut_off(server, &service).await)],
            Self::Proposed => {
                let sha = repository.commit(&[("VERSION", "2\n")], "Proposed");
                repository.git(&["push", "--quiet", "origin", "HEAD:refs/pull/7/head"]);
                vec![(Status::Success, proposed(server, &service, &sha).await)]
            }
            Self::Fails(stage) => {
                let run = through(server, &service).await;
                assert_eq!(run.failed_stage().map(|stage| stage.kind), Some(stage), "{run:?}");
                let mut runs = vec![(Status::Failure, run)];
                if [StageKind::UnitTest, StageKind::DeployProduction].contains(&stage) {
                    let path = format!("/runs/{}/rerun", runs[0].1.id);
                    let rest: Run = server.api.post(&path, json!({ "from": "failed" })).await.to(202);
                    let rest = match settled(server, rest.id).await {
                        waits if waits.status == Status::AwaitingApproval => {
                            decide(server, waits.id, "approve").await
                        }
                        over => over,
                    };
                    runs.push((Status::Failure, rest));
                }
                runs
            }
        };
        let mut told = Vec::new();
        for (status, run) in runs {
            assert_eq!(run.status, status, "{self:?}: {run:?}");
            told.extend(of_run(server, &run).await);
        }
        told.extend(of_deployments(server, &service).await);
        told
    }
}

async fn usual(server: &Server, service: &Service) -> Vec<(Status, Run)> {
    let first = through(server, service).await;
    let mut runs = Vec::new();
    for (what, status) in [("reject", Status::Cancelled), ("cancel", Status::Cancelled)] {
        let run = server.api.start(service).await.id;
        settled(server, run).await;
        runs.push((status, decide(server, run, what).await));
    }
    runs.push((Status::Success, through(server, service).await));
    runs.push((Status::Success, rolled_back(server, service, &first).await));
    runs.push((Status::Success, first));
    runs
}

/// What a run deployed runs again.
pub async fn rolled_back(server: &Server, service: &Service, to: &Run) -> Run {
    let back = start_rollback(server, service, to).await;
    server.api.ended(back.id).await
}

pub async fn start_rollback(server: &Server, service: &Service, to: &Run) -> Run {
    let deployments = server.api.deployments(service, "production").await;
    let older = deployments.iter().find(|deployed| deployed.run == to.id).unwrap().id;
    let body = json!({ "environment": "production", "deployment": older });
    server.api.post(&format!("/services/{}/rollback", service.id), body).await.to(202)
}

/// A run that is cancelled in its unit tests, when its other check is over.
pub async fn cut_off(server: &Server, service: &Service) -> Run {
    let run = server.api.start(service).await.id;
    let middle = |run: &Run| {
        run.stage(StageKind::UnitTest).is_some_and(|stage| stage.lines > 1)
            && run.stage(StageKind::CodeQuality).is_some_and(|stage| stage.status == Status::Success)
    };
    server.api.run_until(run, "in its unit tests", middle).await;
    decide(server, run, "cancel").await
}

async fn proposed(server: &Server, service: &Service, sha: &str) -> Run {
    let said = server.command(&["hook-secret", &service.settings.name]).output().unwrap();
    let secret = String::from_utf8(said.stdout).unwrap();
    let event = "pull_request_opened";
    let body = json!({ "event": event, "ref": "refs/pull/7/head", "after": sha, "pull_request": 7 });
    let body = body.to_string();
    let request = server.api.request("POST", &format!("/hooks/git/{}", service.id));
    let request = request.header("x-seamless-delivery", "one");
    let request =
        request.header("x-seamless-signature-256", signature(secret.trim(), body.as_bytes())).body(body);
    server.api.send(request).await.unwrap().is(202);
    let run = server.api.run_of(service, sha).await;
    server.api.ended(run.id).await
}

/// One stand-in for all of it, since it takes its time to start.
#[tokio::test]
async fn the_same_as_on_one_machine() {
    let Some(aws) = Aws::find("aws::same::the_same_as_on_one_machine").await else { return };
    let driven = Driven::start(&aws, "same", Store::Sqlite).await;
    let embedded = Server::start(SEAMLESS).await;

    let over = Cell::new(false);
    let stories = async {
        let (embedded, driven) = (&embedded, &driven);
        let told = stream::iter(Kind::ALL).map(|kind| async move {
            let (here, there) = tokio::join!(kind.play(embedded), kind.play(&driven.server));
            alike(&format!("{kind:?}"), &here, &there);
        });
        // More of them at a time get on no faster.
        told.buffer_unordered(3).collect::<()>().await;
        driven.executions_are_over().await;
        over.set(true);
    };
    let mut twice = BTreeSet::new();
    let tells = async {
        while !over.get() {
            driven.tell_again(&mut twice).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::join!(stories, tells);
    assert!(twice.iter().any(|body| body.contains("ended")), "something was told twice");

    // One execution for each run, and all that was told of it was understood.
    let runs = driven.server.number("SELECT COUNT(*) FROM run").await;
    let names: BTreeSet<String> =
        driven.sent("StartExecution").iter().map(|body| body["name"].to_string()).collect();
    assert_eq!(names.len() as i64, runs);
    let aside = "SELECT COUNT(*) FROM event WHERE kind IN ('message_set_aside', 'engine_trouble')";
    assert_eq!(driven.server.number(aside).await, 0);

    // Nothing secret was in anything that was sent there, nor in what tasks print beside their stage's log.
    let everything: String =
        aws.requests().iter().map(Value::to_string).collect::<String>() + &aws.task_logs();
    assert!(everything.contains("SEAMLESS_TICKET"), "this is where tickets are");
    for secret in [SECRET, &driven.server.api.token] {
        assert!(!everything.contains(secret), "a secret was sent");
    }
    // All that a task is told of itself.
    let tasks = driven.sent("RunTask");
    assert!(!tasks.is_empty());
    for body in tasks {
        let told = &body["overrides"]["containerOverrides"][0]["environment"];
        let names: Vec<&str> = told.as_array().unwrap().iter().filter_map(|v| v["name"].as_str()).collect();
        assert_eq!(
            names.into_iter().collect::<BTreeSet<_>>(),
            BTreeSet::from([
                "SEAMLESS_RUN",
                "SEAMLESS_STAGE",
                "SEAMLESS_TRY",
                "SEAMLESS_TICKET",
                "SEAMLESS_URL"
            ])
        );
    }
}
