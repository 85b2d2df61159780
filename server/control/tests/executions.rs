//! Runs that an engine elsewhere drives: what tasks may claim, what follows from what is told, and that it is the same as under the
//! embedded engine. The database is real; the engine is scripted here: what AWS really does with such executions is shown by the tests of
//! the binary against a stand-in of AWS.

#![allow(clippy::unwrap_used)]

mod script;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use control::{
    Actor, Control, Error, Ports, Setup,
    engine::executions::{EngineError, Executions, Fall, Letter, Message, Size, Standing},
    nodes::Node,
    store::{Store, executions, services},
};
use domain::{
    EnvironmentName, RunId, ServiceId, StageKind, Status, Timestamp,
    containers::TargetKind,
    protocol::{Claim, Claimed, Finish, Heartbeat, Outcome, Outputs, Work},
    service::ServiceSettings,
    view::Commit,
};
use entity::event;
use script::Script;
use sea_orm::{EntityTrait, QueryOrder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Remembers what it was asked; refuses while it is told to.
#[derive(Default)]
struct Engine {
    asked: Mutex<Vec<String>>,
    inputs: Mutex<BTreeMap<String, Value>>,
    refuses: Mutex<Option<EngineError>>,
    standing: Mutex<Option<Standing>>,
    hindrance: Mutex<Option<String>>,
    queue: Mutex<Vec<Message>>,
    removed: Mutex<Vec<String>>,
}

impl Engine {
    fn ask(&self, what: String) -> Result<(), EngineError> {
        if let Some(error) = self.refuses.lock().unwrap().clone() {
            return Err(error);
        }
        self.asked.lock().unwrap().push(what);
        Ok(())
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Executions for Engine {
    async fn start(&self, run: RunId, input: &Value) -> Result<String, EngineError> {
        self.ask("start".into())?;
        let before = self.inputs.lock().unwrap().insert(run.to_string(), input.clone());
        assert!(
            before.is_none_or(|before| before == *input),
            "starting twice is starting once: the same input"
        );
        Ok(format!("execution of {run}"))
    }
    async fn stop(&self, name: &str, why: &str) -> Result<(), EngineError> {
        assert!(name.starts_with("execution of "), "{name}");
        self.ask(format!("stop: {why}"))
    }
    async fn answer(&self, token: &SecretString, passes: Result<(), String>) -> Result<(), EngineError> {
        self.ask(format!("answer {}: {passes:?}", token.expose_secret()))
    }
    async fn look(&self, _: &str) -> Result<Standing, EngineError> {
        self.ask("look".into())?;
        Ok(self.standing.lock().unwrap().clone().unwrap_or(Standing::Running))
    }
    async fn hindrance(&self, _: &str) -> Result<Option<String>, EngineError> {
        self.ask("history".into())?;
        Ok(self.hindrance.lock().unwrap().clone())
    }
    async fn receive(&self) -> Result<Vec<Message>, EngineError> {
        match self.refuses.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(self.queue.lock().unwrap().clone()),
        }
    }
    async fn hold(&self, _: &Message) -> Result<(), EngineError> {
        Ok(())
    }
    async fn done(&self, message: &Message) -> Result<(), EngineError> {
        self.queue.lock().unwrap().retain(|m| m.handle != message.handle);
        self.removed.lock().unwrap().push(message.handle.clone());
        Ok(())
    }
    fn page(&self, _: &str) -> Option<String> {
        None
    }
    fn size(&self, _: StageKind) -> Size {
        Size::default()
    }
}

/// One server with one service that has a command for every stage.
struct Story {
    control: Control,
    engine: Arc<Engine>,
    script: Arc<Script>,
    clock: Arc<AtomicI64>,
    service: ServiceId,
    _folder: tempfile::TempDir,
}

impl Story {
    /// With an engine elsewhere, or with the embedded one.
    async fn new(driven: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (engine, script) = (Arc::new(Engine::default()), Arc::new(Script::default()));
        *script.commit.lock().unwrap() = Some(Commit { sha: "a".repeat(40), ..Commit::default() });
        *script.launched.lock().unwrap() = Some(Vec::new());
        let clock = Arc::new(AtomicI64::new(1_000_000));
        let url = format!("sqlite:{}", folder.path().join("seamless.db").display());
        let control = start(Store::open(&url).await.unwrap(), &engine, &script, &clock, driven);
        let service = ServiceId::from_parts(1, 1);
        let mut settings = ServiceSettings::new("orders", "/srv/orders.git");
        for command in [
            &mut settings.commands.code_quality,
            &mut settings.commands.unit_test,
            &mut settings.commands.build,
            &mut settings.commands.integration_test,
            &mut settings.commands.start,
        ] {
            *command = Some("true".into());
        }
        let mut row = script::service(service, &settings);
        row.hook_secret = "none".into();
        services::insert(control.store().write(), row).await.unwrap();
        Self { control, engine, script, clock, service, _folder: folder }
    }

    /// A server after this one, with an engine elsewhere or without.
    fn restart(&mut self, driven: bool) {
        let store = self.control.store().clone();
        self.control = start(store, &self.engine, &self.script, &self.clock, driven);
    }

    /// Looks that may be had at once.
    async fn looks(&self) -> Vec<String> {
        loop {
            let asked = self.drive().await;
            if !asked.is_empty() {
                return asked;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn run(&self) -> RunId {
        self.control.start_run(&Actor::system(), self.service, None, None).await.unwrap().id
    }

    async fn drive(&self) -> Vec<String> {
        self.control.drive(self.engine.as_ref()).await.unwrap();
        self.engine.take_asked()
    }

    /// The same while the server drives on: what it asked meanwhile, but for looks.
    async fn drives_on(&self, seconds: i64) -> Vec<String> {
        let mut asked = Vec::new();
        for left in (1..=seconds).rev().step_by(20) {
            self.goes_by(left.min(20));
            asked
                .extend(self.drive().await.into_iter().filter(|asked| asked != "look" && asked != "history"));
        }
        asked
    }

    fn goes_by(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    fn ticket(&self, run: RunId, kind: StageKind) -> String {
        let inputs = self.engine.inputs.lock().unwrap();
        inputs[&run.to_string()]["stages"][kind.as_str()]["ticket"].as_str().unwrap().to_owned()
    }

    fn claim(&self, run: RunId, stage: StageKind, round: u32, task: &str) -> Claim {
        Claim { run, stage, round, ticket: self.ticket(run, stage), task: task.into() }
    }

    /// A task begins.
    async fn begins(&self, run: RunId, kind: StageKind) -> String {
        let claim = self.claim(run, kind, 0, &format!("task of {kind}"));
        match self.control.claim_stage(&claim).await.unwrap() {
            Claimed::Go { token, .. } => token,
            other => panic!("{kind} is not given to its task: {other:?}"),
        }
    }

    /// What a task does whose stage ends like this.
    async fn task(&self, run: RunId, kind: StageKind, outcome: Outcome) {
        let token = self.begins(run, kind).await;
        self.finish(&token, kind, outcome).await;
    }

    /// What the runner does that the embedded engine starts.
    async fn launched(&self, kind: StageKind, outcome: Outcome) {
        self.control.dispatch().await.unwrap();
        let attempt = {
            let launched = self.script.launched.lock().unwrap();
            launched.as_ref().unwrap().iter().rev().find(|a| a.kind == kind).unwrap().clone()
        };
        self.finish(attempt.token.expose_secret(), kind, outcome).await;
    }

    async fn finish(&self, token: &str, kind: StageKind, outcome: Outcome) {
        let proven = self.control.prove(token).await.unwrap();
        let reason = (outcome == Outcome::Failure).then(|| format!("{kind} exited with 1"));
        let artifact = (kind == StageKind::Build).then(|| "b".repeat(64));
        let outputs = Outputs { artifact, artifact_size: Some(7), ..Outputs::default() };
        let end = Finish { outcome, reason, error: None, exit_code: None, lines: 0, outputs };
        self.control.finish(&proven, end.clone()).await.unwrap();
        self.control.finish(&proven, end).await.unwrap();
    }

    async fn status(&self, run: RunId, kind: StageKind) -> (Status, Option<String>, u32) {
        let run = self.control.run(run).await.unwrap();
        let stage = run.stage(kind).unwrap();
        (stage.status, stage.reason.clone(), stage.attempt)
    }

    async fn hear(&self, letter: Letter) {
        self.control.hear(&letter).await.unwrap();
        self.control.hear(&letter).await.unwrap();
    }

    async fn execution(&self, run: RunId) -> entity::execution::Model {
        executions::of(self.control.store().read(), &run.to_string()).await.unwrap().unwrap()
    }

    /// The event log without what differs by nature: ids and times.
    async fn log(&self) -> Vec<(String, String)> {
        let all = event::Entity::find().order_by_asc(event::Column::Seq);
        let all = all.all(self.control.store().read()).await.unwrap();
        all.into_iter()
            .map(|event| {
                let mut payload: Value = serde_json::from_str(&event.payload).unwrap();
                if let Some(fields) = payload.as_object_mut() {
                    fields.retain(|name, _| name != "deployment");
                }
                (event.kind, payload.to_string())
            })
            .collect()
    }
}

fn start(
    store: Store,
    engine: &Arc<Engine>,
    script: &Arc<Script>,
    clock: &Arc<AtomicI64>,
    driven: bool,
) -> Control {
    let ports = Ports { executions: driven.then(|| engine.clone() as _), ..script::ports(script) };
    start_as(store, ports, clock, false)
}

fn start_as(store: Store, ports: Ports, clock: &Arc<AtomicI64>, tasks_elsewhere: bool) -> Control {
    let node = Node { id: "a1".into(), folder: "a".into(), ..Node::default() };
    let url = "https://seamless.example.org".into();
    let setup = Setup { node, url, tasks_elsewhere, ..Setup::default() };
    let time = clock.clone();
    let time = Arc::new(move || Timestamp(time.load(Ordering::Relaxed)));
    Control::with_clock(store, &SecretString::from("correct horse"), ports, setup, time)
}

fn failed(run: RunId, stage: StageKind, why: &str) -> Letter {
    Letter::Failed { run, falls: vec![Fall { stage: Some(stage), why: why.to_owned(), exit_code: None }] }
}

const CHECKED: [StageKind; 5] = [
    StageKind::Prepare,
    StageKind::CodeQuality,
    StageKind::UnitTest,
    StageKind::Build,
    StageKind::IntegrationTest,
];

#[tokio::test]
async fn both_engines_write_the_same_log() {
    use StageKind as K;
    let ends: [Option<K>; 8] = [
        None,
        Some(K::Prepare),
        Some(K::CodeQuality),
        Some(K::UnitTest),
        Some(K::Build),
        Some(K::IntegrationTest),
        Some(K::DeployStaging),
        Some(K::DeployProduction),
    ];
    for fails in ends {
        let mut logs = Vec::new();
        for driven in [false, true] {
            let story = Story::new(driven).await;
            let run = story.run().await;
            if driven {
                assert_eq!(story.drive().await, ["start"]);
                assert_eq!(story.control.dispatch().await.unwrap(), 0, "its stages are started elsewhere");
            } else {
                story.control.dispatch().await.unwrap();
            }
            let mut beside: Option<String> = None;
            for kind in K::ALL {
                if let (K::UnitTest, Some(token)) = (kind, beside.take()) {
                    let outcome = if fails == Some(kind) { Outcome::Failure } else { Outcome::Success };
                    story.finish(&token, kind, outcome).await;
                    continue;
                }
                if story.status(run, kind).await.0.is_terminal() {
                    continue;
                }
                if story.status(run, kind).await.0 == Status::AwaitingApproval {
                    if driven {
                        story.hear(Letter::Gate { run, token: "T".into() }).await;
                        assert_eq!(story.drive().await, [""; 0], "nobody has approved");
                    }
                    story.control.approve(&Actor::system(), run, None).await.unwrap();
                    if driven {
                        assert_eq!(story.drive().await, ["answer T: Ok(())"]);
                        assert_eq!(story.drive().await, [""; 0], "once");
                    }
                }
                let outcome = if fails == Some(kind) { Outcome::Failure } else { Outcome::Success };
                if driven && kind == K::CodeQuality {
                    // Both checks are started at once.
                    let token = story.begins(run, kind).await;
                    beside = Some(story.begins(run, K::UnitTest).await);
                    story.finish(&token, kind, outcome).await;
                    continue;
                }
                match driven {
                    true => story.task(run, kind, outcome).await,
                    false => story.launched(kind, outcome).await,
                }
            }
            if driven {
                let how = fails.map_or(Ok(()), |_| Err("its execution failed".to_owned()));
                story.hear(Letter::Ended { run, how }).await;
                assert_eq!(story.execution(run).await.state, executions::OVER);
            }
            logs.push(story.log().await);
        }
        // In order, whichever of the two checks begins first.
        for check in [K::CodeQuality, K::UnitTest] {
            let stage = format!("\"stage\":\"{check}\"");
            let [embedded, driven] = [0, 1].map(|engine: usize| {
                logs[engine].iter().filter(|(_, payload)| !payload.contains(&stage)).collect::<Vec<_>>()
            });
            assert_eq!(embedded, driven, "when {fails:?} fails, without {check}");
        }
    }
}

#[tokio::test]
async fn a_stage_is_given_to_the_task_it_was_meant_for_and_to_no_other() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    let prepare = story.claim(run, StageKind::Prepare, 0, "one");

    for (forged, what) in [
        (Claim { ticket: "x".into(), ..prepare.clone() }, "no ticket"),
        (Claim { ticket: story.ticket(run, StageKind::Build), ..prepare.clone() }, "another stage's"),
        (Claim { run: RunId::from_parts(9, 9), ..prepare.clone() }, "another run's"),
        (Claim { stage: StageKind::DeployProduction, ..prepare.clone() }, "a later stage"),
    ] {
        let answer = story.control.claim_stage(&forged).await;
        assert!(matches!(answer, Err(Error::Refused(_))), "{what}: {answer:?}");
    }
    let early = story.control.claim_stage(&story.claim(run, StageKind::Build, 0, "early")).await.unwrap();
    assert!(matches!(early, Claimed::Wait { .. }), "{early:?}");

    let Claimed::Go { token: lost, attempt: 1, .. } = story.control.claim_stage(&prepare).await.unwrap()
    else {
        panic!("the first gets it")
    };
    let Claimed::Go { token, attempt: 1, .. } = story.control.claim_stage(&prepare).await.unwrap() else {
        panic!("an answer that was lost is given again")
    };
    assert!(story.control.prove(&lost).await.is_err(), "the token that nobody heard is of no use");
    let proven = story.control.prove(&token).await.unwrap();
    let second = Claim { task: "two".into(), ..prepare.clone() };
    assert!(matches!(story.control.claim_stage(&second).await, Err(Error::Conflict(_))));

    // It got its job, and then its machine went away: the engine tries again, and the first is shut out.
    story.control.job(&proven).await.unwrap();
    assert!(matches!(story.control.claim_stage(&prepare).await, Err(Error::Conflict(_))), "its job is gone");
    let again = Claim { round: 100, task: "three".into(), ..prepare.clone() };
    let early = story.control.claim_stage(&again).await.unwrap();
    assert!(matches!(early, Claimed::Wait { .. }), "the first may live: {early:?}");
    story.goes_by(16);
    let Claimed::Go { attempt: 2, token, .. } = story.control.claim_stage(&again).await.unwrap() else {
        panic!("the next try gets the next attempt")
    };
    assert!(story.control.heartbeat(&proven, &Heartbeat {}).await.is_err());
    assert!(matches!(story.control.claim_stage(&prepare).await, Err(Error::Conflict(_))), "it is late");
    story.control.job(&story.control.prove(&token).await.unwrap()).await.unwrap();

    // Lost once more is once too often, and the machine is told to go to its end.
    let third = Claim { round: 200, task: "four".into(), ..prepare.clone() };
    story.goes_by(16);
    assert_eq!(story.control.claim_stage(&third).await.unwrap(), Claimed::Over { passed: false });
    let (status, reason, _) = story.status(run, StageKind::Prepare).await;
    assert_eq!(
        (status, reason.as_deref()),
        (Status::Failure, Some("runner lost: its task ended without a word"))
    );
    assert_eq!(story.control.run(run).await.unwrap().status, Status::Failure);
}

#[tokio::test]
async fn what_never_starts_and_what_ends_without_a_word_gets_a_verdict() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    story.task(run, StageKind::Prepare, Outcome::Success).await;
    let why = "its task could not be started: RESOURCE:MEMORY";
    story.hear(failed(run, StageKind::UnitTest, why)).await;
    assert_eq!(story.status(run, StageKind::UnitTest).await, (Status::Failure, Some(why.into()), 1));
    story.task(run, StageKind::CodeQuality, Outcome::Success).await;
    story.hear(failed(run, StageKind::CodeQuality, "late")).await;
    assert_eq!(story.status(run, StageKind::CodeQuality).await.0, Status::Success, "it has its verdict");
    let (status, reason, _) = story.status(run, StageKind::Build).await;
    assert_eq!((status, reason.as_deref()), (Status::Skipped, Some("not run: Unit Test failed")));

    // A task that had its stage and was killed: with which code is kept.
    let run = story.run().await;
    story.drive().await;
    let claim = story.claim(run, StageKind::Prepare, 0, "one");
    story.control.claim_stage(&claim).await.unwrap();
    let killed = Fall { stage: Some(StageKind::Prepare), why: "out of memory".into(), exit_code: Some(137) };
    story.hear(Letter::Failed { run, falls: vec![killed] }).await;
    let prepare = story.control.run(run).await.unwrap().stage(StageKind::Prepare).cloned().unwrap();
    assert_eq!(prepare.reason.as_deref(), Some("runner lost: out of memory"));
    assert_eq!((prepare.status, prepare.exit_code), (Status::Failure, Some(137)));

    // An execution that was stopped by hand while a stage is in progress.
    let run = story.run().await;
    story.drive().await;
    let claim = story.claim(run, StageKind::Prepare, 0, "one");
    let Claimed::Go { token, .. } = story.control.claim_stage(&claim).await.unwrap() else { panic!() };
    story.hear(Letter::Ended { run, how: Err("its execution was stopped: by hand".into()) }).await;
    let (status, reason, _) = story.status(run, StageKind::Prepare).await;
    assert_eq!(status, Status::Failure);
    assert_eq!(reason.as_deref(), Some("runner lost: its execution was stopped: by hand"));
    let proven = story.control.prove(&token).await.unwrap();
    assert!(
        story.control.heartbeat(&proven, &Heartbeat {}).await.is_err(),
        "whoever still works is shut out"
    );
    story.hear(Letter::Gate { run, token: "late".into() }).await;
    assert_eq!(story.drive().await, [""; 0], "nothing is answered that is over");
}

#[tokio::test]
async fn gates_are_answered_as_they_were_decided() {
    for (decision, answer) in [
        ("reject", "answer T: Err(\"rejected by seamless\")"),
        ("expire", "answer T: Err(\"nobody approved within 10 d 0 h\")"),
        ("cancel", "answer T: Err(\"cancelled by seamless\")"),
    ] {
        let story = Story::new(true).await;
        let run = story.run().await;
        story.drive().await;
        for kind in CHECKED.into_iter().chain([StageKind::DeployStaging]) {
            story.task(run, kind, Outcome::Success).await;
        }
        story.hear(Letter::Gate { run, token: "T".into() }).await;
        assert_ne!(story.execution(run).await.gate_token.as_deref(), Some("T"), "it is kept sealed");
        match decision {
            "reject" => drop(story.control.reject(&Actor::system(), run, None).await.unwrap()),
            "cancel" => drop(story.control.cancel(&Actor::system(), run).await.unwrap()),
            _ => {
                story.goes_by(10 * 24 * 3600 + 1);
                story.control.reconcile().await.unwrap();
            }
        }
        let asked = story.drive().await;
        assert_eq!(asked, [answer], "{decision}");
        let late = story.control.claim_stage(&story.claim(run, StageKind::DeployProduction, 0, "x")).await;
        assert_eq!(late.unwrap(), Claimed::Over { passed: false });
    }
}

#[tokio::test]
async fn a_cancelled_run_is_stopped_wherever_it_stands() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.control.cancel(&Actor::system(), run).await.unwrap();
    assert_eq!(story.drive().await, [""; 0], "what was never started needs no stop");
    assert_eq!(story.execution(run).await.state, executions::OVER);

    let run = story.run().await;
    story.drive().await;
    story.control.cancel(&Actor::system(), run).await.unwrap();
    assert_eq!(story.drive().await, ["stop: Prepare: cancelled by seamless"], "its task has not begun");
    assert_eq!(story.drive().await, [""; 0]);

    // A runner that hears of it ends by itself; one that hears nothing is ended.
    let run = story.run().await;
    story.drive().await;
    let claim = story.claim(run, StageKind::Prepare, 0, "one");
    let Claimed::Go { token, .. } = story.control.claim_stage(&claim).await.unwrap() else { panic!() };
    let proven = story.control.prove(&token).await.unwrap();
    story.control.cancel(&Actor::system(), run).await.unwrap();
    assert!(story.control.heartbeat(&proven, &Heartbeat {}).await.unwrap().cancel);
    assert_eq!(story.drive().await, [""; 0], "it has a while to end by itself");
    assert_eq!(story.drives_on(40).await, ["stop: cancelled by seamless"]);
    let (status, reason, _) = story.status(run, StageKind::Prepare).await;
    assert_eq!((status, reason.as_deref()), (Status::Cancelled, Some("cancelled by seamless")));
    assert_eq!(story.control.run(run).await.unwrap().status, Status::Cancelled);
}

#[tokio::test]
async fn an_engine_that_refuses_is_asked_again_and_the_run_says_why() {
    let story = Story::new(true).await;
    let run = story.run().await;
    *story.engine.refuses.lock().unwrap() = Some(EngineError::Throttled("AWS asks for patience".into()));
    story.drive().await;
    let trouble = story.execution(run).await.trouble.unwrap();
    assert_eq!(trouble, "AWS asks for patience; it is tried again until it works");
    assert_eq!(story.control.run(run).await.unwrap().reason, Some(trouble), "the run says so");
    *story.engine.refuses.lock().unwrap() = None;
    assert_eq!(story.drive().await, [""; 0], "not before its time");
    story.goes_by(1);
    assert_eq!(story.drive().await, ["start"]);
    assert_eq!(story.control.run(run).await.unwrap().reason, None);
    let told: Vec<_> = story.log().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(told[told.len() - 2..], ["engine_trouble", "engine_back"]);

    // What is not heard of for long is looked at, at most once a second in all; what is gone has an end.
    for _ in 0..3 {
        story.run().await;
    }
    assert_eq!(story.drive().await.len(), 3);
    story.goes_by(121);
    let (first, second) = (story.drive().await, story.drive().await);
    assert_eq!((&*first, &*second), (&["look".to_owned(), "history".to_owned()][..], &[][..]));
    *story.engine.standing.lock().unwrap() = Some(Standing::Unknown);
    tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while story.control.run(run).await.unwrap().status != Status::Failure {
            story.goes_by(121);
            story.drive().await;
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let (status, reason, _) = story.status(run, StageKind::Prepare).await;
    assert_eq!(status, Status::Failure);
    assert!(reason.unwrap().starts_with("its execution is gone"));
}

#[tokio::test]
async fn what_cannot_be_dealt_with_is_set_aside_and_its_secrets_stay_hidden() {
    let story = Story::new(true).await;
    let message = |handle: &str, body: &str, letter| Message {
        handle: handle.into(),
        times: 1,
        body: body.into(),
        letter,
    };
    *story.engine.queue.lock().unwrap() = vec![
        message("a", "gibberish", Err("it is no JSON".into())),
        message("b", r#"{"kind":"gate","token":"hush"}"#, Err("it has no run".into())),
        message("c", "other", Ok(Letter::Else)),
        message("d", "foreign", Ok(Letter::Gate { run: RunId::from_parts(5, 5), token: "T".into() })),
    ];
    let heard = story.control.listen(story.engine.as_ref()).await.unwrap();
    assert_eq!((heard.done, heard.aside), (2, 2));
    assert_eq!(*story.engine.removed.lock().unwrap(), ["a", "b", "c", "d"]);
    let aside: Vec<_> =
        story.log().await.into_iter().filter(|(kind, _)| kind == "message_set_aside").collect();
    assert!(aside[0].1.contains("gibberish") && aside[0].1.contains("it is no JSON"), "{aside:?}");
    assert!(!aside[1].1.contains("hush"), "{aside:?}");
}

#[tokio::test]
async fn one_that_cannot_be_dealt_with_keeps_no_other_from_going_on() {
    let story = Story::new(true).await;
    let broken = story.run().await;
    assert_eq!(story.drive().await, ["start"]);
    let db = story.control.store().write();
    let mut row = story.execution(broken).await;
    row.gate_token = Some("sealed with nothing we know".into());
    executions::keep(db, row).await.unwrap();
    story.control.cancel(&Actor::system(), broken).await.unwrap();
    let next = story.run().await;
    assert_eq!(story.drive().await, ["start"], "the one after it");
    assert_eq!(story.execution(next).await.state, executions::STARTED);
}

#[tokio::test]
async fn an_execution_whose_service_was_deleted_is_stopped_and_forgotten() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    let claim = story.claim(run, StageKind::Prepare, 0, "one");
    services::delete(story.control.store().write(), &story.service.to_string()).await.unwrap();
    let answer = story.control.claim_stage(&claim).await;
    assert!(matches!(answer, Err(Error::Conflict(_))), "its task is to end: {answer:?}");
    story.hear(Letter::Gate { run, token: "T".into() }).await;
    assert_eq!(story.drive().await, ["stop: its service was deleted"]);
    let left = executions::of(story.control.store().read(), &run.to_string()).await.unwrap();
    assert_eq!(left, None);
}

#[tokio::test]
async fn all_that_asked_at_a_gate_are_answered_whatever_comes_between() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    for kind in CHECKED.into_iter().chain([StageKind::DeployStaging]) {
        story.task(run, kind, Outcome::Success).await;
    }
    // The state began anew, and its messages overtook each other: nobody knows which of the tokens it waits with.
    for token in ["new", "old"] {
        story.hear(Letter::Gate { run, token: token.into() }).await;
    }
    story.control.approve(&Actor::system(), run, None).await.unwrap();
    *story.engine.refuses.lock().unwrap() = Some(EngineError::Away("AWS does not answer".into()));
    assert_eq!(story.drive().await, [""; 0]);
    *story.engine.refuses.lock().unwrap() = None;
    story.goes_by(2);
    assert_eq!(story.drive().await, ["answer new: Ok(())", "answer old: Ok(())"]);
    assert_eq!(story.drive().await, [""; 0]);
    story.hear(Letter::Gate { run, token: "late".into() }).await;
    assert_eq!(story.drive().await, ["answer late: Ok(())"], "one that comes after the decision too");

    // However often it could not be dealt with: it stays in the queue.
    let message = |letter| Message { handle: "a".into(), times: 99, body: String::new(), letter };
    let queue = vec![message(Ok(Letter::Gate { run, token: "T".into() }))];
    *story.engine.queue.lock().unwrap() = queue;
    let mut row = story.execution(run).await;
    let claims = std::mem::replace(&mut row.claims, "what nobody can read".into());
    executions::keep(story.control.store().write(), row.clone()).await.unwrap();
    let heard = story.control.listen(story.engine.as_ref()).await.unwrap();
    assert_eq!((heard.done, heard.aside), (0, 0));
    row.claims = claims;
    executions::keep(story.control.store().write(), row).await.unwrap();
    assert_eq!(story.control.listen(story.engine.as_ref()).await.unwrap().done, 1);
    assert_eq!(story.drive().await, ["answer T: Ok(())"]);
}

#[tokio::test]
async fn an_execution_that_never_asks_at_its_gate_is_told_on_the_run() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    for kind in CHECKED.into_iter().chain([StageKind::DeployStaging]) {
        story.task(run, kind, Outcome::Success).await;
    }
    story.control.approve(&Actor::system(), run, None).await.unwrap();
    story.goes_by(200);
    assert_eq!(story.drive().await, ["look", "history"], "the message may be on its way");
    story.goes_by(200);
    assert_eq!(story.looks().await, ["look", "history"]);
    let reason = story.control.run(run).await.unwrap().reason.unwrap();
    assert!(reason.contains("never asked"), "{reason}");
    // Where nothing can be heard, that is why, and to run it again would not help.
    *story.engine.refuses.lock().unwrap() = Some(EngineError::Refused("the queue is gone".into()));
    story.control.listen(story.engine.as_ref()).await.unwrap_err();
    *story.engine.refuses.lock().unwrap() = None;
    story.goes_by(121);
    assert_eq!(story.looks().await, ["look", "history"]);
    let reason = story.control.run(run).await.unwrap().reason.unwrap();
    assert!(reason.contains("nothing that the engine tells is heard: the queue is gone"), "{reason}");
    assert_eq!(story.control.engine().await.unwrap().unwrap().troubles, [reason.as_str()]);
    story.control.listen(story.engine.as_ref()).await.unwrap();
    story.hear(Letter::Gate { run, token: "T".into() }).await;
    story.goes_by(60);
    assert_eq!(story.drive().await, ["answer T: Ok(())"]);
    assert_eq!(story.control.run(run).await.unwrap().reason, None);
}

#[tokio::test]
async fn a_stage_for_which_no_task_comes_is_told_on_the_run() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    story.goes_by(800);
    assert_eq!(story.looks().await, ["look", "history"]);
    assert_eq!(story.control.run(run).await.unwrap().reason, None, "it may take a while to find room");
    *story.engine.hindrance.lock().unwrap() = Some("there was no room".into());
    story.goes_by(121);
    assert_eq!(story.looks().await, ["look", "history"]);
    let reason = story.control.run(run).await.unwrap().reason.unwrap();
    assert_eq!(reason, "there was no room; it is tried again");
    story.goes_by(60);
    assert_eq!(story.drive().await, [""; 0], "others are looked at meanwhile");
    *story.engine.hindrance.lock().unwrap() = None;
    story.goes_by(61);
    assert_eq!(story.looks().await, ["look", "history"]);
    let reason = story.control.run(run).await.unwrap().reason.unwrap();
    assert!(reason.starts_with("no task has come for Prepare in 17 m"), "{reason}");
    story.task(run, StageKind::Prepare, Outcome::Success).await;
    assert_eq!(story.control.run(run).await.unwrap().reason, None);
}

#[tokio::test]
async fn no_deploy_begins_while_one_that_was_lost_may_undo_itself() {
    let story = Story::new(true).await;
    let (first, second) = (story.run().await, story.run().await);
    story.drive().await;
    for run in [first, second] {
        for kind in CHECKED {
            story.task(run, kind, Outcome::Success).await;
        }
    }
    let token = story.begins(first, StageKind::DeployStaging).await;
    let proven = story.control.prove(&token).await.unwrap();
    story.control.job(&proven).await.unwrap();
    let next = story.claim(second, StageKind::DeployStaging, 0, "next");
    let before = story.log().await;
    let waits = story.control.claim_stage(&next).await.unwrap();
    assert!(matches!(&waits, Claimed::Wait { why, .. } if why.contains("in progress")), "{waits:?}");
    assert_eq!(story.log().await, before, "who stands in line changes nothing");

    story.hear(Letter::Ended { run: first, how: Err("stopped by hand".into()) }).await;
    let waits = story.control.claim_stage(&next).await.unwrap();
    assert!(matches!(&waits, Claimed::Wait { why, .. } if why.contains("undo itself")), "{waits:?}");
    story.goes_by(131);
    assert!(matches!(story.control.claim_stage(&next).await.unwrap(), Claimed::Go { .. }));

    // One that ended by its own word holds up nobody.
    let third = story.run().await;
    story.drive().await;
    for kind in CHECKED {
        story.task(third, kind, Outcome::Success).await;
    }
    let Claimed::Go { token, .. } = story.control.claim_stage(&next).await.unwrap() else { panic!() };
    story.finish(&token, StageKind::DeployStaging, Outcome::Failure).await;
    story.begins(third, StageKind::DeployStaging).await;
}

#[tokio::test]
async fn what_is_left_out_because_something_failed_did_not_go_well() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    story.task(run, StageKind::Prepare, Outcome::Failure).await;
    for kind in [StageKind::CodeQuality, StageKind::Build, StageKind::DeployProduction] {
        let answer = story.control.claim_stage(&story.claim(run, kind, 0, "x")).await.unwrap();
        assert_eq!(answer, Claimed::Over { passed: false }, "{kind}");
    }
    assert_eq!(story.drive().await, [""; 0], "its execution has a while to end by itself");
    story.goes_by(601);
    assert_eq!(story.drive().await, ["stop: Prepare: prepare exited with 1"]);
}

