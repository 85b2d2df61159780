//! kill -9 in the middle: of the server and of runners, in every kind of stage and at a gate, on SQLite and on PostgreSQL.
//!
//! What was printed while nobody listened is compared line by line, and what runs is counted in `/proc`, not only asked for.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use domain::{
    RunId, StageKind, Status,
    view::{LogLine, Run, Service},
};
use futures::future::join_all;
use serde_json::json;
use testkit::{Options, Server, Store, Users, python, serves, tiny, until};

const SEAMLESS: &str = env!("CARGO_BIN_EXE_seamless");

#[tokio::test]
async fn of_the_server_on_sqlite() {
    of_the_server(Store::Sqlite).await;
}

#[tokio::test]
async fn of_the_server_on_postgres() {
    of_the_server(Store::Postgres).await;
}

#[tokio::test]
async fn of_runners_on_sqlite() {
    of_runners(Store::Sqlite).await;
}

#[tokio::test]
async fn of_runners_on_postgres() {
    of_runners(Store::Postgres).await;
}

/// As when the machine falls: nothing is left but what is on the disk.
#[tokio::test]
async fn of_everything_at_once() {
    let mut server =
        Server::start_with(SEAMLESS, Options { store: Store::Sqlite, slots: 16, ..Options::default() }).await;
    let kinds = [StageKind::UnitTest, StageKind::Build, StageKind::DeployProduction];
    let mut cases = join_all(kinds.map(|kind| Case::begin(&server, kind, false))).await;
    for case in &mut cases {
        // Nobody is served while the machine is down.
        if let Some(users) = case.users.take() {
            users.were_served().await;
        }
    }
    server.kill9();
    until("everything to be dead", async || {
        let left = server.processes();
        left.iter().for_each(testkit::proc::Process::kill9);
        left.is_empty().then_some(())
    })
    .await;
    cases.iter().for_each(Case::go);
    server.restart().await;
    join_all(cases.into_iter().map(|case| async {
        match case.kind.environment() {
            None => case.was_tried_again(&server).await,
            Some(_) => {
                let port = case.service.settings.port.unwrap();
                case.landed_or_not(&server).await;
                until("the service to be there again", async || {
                    server.api.plain(&format!("http://127.0.0.1:{port}/")).await
                })
                .await;
            }
        }
    }))
    .await;
}

/// At moments nobody chose: between a row and what it tells of, between a start and the first word.
#[tokio::test]
async fn of_the_server_again_and_again() {
    let mut server =
        Server::start_with(SEAMLESS, Options { store: Store::Sqlite, slots: 2, ..Options::default() }).await;
    let mut runs = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        let (_, mut settings) = tiny(&server, name);
        settings["commands"]["unit_test"] = json!("echo tested");
        settings["commands"]["code_quality"] = json!("echo looked at");
        let service = server.api.connect(&settings).await;
        let run = server.api.start(&service).await.id;
        runs.push((service, run));
    }
    let mut kills = 0;
    loop {
        let statuses = join_all(runs.iter().map(|(_, run)| server.api.run(*run))).await;
        if kills >= 5 && statuses.iter().all(|r| r.status.is_terminal()) {
            break;
        }
        // Not a wait for anything: each time another moment.
        tokio::time::sleep(std::time::Duration::from_millis(20 + (kills * 37) % 250)).await;
        if kills < 25 {
            server.kill9();
            server.restart().await;
        }
        kills += 1;
    }
    for (service, run) in &runs {
        let run = server.api.succeeded(*run).await;
        for (kind, printed) in [(StageKind::UnitTest, "tested"), (StageKind::CodeQuality, "looked at")] {
            assert_eq!(server.api.printed(&run, kind).await, [printed]);
        }
        for environment in ["staging", "production"] {
            let deployments = server.api.deployments(service, environment).await;
            assert_eq!(deployments.iter().map(|d| (d.run, d.live)).collect::<Vec<_>>(), [(run.id, true)]);
            let (name, live) = (&service.settings.name, deployments[0].id.to_string());
            until("one process", async || {
                (server.serving(name, environment) == [live.as_str()]).then_some(())
            })
            .await;
        }
        done_once(&server, &run).await;
    }
}

