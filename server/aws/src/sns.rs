//! SNS: a topic for each pipeline, and who subscribed to it.
//!
//! A topic's name is made of the pipeline's id, so that renaming a pipeline moves nobody; it is made when it is first needed, and found
//! again by making it once more, which answers the same address. Refuses to touch topics and subscriptions of anybody else.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use aws_sdk_sns::types::{MessageAttributeValue, Tag};
use control::notify::{Found, Message, Notifier, NotifyError};
use domain::{
    EnvironmentName, ServiceId,
    news::{Hears, News},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::account::{Account, AwsError};

/// Who a message by e-mail is from, beside the address.
const FROM: &str = "Seamless";
/// How many filters are looked at at a time.
const BESIDE: usize = 8;
/// Pages of subscriptions that are read, of 100 each.
const PAGES: usize = 5;
/// What SNS says in the place of the ARN of one that waits to be confirmed, or was deleted.
const NO_ARN: [&str; 2] = ["PendingConfirmation", "Deleted"];
/// An attribute that filters on kinds of news can be made of; the others are `environment`, `service_id` and `trigger`.
const EVENT: &str = "event";

/// The notifier.
#[derive(Debug)]
pub struct Sns {
    account: Arc<Account>,
    prefix: String,
    topics: Mutex<HashMap<String, String>>,
}

impl Sns {
    /// Topics whose names begin with `prefix`. Nothing is asked before it is used.
    pub fn new(account: Arc<Account>, prefix: String) -> Self {
        Self { account, prefix, topics: Mutex::default() }
    }

    /// Asks about something of the topic; where the topic is gone, the next question makes it again.
    async fn of_topic<T>(&self, pipeline: &str, asked: Result<T, AwsError>) -> Result<T, NotifyError> {
        if let Err(error) = &asked
            && error.is("NotFound")
        {
            self.topics.lock().await.remove(pipeline);
            return Err(NotifyError::Away(format!("{error}; it is made again")));
        }
        asked.map_err(told)
    }

    /// The ARN of a subscription to a pipeline's topic, of nobody else's.
    async fn subscription(&self, pipeline: &str, id: &str) -> Result<String, NotifyError> {
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(NotifyError::Refused(format!("{id:?} is no subscription")));
        }
        Ok(format!("{}:{id}", self.topic(pipeline).await?))
    }

    /// What a subscription's filter lets through; none for one that is not ours. The outer absence is one that waits to be confirmed, or
    /// is gone.
    async fn hears(&self, arn: &str) -> Result<Option<Option<Hears>>, NotifyError> {
        let asked = self.account.ask("sns:GetSubscriptionAttributes", |aws| {
            aws.sns.get_subscription_attributes().subscription_arn(arn).send()
        });
        match asked.await {
            Ok(answer) => {
                let attributes = answer.attributes.unwrap_or_default();
                let word = |name: &str| attributes.get(name).map_or("", String::as_str);
                if word("PendingConfirmation") == "true" {
                    return Ok(None);
                }
                let ours = ["", "MessageAttributes"].contains(&word("FilterPolicyScope"));
                Ok(Some(hears_of(word("FilterPolicy")).filter(|_| ours)))
            }
            // It was removed meanwhile.
            Err(error) if error.is("NotFound") => Ok(None),
            Err(error) => Err(told(error)),
        }
    }
}

#[async_trait]
impl Notifier for Sns {
    async fn topic(&self, pipeline: &str) -> Result<String, NotifyError> {
        let mut topics = self.topics.lock().await;
        if let Some(arn) = topics.get(pipeline) {
            return Ok(arn.clone());
        }
        let name = format!("{}{pipeline}", self.prefix);
        // The same each time: a topic that is there with other tags or attributes would be refused.
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let tags = [tag("seamless:pipeline", pipeline)].into_iter().collect::<Result<Vec<_>, _>>();
        let tags = tags.map_err(|error| NotifyError::Refused(error.to_string()))?;
        let made = self.account.ask("sns:CreateTopic", |aws| {
            let question = aws.sns.create_topic().name(&name).attributes("DisplayName", FROM);
            question.set_tags(Some(tags.clone())).send()
        });
        let arn = made.await.map_err(told)?.topic_arn.unwrap_or_default();
        topics.insert(pipeline.to_owned(), arn.clone());
        Ok(arn)
    }

