//! The server is killed between any two steps of taking a delivery in, and its database goes away: nothing is lost, nothing runs twice.
//!
//! A trigger in a real PostgreSQL holds the server at a statement that was chosen, until it is dead. GitHub is the stand-in of the other
//! stories: what it could not deliver it is asked for again.

use std::time::{Duration, Instant};

use domain::{
    RunId,
    view::{Delivery, Page, Service},
};
use sea_orm::{ConnectionTrait, Database, TransactionTrait};
use serde_json::json;
use testkit::{Options, Relay, Repository, Server, Store, github::GitHub, until};

use crate::SEAMLESS;

const ORDERS: &str = "acme/orders";

/// The statements of intake in their order; the server falls after each, before it is committed.
const STEPS: [(&str, &str, &str); 8] = [
    ("INSERT", "delivery", ""),
    ("UPDATE", "delivery", "WHEN (NEW.verdict = 'pending')"),
    ("UPDATE", "service", "WHEN (NEW.last_run > OLD.last_run)"),
    ("INSERT", "run", ""),
    ("INSERT", "stage", ""),
    ("INSERT", "event", ""),
    ("UPDATE", "delivery", "WHEN (NEW.verdict = 'accepted')"),
    // The run is there; it is about to start.
    ("UPDATE", "stage", "WHEN (NEW.status = 'in_progress')"),
];

const HOLD: &str = "CREATE FUNCTION hold() RETURNS trigger AS $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$ LANGUAGE plpgsql";
const HELD: &str = "FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted";

async fn begin(github: &GitHub, repository: &Repository) -> (Server, Service) {
    repository.change(&[("README.md", "Orders\n")], "Start");
    let environment = github.environment();
    let options = Options { store: Store::Postgres, environment, ..Options::default() };
    let server = Server::start_with(SEAMLESS, options).await;
    let settings = json!({ "name": "orders", "repository": ORDERS, "branch": "main", "commands": { "unit_test": "true" } });
    let service = server.api.connect(&settings).await;
    until("the hook", async || (github.state().repository(ORDERS).hooks.len() == 1).then_some(())).await;
    (server, service)
}

/// Every delivery of GitHub's was dealt with.
async fn settled(server: &Server) {
    until("every delivery to be dealt with", async || {
        let page: Page<Delivery> = server.api.get("/deliveries").await.to(200);
        page.items.iter().all(|d| d.verdict != "pending").then_some(())
    })
    .await;
}

#[tokio::test]
async fn killed_between_any_two_steps_it_runs_once() {
    let github = GitHub::start().await;
    let repository = github.repository(ORDERS);
    let (mut server, service) = begin(&github, &repository).await;
    let database = Database::connect(server.database()).await.unwrap();
    database.execute_unprepared(HOLD).await.unwrap();
    for (number, (what, table, when)) in STEPS.into_iter().enumerate() {
        let lock = database.begin().await.unwrap();
        lock.execute_unprepared("SELECT pg_advisory_xact_lock(4711)").await.unwrap();
        let trigger = format!(
            "CREATE TRIGGER held AFTER {what} ON {table} FOR EACH ROW {when} EXECUTE FUNCTION hold()"
        );
        database.execute_unprepared(&trigger).await.unwrap();
        let sha = repository.commit(&[("VERSION", &format!("{number}\n"))], &format!("Version {number}"));
        let kill = async {
            let count = format!("SELECT COUNT(*) {HELD}");
            until(&trigger, async || (server.number(&count).await > 0).then_some(())).await;
            server.kill9();
        };
        let (answers, ()) = tokio::join!(github.push(ORDERS, &repository, "main"), kill);
        assert!(answers == [0] || (number > 0 && answers == [202]), "{what} {table}: {answers:?}");
        // As the database does by itself when it hears that the other side is gone.
        database.execute_unprepared(&format!("SELECT pg_terminate_backend(pid) {HELD}")).await.unwrap();
        lock.rollback().await.unwrap();
        database.execute_unprepared(&format!("DROP TRIGGER held ON {table}")).await.unwrap();
        server.restart().await;
        let run = server.api.run_of(&service, &sha).await.id;
        server.api.succeeded(run).await;
    }
    settled(&server).await;
    let runs = server.api.runs(&service).await;
    let mut commits: Vec<&str> = runs.iter().map(|run| run.commit.sha.as_str()).collect();
    commits.sort_unstable();
    commits.dedup();
    assert_eq!((runs.len(), commits.len()), (STEPS.len(), STEPS.len()), "one run for each push");
}

#[tokio::test]
async fn without_its_database_for_ten_seconds_it_refuses_and_asks_again() {
    let github = GitHub::start().await;
    let repository = github.repository(ORDERS);
    let (mut server, service) = begin(&github, &repository).await;
    let database = server.database();
    let port = database.rsplit_once('/').unwrap().0.rsplit_once(':').unwrap().1.to_owned();
    let way = Relay::to(port.parse().unwrap()).await;
    server.stop().await;
    server.use_database(&database.replace(&format!(":{port}/"), &format!(":{}/", way.port)));
    server.restart().await;
    way.cut();
    let cut = Instant::now();
    let sha = repository.commit(&[("VERSION", "2\n")], "While it was away");
    assert_eq!(github.push(ORDERS, &repository, "main").await, [503], "GitHub is to count it as failed");
    // The bar is ten seconds.
    tokio::time::sleep(Duration::from_secs(10).saturating_sub(cut.elapsed())).await;
    way.mend();
    let run: RunId = until("the run", async || {
        let runs = server.api.call("GET", &format!("/services/{}/runs", service.id), None).await;
        let found =
            runs.json()["items"].as_array()?.iter().find(|r| r["commit"]["sha"] == sha.as_str())?.clone();
        found["id"].as_str()?.parse().ok()
    })
    .await;
    server.api.succeeded(run).await;
    settled(&server).await;
    assert_eq!(server.api.runs(&service).await.len(), 1);
    let again = github.state().repository(ORDERS).hooks[0].deliveries.iter().filter(|d| d.redelivery).count();
    assert_eq!(again, 1, "it was asked for, not only found by comparing heads");
}