#[tokio::test]
async fn a_task_that_hangs_is_ended() {
    let story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    let token = story.begins(run, StageKind::Prepare).await;
    story.control.job(&story.control.prove(&token).await.unwrap()).await.unwrap();
    // While nobody listened, as when the database was away, nobody could say a word.
    story.goes_by(700);
    assert_eq!(story.drives_on(580).await, [""; 0]);
    assert_eq!(story.drives_on(60).await, ["stop: its task was not heard of for 10 m 20 s"]);
    let (status, reason, _) = story.status(run, StageKind::Prepare).await;
    assert_eq!(status, Status::Failure);
    assert_eq!(reason.as_deref(), Some("runner lost: its task was not heard of for 10 m 20 s"));
}

#[tokio::test]
async fn runs_whose_engine_was_taken_away_get_an_end_or_go_on_here() {
    let mut story = Story::new(true).await;
    let begun = story.run().await;
    story.drive().await;
    let token = story.begins(begun, StageKind::Prepare).await;
    let waiting = story.run().await;
    story.control.let_go().await.unwrap();
    story.goes_by(700);
    story.control.let_go().await.unwrap();
    assert_eq!(story.status(begun, StageKind::Prepare).await.0, Status::InProgress, "it is driven");

    story.restart(false);
    story.control.let_go().await.unwrap();
    assert_eq!(
        story.status(begun, StageKind::Prepare).await.0,
        Status::InProgress,
        "another server may drive it"
    );
    story.goes_by(500);
    story.control.heartbeat(&story.control.prove(&token).await.unwrap(), &Heartbeat {}).await.unwrap();
    story.goes_by(500);
    story.control.let_go().await.unwrap();
    assert_eq!(story.status(begun, StageKind::Prepare).await.0, Status::InProgress, "its task was heard of");
    assert_eq!(story.control.dispatch().await.unwrap(), 1, "nothing of the other had begun");
    assert_eq!(story.status(waiting, StageKind::Prepare).await.0, Status::InProgress);
    story.goes_by(601);
    story.control.let_go().await.unwrap();
    let (status, reason, _) = story.status(begun, StageKind::Prepare).await;
    assert_eq!(status, Status::Failure);
    assert!(reason.as_deref().is_some_and(|why| why.contains("not set any more")), "{reason:?}");
}