    async fn publish(&self, pipeline: &str, message: &Message) -> Result<(), NotifyError> {
        let arn = self.topic(pipeline).await?;
        let mut attributes = HashMap::new();
        for (name, value) in &message.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let value = value.map_err(|error| NotifyError::Refused(error.to_string()))?;
            attributes.insert(name.clone(), value);
        }
        // People read the one, programs the other.
        let structured = message.structured.to_string();
        let body = json!({ "default": message.text, "email": message.text, "https": structured,
            "http": structured, "sqs": structured, "lambda": structured, "email-json": structured });
        let body = body.to_string();
        let asked = self.account.ask("sns:Publish", |aws| {
            let question = aws.sns.publish().topic_arn(&arn).subject(&message.subject);
            let question = question.message_structure("json").message(&body);
            question.set_message_attributes(Some(attributes.clone())).send()
        });
        self.of_topic(pipeline, asked.await).await.map(drop)
    }

    async fn subscriptions(&self, pipeline: &str) -> Result<Vec<Found>, NotifyError> {
        let arn = self.topic(pipeline).await?;
        let (mut listed, mut next) = (Vec::new(), None);
        for _ in 0..PAGES {
            let asked = self.account.ask("sns:ListSubscriptionsByTopic", |aws| {
                let question = aws.sns.list_subscriptions_by_topic().topic_arn(&arn);
                question.set_next_token(next.clone()).send()
            });
            let page = self.of_topic(pipeline, asked.await).await?;
            listed.extend(page.subscriptions.unwrap_or_default());
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                break;
            }
        }
        let found = listed.into_iter().map(|one| async move {
            let arn = one.subscription_arn.filter(|arn| !NO_ARN.contains(&arn.as_str()));
            let hears = match &arn {
                Some(arn) => self.hears(arn).await?,
                None => None,
            };
            let id =
                arn.filter(|_| hears.is_some()).and_then(|arn| arn.rsplit(':').next().map(str::to_owned));
            let (protocol, endpoint) = (one.protocol.unwrap_or_default(), one.endpoint.unwrap_or_default());
            Ok(Found { id, protocol, endpoint, hears: hears.flatten() })
        });
        stream::iter(found).buffered(BESIDE).try_collect().await
    }

    async fn subscribe(
        &self,
        pipeline: &str,
        protocol: &str,
        endpoint: &str,
        hears: &Hears,
    ) -> Result<(), NotifyError> {
        let arn = self.topic(pipeline).await?;
        let policy = policy(hears);
        let asked = self.account.ask("sns:Subscribe", |aws| {
            let question = aws.sns.subscribe().topic_arn(&arn).protocol(protocol).endpoint(endpoint);
            let filtered = policy.as_object().is_some_and(|policy| !policy.is_empty());
            match filtered {
                true => question.attributes("FilterPolicy", policy.to_string()).send(),
                false => question.send(),
            }
        });
        match asked.await {
            Err(error) if error.message.contains("already exists with different attributes") => {
                Err(NotifyError::Refused(
                    "this address was added already and waits to be confirmed; what it hears of can be changed then".into(),
                ))
            }
            asked => self.of_topic(pipeline, asked).await.map(drop),
        }
    }

    async fn change(&self, pipeline: &str, id: &str, hears: &Hears) -> Result<(), NotifyError> {
        let arn = self.subscription(pipeline, id).await?;
        let policy = policy(hears).to_string();
        let asked = self.account.ask("sns:SetSubscriptionAttributes", |aws| {
            let question = aws.sns.set_subscription_attributes().subscription_arn(&arn);
            question.attribute_name("FilterPolicy").attribute_value(&policy).send()
        });
        match asked.await {
            Err(error) if error.is("NotFound") => {
                Err(NotifyError::Refused("this subscription is gone; add it again".into()))
            }
            asked => asked.map(drop).map_err(told),
        }
    }

    async fn unsubscribe(&self, pipeline: &str, id: &str) -> Result<(), NotifyError> {
        let arn = self.subscription(pipeline, id).await?;
        let asked =
            self.account.ask("sns:Unsubscribe", |aws| aws.sns.unsubscribe().subscription_arn(&arn).send());
        match asked.await {
            Err(error) if error.is("NotFound") => Ok(()),
            asked => asked.map(drop).map_err(told),
        }
    }
}

