//! What is sent to those who subscribed, with a notifier that falls: nothing is lost, nothing is told of before anybody was to be told,
//! and things arrive in the order in which they happened.

#![allow(clippy::unwrap_used)]

mod script;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use control::{
    Actor, Control, Setup,
    notify::{Found, Message, Notifier, NotifyError},
    store::{Store, services},
};
use domain::{ServiceId, Timestamp, news::Hears};
use script::Script;

/// Remembers what arrived; fails as often as it was told to.
#[derive(Default)]
struct Topic {
    arrived: Mutex<Vec<Message>>,
    fails: Mutex<VecDeque<NotifyError>>,
}

impl Topic {
    fn subjects(&self) -> Vec<String> {
        self.arrived.lock().unwrap().iter().map(|message| message.subject.clone()).collect()
    }
}

#[async_trait]
impl Notifier for Topic {
    async fn topic(&self, _: &str) -> Result<String, NotifyError> {
        Ok("arn:topic".into())
    }
    async fn publish(&self, _: &str, message: &Message) -> Result<(), NotifyError> {
        match self.fails.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => {
                self.arrived.lock().unwrap().push(message.clone());
                Ok(())
            }
        }
    }
    async fn subscriptions(&self, _: &str) -> Result<Vec<Found>, NotifyError> {
        Ok(Vec::new())
    }
    async fn subscribe(&self, _: &str, _: &str, _: &str, _: &Hears) -> Result<(), NotifyError> {
        Ok(())
    }
    async fn change(&self, _: &str, _: &str, _: &Hears) -> Result<(), NotifyError> {
        Ok(())
    }
    async fn unsubscribe(&self, _: &str, _: &str) -> Result<(), NotifyError> {
        Ok(())
    }
}

/// A server over a database, as it is after a start; its clock is the test's.
fn server(store: &Store, topic: &Arc<Topic>, clock: &Arc<Mutex<i64>>) -> Control {
    let mut ports = script::ports(&Arc::new(Script::default()));
    ports.notifier = Some(topic.clone());
    let clock = clock.clone();
    let now = Arc::new(move || Timestamp(*clock.lock().unwrap()));
    Control::with_clock(store.clone(), &"0123456789abcdef".into(), ports, Setup::default(), now)
}

#[tokio::test]
async fn what_falls_in_the_middle_goes_on_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("seamless.db").display());
    let store = Store::open(&url).await.unwrap();
    let (topic, clock) = (Arc::new(Topic::default()), Arc::new(Mutex::new(1_000_000)));
    let later = |ms: i64| *clock.lock().unwrap() += ms;
    let control = server(&store, &topic, &clock);
    control.first_start().await.unwrap();
    let pipeline = control.pipelines().await.unwrap().items[0].id;
    let id = ServiceId::from_parts(1, 7);
    let settings = serde_json::from_value(serde_json::json!({ "name": "orders", "repository": "/nowhere" }));
    let mut row = script::service(id, &settings.unwrap());
    row.pipeline_id = pipeline.to_string();
    services::insert(store.write(), row).await.unwrap();
    let dana = Actor::named("dana");

    // What happened before anybody was to be told is nobody's news.
    control.hold(&dana, id, "old").await.unwrap();
    control.notify().await.unwrap();
    assert_eq!(topic.subjects(), [] as [&str; 0]);

    // It happens, and the server falls before it reads of it; the next one does.
    control.resume(&dana, id).await.unwrap();
    drop(control);
    let control = server(&store, &topic, &clock);
    assert_eq!(control.notify().await.unwrap(), 1);
    let resumed = "orders: dana lets deploys to production go on";
    assert_eq!(topic.subjects(), [resumed]);
    // Looking again changes nothing.
    assert_eq!(control.notify().await.unwrap(), 0);

    // The notifier is away: the server falls with what it wrote down, and the next one sends it, whole and in order.
    let away = || NotifyError::Away("throttled".into());
    topic.fails.lock().unwrap().extend([away(), away()]);
    control.hold(&dana, id, "first").await.unwrap();
    assert_eq!(control.notify().await.unwrap(), 0);
    let told = control.notifications(&dana).await.unwrap().unwrap().remove(0);
    assert_eq!((told.waiting, told.problem.unwrap().1.as_str()), (1, "throttled"));
    control.resume(&dana, id).await.unwrap();
    drop(control);
    let control = server(&store, &topic, &clock);
    later(2_000);
    assert_eq!(control.notify().await.unwrap(), 0, "it is away still");
    // Too early for the one, and so for those behind it.
    later(1_000);
    assert_eq!(control.notify().await.unwrap(), 0);
    later(3_000);
    assert_eq!(control.notify().await.unwrap(), 2);
    let stopped = "orders: dana stopped deploys to production";
    assert_eq!(topic.subjects(), [resumed, stopped, resumed]);
    let ids: Vec<_> = topic.arrived.lock().unwrap().iter().map(|m| m.attributes["id"].clone()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "each is an event's own");

    // What is refused keeps nobody else from being told, and is given up in the end; so is what is a day old.
    let refused = || NotifyError::Refused("no such parameter".into());
    topic.fails.lock().unwrap().extend(std::iter::repeat_with(refused).take(1));
    control.hold(&dana, id, "second").await.unwrap();
    control.resume(&dana, id).await.unwrap();
    assert_eq!(control.notify().await.unwrap(), 1);
    topic.fails.lock().unwrap().extend(std::iter::repeat_with(refused).take(12));
    for _ in 0..12 {
        later(300_000);
        control.notify().await.unwrap();
    }
    assert_eq!(control.notifications(&dana).await.unwrap().unwrap()[0].waiting, 0);
    assert_eq!(topic.subjects().len(), 4);
    // Neither is what a server finds that slept over it.
    control.hold(&dana, id, "third").await.unwrap();
    later(25 * 3_600_000);
    assert_eq!(control.notify().await.unwrap(), 0);
    topic.fails.lock().unwrap().extend([away(), away()]);
    control.resume(&dana, id).await.unwrap();
    control.notify().await.unwrap();
    assert_eq!(control.notifications(&dana).await.unwrap().unwrap()[0].waiting, 1);
    later(25 * 3_600_000);
    control.notify().await.unwrap();
    assert_eq!(control.notifications(&dana).await.unwrap().unwrap()[0].waiting, 0);
    assert_eq!(topic.subjects().len(), 4);
}
