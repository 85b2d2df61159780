//! Who is told of what happens: the real server with LocalStack's SNS, whose topics deliver into queues that are read here. What that
//! leaves unproven is listed in `docs/aws.md`.

use std::collections::BTreeMap;

use domain::Status;
use serde_json::{Value, json};
use testkit::{Options, Server, Visitor, aws::Aws, tiny, until};

use crate::SEAMLESS;

const PAGE: &str = "/settings/notifications";
const SECRET: &str = "correct-horse-battery-staple";

/// A queue that subscribed to a topic.
struct Queue<'a> {
    aws: &'a Aws,
    url: String,
    /// By which its subscription is changed.
    subscription: String,
}

/// A message as it came out of a queue.
struct Arrived {
    subject: String,
    body: Value,
    attributes: BTreeMap<String, String>,
}

impl<'a> Queue<'a> {
    async fn subscribe(aws: &'a Aws, name: &str, topic: &str) -> Self {
        let made = aws.call("AmazonSQS.CreateQueue", &json!({ "QueueName": name })).await.unwrap();
        let url = made["QueueUrl"].as_str().unwrap().to_owned();
        let asked = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
        let said = aws.call("AmazonSQS.GetQueueAttributes", &asked).await.unwrap();
        let arn = said["Attributes"]["QueueArn"].as_str().unwrap().to_owned();
        let fields = [("TopicArn", topic), ("Protocol", "sqs"), ("Endpoint", arn.as_str())];
        let said = aws.sns("Subscribe", &fields).await;
        let arn = said.split("<SubscriptionArn>").nth(1).unwrap().split('<').next().unwrap();
        Self { aws, url, subscription: arn.rsplit(':').next().unwrap().to_owned() }
    }

    /// The next so many messages, in the order of the events that they tell of.
    async fn next(&self, count: usize) -> Vec<Arrived> {
        let mut all = Vec::new();
        until(&format!("{count} messages"), async || {
            all.extend(self.take().await);
            (all.len() >= count).then_some(())
        })
        .await;
        assert_eq!(all.len(), count, "{:?}", all.iter().map(|m: &Arrived| &m.subject).collect::<Vec<_>>());
        all.sort_by_key(|message| message.attributes["id"].parse::<i64>().unwrap());
        all
    }

    /// What is there now.
    async fn take(&self) -> Vec<Arrived> {
        let asked = json!({ "QueueUrl": self.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0 });
        let said = self.aws.call("AmazonSQS.ReceiveMessage", &asked).await.unwrap();
        let mut all = Vec::new();
        for message in said["Messages"].as_array().into_iter().flatten() {
            let receipt = json!({ "QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"] });
            self.aws.call("AmazonSQS.DeleteMessage", &receipt).await.unwrap();
            let envelope: Value = serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
            let attributes = envelope["MessageAttributes"].as_object().unwrap().iter();
            all.push(Arrived {
                subject: envelope["Subject"].as_str().unwrap().to_owned(),
                body: serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap(),
                attributes: attributes
                    .map(|(name, value)| (name.clone(), value["Value"].as_str().unwrap().to_owned()))
                    .collect(),
            });
        }
        all
    }
}

fn kinds(messages: &[Arrived]) -> Vec<(&str, &str)> {
    messages.iter().map(|m| (m.attributes["event"].as_str(), m.attributes["environment"].as_str())).collect()
}

async fn server(aws: &Aws) -> Server {
    let mut environment = aws.environment();
    environment.extend([("SEAMLESS_NOTIFY", "sns".into()), ("SEAMLESS_TOPIC_PREFIX", "acme-".into())]);
    Server::start_with(SEAMLESS, Options { environment, ..Options::default() }).await
}

