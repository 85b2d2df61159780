//! Integration tests by a Compose file, with a real daemon. Without one each test says its name and that it was skipped.

use std::{
    path::Path,
    process::{Child, Command},
    sync::OnceLock,
};

use domain::{StageKind, containers::ContainerSettings, protocol::*};
use runner::docker::leftovers;
use testkit::docker::Daemon;

use crate::{
    containers::{docker, finish, instance, left, runner},
    process::{ended, start},
    support::*,
};

/// An image of the tests' service, which calls itself `name`; answers its digest.
pub fn image(daemon: &Daemon, name: &str) -> String {
    static PROGRAM: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/fixtures/web.c");
        let made = Command::new("cc").args(["-static", "-O1", "-w", "-o"]).arg(folder.path().join("web")).arg(source).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let base = daemon.base();
        let text = format!(
            "FROM {base}\nARG NAME\nCOPY --chmod=755 web /bin/web\nENV NAME=$NAME\nEXPOSE 7070\nCMD [\"/bin/web\"]\n"
        );
        std::fs::write(folder.path().join("Dockerfile"), text).unwrap();
        folder
    });
    let tag = format!("seamless-test/web:{name}");
    let argument = format!("NAME={name}");
    daemon.said(&[
        "build",
        "--quiet",
        "--tag",
        &tag,
        "--build-arg",
        &argument,
        &folder.path().to_string_lossy(),
    ]);
    daemon.said(&["image", "inspect", "--format", "{{.Id}}", &tag])
}

/// How a version of a service is started from an image.
pub fn launch(service: &str, image: &str) -> Launch {
    Launch {
        service: service.into(),
        artifact: image.into(),
        commit: "1".repeat(40),
        start: String::new(),
        context: None,
        health_path: Some("/health".into()),
        health_timeout_s: 30,
        variables: Vec::new(),
        container: Some(Container { port: None, settings: ContainerSettings::default(), registry: None }),
    }
}

/// A job that tests `orders` with the Compose file `compose.test.yaml`.
fn job(server: &Server, file: &str, orders: &str, neighbours: Vec<Launch>) -> Job {
    let work = Work::Integrate {
        command: String::new(),
        candidate: launch("orders", orders),
        neighbours,
        compose: Some(ComposeWork {
            login: None,
            repository: None,
            file: None,
            service: "orders".into(),
            test_service: "test".into(),
        }),
    };
    let job = server.job(StageKind::IntegrationTest, work);
    std::fs::create_dir_all(server.workspace(&job)).unwrap();
    std::fs::write(server.workspace(&job).join("compose.test.yaml"), file).unwrap();
    job
}

/// Everything that is gone: with the daemon, and of the run's folder.
pub async fn nothing_is_left(server: &Server, daemon: &Daemon) {
    assert_eq!(left(server, daemon).await, [""; 0], "{}", server.log());
    let run = server.inner().job.as_ref().unwrap().run;
    let folder = runner::paths::Data::new(server.data()).run(run);
    let there: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(there.iter().all(|name| *name == "src" || *name == "tmp"), "{there:?}");
}

pub async fn passes(server: &Server, daemon: &Daemon, job: Job) {
    let finish = finish(server, job, runner(daemon)).await;
    assert_eq!(finish.outcome, Outcome::Success, "{finish:?}\n{}", server.log());
    nothing_is_left(server, daemon).await;
}

