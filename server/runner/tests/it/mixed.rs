//! Integration tests without a Compose file, with a real daemon: images beside images, and beside processes.

use domain::{StageKind, containers::Toolchain, protocol::*};
use runner::Cause;
use testkit::docker::Daemon;

use crate::{
    compose::{image, launch, nothing_is_left, passes, reason},
    containers::{finish, runner},
    process::start,
    support::*,
};

/// A service that runs as a process: [`FakeTarget`] answers its name.
fn process(service: &str) -> Launch {
    Launch { container: None, health_path: None, ..launch(service, &"0".repeat(64)) }
}

fn job(server: &Server, command: &str, candidate: Launch, neighbours: Vec<Launch>) -> Job {
    let work = Work::Integrate { command: command.into(), candidate, neighbours, compose: None };
    let job = server.job(StageKind::IntegrationTest, work);
    std::fs::create_dir_all(server.workspace(&job)).unwrap();
    job
}

/// With a toolchain image that can ask.
fn with_tools(daemon: &Daemon, job: Job) -> Job {
    image(daemon, "tools");
    let toolchain =
        ToolchainImage { image: "seamless-test/web:tools".into(), settings: Toolchain::default() };
    Job { toolchain: Some(toolchain), ..job }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_find_each_other_and_the_command_finds_its_workspace() {
    let Some(daemon) = Daemon::find("images_find_each_other_and_the_command_finds_its_workspace") else {
        return;
    };
    let server = Server::start().await;
    let (orders, stock) = (image(&daemon, "orders"), image(&daemon, "stock"));
    let command = "web $SEAMLESS_URL_ORDERS/name orders && web $SEAMLESS_URL_ORDERS/ask/STOCK_API stock \
        && web $SEAMLESS_URL_STOCK_API/ask/ORDERS orders && web $SEAMLESS_URL_ORDERS/PLAIN 'a$b' && web $SEAMLESS_URL_ORDERS/PORT 7070 \
        && web $SEAMLESS_URL_ORDERS/SEAMLESS_ENVIRONMENT test && web $SEAMLESS_URL_STOCK_API/PORT 9000 \
        && cat from-outside && echo made > made && touch $HOME/a && echo $TOKEN $NAME $SEAMLESS_STAGE";
    let mut candidate = launch("orders", &orders);
    candidate.variables.push(JobVariable { name: "PLAIN".into(), value: "a$b".into(), secret: false });
    // A start command of its own, and a port that was said.
    let mut neighbour = launch("stock-api", &stock);
    neighbour.start = "exec web".into();
    neighbour.container.as_mut().unwrap().port = Some(9000);
    let mut job = with_tools(&daemon, job(&server, command, candidate, vec![neighbour]));
    job.variables.push(JobVariable { name: "TOKEN".into(), value: "hunter2hunter2".into(), secret: true });
    let workspace = server.workspace(&job);
    std::fs::write(workspace.join("from-outside"), "hello\n").unwrap();
    passes(&server, &daemon, job).await;
    let printed = server.printed();
    assert!(printed.contains(&"hello".to_owned()), "{}", server.log());
    assert!(printed.contains(&"****** tools integration_test".to_owned()), "{}", server.log());
    assert_eq!(std::fs::read_to_string(workspace.join("made")).unwrap(), "made\n");
    for told in [
        "orders is healthy",
        "stock-api is healthy",
        "Stdout: stock-api | stock listens on 9000",
        "Stdout: orders | stopping",
    ] {
        assert!(server.log().contains(told), "{told}\n{}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_processes_find_each_other() {
    let Some(daemon) = Daemon::find("images_and_processes_find_each_other") else { return };
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    let neighbours = vec![process("pricing")];
    // FakeTarget answers on `/` alone, with its name.
    let command = "web $SEAMLESS_URL_PRICING/ pricing && web $SEAMLESS_URL_ORDERS/name orders && web $SEAMLESS_URL_ORDERS/SEAMLESS_URL_PRICING";
    passes(&server, &daemon, job(&server, command, launch("orders", &orders), neighbours)).await;
    assert!(server.log().contains("pricing 1111111 runs as a process on this host"), "{}", server.log());
    assert!(server.printed().iter().any(|line| line.starts_with("http://pricing:")), "{}", server.log());

    // The other way round: the candidate is a process and the command runs on this host.
    let repository = Repository::empty();
    let commit = repository.commit("One", &[("there", "yes\n")]);
    server.succeeds(repository.prepare(&server, &commit, None)).await;
    let work = Work::Build { command: None, bundle: true, image: None };
    let artifact = server.succeeds(server.job(StageKind::Build, work)).await.outputs.artifact.unwrap();
    let candidate = Launch { artifact, ..process("shop") };
    let command = "cat there; echo $SEAMLESS_URL_SHOP; env | grep SEAMLESS_URL_ORDERS=http://127.0.0.1:";
    let job = job(&server, command, candidate, vec![launch("orders", &orders)]);
    passes(&server, &daemon, job).await;
    let printed = server.printed();
    assert!(printed.contains(&"yes".to_owned()), "{}", server.log());
    let own = printed.iter().find(|line| line.starts_with("http://127.0.0.1:"));
    assert!(own.is_some(), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_runs_in_the_candidates_image_where_there_is_no_other() {
    let Some(daemon) = Daemon::find("the_command_runs_in_the_candidates_image_where_there_is_no_other")
    else {
        return;
    };
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    let command = "echo 'Error: that is wrong' >&2; exit 4";
    let finish =
        finish(&server, job(&server, command, launch("orders", &orders), Vec::new()), runner(&daemon)).await;
    nothing_is_left(&server, &daemon).await;
    assert!(finish.reason.as_deref().unwrap().ends_with("exited with 4"), "{finish:?}");
    assert_eq!(finish.error.unwrap().text, "Error: that is wrong");
    assert!(server.log().contains("in the candidate's own image"), "{}", server.log());
    let told =
        reason(&server, &daemon, job(&server, "no-such-tool", launch("orders", &orders), Vec::new())).await;
    assert!(told.starts_with("not found: `no-such-tool` does not exist in the candidate's image"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_do_not_become_healthy_end_the_stage() {
    let Some(daemon) = Daemon::find("services_that_do_not_become_healthy_end_the_stage") else { return };
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    let told = |change: fn(&mut Launch)| {
        let mut launch = launch("orders", &orders);
        launch.health_timeout_s = 2;
        change(&mut launch);
        let job = job(&server, "true", launch, Vec::new());
        reason(&server, &daemon, job)
    };
    let ended = told(|l| l.start = "echo Error: no database; exit 3".into()).await;
    assert_eq!(ended, "the candidate orders did not start: its container ended with exit code 3");
    let lines = server.inner().lines.clone();
    let error = server.inner().finishes[0].error.clone().unwrap();
    assert_eq!(lines[error.seq as usize].text, "orders | Error: no database");
    let ill = told(|l| l.health_path = Some("/nothing".into())).await;
    assert!(ill.ends_with("not healthy within 2 s: GET /nothing answered 404"), "{ill}");
    let closed = told(|l| l.start = "PORT=7071 exec web".into()).await;
    assert!(closed.contains("nothing answers on port 7070 inside"), "{closed}");
    let closed = told(|l| (l.start, l.health_path) = ("PORT=7071 exec web".into(), None)).await;
    assert!(closed.contains("nothing answers on port 7070 inside"), "{closed}");
    let open = finish(
        &server,
        job(&server, "true", Launch { health_path: None, ..launch("orders", &orders) }, Vec::new()),
        runner(&daemon),
    )
    .await;
    assert_eq!(open.outcome, Outcome::Success, "an open port is enough without a path: {open:?}");
    let missing = told(|l| l.start = "exec no-such-program".into()).await;
    assert!(missing.contains("its container ended with exit code 127"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_stopped_takes_all_with_it() {
    let Some(daemon) = Daemon::find("a_command_that_is_stopped_takes_all_with_it") else { return };
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    let job = job(&server, "echo begun; sleep 100000", launch("orders", &orders), vec![process("pricing")]);
    let (child, _) = start(&server, job, runner(&daemon));
    server.sees("Stdout: begun").await;
    let id = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(crate::process::ended(child).await, Some(0));
    let finish = server.inner().finishes[0].clone();
    assert_eq!(finish.outcome, Outcome::Cancelled, "{finish:?} {:?}", Cause::Stopped);
    nothing_is_left(&server, &daemon).await;
}