#[tokio::test]
async fn who_subscribed_hears_what_they_want_to_and_nothing_is_lost() {
    let Some(aws) = Aws::find("stories::notifications::who_subscribed_hears_what_they_want_to").await else {
        return;
    };
    let mut server = server(&aws).await;
    let visitor = Visitor::log_in(&server).await;
    let pipeline = server.api.get("/pipelines").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let page = visitor.reads(PAGE).await;
    assert!(page.contains("Nobody hears yet.") && page.contains("Nobody subscribed yet."), "{page}");
    let topic = page.split("Its topic: ").nth(1).unwrap().split_whitespace().next().unwrap();
    let topic = &topic[..topic.find(&pipeline).unwrap() + pipeline.len()];
    assert!(topic.ends_with(&format!(":acme-{pipeline}")), "{topic}");

    // One hears everything, one what somebody has to decide, by the form.
    let everything = Queue::subscribe(&aws, "everything", topic).await;
    let decisions = Queue::subscribe(&aws, "decisions", topic).await;
    let fields = [
        ("id", pipeline.as_str()),
        ("subscription", &decisions.subscription),
        ("hears[news][approval_needed]", "on"),
        ("hears[environment]", "production"),
    ];
    let to = visitor.post(PAGE, "/fn/change_subscription", &fields).await;
    assert_eq!(to, format!("{PAGE}?saved=1"));
    let page = visitor.reads(PAGE).await;
    assert!(page.contains("2 subscribers hear what happens."), "{page}");
    assert!(page.contains("Hears of approval needed of every service, production only."), "{page}");

    // A run that fails.
    let (repository, mut settings) = tiny(&server, "checkout");
    settings["auto_deploy"] = json!(false);
    settings["variables"] = json!({ "API_KEY": { "value": SECRET, "secret": true } });
    settings["commands"]["unit_test"] = json!("echo \"error: $API_KEY is wrong\"; test -e fixed");
    let service = server.api.connect(&settings).await;
    let first = repository.change(&[("README", "x")], "Round taxes <!channel>");
    let run = server.api.run_of(&service, &first).await;
    server.api.run_until(run.id, "over", |r| r.status == Status::Failure).await;
    let told = everything.next(1).await.remove(0);
    assert_eq!(told.subject, "checkout: Unit Test failed on main");
    let expected = [
        ("branch", "main"),
        ("environment", "none"),
        ("event", "run_failed"),
        ("id", &told.attributes["id"]),
        ("service", "checkout"),
        ("service_id", &service.id.to_string()),
        ("status", "failure"),
        ("trigger", "push"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(told.attributes, BTreeMap::from(expected));
    assert_eq!(told.body["version"], "1.0");
    let description = told.body["content"]["description"].as_str().unwrap();
    assert!(
        description.contains(&format!("Commit: {} \"Round taxes ‹!channel›\"", &first[..7])),
        "{description}"
    );
    assert!(
        description.contains("Failed: Unit Test\n") && description.contains("****** is wrong"),
        "{description}"
    );
    let link = told.body["metadata"]["additionalContext"]["link"].as_str().unwrap();
    assert_eq!(link, format!("{}/runs/{}?stage=unit_test", server.api.base, run.id));

    // One that succeeds, is asked about, and goes live.
    let second = repository.change(&[("fixed", "x")], "Fix it");
    let run = server.api.run_of(&service, &second).await;
    server.api.run_until(run.id, "at its gate", |r| r.status == Status::AwaitingApproval).await;
    let told = everything.next(2).await;
    assert_eq!(kinds(&told), [("deployed", "staging"), ("approval_needed", "production")]);
    server.api.post(&format!("/runs/{}/approve", run.id), json!({})).await.is(200);
    server.api.succeeded(run.id).await;
    let told = everything.next(2).await;
    assert_eq!(kinds(&told), [("deployed", "production"), ("run_recovered", "none")]);
    assert_eq!(told[0].subject, format!("checkout: {} is live in production", &second[..7]));

    // AWS throttles, and the server falls with a message that has not gone.
    aws.fault(
        &json!({ "operation": "Publish", "times": 2, "error": "Throttling", "message": "Rate exceeded" }),
    )
    .await;
    let held = json!({ "reason": "Black Friday" });
    server.api.post(&format!("/services/{}/hold", service.id), held).await.is(200);
    let late = "SELECT COUNT(*) FROM notice WHERE tries > 0";
    until("a message to wait", async || (server.number(late).await == 1).then_some(())).await;
    let page = visitor.reads(PAGE).await;
    assert!(
        page.contains("1 message waits to be sent") && page.contains("AWS throttles sns:Publish"),
        "{page}"
    );
    server.kill9();
    server.restart().await;
    let told = everything.next(1).await;
    assert_eq!(kinds(&told), [("deploys_stopped", "production")]);
    until("nothing to wait", async || {
        (server.number("SELECT COUNT(*) FROM notice").await == 0).then_some(())
    })
    .await;
    assert!(everything.take().await.is_empty(), "each came once");

    // Of all that the other heard what it asked for.
    assert_eq!(kinds(&decisions.next(1).await), [("approval_needed", "production")]);
    assert!(decisions.take().await.is_empty());

    // Nothing secret went there.
    let sent: String = aws.requests().iter().map(Value::to_string).collect();
    assert!(sent.contains("is wrong") && !sent.contains(SECRET), "a secret was sent");
}

#[tokio::test]
async fn subscriptions_are_managed_in_a_browser() {
    let Some(aws) = Aws::find("stories::notifications::subscriptions_are_managed_in_a_browser").await else {
        return;
    };
    let server = server(&aws).await;
    let visitor = Visitor::log_in(&server).await;
    let pipeline = server.api.get("/pipelines").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let add = async |reached: &str, endpoint: &str, news: &str| {
        let fields = [
            ("id", pipeline.as_str()),
            ("reached", reached),
            ("endpoint", endpoint),
            (news, "on"),
            ("hears[environment]", ""),
        ];
        visitor.post(PAGE, "/fn/subscribe", &fields).await
    };
    assert_eq!(add("email", "dana@example.org", "hears[news][run_failed]").await, format!("{PAGE}?asked=1"));
    add("https", "https://hooks.example.org/secret-key", "hears[news][run_failed]").await;
    let page = visitor.reads(PAGE).await;
    for words in [
        "Nobody hears yet.",
        "E-mail dana@example.org waits for confirmation",
        "HTTPS https://hooks.example.org/… waits for confirmation",
        "AWS forgets it by itself",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }

    // What is wrong is said beside the field, and what was typed is in no address.
    let to = add("https", "http://hooks.example.org/secret-key", "hears[news][run_failed]").await;
    assert!(to.starts_with(PAGE) && !to.contains("secret-key"), "{to}");
    assert!(visitor.page(&to).await.contains("give an address that begins with https://"));
    let to = add("email", "dana@example.org", "nothing").await;
    assert!(visitor.reads(&to).await.contains("choose at least one kind of news"));

    // AWS refuses: the page opens and says it.
    let denied = |operation: &str| {
        json!({ "operation": operation, "error": "AuthorizationError", "status": 403,
            "message": "User is not authorized to perform this" })
    };
    aws.fault(&denied("ListSubscriptionsByTopic")).await;
    let page = visitor.reads(PAGE).await;
    assert!(page.contains("Who hears cannot be seen just now."), "{page}");
    assert!(page.contains("AWS refuses sns:ListSubscriptionsByTopic"), "{page}");
    aws.fault(&denied("Subscribe")).await;
    let to = add("email", "team@example.org", "hears[news][deployed]").await;
    assert!(visitor.reads(&to).await.contains("AWS refuses sns:Subscribe"));

    // Somebody who confirmed is shown so, and can be removed.
    let topic = visitor.reads(PAGE).await;
    let topic = topic.split("Its topic: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let topic = &topic[..topic.find(&pipeline).unwrap() + pipeline.len()];
    let queue = Queue::subscribe(&aws, "mine", topic).await;
    let page = visitor.reads(PAGE).await;
    assert!(
        page.contains(":mine confirmed") && page.contains("Hears of everything of every service"),
        "{page}"
    );
    let fields = [("id", pipeline.as_str()), ("subscription", &queue.subscription)];
    visitor.post(PAGE, "/fn/unsubscribe", &fields).await;
    assert!(!visitor.reads(PAGE).await.contains(":mine"));

    // Nobody is told by a server that was not asked to.
    let quiet = Server::start(SEAMLESS).await;
    let page = Visitor::log_in(&quiet).await.reads(PAGE).await;
    assert!(page.contains("Nobody is told.") && page.contains("SEAMLESS_NOTIFY=sns"), "{page}");
}