pub async fn reason(server: &Server, daemon: &Daemon, job: Job) -> String {
    let finish = finish(server, job, runner(daemon)).await;
    assert_eq!(finish.outcome, Outcome::Failure, "{finish:?}\n{}", server.log());
    nothing_is_left(server, daemon).await;
    finish.reason.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_candidate_beside_its_live_neighbours() {
    let Some(daemon) = Daemon::find("the_candidate_beside_its_live_neighbours") else { return };
    let server = Server::start().await;
    let (orders, stock) = (image(&daemon, "orders"), image(&daemon, "stock"));
    // A port that is taken: it is not published, so that does not matter.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let file = format!(
        r#"
name: always-the-same
services:
  orders:
    build: ./nowhere
    image: registry.invalid/orders:latest
    container_name: orders
    ports: ["127.0.0.1:{port}:7070"]
    depends_on: {{migrate: {{condition: service_completed_successfully}}}}
    environment: {{FROM_FILE: "costs $$5", PLAIN: the-file}}
  stock: {{image: "registry.invalid/stock:latest", volumes: ["kept:/kept"]}}
  migrate: {{image: {base}, command: [sh, -c, "echo migrated; echo \"$$TOKEN\""], environment: [TOKEN]}}
  test:
    image: {base}-web
    depends_on: [orders, stock]
    command:
      - sh
      - -c
      - until web $$SEAMLESS_URL_ORDERS/health 2>/dev/null && web $$SEAMLESS_URL_STOCK/health 2>/dev/null; do sleep 0.05; done;
        web $$SEAMLESS_URL_ORDERS/name orders && web http://orders:7070/ask/STOCK stock && web http://orders:7070/FROM_FILE 'costs $$5'
        && web http://orders:7070/PLAIN the-file && web http://orders:7070/OTHER 'a$$b' && echo to-stderr >&2
  tool: {{profiles: [debug], image: registry.invalid/tool}}
networks: {{default: {{name: shared, ipam: {{config: [{{subnet: 10.99.0.0/24}}]}}}}}}
volumes: {{kept: {{name: kept}}}}
"#,
        base = daemon.base(),
    );
    image(&daemon, "test");
    daemon.said(&["tag", "seamless-test/web:test", &format!("{}-web", daemon.base())]);
    let mut job = job(&server, &file, &orders, vec![launch("stock", &stock)]);
    let secret = JobVariable { name: "TOKEN".into(), value: "hunter2hunter2".into(), secret: true };
    job.variables.push(secret);
    if let Work::Integrate { candidate, .. } = &mut job.work {
        let variable =
            |name: &str, value: &str| JobVariable { name: name.into(), value: value.into(), secret: false };
        candidate.variables = vec![variable("PLAIN", "the-settings"), variable("OTHER", "a$b")];
    }
    passes(&server, &daemon, job).await;
    let log = server.log();
    for told in [
        "testing with compose.test.yaml",
        "orders is orders 1111111, image ",
        "the ports of orders",
        "the container name of orders",
        "the fixed address of network default",
        "fixed name is left out: network default, volume kept",
        "left out, for the test does not ask for their profiles: tool",
        "Stdout: migrate | migrated",
        "Stdout: migrate | ******",
        "migrate ended with exit code 0",
        "Stdout: stock | stock listens on 7070",
        "Stdout: test | costs $5",
        "Stderr: test | to-stderr",
        "Stdout: orders | stopping",
    ] {
        assert!(log.contains(told), "{told}\n{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_of_the_test_is_the_verdict() {
    let Some(daemon) = Daemon::find("the_exit_code_of_the_test_is_the_verdict") else { return };
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    // Another that dies is told, and is not the verdict; nor does the test wait for what is not ready when it is over.
    let file = format!(
        "services:\n  orders: {{image: a}}\n  flaky: {{image: {base}, command: [sh, -c, 'exit 9']}}\n  test:\n    image: {base}\n    restart: always\n    depends_on: {{flaky: {{condition: service_completed_successfully, required: false}}}}\n    command: [sh, -c, 'echo \"AssertionError: 1 is not 2\" >&2; exit 3']\n",
        base = daemon.base()
    );
    let finish = finish(&server, job(&server, &file, &orders, Vec::new()), runner(&daemon)).await;
    nothing_is_left(&server, &daemon).await;
    assert_eq!(finish.reason.as_deref(), Some("the test service `test` exited with 3"), "{}", server.log());
    assert_eq!(finish.exit_code, Some(3));
    let error = finish.error.unwrap();
    assert_eq!(error.text, "AssertionError: 1 is not 2");
    assert_eq!(server.inner().lines[error.seq as usize].text, "test | AssertionError: 1 is not 2");
    assert!(server.log().contains("flaky ended with exit code 9"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_another_repository_that_builds_its_test() {
    let Some(daemon) = Daemon::find("a_file_in_another_repository_that_builds_its_test") else { return };
    let server = Server::start().await;
    let (orders, tests) = (image(&daemon, "orders"), Repository::empty());
    let base = daemon.base();
    let file = "services:\n  shop: {image: a}\n  test: {build: tests, image: shared/name, command: [cat, /hello]}\n  again: {image: shared/name, command: [cat, /hello]}\n";
    let dockerfile = format!("FROM {base}\nCOPY hello /hello\n");
    let files =
        [("docker-compose.yml", file), ("tests/Dockerfile", dockerfile.as_str()), ("tests/hello", "hello\n")];
    let commit = tests.commit("Test all", &files);
    let mut job = job(&server, "", &orders, Vec::new());
    if let Work::Integrate { compose, .. } = &mut job.work {
        let address = tests.path.to_string_lossy().into_owned();
        let (service, test_service) = ("shop".into(), "test".into());
        *compose = Some(ComposeWork {
            repository: Some((address, commit)),
            login: None,
            file: None,
            service,
            test_service,
        });
    }
    passes(&server, &daemon, job).await;
    let log = server.log();
    assert!(log.contains("Stdout: test | hello") && log.contains("testing with docker-compose.yml"), "{log}");
    let images = daemon.said(&["image", "ls", "--format", "{{.Repository}}"]);
    assert!(
        !images.lines().any(|name| name.starts_with("shared/name") || name.ends_with("-1-test")),
        "{images}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_wrong_say_what_to_do() {
    let Some(daemon) = Daemon::find("files_that_are_wrong_say_what_to_do") else { return };
    let server = Server::start().await;
    let (orders, base) = (image(&daemon, "orders"), daemon.base());
    let with = |rest: &str| {
        format!("services:\n  orders: {{image: a}}\n  test: {{image: {base}, command: [\"true\"]}}\n{rest}")
    };
    let cases = [
        ("services:\n  orders: {image: a, foo: 1}\n".to_owned(), "the Compose file `compose.test.yaml` is not valid: "),
        ("services: [".to_owned(), "the Compose file `compose.test.yaml` is not valid: "),
        (format!("services:\n  test: {{image: {base}}}\n"), "the Compose file has no service `orders`, which is this service: name one of test"),
        ("services:\n  orders: {image: a}\n".to_owned(), "the Compose file has no service `test`, which is the test: name one of orders"),
        (with("  x: {image: a, network_mode: host}\n"), "the service `x` of the Compose file uses the host's network"),
        (with("  x: {image: a, volumes: ['data:/data']}\nvolumes: {data: {external: true}}\n"), "the volume `data` of the Compose file is external"),
        (with("  x: {image: a, external_links: [db]}\n"), "the service `x` of the Compose file links to containers outside of it"),
        (
            with(&format!("  x:\n    image: {base}\n    command: [sleep, '100']\n    healthcheck: {{test: [CMD-SHELL, 'echo not yet; exit 1'], interval: 200ms, retries: 2}}\n  y: {{image: {base}, command: [sleep, '100'], depends_on: {{x: {{condition: service_healthy}}}}}}\n"))
                .replace("command: [\"true\"]", "command: [sleep, '100']"),
            "the service `x`, which others wait for, never became healthy: its health check says `not yet`",
        ),
        (
            format!("services:\n  orders: {{image: a, command: [sh, -c, 'echo Error: no; exit 7'], healthcheck: {{test: [CMD, 'false'], interval: 1s}}}}\n  test: {{image: {base}, command: ['true'], depends_on: {{orders: {{condition: service_healthy}}}}}}\n"),
            "the service `orders`, which others wait for, ended with exit code 7",
        ),
        (
            format!("services:\n  orders: {{image: a, command: [no-such-program]}}\n  test: {{image: {base}, command: ['true'], depends_on: [orders]}}\n"),
            "the ",
        ),
    ];
    for (file, expected) in cases {
        let told = reason(&server, &daemon, job(&server, &file, &orders, Vec::new())).await;
        assert!(told.starts_with(expected), "{told}\n{file}");
    }
    let told = reason(&server, &daemon, {
        let job = job(&server, "", &orders, Vec::new());
        std::fs::remove_file(server.workspace(&job).join("compose.test.yaml")).unwrap();
        job
    });
    assert!(told.await.starts_with(
        "the service's integration tests want a Compose file, and there is none of compose.test.yaml"
    ));
    let gone = format!("sha256:{}", "e".repeat(64));
    let told = reason(&server, &daemon, job(&server, &with(""), &gone, Vec::new())).await;
    assert!(
        told.starts_with("the image of the candidate orders (1111111) is gone: start a run of orders"),
        "{told}"
    );
    let stock = with("  stock: {image: a}\n");
    let told = reason(&server, &daemon, job(&server, &stock, &orders, vec![launch("stock", &gone)])).await;
    assert!(told.starts_with("the image of its neighbour stock (1111111) is gone"), "{told}");
}

/// A job whose test waits for ever once it has begun.
fn endless(server: &Server, daemon: &Daemon, orders: &str) -> Job {
    let file = format!(
        "services:\n  orders: {{image: a, volumes: ['data:/data']}}\n  test: {{image: {}, command: [sh, -c, 'echo begun; sleep 100000']}}\nvolumes: {{data: }}\n",
        daemon.base()
    );
    job(server, &file, orders, Vec::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_never_ends_is_ended() {
    let Some(daemon) = Daemon::find("a_test_that_never_ends_is_ended") else { return };
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    let job = Job { timeout_s: 10, ..endless(&server, &daemon, &orders) };
    let told = reason(&server, &daemon, job).await;
    assert!(told.starts_with("Integration Test did not end within 10 s"), "{told}");
    assert!(server.log().contains("test | begun"), "{}", server.log());

    let (child, _) = start(&server, endless(&server, &daemon, &orders), runner(&daemon));
    server.sees("test | begun").await;
    server.inner().cancel = true;
    assert_eq!(ended(child).await, Some(0));
    assert_eq!(server.inner().finishes[0].outcome, Outcome::Cancelled);
    server.inner().cancel = false;
    nothing_is_left(&server, &daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_runner_leaves_is_found_by_its_label() {
    let Some(daemon) = Daemon::find("what_a_killed_runner_leaves_is_found_by_its_label") else { return };
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    let job = endless(&server, &daemon, &orders);
    let attempt = format!("{}.{}", job.stage, job.attempt);
    let (mut child, _) = start(&server, job, runner(&daemon));
    server.sees("test | begun").await;
    child.kill().unwrap();
    child.wait().unwrap();
    runner::tree::kill(&attempt, std::time::Duration::from_secs(5)).await;
    assert_eq!(left(&server, &daemon).await, [attempt.as_str()]);
    let removed = leftovers::remove(&docker(&daemon), &instance(&server), &attempt).await.unwrap();
    let kinds: Vec<_> = removed.iter().map(|one| one.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["container", "container", "network", "volume"]);
    assert_eq!(left(&server, &daemon).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_the_same_time_do_not_touch_each_other() {
    let Some(daemon) = Daemon::find("runs_at_the_same_time_do_not_touch_each_other") else { return };
    // Two of the same service, and ten of different ones, each with the same file and its own answer.
    let names: Vec<String> =
        ["same", "same"].map(str::to_owned).into_iter().chain((0..10).map(|i| format!("own-{i}"))).collect();
    let images: Vec<String> = names.iter().map(|name| image(&daemon, name)).collect();
    let asking = image(&daemon, "test");
    let mut running: Vec<(Server, Child)> = Vec::new();
    for (name, image) in names.iter().zip(&images) {
        let server = Server::start().await;
        let file = format!(
            "name: shop\nservices:\n  orders: {{image: a, container_name: orders, ports: ['18080:7070'], volumes: ['data:/data']}}\n  test:\n    image: {asking}\n    command: [sh, -c, 'until web http://orders:7070/health; do sleep 0.1; done; web http://orders:7070/name {name}']\nvolumes: {{data: {{name: data}}}}\n"
        );
        let (child, _) = start(&server, job(&server, &file, image, Vec::new()), runner(&daemon));
        running.push((server, child));
    }
    for (server, child) in running {
        assert_eq!(ended(child).await, Some(0));
        let finish = server.inner().finishes[0].clone();
        assert_eq!(finish.outcome, Outcome::Success, "{finish:?}\n{}", server.log());
        nothing_is_left(&server, &daemon).await;
    }
}

/// A way to the daemon that can be cut, as when the daemon goes away.
struct Way {
    folder: tempfile::TempDir,
    passing: tokio::task::JoinSet<()>,
}

impl Way {
    fn to(daemon: &Daemon) -> Self {
        let socket = daemon.host.strip_prefix("unix://").unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let mut passing = tokio::task::JoinSet::new();
        passing.spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let socket = socket.clone();
                open.spawn(async move {
                    let mut to = tokio::net::UnixStream::connect(socket).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        Self { folder, passing }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_goes_away_in_the_middle() {
    let Some(daemon) = Daemon::find("a_daemon_that_goes_away_in_the_middle") else { return };
    if !daemon.host.starts_with("unix://") {
        return println!("skipped: a_daemon_that_goes_away_in_the_middle (not on a socket)");
    }
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    let mut way = Way::to(&daemon);
    let mut command = runner(&daemon);
    command.env("DOCKER_HOST", way.host());
    let job = endless(&server, &daemon, &orders);
    let attempt = format!("{}.{}", job.stage, job.attempt);
    let (child, _) = start(&server, job, command);
    server.sees("test | begun").await;
    way.passing.shutdown().await;
    assert_eq!(ended(child).await, Some(0));
    let told = server.inner().finishes[0].reason.clone().unwrap();
    assert!(told.starts_with("the Docker daemon went away in the middle of the test: "), "{told}");
    assert!(server.log().contains("The server removes it when the daemon answers again"), "{}", server.log());
    // When it is back, the server's sweep does this.
    leftovers::remove(&docker(&daemon), &instance(&server), &attempt).await.unwrap();
    nothing_is_left(&server, &daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_or_a_plugin_that_is_not_there() {
    let Some(daemon) = Daemon::find("a_daemon_or_a_plugin_that_is_not_there") else { return };
    let server = Server::start().await;
    let orders = image(&daemon, "orders");
    let mut away = runner(&daemon);
    away.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let ended = finish(&server, endless(&server, &daemon, &orders), away).await;
    let told = ended.reason.unwrap();
    assert!(
        told.starts_with("the Docker daemon at unix:///nowhere/docker.sock does not answer: start it"),
        "{told}"
    );

    // A program that knows no plugin.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("docker");
    let text = "#!/bin/sh\necho \"docker: unknown command: docker $1\n\nRun 'docker --help' for more information\" >&2\nexit 1\n";
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut without = runner(&daemon);
    without.env("PATH", format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap()));
    let ended = finish(&server, endless(&server, &daemon, &orders), without).await;
    let told = ended.reason.unwrap();
    assert!(told.starts_with("`docker compose` is not there: install Docker's plugin for it"), "{told}");
    let mut without = runner(&daemon);
    without.env("PATH", Path::new("/nowhere"));
    let ended = finish(&server, endless(&server, &daemon, &orders), without).await;
    assert!(ended.reason.unwrap().starts_with("the program `docker` is not on this machine"));
    nothing_is_left(&server, &daemon).await;
}