/// What SNS refuses because of what it was given; everything else is the same for every message.
fn told(error: AwsError) -> NotifyError {
    match error.code.as_str() {
        "InvalidParameter" | "InvalidParameterValue" | "ValidationError" | "ParameterValueInvalid" => {
            NotifyError::Refused(error.message)
        }
        _ => NotifyError::Away(error.message),
    }
}

/// The filter policy of what somebody hears of, over message attributes: empty where that is everything.
fn policy(hears: &Hears) -> Value {
    let mut policy = Map::new();
    if !hears.news.is_empty() && hears.news.len() < News::ALL.len() {
        policy.insert(EVENT.into(), json!(hears.news));
    }
    if let Some(environment) = hears.environment {
        let others: Vec<_> = EnvironmentName::ALL.into_iter().filter(|e| *e != environment).collect();
        policy.insert("environment".into(), json!([{ "anything-but": others }]));
    }
    if !hears.services.is_empty() {
        policy.insert("service_id".into(), json!(hears.services));
    }
    if !hears.pull_requests {
        policy.insert("trigger".into(), json!([{ "anything-but": ["pull_request"] }]));
    }
    Value::Object(policy)
}

/// What a filter policy lets through, if it is one that [`policy`] makes.
fn hears_of(text: &str) -> Option<Hears> {
    let given: Value = if text.is_empty() { json!({}) } else { serde_json::from_str(text).ok()? };
    let fields = given.as_object()?;
    fn list<T: serde::de::DeserializeOwned>(value: Option<&Value>) -> Option<Vec<T>> {
        value.map_or(Some(Vec::new()), |value| serde_json::from_value(value.clone()).ok())
    }
    let environment = match fields.get("environment") {
        None => None,
        Some(value) => {
            let not: EnvironmentName = serde_json::from_value(value[0]["anything-but"][0].clone()).ok()?;
            EnvironmentName::ALL.into_iter().find(|e| *e != not)
        }
    };
    let mut news: Vec<News> = list(fields.get(EVENT))?;
    news.sort();
    let hears = Hears {
        news,
        environment,
        services: list::<ServiceId>(fields.get("service_id"))?,
        pull_requests: !fields.contains_key("trigger"),
    };
    (sorted(policy(&hears)) == sorted(given)).then_some(hears)
}

/// The same policy, however its lists are ordered.
fn sorted(mut policy: Value) -> Value {
    for list in policy.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_array_mut) {
        list.sort_by_key(Value::to_string);
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_hears_of_comes_back_from_their_filter() {
        let service = ServiceId::from_parts(1, 2);
        let all = [
            (Hears { pull_requests: true, ..Hears::default() }, json!({})),
            (Hears::default(), json!({ "trigger": [{ "anything-but": ["pull_request"] }] })),
            (
                Hears {
                    news: vec![News::RunFailed, News::DeployFailed],
                    environment: Some(EnvironmentName::Production),
                    services: vec![service],
                    pull_requests: true,
                },
                json!({
                    "event": ["run_failed", "deploy_failed"],
                    "environment": [{ "anything-but": ["staging"] }],
                    "service_id": [service],
                }),
            ),
        ];
        for (hears, expected) in all {
            assert_eq!(policy(&hears), expected);
            assert_eq!(hears_of(&expected.to_string()), Some(hears));
        }
        assert_eq!(hears_of(""), Some(Hears { pull_requests: true, ..Hears::default() }));
        for other in [
            r#"{"event":[{"prefix":"run"}]}"#,
            r#"{"colour":["blue"]}"#,
            r#"{"trigger":["push"]}"#,
            r#"{"environment":["production"]}"#,
            "no",
        ] {
            assert_eq!(hears_of(other), None, "{other}");
        }
    }
}
