//! kill -9 in the middle, of services that are containers: of the server, of runners and of the Docker daemon itself, while an
//! image is built, while it is tested by Compose and while it is deployed.
//!
//! What is left is counted with Docker, not only asked for. Needs a daemon; without one each test is skipped, by its name.

#![allow(clippy::unwrap_used)]

use domain::{
    RunId, StageKind, Status,
    view::{LogLine, Run, Service},
};
use futures::future::join_all;
use runner::docker::labels;
use serde_json::json;
use testkit::{Options, OwnDaemon, Repository, Server, docker::Daemon, free_port, github::GitHub, until};

const SEAMLESS: &str = env!("CARGO_BIN_EXE_seamless");
const KINDS: [StageKind; 3] = [StageKind::Build, StageKind::IntegrationTest, StageKind::DeployProduction];
/// Sixty lines over six seconds: long enough to be met in the middle.
const SLOW: &str = "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.1; done";

async fn server(daemon: &Daemon) -> Server {
    Server::start_with(
        SEAMLESS,
        Options { slots: 8, docker: Some(daemon.host.clone()), ..Options::default() },
    )
    .await
}

#[tokio::test]
async fn of_the_server_with_containers() {
    let Some(daemon) = Daemon::find("of_the_server_with_containers") else { return };
    let mut server = server(&daemon).await;
    let cases = join_all(KINDS.map(|kind| Case::begin(&server, &daemon, kind))).await;
    server.kill9();
    server.restart().await;
    server.kill9();
    server.restart().await;
    for case in &cases {
        let run = server.api.succeeded(case.run).await;
        let stage = run.stage(case.kind).unwrap();
        assert_eq!(stage.attempt, 1, "what was under way is not begun again: {stage:?}");
        whole(&server.api.log(stage.id, 1).await);
        case.is_deployed_once(&server, &daemon).await;
    }
    nothing_is_left(&server, &daemon).await;
    forget(&server, &daemon, &cases).await;
}

#[tokio::test]
async fn of_runners_with_containers() {
    let Some(daemon) = Daemon::find("of_runners_with_containers") else { return };
    let server = server(&daemon).await;
    let cases = join_all(KINDS.map(async |kind| {
        let case = Case::begin(&server, &daemon, kind).await;
        // At once: by the time the others are in the middle, a build may be at its end.
        let run = server.api.run(case.run).await;
        let processes = server.attempt(run.stage(case.kind).unwrap().id, 1);
        processes.iter().filter(|p| p.is("runner")).for_each(|runner| runner.kill9());
        case
    }))
    .await;
    for case in &cases {
        let run = server.api.ended(case.run).await;
        let stage = run.stage(case.kind).unwrap();
        if case.kind.environment().is_none() {
            assert_eq!((run.status, stage.attempt), (Status::Success, 2), "{stage:?}");
            whole(&server.api.log(stage.id, 2).await);
        } else if run.status == Status::Failure {
            assert!(stage.reason.as_deref().unwrap().contains("runner lost"), "{stage:?}");
            case.serves(&server, &daemon, "1").await;
            continue;
        }
        case.is_deployed_once(&server, &daemon).await;
    }
    nothing_is_left(&server, &daemon).await;
    forget(&server, &daemon, &cases).await;
}

#[tokio::test]
async fn of_the_daemon_in_a_build_and_in_a_test() {
    let Some(mut own) = OwnDaemon::find("of_the_daemon_in_a_build_and_in_a_test").await else { return };
    let daemon = Daemon::at(&own.host());
    let mut server = server(&daemon).await;
    let kinds = [StageKind::Build, StageKind::IntegrationTest];
    let cases = join_all(kinds.map(|kind| Case::begin(&server, &daemon, kind))).await;
    own.kill9();
    for case in &cases {
        let run = server.api.ended(case.run).await;
        let stage = run.stage(case.kind).unwrap();
        assert_eq!(run.status, Status::Failure, "{stage:?}");
        assert!(stage.reason.as_deref().unwrap().contains("Docker"), "{stage:?}");
    }
    own.restart().await;
    // At its start the server looks at once for what is left; while it runs it does so every minute.
    server.kill9();
    server.restart().await;
    nothing_is_left(&server, &daemon).await;
    for case in &cases {
        let again =
            server.api.post(&format!("/runs/{}/rerun", case.run), json!({ "from": "failed" })).await.is(202);
        let run: Run = serde_json::from_value(again).unwrap();
        server.api.succeeded(run.id).await;
        case.serves(&server, &daemon, "2").await;
    }
    nothing_is_left(&server, &daemon).await;
    forget(&server, &daemon, &cases).await;
}

