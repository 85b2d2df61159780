//! The database as a whole: several start on it at once, it is backed up while servers work, restored, moved.

use std::{
    fs,
    process::{Child, Output, Stdio},
    thread,
    time::Duration,
};

use domain::{StageKind, Status, view::Run};
use serde_json::{Value, json};
use testkit::{Options, Server, Store, fresh_database, rows};

use crate::{SEAMLESS, checked, waits_for};

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn says(server: &Server, arguments: &[&str]) -> (bool, String) {
    let done = server.command(arguments).output().unwrap();
    (done.status.success(), words(&done))
}

#[track_caller]
fn succeeds(server: &Server, arguments: &[&str]) -> String {
    let (ok, said) = says(server, arguments);
    assert!(ok, "{arguments:?}: {said}");
    said
}

#[track_caller]
fn is_refused(server: &Server, arguments: &[&str], because: &str) {
    let (ok, said) = says(server, arguments);
    assert!(!ok && said.contains(because), "{arguments:?}: {said}");
}

#[tokio::test]
async fn many_that_start_at_once_bring_it_up_to_date_once() {
    let server = Server::start(SEAMLESS).await;
    let file = format!("sqlite:{}", server.scratch("new.db").display());
    for database in [fresh_database(), file] {
        let start = |_| {
            let mut command = server.command(&["migrate"]);
            command.env("DATABASE_URL", &database).env("RUST_LOG", "control=info");
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let all: Vec<Child> = (0..6).map(start).collect();
        let said: Vec<String> = all.into_iter().map(|c| words(&c.wait_with_output().unwrap())).collect();
        let did = |word: &str| said.iter().filter(|s| s.contains(word)).count();
        assert_eq!((did("was brought up to date: m0001_first"), did("is up to date")), (1, 5), "{said:?}");
    }
}

#[tokio::test]
async fn of_a_newer_version_it_is_refused_in_clear_words() {
    for store in [Store::Sqlite, Store::Postgres] {
        let mut server = Server::start_with(SEAMLESS, Options { store, ..Options::default() }).await;
        server.stop().await;
        let tomorrow = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_tomorrow', 1)";
        rows::change(&server.database(), tomorrow).await;
        let file = server.scratch("backup");
        for command in [&["serve"][..], &["migrate"], &["backup", &file.to_string_lossy()]] {
            is_refused(&server, command, "does not know the step m9999_tomorrow");
        }
        assert!(!file.exists());
    }
}

/// What of a server has to be the same again.
async fn answers(server: &Server, run: &Run) -> Vec<Value> {
    let mut all = Vec::new();
    let log = format!("/stages/{}/log", run.stage(StageKind::UnitTest).unwrap().id);
    for path in
        ["/services", "/pipelines", &format!("/runs/{}", run.id), &log, &format!("/events?run={}", run.id)]
    {
        all.push(server.api.get(path).await.to(200));
    }
    all
}

#[tokio::test]
async fn is_backed_up_in_mid_run_and_restored_in_either_database_on_sqlite() {
    is_backed_up_in_mid_run_and_restored_in_either_database(Store::Sqlite).await;
}

#[tokio::test]
async fn is_backed_up_in_mid_run_and_restored_in_either_database_on_postgresql() {
    is_backed_up_in_mid_run_and_restored_in_either_database(Store::Postgres).await;
}

async fn is_backed_up_in_mid_run_and_restored_in_either_database(store: Store) {
    let mut server = Server::start_with(SEAMLESS, Options { store, ..Options::default() }).await;
    let go = server.scratch("go");
    let (_, mut settings) = checked(&server, "orders", json!({ "unit_test": "seq 1 500; echo \"$KEY\"" }));
    settings["variables"] = json!({ "KEY": { "value": "s3cret-of-orders", "secret": true } });
    let orders = server.api.connect(&settings).await;
    let done = server.api.succeeded(server.api.start(&orders).await.id).await;
    let (_, settings) = checked(&server, "stock", json!({ "unit_test": waits_for(&go) }));
    let stock = server.api.connect(&settings).await;
    let going = server.api.start(&stock).await.id;
    server.api.stage_is(going, StageKind::UnitTest, Status::InProgress).await;
    let before = answers(&server, &done).await;

    let file = server.scratch("backup");
    let file = file.to_str().unwrap();
    let said = succeeds(&server, &["backup", file]);
    assert!(said.contains("Keep a copy") && said.contains("secret.key"), "{said}");
    is_refused(&server, &["backup", file], "is there already");
    let later = server.api.start(&orders).await.id;
    server.api.succeeded(later).await;
    is_refused(&server, &["restore", file, "--replace"], "end every server");
    is_refused(&server, &["move", "--to", &fresh_database()], "end every server");
    server.stop().await;

    is_refused(&server, &["restore", file], "is not empty");
    let mut foreign = server.command(&["restore", file, "--replace"]);
    let foreign = foreign.env("SEAMLESS_SECRET_KEY", "a key of somebody else").output().unwrap();
    assert!(!foreign.status.success() && words(&foreign).contains("--without-key"), "{}", words(&foreign));
    let said = succeeds(&server, &["restore", file, "--check"]);
    assert!(said.contains("is whole") && said.contains("opens its secrets"), "{said}");
    let said = succeeds(&server, &["restore", file, "--replace"]);
    assert!(said.contains("is the same"), "{said}");
    server.restart().await;
    assert_eq!(answers(&server, &done).await, before);
    server.api.get(&format!("/runs/{later}")).await.problem(404);
    // What was in progress goes on: its runner lived all the while, or is missed and replaced.
    fs::write(&go, "").unwrap();
    server.api.succeeded(going).await;
    let now = answers(&server, &done).await;
    server.stop().await;

    // Into the other kind of database, and by a move without a file into a third.
    let other = match store {
        Store::Sqlite => fresh_database(),
        Store::Postgres => format!("sqlite:{}", server.scratch("other.db").display()),
    };
    let said = succeeds(&server, &["move", "--to", &other]);
    assert!(said.contains("set DATABASE_URL") && said.contains("are the same"), "{said}");
    server.use_database(&other);
    server.restart().await;
    assert_eq!(answers(&server, &done).await, now);
    // Secrets are opened with the same key; runs go on with the same numbers.
    let run = server.api.start(&orders).await;
    assert_eq!(run.number, 2);
    let run = server.api.succeeded(run.id).await;
    assert_eq!(server.api.printed(&run, StageKind::UnitTest).await.last().unwrap(), "******");
}

#[tokio::test]
async fn killed_in_mid_restore_it_is_the_old_one_or_the_new_one() {
    let server = Server::start(SEAMLESS).await;
    let full = format!("sqlite:{}", server.scratch("full.db").display());
    let run = |database: &str, arguments: &[&str]| {
        let mut command = server.command(arguments);
        command.env("DATABASE_URL", database).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let ends = |child: Child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
    };
    ends(run(&full, &["migrate"]));
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) \
                INSERT INTO event (seq, kind, payload, at) SELECT i, 'kind', '{\"number\": ' || i || '}', i FROM n";
    let rows = async |database: &str| rows::number(database, "SELECT COUNT(*) FROM event").await;
    rows::change(&full, many).await;
    assert_eq!(rows(&full).await, 60_000);
    let file = server.scratch("backup");
    let file = file.to_str().unwrap();
    ends(run(&full, &["backup", file]));

    for database in [format!("sqlite:{}", server.scratch("b.db").display()), fresh_database()] {
        ends(run(&database, &["migrate"]));
        let one = "INSERT INTO event (seq, kind, payload, at) VALUES (7, 'old', '{}', 1)";
        rows::change(&database, one).await;
        let (mut old, mut new) = (0, 0);
        for wait in [20, 80, 160, 240, 400, 600] {
            let mut restoring = run(&database, &["restore", file, "--replace"]);
            thread::sleep(Duration::from_millis(wait));
            restoring.kill().unwrap();
            restoring.wait().unwrap();
            // PostgreSQL notices a little later that nobody is there any more.
            ends(run(&database, &["migrate"]));
            match rows(&database).await {
                1 => old += 1,
                60_000 => new += 1,
                other => panic!("{other} rows after {wait} ms"),
            }
        }
        assert!(old > 0, "none was killed in time: {old} {new}");
        ends(run(&database, &["restore", file, "--replace"]));
        assert_eq!(rows(&database).await, 60_000);
    }
}