#[tokio::test]
async fn what_would_end_with_its_task_is_not_deployed() {
    let mut story = Story::new(true).await;
    let run = story.run().await;
    story.drive().await;
    for kind in CHECKED {
        story.task(run, kind, Outcome::Success).await;
    }
    let ports = Ports { executions: Some(story.engine.clone()), ..script::ports(&story.script) };
    story.control = start_as(story.control.store().clone(), ports, &story.clock, true);
    let control = &story.control;
    let token = story.begins(run, StageKind::DeployStaging).await;
    let job = control.job(&control.prove(&token).await.unwrap()).await.unwrap();
    let Work::Deploy(work) = job.work else { panic!("a deploy stage deploys") };
    assert!(work.refused.unwrap().contains("what it starts ends with it: choose `ecs`"));

    // It is said beforehand, and nothing like it can be saved.
    let stored = control.service(story.service).await.unwrap();
    let page = control.service_page(story.service).await.unwrap();
    assert!(page.means.trouble.unwrap().contains("choose `ecs`"));
    let mut wanted = stored.settings;
    for environment in EnvironmentName::ALL {
        wanted.environments.of_mut(environment).target = Some(TargetKind::Process);
    }
    let refused = control.update_service(&Actor::system(), story.service, wanted).await;
    let Err(Error::Invalid(fields)) = refused else { panic!("{refused:?}") };
    assert_eq!(fields[0].field, "environments.production.target");
    let mut other = ServiceSettings::new("a", "/b");
    assert_eq!(control.usual_target(&other).await, TargetKind::Process, "nothing of it is deployed");
    other.commands.start = Some("true".into());
    assert_eq!(control.usual_target(&other).await, TargetKind::Ecs);
}