#[tokio::test]
async fn a_private_repository_of_tests_is_read_with_a_token_for_that_alone() {
    let name = "a_private_repository_of_tests_is_read_with_a_token_for_that_alone";
    let Some(daemon) = Daemon::find(name) else { return };
    let github = GitHub::start().await;
    let (orders, tests) = (github.repository("acme/orders"), github.repository("acme/tests"));
    orders.change(&[("Dockerfile", &format!("FROM {}\n", daemon.served()))], "Start");
    let file = format!(
        "services:\n  orders: {{image: a}}\n  test: {{image: {}, command: [sh, -c, 'echo tested from afar']}}\n",
        daemon.base()
    );
    tests.change(&[("compose.yaml", &file)], "Test all");
    github.make_private("acme/orders");
    github.make_private("acme/tests");
    let (docker, environment) = (Some(daemon.host.clone()), github.app_environment());
    let server = Server::start_with(SEAMLESS, Options { docker, environment, ..Options::default() }).await;
    let settings = json!({
        "name": "orders", "repository": "acme/orders", "branch": "main", "dockerfile": "Dockerfile", "staging": false,
        "integration": { "repository": "acme/tests" }, "port": free_port(),
        "environments": { "production": { "target": "docker" } },
    });
    let service = server.api.connect(&settings).await;
    let run = server.api.start(&service).await;
    // It waits for approval then; what is asked here is done.
    let tested = |run: &Run| run.stage(StageKind::IntegrationTest).is_some_and(|s| s.status.is_terminal());
    let run = server.api.run_until(run.id, "tested", tested).await;
    let stage = run.stage(StageKind::IntegrationTest).unwrap();
    assert_eq!(stage.status, Status::Success, "{stage:?}");
    let log = server.api.get(&format!("/stages/{}/log.txt", stage.id)).await.text;
    assert!(
        log.contains("tested from afar") && log.contains("/acme/tests.git") && !log.contains("ghs_"),
        "{log}"
    );
    let issued = github.state().issued.clone();
    assert!(issued.iter().any(|(_, of)| of == &["acme/tests"]), "{issued:?}");
    assert!(issued.iter().all(|(_, of)| of.len() == 1), "each for one repository alone: {issued:?}");
    let found =
        std::process::Command::new("grep").args(["-rla", "ghs_"]).arg(server.data()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert!(!server.log().contains("ghs_"));
    server.api.post(&format!("/runs/{}/cancel", run.id), json!({})).await.is(202);
    server.api.ended(run.id).await;
    nothing_is_left(&server, &daemon).await;
    server.api.delete(&format!("/services/{}", service.id)).await.is(204);
}

/// A service that is in the middle of one stage of its second version.
struct Case {
    service: Service,
    kind: StageKind,
    run: RunId,
    before: usize,
}

impl Case {
    async fn begin(server: &Server, daemon: &Daemon, kind: StageKind) -> Case {
        let api = &server.api;
        let base = daemon.served();
        let name = kind.to_string().replace('_', "-");
        let repository = Repository::empty(&server.repositories(), &name);
        let dockerfile = |version: &str, step: &str| format!("FROM {base}\nENV VERSION={version}\n{step}");
        repository.change(&[("Dockerfile", &dockerfile("1", ""))], "Start");
        let mut settings = json!({
            "name": name,
            "repository": repository.path(),
            "branch": "main",
            "dockerfile": "Dockerfile",
            "health_path": "/health",
            "health_timeout_s": 60,
            "auto_deploy": true,
            "staging": false,
            "commands": { "integration_test": "/bin/web $SEAMLESS_URL_".to_owned() + &name.to_uppercase().replace('-', "_") + "/health well" },
            "port": free_port(),
            "environments": { "production": { "target": "docker" } },
        });
        if kind == StageKind::IntegrationTest {
            let test = settings["commands"]["integration_test"].as_str().unwrap().to_owned();
            settings["commands"]["integration_test"] =
                json!(format!("[ $VERSION = 1 ] || {{ {SLOW}; }}; {test}"));
        }
        if kind == StageKind::DeployProduction {
            settings["commands"]["start"] = json!(format!(
                "[ $VERSION = 1 ] || [ $SEAMLESS_ENVIRONMENT != production ] || {{ {SLOW}; }}; exec /bin/web"
            ));
        }
        let service = api.connect(&settings).await;
        let first = api.start(&service).await;
        api.succeeded(first.id).await;
        // The path makes it another step than that of a test beside this one: what was built once is not built again.
        let step = if kind == StageKind::Build {
            format!("RUN : {}; {SLOW}\n", repository.path())
        } else {
            String::new()
        };
        let sha = repository.change(&[("Dockerfile", &dockerfile("2", &step))], "Second");
        let run = api.run_of(&service, &sha).await.id;
        let case = Case { service, kind, run, before: 1 };
        until(&format!("{name} to be in the middle"), async || {
            let stage = api.run(run).await.stage(kind).cloned().unwrap();
            assert!(!stage.status.is_terminal(), "{stage:?}");
            let begun = stage.attempt == 1 && numbers(&api.log(stage.id, 1).await).len() >= 3;
            begun.then_some(())
        })
        .await;
        case
    }

    async fn is_deployed_once(&self, server: &Server, daemon: &Daemon) {
        let deployments = server.api.deployments(&self.service, "production").await;
        assert_eq!(deployments.len(), self.before + 1, "{deployments:?}");
        self.serves(server, daemon, "2").await;
    }

    /// Exactly one container of it runs, and that is this version.
    async fn serves(&self, server: &Server, daemon: &Daemon, version: &str) {
        let service = format!("label={}={}", labels::SERVICE, self.service.settings.name);
        let instance = format!("label={}={}", labels::INSTANCE, labels::instance(&server.data()));
        let filters = ["ps", "--quiet", "--filter", &service, "--filter", &instance];
        until(&format!("one container of {}", self.service.settings.name), async || {
            (daemon.said(&filters).lines().count() == 1).then_some(())
        })
        .await;
        let url = format!("http://127.0.0.1:{}/VERSION", self.service.settings.port.unwrap());
        until(&format!("version {version}"), async || {
            server.api.plain(&url).await.filter(|said| said == version)
        })
        .await;
    }
}

/// No container, network or volume of any stage attempt is there.
async fn nothing_is_left(server: &Server, daemon: &Daemon) {
    let instance = format!("label={}={}", labels::INSTANCE, labels::instance(&server.data()));
    let attempt = format!("label={}", labels::ATTEMPT);
    for list in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        let asked = [list, &["--quiet", "--filter", &instance, "--filter", &attempt]].concat();
        until(&format!("nothing in docker {list:?}"), async || {
            Some(daemon.said(&asked)).filter(String::is_empty).map(drop)
        })
        .await;
    }
}

/// What is deployed outlives its server, so it is told to go.
async fn forget(server: &Server, daemon: &Daemon, cases: &[Case]) {
    for case in cases {
        server.api.delete(&format!("/services/{}", case.service.id)).await.is(204);
    }
    let instance = format!("label={}={}", labels::INSTANCE, labels::instance(&server.data()));
    assert_eq!(daemon.said(&["ps", "--all", "--quiet", "--filter", &instance]), "");
}

/// The numbers of the lines our loop printed, whatever stands before them.
fn numbers(lines: &[LogLine]) -> Vec<u32> {
    let number = |line: &LogLine| {
        let (before, number) = line.text.rsplit_once("line ")?;
        (!before.contains("echo")).then(|| number.trim().parse().ok())?
    };
    lines.iter().filter_map(number).collect()
}

/// Each line once, in order, without a hole.
fn whole(lines: &[LogLine]) {
    assert_eq!(numbers(lines), (0..60).collect::<Vec<_>>());
    let seqs: Vec<u64> = lines.iter().map(|line| line.seq).collect();
    assert_eq!(seqs, (0..lines.len() as u64).collect::<Vec<_>>());
}
