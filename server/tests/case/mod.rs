//! Services that are each in the middle of one stage, or at a gate, and what must have become of them once everything that fell is
//! up again: nothing lost, nothing done twice.

#![allow(clippy::unwrap_used)]
// Each test crate uses its part of this.
#![allow(dead_code)]

use std::{fs, path::PathBuf};

use domain::{
    RunId, StageKind, Status,
    view::{LogLine, Run, Service},
};
use serde_json::json;
use testkit::{Server, Users, python, serves, tiny, until};

/// Prints numbered lines until a file is there, then twenty more, and how many there were.
fn prints_until(go: &str) -> String {
    format!(
        "i=0; while [ ! -e {go} ]; do echo line $i; i=$((i+1)); sleep 0.04; done; \
         n=$((i+20)); while [ $i -lt $n ]; do echo line $i; i=$((i+1)); sleep 0.01; done; echo end $i"
    )
}

/// A service that is in the middle of one stage, or at a gate.
pub struct Case {
    pub service: Service,
    pub kind: StageKind,
    pub gate: bool,
    pub run: RunId,
    go: PathBuf,
    /// How many deployments there were in each environment before.
    before: usize,
    pub users: Option<Users>,
}

impl Case {
    pub fn every(server: &Server) -> Vec<impl Future<Output = Case>> {
        let kinds = StageKind::ALL.map(|kind| (kind, false));
        let gate = [(StageKind::DeployProduction, true)];
        kinds.into_iter().chain(gate).map(|(kind, gate)| Case::begin(server, kind, gate)).collect()
    }

    /// Connects a service, and returns when its run is in the middle.
    pub async fn begin(server: &Server, kind: StageKind, gate: bool) -> Case {
        let api = &server.api;
        let name = if gate { "gate".to_owned() } else { kind.to_string().replace('_', "-") };
        let (repository, mut settings) = tiny(server, &name);
        let deploys = kind.environment().is_some() && !gate;
        let go = server.scratch(&name);
        let slow = prints_until(&go.to_string_lossy());
        settings["staging"] = json!(kind == StageKind::DeployStaging);
        settings["auto_deploy"] = json!(!gate);
        if deploys {
            // Slow in one environment and in its second version alone.
            let environment = kind.environment().unwrap();
            let app = format!("exec {} -S -E app.py", python());
            settings["commands"]["start"] = json!(format!(
                "if [ $SEAMLESS_ENVIRONMENT = {environment} ] && grep -q 2 VERSION; then {slow}; fi; {app}"
            ));
        } else if !gate {
            settings["commands"][kind.as_str()] = json!(slow);
        }
        if kind < StageKind::Build {
            settings["commands"]["start"] = json!(null);
        }
        let service = api.connect(&settings).await;
        let mut users = None;
        if deploys {
            let first = api.start(&service).await;
            api.succeeded(first.id).await;
            let port = service.settings.port.unwrap();
            serves(api, port, "1").await;
            users = Some(Users::of(api, port));
        }
        let sha = repository.change(&[("VERSION", "2\n")], "Second");
        let run = api.run_of(&service, &sha).await.id;
        if gate {
            api.stage_is(run, kind, Status::AwaitingApproval).await;
        } else {
            let run =
                api.run_until(run, "in the middle", |r| r.stage(kind).is_some_and(|s| s.lines >= 12)).await;
            assert_eq!(run.stage(kind).unwrap().status, Status::InProgress);
        }
        Case { service, kind, gate, run, go, before: usize::from(deploys), users }
    }

    /// Waits until more of what is printed from now on has arrived, as a server tells it; at a gate nothing prints.
    pub async fn prints_more(&self, server: &Server) {
        if self.gate {
            return;
        }
        let lines = async || {
            let answer =
                server.api.send(server.api.request("GET", &format!("/api/v1/runs/{}", self.run))).await?;
            let run: Run = serde_json::from_str(&answer.text).ok()?;
            Some(run.stage(self.kind)?.lines)
        };
        let before = until("the server to answer", lines).await;
        until("more lines", async || lines().await.filter(|now| *now >= before + 3)).await;
    }

    /// Lets the stage come to its end.
    pub fn go(&self) {
        fs::write(&self.go, "").unwrap();
    }

    /// The run goes on as though nothing had happened.
    pub async fn went_on(mut self, server: &Server) {
        if self.gate {
            let run = server.api.run(self.run).await;
            assert_eq!(run.status, Status::AwaitingApproval, "{run:?}");
            server.api.post(&format!("/runs/{}/approve", self.run), json!({})).await.is(200);
        }
        let run = server.api.succeeded(self.run).await;
        for stage in &run.stages {
            let tried = u32::from(stage.status == Status::Success);
            assert_eq!(
                stage.attempt, tried,
                "{}: {} {:?}",
                self.service.settings.name, stage.kind, stage.reason
            );
            without_holes(&server.api.log(stage.id, stage.attempt).await);
        }
        if !self.gate {
            let stage = run.stage(self.kind).unwrap();
            assert_eq!(stage.attempt, 1, "a stage that was under way is not begun again: {stage:?}");
            whole(&numbered(&server.api.log(stage.id, 1).await));
        }
        self.is_deployed_once(server, &run).await;
    }

