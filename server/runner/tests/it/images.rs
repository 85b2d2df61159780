//! Images built, reused and pushed, with a real daemon and a real registry.

use std::{collections::BTreeMap, fs, io::Read, path::Path, time::Duration};

use domain::{StageKind, protocol::*};
use testkit::docker::{Daemon, Registry as Kept};

use crate::{
    commands::{lives, unique},
    containers::{finish, left, runner},
    process::{ended, start},
    support::*,
};

/// What a build job is made of.
struct Case {
    server: Server,
    daemon: Daemon,
    service: String,
}

impl Case {
    async fn new(test: &str) -> Option<Self> {
        let daemon = Daemon::find(test)?;
        daemon.base();
        let service = format!("orders-{}", random() >> 16);
        Some(Self { server: Server::start().await, daemon, service })
    }

    fn work(&self) -> ImageWork {
        ImageWork {
            dockerfile: "Dockerfile".into(),
            arguments: BTreeMap::new(),
            secrets: Vec::new(),
            source: "https://ci:hunter2hunter2@git.example.org/acme/orders.git".into(),
            registry: None,
        }
    }

    /// A job over a workspace with these files.
    fn job(&self, work: ImageWork, commit: &str, files: &[(&str, &str)]) -> Job {
        self.server.inner().job = None;
        let build = Work::Build { command: None, bundle: true, image: Some(work) };
        let job = self.server.job(StageKind::Build, build);
        for (name, content) in files {
            let path = self.server.workspace(&job).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Job { service: self.service.clone(), commit: commit.repeat(40), ..job }
    }

    async fn finish(&self, job: Job) -> Finish {
        finish(&self.server, job, runner(&self.daemon)).await
    }

    async fn made(&self, job: Job) -> String {
        let finish = self.finish(job).await;
        assert_eq!(finish.outcome, Outcome::Success, "{finish:?}\n{}", self.server.log());
        assert!(finish.outputs.artifact_size.unwrap() > 0);
        finish.outputs.artifact.unwrap()
    }

    async fn fails(&self, job: Job) -> (String, String) {
        let finish = self.finish(job).await;
        assert_eq!(finish.outcome, Outcome::Failure, "{}", self.server.log());
        assert!(finish.outputs.artifact.is_none());
        (finish.reason.unwrap(), finish.error.map(|line| line.text).unwrap_or_default())
    }

    fn inspect(&self, format: &str, image: &str) -> String {
        self.daemon.said(&["image", "inspect", "--format", format, image])
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let filter = format!("label=seamless.service={}", self.service);
        let images = self.daemon.said(&["image", "ls", "--quiet", "--no-trunc", "--filter", &filter]);
        let images: std::collections::BTreeSet<&str> = images.split_whitespace().collect();
        if !images.is_empty() {
            let call: Vec<&str> = ["image", "rm", "--force"].into_iter().chain(images).collect();
            let _ = self.daemon.docker(&call).output();
        }
    }
}

const DOCKERFILE: &str = "ARG BASE=seamless-test/base:1\nFROM $BASE\nARG COLOUR\nCOPY . /app\nRUN echo colour $COLOUR; sort -r /app/list > /app/sorted\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_labelled_and_known_by_its_id() {
    let Some(case) = Case::new("an_image_is_built_labelled_and_known_by_its_id").await else { return };
    let mut work = case.work();
    work.arguments =
        BTreeMap::from([("COLOUR".into(), "sea green".into()), ("HTTP_PROXY".into(), String::new())]);
    work.dockerfile = "docker/orders.Dockerfile".into();
    let files = [
        ("docker/orders.Dockerfile", DOCKERFILE),
        ("service/list", "b\na\n"),
        ("service/.git/config", "token"),
        ("service/sub/.git", "gitdir: elsewhere"),
        ("service/left-out", ""),
        // As somebody may try who wants it in.
        ("service/.dockerignore", "left-out\n!.git\n!**/.git\n"),
    ];
    let job = Job { context: Some("service".into()), ..case.job(work, "a", &files) };
    let artifact = case.made(job).await;
    assert!(artifact.starts_with("sha256:") && artifact.len() == 71, "{artifact}");
    let log = case.server.log();
    assert!(log.contains("colour sea green"), "{log}");
    let tag = format!("seamless/{}:{}", case.service, "a".repeat(40));
    assert_eq!(case.inspect("{{.Id}}", &tag), artifact);
    let labels = case.inspect("{{json .Config.Labels}}", &tag);
    for part in [
        "\"org.opencontainers.image.source\":\"https://git.example.org/acme/orders.git\"",
        &format!("\"org.opencontainers.image.revision\":\"{}\"", "a".repeat(40)),
        "\"org.opencontainers.image.created\":\"20",
        "\"seamless.inputs\":\"",
        &format!("\"seamless.service\":\"{}\"", case.service),
    ] {
        assert!(labels.contains(part), "{part} in {labels}");
    }
    let inside = case.daemon.said(&["run", "--rm", "--entrypoint", "/bin/ls", &artifact, "-aR", "/app"]);
    let names: Vec<_> = inside.lines().filter(|l| !l.ends_with(':') && !l.is_empty()).collect();
    assert!(names.contains(&"sorted") && names.contains(&"sub"), "{inside}");
    assert!(!names.contains(&".git") && !names.contains(&"left-out"), "{inside}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_a_build_is_nowhere_afterwards() {
    let Some(case) = Case::new("a_secret_of_a_build_is_nowhere_afterwards").await else { return };
    let dockerfile = "FROM seamless-test/base:1\nCOPY . /app\n\
        RUN --mount=type=secret,id=TOKEN,required=true cat /run/secrets/TOKEN; grep -c . /run/secrets/TOKEN > /lines\n";
    let mut work = case.work();
    work.secrets = vec!["TOKEN".into()];
    // BuildKit does not look at secrets when it looks for a step that was done before.
    let once = random().to_string();
    let mut job = case.job(work.clone(), "b", &[("Dockerfile", dockerfile), ("once", &once)]);
    let secret = "hush-hush-4711-first\nand-a-second-line-of-it";
    job.variables.push(JobVariable { name: "TOKEN".into(), value: secret.into(), secret: true });
    let artifact = case.made(job).await;
    let lines: Vec<&str> = secret.lines().collect();
    let log = case.server.log();
    assert!(log.contains("******") && lines.iter().all(|line| !log.contains(line)), "{log}");
    assert_eq!(case.daemon.said(&["run", "--rm", "--entrypoint", "/bin/cat", &artifact, "/lines"]), "2");

    // Layers, history, labels: all there is of an image, layers unpacked too.
    let saved = case.daemon.docker(&["save", &artifact]).output().unwrap().stdout;
    let history = case.daemon.said(&["history", "--no-trunc", &artifact]);
    let all = case.inspect("{{json .}}", &artifact);
    let mut found = vec![saved.clone(), history.into_bytes(), all.into_bytes()];
    let folder = tempfile::tempdir().unwrap();
    tar::Archive::new(&saved[..]).unpack(folder.path()).unwrap();
    files(folder.path(), &mut found);
    let holds =
        |text: &str| found.iter().any(|bytes| bytes.windows(text.len()).any(|w| w == text.as_bytes()));
    assert!(holds("seamless.inputs") && holds("orders"), "what is searched is the image");
    for line in lines {
        assert!(!holds(line), "{line} is in the image");
    }
    // Nor is anything left in the stage's folder.
    let mut own = Vec::new();
    files(&case.server.data().join("stages"), &mut own);
    assert!(!own.iter().any(|bytes| bytes.windows(9).any(|w| w == b"hush-hush")));

    let (reason, _) = case.fails(case.job(work, "b", &[("Dockerfile", dockerfile)])).await;
    assert!(reason.starts_with("the build secret TOKEN has no value"), "{reason}");
}

fn files(folder: &Path, all: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), all);
        } else if entry.file_type().unwrap().is_file() {
            let mut bytes = Vec::new();
            fs::File::open(entry.path()).unwrap().read_to_end(&mut bytes).unwrap();
            all.push(bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_tree_is_the_same_image() {
    let Some(case) = Case::new("an_unchanged_tree_is_the_same_image").await else { return };
    let files = [("Dockerfile", DOCKERFILE), ("list", "b\na\n"), (".git/HEAD", "one")];
    let first = case.made(case.job(case.work(), "a", &files)).await;
    let again = case.made(case.job(case.work(), "c", &[files[0], files[1], (".git/HEAD", "two")])).await;
    assert_eq!(first, again);
    let log = case.server.log();
    assert!(log.contains("is taken again") && !log.contains("#1 "), "{log}");
    for commit in ["a", "c"] {
        let tag = format!("seamless/{}:{}", case.service, commit.repeat(40));
        assert_eq!(case.inspect("{{.Id}}", &tag), first);
    }
    let other = case.made(case.job(case.work(), "d", &[files[0], ("list", "c\n")])).await;
    assert_ne!(other, first);
    let mut work = case.work();
    work.arguments = BTreeMap::from([("COLOUR".into(), "red".into())]);
    let red = case.made(case.job(work, "d", &files[..2])).await;
    assert!(red != first && red != other);
    // What was removed is built again.
    case.daemon.said(&["image", "rm", "--force", &first]);
    case.made(case.job(case.work(), "e", &files)).await;
    assert!(case.server.log().contains("#1 "), "{}", case.server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_build_is_told() {
    let Some(case) = Case::new("what_is_wrong_with_a_build_is_told").await else { return };
    let fails =
        async |dockerfile: &str| case.fails(case.job(case.work(), "a", &[("Dockerfile", dockerfile)])).await;
    let (reason, error) = fails("FORM seamless-test/base:1\n").await;
    assert!(
        reason.starts_with("the image could not be built from Dockerfile: dockerfile parse error"),
        "{reason}"
    );
    assert!(error.contains("FORM"), "{error}");
    let (reason, error) =
        fails("FROM seamless-test/base:1\nRUN echo 'error: never mind'\nRUN echo hello; echo 'error: the list is empty' >&2; exit 4\n").await;
    assert!(reason.starts_with("`RUN echo hello;") && reason.ends_with("exited with 4"), "{reason}");
    assert_eq!(error, "error: the list is empty");
    let (reason, _) = fails("FROM seamless-test/base:1\nCOPY nothing /\n").await;
    assert!(reason.contains("/nothing") && reason.contains("not found"), "{reason}");
    let (reason, _) = fails("FROM 127.0.0.1:9/no/such:1\n").await;
    assert!(reason.starts_with("the base image 127.0.0.1:9/no/such:1 could not be pulled"), "{reason}");

    let (reason, _) = case.fails(case.job(case.work(), "a", &[("list", "")])).await;
    assert_eq!(
        reason,
        "the Dockerfile `Dockerfile` does not exist in commit aaaaaaaaaaaa: correct its path in the service's settings"
    );
    let job = case.job(case.work(), "a", &[("list", "")]);
    std::os::unix::fs::symlink("/etc/hostname", case.server.workspace(&job).join("Dockerfile")).unwrap();
    let (reason, _) = case.fails(job).await;
    assert!(reason.contains("leads out of the repository"), "{reason}");
    let job = case.job(case.work(), "a", &[("Dockerfile", "FROM scratch\n")]);
    let mut command = runner(&case.daemon);
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let reason = finish(&case.server, job, command).await.reason.unwrap();
    assert!(
        reason.starts_with("the Docker daemon at unix:///nonexistent/docker.sock does not answer"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_ends_with_its_stage_and_with_its_runner() {
    let Some(case) = Case::new("a_build_ends_with_its_stage_and_with_its_runner").await else { return };
    let (long, longer) = (unique(), unique());
    let sleeping = |seconds: &str| {
        let dockerfile = format!("FROM seamless-test/base:1\nRUN echo begun {seconds}; sleep {seconds}\n");
        case.job(case.work(), "a", &[("Dockerfile", &dockerfile)])
    };
    let (child, _) = start(&case.server, sleeping(&long), runner(&case.daemon));
    eventually("a step of the build", || lives(&long)).await;
    case.server.inner().cancel = true;
    assert_eq!(ended(child).await, Some(0));
    assert_eq!(case.server.inner().finishes[0].outcome, Outcome::Cancelled);
    eventually("the end of the step", || !lives(&long)).await;

    case.server.inner().cancel = false;
    let job = sleeping(&longer);
    let attempt = format!("{}.{}", job.stage, job.attempt);
    let (mut child, _) = start(&case.server, job, runner(&case.daemon));
    eventually("a step of the build", || lives(&longer)).await;
    child.kill().unwrap();
    ended(child).await;
    // What the server does about a runner that is gone.
    runner::tree::kill(&attempt, Duration::ZERO).await;
    let stage = case.server.data().join("stages").join(&attempt);
    let temporary = || {
        fs::read_dir(&stage).unwrap().flatten().any(|e| e.file_name().to_string_lossy().starts_with("image-"))
    };
    assert!(temporary());
    runner::docker::leftovers::remove_files(&stage);
    assert!(!temporary());
    eventually("the end of the step", || !lives(&longer)).await;
    assert!(left(&case.server, &case.daemon).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_image_is_known_by_the_registrys_digest() {
    let test = "a_pushed_image_is_known_by_the_registrys_digest";
    let Some(case) = Case::new(test).await else { return };
    let Some(kept) = Kept::start(test) else { return };
    let with = |password: &str, address: &str| {
        let mut work = case.work();
        work.registry = Some(Registry {
            address: address.into(),
            username: Some("ci".into()),
            password: Some(password.into()),
            refused: None,
            warning: Some("there is something about its rules".into()),
        });
        work
    };
    let address = format!("{}/acme", kept.address);
    let tree = [("Dockerfile", DOCKERFILE), ("list", "b\na\n")];
    let (reason, _) = case.fails(case.job(with("wrong-password", &address), "a", &tree)).await;
    assert!(reason.starts_with("the registry refused the login"), "{reason}\n{}", case.server.log());

    let artifact = case.made(case.job(with("right-password", &address), "a", &tree)).await;
    assert!(artifact.starts_with(&format!("{address}/{}@sha256:", case.service)), "{artifact}");
    assert!(!case.server.log().contains("right-password"));
    assert!(
        case.server.log().contains("warning: there is something about its rules"),
        "{}",
        case.server.log()
    );
    let again = case.made(case.job(with("right-password", &address), "b", &tree)).await;
    assert_eq!(artifact, again);
    let mut own = Vec::new();
    files(&case.server.data().join("stages"), &mut own);
    let login = b"\"auth\":";
    assert!(!own.iter().any(|bytes| bytes.windows(login.len()).any(|w| w == login)), "the login is gone");

    // Gone from the daemon, it comes back from the registry by that name.
    let id = case.inspect("{{.Id}}", &artifact);
    case.daemon.said(&["image", "rm", "--force", &id]);
    let config = tempfile::tempdir().unwrap();
    let mut login =
        case.daemon.docker(&["login", "--username", "ci", "--password", "right-password", &kept.address]);
    assert!(login.env("DOCKER_CONFIG", config.path()).output().unwrap().status.success());
    let mut pull = case.daemon.docker(&["pull", "--quiet", &artifact]);
    assert!(pull.env("DOCKER_CONFIG", config.path()).output().unwrap().status.success());
    assert_eq!(case.inspect("{{.Id}}", &artifact), id);

    let (reason, _) = case.fails(case.job(with("x-password", "127.0.0.1:9/acme"), "a", &tree)).await;
    assert!(reason.starts_with("the registry does not answer"), "{reason}");
}
