//! Several servers on one database: who starts, who judges, who takes over, as time goes by. The real database and two data folders;
//! what lies outside answers from a script, and so does the clock.

#![allow(clippy::unwrap_used)]

mod script;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use control::{
    Actor, Control, Error, Setup,
    nodes::Node,
    store::{Store, services},
};
use domain::{
    RunId, ServiceId, StageKind, Status, Timestamp,
    protocol::Heartbeat,
    service::ServiceSettings,
    view::{Commit, Stage},
};
use entity::service;
use script::Script;
use secrecy::{ExposeSecret, SecretString};

struct Story {
    folder: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    /// What lies outside of each data folder.
    scripts: [Arc<Script>; 2],
}

impl Story {
    fn new() -> Self {
        let scripts: [Arc<Script>; 2] = Default::default();
        for script in &scripts {
            *script.commit.lock().unwrap() = Some(Commit { sha: "a".repeat(40), ..Commit::default() });
            *script.launched.lock().unwrap() = Some(Vec::new());
        }
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(AtomicI64::new(1_000_000)), scripts }
    }

    async fn store(&self) -> Store {
        Store::open(&format!("sqlite:{}", self.folder.path().join("seamless.db").display())).await.unwrap()
    }

    /// A server, which lives: its name begins with that of its data folder.
    async fn server(&self, name: &str) -> Control {
        let (folder, script) = match name.starts_with('a') {
            true => ("a", &self.scripts[0]),
            false => ("b", &self.scripts[1]),
        };
        script.servers.lock().unwrap().insert(name.to_owned());
        let node = Node {
            id: name.into(),
            folder: folder.into(),
            host: format!("host-{folder}"),
            address: format!("http://{name}"),
            url: format!("https://{name}.example.org"),
        };
        let (setup, clock) = (Setup { node, ..Setup::default() }, self.clock.clone());
        let clock = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        let (key, ports) = (SecretString::from("correct horse"), script::ports(script));
        let control = Control::with_clock(self.store().await, &key, ports, setup, clock);
        control.alive().await.unwrap();
        control
    }

    fn falls(&self, name: &str) {
        for script in &self.scripts {
            script.servers.lock().unwrap().remove(name);
        }
    }

    fn goes_by(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    /// A service that is at home in the folder `a`.
    async fn service(&self) -> ServiceId {
        let id = ServiceId::from_parts(1, 1);
        let settings = ServiceSettings::new("orders", "/srv/orders.git");
        let row = service::Model { folder: Some("a".into()), ..script::service(id, &settings) };
        services::insert(self.store().await.write(), row).await.unwrap();
        id
    }
}

async fn prepare(control: &Control, run: RunId) -> Stage {
    control.run(run).await.unwrap().stage(StageKind::Prepare).unwrap().clone()
}

#[tokio::test]
async fn a_stage_is_judged_where_it_runs_and_given_up_when_nobody_there_is_heard_of() {
    let story = Story::new();
    let [a1, a2, b] = [story.server("a1").await, story.server("a2").await, story.server("b").await];
    let service = story.service().await;
    // Any server starts a run; its stages start where the service is at home.
    let run = b.start_run(&Actor::system(), service, None, None).await.unwrap().id;
    assert_eq!((b.dispatch().await.unwrap(), a1.dispatch().await.unwrap()), (0, 1));
    for other in [&a2, &b] {
        other.reconcile().await.unwrap();
        assert_eq!(prepare(other, run).await.status, Status::InProgress, "a1 lives and knows best");
    }

    story.falls("a1");
    b.reconcile().await.unwrap();
    assert_eq!(prepare(&b, run).await.status, Status::InProgress, "another folder knows nothing of runners");
    a2.reconcile().await.unwrap();
    assert_eq!(prepare(&b, run).await.status, Status::Idle, "its runner never began");
    assert_eq!((b.dispatch().await.unwrap(), a2.dispatch().await.unwrap()), (0, 1));
    assert_eq!(prepare(&b, run).await.attempt, 2);

    // The runner of the second attempt talks to the other machine's server while its own is gone.
    let token = story.scripts[0].launched.lock().unwrap().as_ref().unwrap()[1].token.clone();
    let proven = b.prove(token.expose_secret()).await.unwrap();
    story.falls("a2");
    for _ in 0..4 {
        story.goes_by(20);
        b.alive().await.unwrap();
        b.heartbeat(&proven, &Heartbeat {}).await.unwrap();
        b.reconcile().await.unwrap();
        assert_eq!(prepare(&b, run).await.status, Status::InProgress, "the runner lives, as it says itself");
    }
    story.goes_by(59);
    b.reconcile().await.unwrap();
    assert_eq!(prepare(&b, run).await.status, Status::InProgress);
    story.goes_by(2);
    b.reconcile().await.unwrap();
    let stage = prepare(&b, run).await;
    assert_eq!(stage.status, Status::Failure, "a second loss is one too many");
    assert!(stage.reason.as_deref().unwrap().contains("runner lost: host-a"), "{stage:?}");
    let refused = b.heartbeat(&proven, &Heartbeat {}).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "what it still says is refused: {refused:?}");

    // Nothing of the service is done elsewhere by itself, until somebody says so.
    let run = b.start_run(&Actor::system(), service, None, None).await.unwrap().id;
    assert_eq!(b.dispatch().await.unwrap(), 0);
    assert_eq!(b.adopt().await.unwrap(), ["orders"]);
    assert_eq!(b.dispatch().await.unwrap(), 1);
    assert_eq!(prepare(&b, run).await.status, Status::InProgress);
    b.alive().await.unwrap();
    assert!(a1.adopt().await.unwrap().is_empty(), "a server works there");
}

#[tokio::test]
async fn what_one_is_enough_for_is_done_by_one_and_taken_over() {
    let story = Story::new();
    let [a1, a2, b] = [story.server("a1").await, story.server("a2").await, story.server("b").await];
    let minute = Duration::from_secs(60);
    assert!(a1.turn("archive", minute).await.unwrap() && a1.turn("archive", minute).await.unwrap());
    assert!(!a2.turn("archive", minute).await.unwrap() && !b.turn("archive", minute).await.unwrap());
    assert!(a2.turn_here("sweep", minute).await.unwrap(), "other work is another's");
    assert!(b.turn_here("sweep", minute).await.unwrap(), "and so is that of another folder");

    story.falls("a1");
    assert!(!b.turn("archive", minute).await.unwrap(), "from there it cannot be seen yet");
    assert!(a2.turn("archive", minute).await.unwrap(), "its lock tells at once");
    story.goes_by(16);
    b.alive().await.unwrap();
    assert!(b.turn("archive", minute).await.unwrap(), "a2 gave no sign of life");
    assert!(!a2.turn("archive", minute).await.unwrap());
    story.goes_by(61);
    assert!(a2.turn("archive", minute).await.unwrap(), "a lease ends");

    assert_eq!(a2.alive().await.unwrap(), ["http://a2"], "nobody else was seen lately");
    b.alive().await.unwrap();
    assert_eq!(a2.alive().await.unwrap(), ["http://a2", "https://b.example.org"]);
    b.leave().await.unwrap();
    assert_eq!(a2.alive().await.unwrap(), ["http://a2"]);
}