async fn of_the_server(store: Store) {
    let mut server = Server::start_with(SEAMLESS, Options { store, slots: 16, ..Options::default() }).await;
    let cases = join_all(Case::every(&server)).await;

    server.kill9();
    // Half of the commands come to their end while nobody listens, half of them afterwards.
    let (early, late): (Vec<_>, Vec<_>) = cases.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    early.iter().for_each(|(_, case)| case.go());
    server.restart().await;
    // Falling over again at once must be no worse.
    server.kill9();
    server.restart().await;
    late.iter().for_each(|(_, case)| case.go());

    join_all(cases.into_iter().map(|case| case.went_on(&server))).await;
}

async fn of_runners(store: Store) {
    let server = Server::start_with(SEAMLESS, Options { store, slots: 16, ..Options::default() }).await;
    let cases = join_all(Case::every(&server)).await;
    for case in &cases {
        let run = server.api.run(case.run).await;
        let processes = server.attempt(run.stage(case.kind).unwrap().id, 1);
        let runners: Vec<_> = processes.iter().filter(|p| p.is("runner")).collect();
        // A gate waits without holding any process.
        assert_eq!(runners.len(), usize::from(!case.gate), "{}: {processes:?}", case.service.settings.name);
        runners.iter().for_each(|runner| runner.kill9());
        case.go();
    }
    join_all(cases.into_iter().map(|case| async {
        match (case.gate, case.kind.environment()) {
            (true, _) => case.went_on(&server).await,
            (_, None) => case.was_tried_again(&server).await,
            (_, Some(_)) => case.landed_or_not(&server).await,
        }
    }))
    .await;
}

/// Prints numbered lines until a file is there, then twenty more, and how many there were.
fn prints_until(go: &str) -> String {
    format!(
        "i=0; while [ ! -e {go} ]; do echo line $i; i=$((i+1)); sleep 0.04; done; \
         n=$((i+20)); while [ $i -lt $n ]; do echo line $i; i=$((i+1)); sleep 0.01; done; echo end $i"
    )
}

/// A service that is in the middle of one stage, or at a gate.
struct Case {
    service: Service,
    kind: StageKind,
    gate: bool,
    run: RunId,
    go: PathBuf,
    /// How many deployments there were in each environment before.
    before: usize,
    users: Option<Users>,
}

impl Case {
    fn every(server: &Server) -> Vec<impl Future<Output = Case>> {
        let kinds = StageKind::ALL.map(|kind| (kind, false));
        let gate = [(StageKind::DeployProduction, true)];
        kinds.into_iter().chain(gate).map(|(kind, gate)| Case::begin(server, kind, gate)).collect()
    }

    /// Connects a service, and returns when its run is in the middle.
    async fn begin(server: &Server, kind: StageKind, gate: bool) -> Case {
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

    /// Lets the stage come to its end.
    fn go(&self) {
        fs::write(&self.go, "").unwrap();
    }

    /// The run goes on as though nothing had happened.
    async fn went_on(mut self, server: &Server) {
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
    async fn was_tried_again(mut self, server: &Server) {
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
    async fn landed_or_not(mut self, server: &Server) {
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
async fn done_once(server: &Server, run: &Run) {
    for stage in run.stages.iter().filter(|s| s.status == Status::Success) {
        for attempt in 1..stage.attempt {
            let lines = server.api.log(stage.id, attempt).await;
            assert_eq!(lines, [], "{} of {} was begun twice", stage.kind, run.service.name);
        }
        without_holes(&server.api.log(stage.id, stage.attempt).await);
    }
}

fn without_holes(lines: &[LogLine]) {
    let numbers: Vec<u64> = lines.iter().map(|l| l.seq).collect();
    assert_eq!(numbers, (0..lines.len() as u64).collect::<Vec<_>>());
}

/// What our commands printed, without what others say.
fn numbered(lines: &[LogLine]) -> Vec<String> {
    let ours = |l: &&LogLine| l.text.starts_with("line ") || l.text.starts_with("end ");
    lines.iter().filter(ours).map(|l| l.text.clone()).collect()
}

/// Each line once, in order, to the last.
fn whole(lines: &[String]) {
    let printed = lines.len().saturating_sub(1);
    let mut expected: Vec<String> = (0..printed).map(|i| format!("line {i}")).collect();
    expected.push(format!("end {printed}"));
    assert_eq!(lines, expected);
    assert!(printed >= 20, "only {printed} lines");
}

/// Paths go into shell commands as they are.
#[test]
fn scratch_paths_need_no_quotes() {
    assert!(
        Path::new(&std::env::temp_dir())
            .to_string_lossy()
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/-_.".contains(c))
    );
}