    /// The stage was done once more, by another runner.
    pub async fn was_tried_again(mut self, server: &Server) {
        let run = server.api.succeeded(self.run).await;
        let stage = run.stage(self.kind).unwrap();
        assert_eq!(stage.attempt, 2, "{stage:?}");
        let (first, second) = (server.api.log(stage.id, 1).await, server.api.log(stage.id, 2).await);
        without_holes(&first);
        without_holes(&second);
        let lost = numbered(&first);
        assert!(
            lost.len() >= 12 && lost.iter().enumerate().all(|(i, l)| *l == format!("line {i}")),
            "{lost:?}"
        );
        whole(&numbered(&second));
        assert_eq!(server.attempt(stage.id, 1).len(), 0, "what the first runner had started is still there");
        self.is_deployed_once(server, &run).await;
    }

    /// A deploy is not done twice: it had landed, or the old version serves on.
    pub async fn landed_or_not(mut self, server: &Server) {
        let run = server.api.ended(self.run).await;
        let stage = run.stage(self.kind).unwrap();
        assert_eq!(stage.attempt, 1, "{stage:?}");
        without_holes(&server.api.log(stage.id, 1).await);
        if run.status == Status::Success {
            return self.is_deployed_once(server, &run).await;
        }
        assert_eq!(run.status, Status::Failure, "{run:?}");
        assert!(stage.reason.as_deref().unwrap().contains("runner lost"), "{stage:?}");
        let environment = self.kind.environment().unwrap().as_str();
        let deployments = server.api.deployments(&self.service, environment).await;
        assert_eq!(deployments.len(), 1, "{deployments:?}");
        self.one_process(server, environment, &deployments[0].id.to_string()).await;
        if let Some(users) = self.users.take() {
            users.were_served().await;
        }
    }

    /// One new deployment in each environment, and exactly one process that serves it.
    async fn is_deployed_once(&mut self, server: &Server, run: &Run) {
        for stage in &run.stages {
            let Some(environment) = stage.kind.environment().filter(|_| stage.status == Status::Success)
            else {
                continue;
            };
            let deployments = server.api.deployments(&self.service, environment.as_str()).await;
            assert_eq!(deployments.len(), self.before + 1, "{deployments:?}");
            let live: Vec<_> = deployments.iter().filter(|d| d.live).collect();
            assert_eq!(live.iter().map(|d| d.run).collect::<Vec<_>>(), [run.id]);
            self.one_process(server, environment.as_str(), &live[0].id.to_string()).await;
        }
        if run.stage(StageKind::DeployProduction).is_some_and(|s| s.status == Status::Success) {
            serves(&server.api, self.service.settings.port.unwrap(), "2").await;
        }
        if let Some(users) = self.users.take() {
            users.were_served().await;
        }
    }

    /// The version before drains for a moment; in the end there is one process, and it is the right one.
    async fn one_process(&self, server: &Server, environment: &str, deployment: &str) {
        let name = &self.service.settings.name;
        let what = format!("one process of {name} in {environment}, of deployment {deployment}");
        until(&what, async || (server.serving(name, environment) == [deployment]).then_some(())).await;
    }
}

/// Each stage was done once. One whose runner never began, because the server fell between the row and the start, is begun anew.
pub async fn done_once(server: &Server, run: &Run) {
    for stage in run.stages.iter().filter(|s| s.status == Status::Success) {
        for attempt in 1..stage.attempt {
            let lines = server.api.log(stage.id, attempt).await;
            assert_eq!(lines, [], "{} of {} was begun twice", stage.kind, run.service.name);
        }
        without_holes(&server.api.log(stage.id, stage.attempt).await);
    }
}

pub fn without_holes(lines: &[LogLine]) {
    let numbers: Vec<u64> = lines.iter().map(|l| l.seq).collect();
    assert_eq!(numbers, (0..lines.len() as u64).collect::<Vec<_>>());
}

/// What our commands printed, without what others say.
pub fn numbered(lines: &[LogLine]) -> Vec<String> {
    let ours = |l: &&LogLine| l.text.starts_with("line ") || l.text.starts_with("end ");
    lines.iter().filter(ours).map(|l| l.text.clone()).collect()
}

/// Each line once, in order, to the last.
pub fn whole(lines: &[String]) {
    let printed = lines.len().saturating_sub(1);
    let mut expected: Vec<String> = (0..printed).map(|i| format!("line {i}")).collect();
    expected.push(format!("end {printed}"));
    assert_eq!(lines, expected);
    assert!(printed >= 20, "only {printed} lines");
}
