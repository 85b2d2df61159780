//! Repositories as they should not be.

use axum::{Router, http::StatusCode, response::IntoResponse};
use domain::{StageKind, protocol::*};
use runner::{Cause, Ending};

use crate::support::*;

fn prepare(server: &Server, repository: &str) -> Job {
    let work = Work::Prepare {
        repository: repository.into(),
        reference: "refs/heads/main".into(),
        login: None,
        command: None,
    };
    server.job(StageKind::Prepare, work)
}

async fn reason(server: &Server, job: Job) -> String {
    let workspace = server.workspace(&job);
    let reason = server.fails(job).await.reason.unwrap();
    assert!(!workspace.exists(), "nothing half-made");
    let parent = workspace.parent().unwrap();
    assert!(!parent.exists() || parent.read_dir().unwrap().next().is_none(), "nothing half-made");
    reason
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_exist() {
    let server = Server::start().await;
    let told = reason(&server, prepare(&server, "/no/such/repository.git")).await;
    assert!(told.starts_with("the repository /no/such/repository.git does not exist"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let told = reason(&server, prepare(&server, &folder.path().to_string_lossy())).await;
    assert!(told.contains("does not exist"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_empty() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let told = reason(&server, prepare(&server, &repository.path.to_string_lossy())).await;
    assert!(told.ends_with("is empty: push a commit first"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_needs_a_password_or_answers_nonsense() {
    let server = Server::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let app = Router::new()
        .nest_service(
            "/locked.git",
            Router::new().fallback(|| async {
                (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"x\"")]).into_response()
            }),
        )
        .fallback(|| async { StatusCode::NOT_FOUND });
    tokio::spawn(async move { axum::serve(listener, app).await });

    let told = reason(&server, prepare(&server, &format!("http://ada:hunter2@{at}/locked.git"))).await;
    assert!(told.contains("needs a password or a key"), "{told}");
    assert!(!told.contains("hunter2") && !server.log().contains("hunter2"), "{told}\n{}", server.log());
    let told = reason(&server, prepare(&server, &format!("http://{at}/other.git"))).await;
    assert!(told.contains("does not exist"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_reached_is_tried_again_until_told_to_stop() {
    let server = Server::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let job = prepare(&server, &format!("http://{free}/a.git"));
    let ending = end_when(&server, "trying again", Cause::Cancelled);
    let (_, finish) = server.run_with(job, std::sync::Arc::new(FakeTarget::default()), ending).await;
    assert_eq!(finish.unwrap().outcome, Outcome::Cancelled);
    let told = reason(&server, prepare(&server, &format!("http://{free}/a.git"))).await;
    assert!(told.contains("cannot be reached"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_gone() {
    let (server, repository) = (Server::start().await, Repository::empty());
    repository.commit("One", &[]);
    let told = reason(&server, Job { commit: "a".repeat(40), ..repository.prepare(&server, "", None) }).await;
    assert!(told.contains("commit aaaaaaaaaaaa is gone"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_its_branch_has_left_is_still_found() {
    let (server, repository) = (Server::start().await, Repository::empty());
    repository.commit("One", &[]);
    let left = repository.commit("Two", &[("a", "2")]);
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    server.succeeds(repository.prepare(&server, &left, Some("cat a"))).await;
    assert_eq!(server.printed(), ["2"]);
    // It is in the mirror now, whatever becomes of the repository.
    std::fs::remove_dir_all(&repository.path).unwrap();
    server.succeeds(repository.prepare(&server, &left, Some("cat a"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_one_mirror() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let files: Vec<(String, String)> =
        (0..200).map(|i| (format!("d{}/f{i}", i % 7), "x".repeat(i))).collect();
    let files: Vec<_> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let commit = repository.commit("One", &files);
    let others = futures::future::join_all((0..8).map(|_| async {
        let other = Server::start().await;
        let job = repository.prepare(&other, &commit, Some("git status --porcelain; ls | wc -l"));
        let mut credentials = other.offer(job);
        credentials.data = server.data().to_string_lossy().into_owned();
        let target = std::sync::Arc::new(FakeTarget::default());
        let code =
            runner::stage::attempt(&credentials, target, Ending::default(), runner::stage::Adoption::Cookie)
                .await
                .code();
        (code, other.printed(), other.log())
    }));
    for (code, printed, log) in others.await {
        assert_eq!((code, printed), (0, vec!["7".to_owned()]), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_belongs_to_another_user() {
    let (server, repository) = (Server::start().await, Repository::empty());
    let commit = repository.commit("One", &[("a", "1")]);
    let given =
        std::process::Command::new("chown").args(["-R", "12345:12345"]).arg(&repository.path).output();
    if !given.is_ok_and(|o| o.status.success()) {
        println!("skipped: only root may give files away");
        return;
    }
    server.succeeds(repository.prepare(&server, &commit, Some("cat a; echo; git log --format=%s"))).await;
    assert_eq!(server.printed(), ["1", "One"]);
    let told = server
        .fails(Job { commit: "a".repeat(40), ..repository.prepare(&server, "", None) })
        .await
        .reason
        .unwrap();
    assert!(told.contains("is gone from"), "{told}");
}
