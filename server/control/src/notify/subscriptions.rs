//! Who hears of a pipeline: listed, added, changed and removed by people, in forms.
//!
//! The notifier alone knows who subscribed; nothing of it is stored here. Refuses addresses that can never get a message, and to show
//! what is secret in one.

use std::time::Duration;

use domain::{
    PipelineId, Role, Timestamp,
    news::{Hears, Notifications, Reached, Subscription},
    view::ServiceRef,
};
use entity::pipeline;
use url::{Host, Url};

use super::{Found, Notifier, NotifyError};
use crate::{
    Actor, Control,
    error::{Error, Result},
    store::{notices, rows, services},
};

/// How long a page waits for the notifier, for all that it asks.
const PATIENCE: Duration = Duration::from_secs(10);
/// Services that one subscription can name; a filter may have so many combinations of values at most.
const MOST_SERVICES: usize = 10;
/// Where Amazon Q Developer in chat applications takes messages.
const CHAT: &str = "sns-api.chatbot.amazonaws.com";

/// What is said to whoever gives a webhook of Slack.
const SLACK: &str = "Slack's webhooks cannot confirm a subscription: give the channel's e-mail address, or choose the topic in Amazon Q Developer in chat applications";

/// Who is to hear of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How: by e-mail, HTTPS or PagerDuty.
    pub reached: Reached,
    /// Where.
    pub endpoint: String,
    /// What they hear of.
    pub hears: Hears,
}

impl Control {
    /// The notifications of each pipeline; none where this server sends none. Trouble with the notifier is part of the answer.
    pub async fn notifications(&self, actor: &Actor) -> Result<Option<Vec<Notifications>>> {
        let Some(notifier) = &self.ports.notifier else { return Ok(None) };
        let pipelines = services::pipelines(self.store.read()).await?;
        let services = services::all(self.store.read()).await?;
        let all = pipelines.into_iter().map(|pipeline| {
            let of_it = services.iter().filter(|s| s.pipeline_id == pipeline.id);
            let services = of_it.map(rows::service_ref).collect::<Result<Vec<_>>>();
            async move { self.notifications_of(notifier.as_ref(), actor, pipeline, services?).await }
        });
        Ok(Some(futures::future::try_join_all(all).await?))
    }

    async fn notifications_of(
        &self,
        notifier: &dyn Notifier,
        actor: &Actor,
        pipeline: pipeline::Model,
        services: Vec<ServiceRef>,
    ) -> Result<Notifications> {
        let (waiting, oldest) = notices::waiting(self.store.read(), &pipeline.id).await?;
        let problem = oldest.and_then(|row| Some((Timestamp(row.created_at), row.problem?)));
        let whole = actor.role == Role::Owner;
        let asked = async {
            let topic = notifier.topic(&pipeline.id).await?;
            Ok::<_, NotifyError>((topic, notifier.subscriptions(&pipeline.id).await?))
        };
        let (topic, found, trouble) = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok((topic, found))) => (Some(topic), found, None),
            Ok(Err(error)) => (None, Vec::new(), Some(error.to_string())),
            Err(_) => {
                let within = PATIENCE.as_secs();
                (None, Vec::new(), Some(format!("there was no answer within {within} seconds")))
            }
        };
        let mut subscriptions: Vec<_> = found.into_iter().map(|found| shown(found, whole)).collect();
        subscriptions.sort_by(|a, b| (a.reached.title(), &a.endpoint).cmp(&(b.reached.title(), &b.endpoint)));
        let (name, pipeline) = (pipeline.name, pipeline.id.parse()?);
        Ok(Notifications { pipeline, name, services, topic, subscriptions, trouble, waiting, problem })
    }

    /// Subscribes somebody, who is asked to confirm it. Who is there already hears of this from now on.
    pub async fn subscribe(&self, actor: &Actor, id: PipelineId, wanted: Wanted) -> Result<()> {
        actor.must(Role::Owner)?;
        let pipeline = services::pipeline(self.store.read(), id).await?.id;
        let (protocol, endpoint) = checked(&wanted)?;
        self.check_hears(&pipeline, &wanted.hears).await?;
        let notifier = self.notifier()?;
        let there = notifier.subscriptions(&pipeline).await?;
        let same = there.into_iter().find(|s| s.protocol == protocol && s.endpoint == endpoint);
        match same.and_then(|same| same.id) {
            Some(id) => notifier.change(&pipeline, &id, &wanted.hears).await?,
            None => {
                let asked = notifier.subscribe(&pipeline, protocol, &endpoint, &wanted.hears).await;
                asked.map_err(|error| match error {
                    NotifyError::Refused(why) => Error::field("endpoint", why),
                    away => away.into(),
                })?;
            }
        }
        tracing::info!(pipeline, protocol, by = actor.name, "somebody was subscribed");
        Ok(())
    }

    /// Changes what somebody hears of.
    pub async fn change_subscription(
        &self,
        actor: &Actor,
        id: PipelineId,
        subscription: &str,
        hears: &Hears,
    ) -> Result<()> {
        actor.must(Role::Owner)?;
        let pipeline = services::pipeline(self.store.read(), id).await?.id;
        self.check_hears(&pipeline, hears).await?;
        Ok(self.notifier()?.change(&pipeline, subscription, hears).await?)
    }

    /// Lets somebody hear nothing any more.
    pub async fn unsubscribe(&self, actor: &Actor, id: PipelineId, subscription: &str) -> Result<()> {
        actor.must(Role::Owner)?;
        let pipeline = services::pipeline(self.store.read(), id).await?.id;
        self.notifier()?.unsubscribe(&pipeline, subscription).await?;
        tracing::info!(pipeline, subscription, by = actor.name, "somebody was unsubscribed");
        Ok(())
    }

    fn notifier(&self) -> Result<&dyn Notifier> {
        self.ports.notifier.as_deref().ok_or_else(|| {
            Error::Conflict("this server sends no notifications: set SEAMLESS_NOTIFY to sns".into())
        })
    }

    async fn check_hears(&self, pipeline: &str, hears: &Hears) -> Result<()> {
        let there = services::all(self.store.read()).await?;
        let known = |id: &str| there.iter().any(|s| s.id == id && s.pipeline_id == pipeline);
        if let Some(other) = hears.services.iter().find(|id| !known(&id.to_string())) {
            return Err(Error::field("services", format!("there is no service {other} in this pipeline")));
        }
        if hears.services.len() > MOST_SERVICES {
            return Err(Error::field(
                "services",
                format!("choose up to {MOST_SERVICES} services, or none to hear of all of them"),
            ));
        }
        Ok(())
    }
}

impl From<NotifyError> for Error {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::Away(why) => Error::Unavailable(why),
            NotifyError::Refused(why) => Error::Conflict(why),
        }
    }
}

/// The protocol, and the address as it is given to the notifier.
fn checked(wanted: &Wanted) -> Result<(&'static str, String)> {
    let wrong = |why: &str| Err(Error::field("endpoint", why));
    let endpoint = wanted.endpoint.trim();
    if matches!(wanted.reached, Reached::Email | Reached::Chat) {
        if endpoint.contains("://") {
            return wrong(match wanted.reached {
                Reached::Chat => SLACK,
                _ => "give an e-mail address, or choose HTTPS for this one",
            });
        }
        let mail = endpoint.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.')
        });
        let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c);
        if !mail || endpoint.contains(odd) || endpoint.len() > 254 {
            return wrong("give one e-mail address, such as team@example.org");
        }
        return Ok(("email", endpoint.to_owned()));
    }
    let Ok(url) = Url::parse(endpoint) else {
        return wrong("give an address such as https://hooks.example.org/seamless");
    };
    if url.scheme() != "https" {
        return wrong("give an address that begins with https://: messages are not sent in the clear");
    }
    let host = match url.host() {
        Some(Host::Domain(host)) => host.trim_end_matches('.').to_lowercase(),
        _ => return wrong("give a host by its name: the address is checked by its certificate"),
    };
    let private = ["localhost", "local", "internal", "lan", "home", "arpa"];
    if !host.contains('.') || host.rsplit('.').next().is_some_and(|last| private.contains(&last)) {
        return wrong("AWS reaches only addresses that the whole internet can reach, and this is none");
    }
    if host == "hooks.slack.com" {
        return wrong(SLACK);
    }
    if wanted.reached == Reached::PagerDuty {
        let key = url.path().strip_prefix("/x-ere/").is_some_and(|key| !key.trim_matches('/').is_empty());
        if !is_pagerduty(&host) || !key {
            return wrong(
                "give the address of an Event Orchestration's integration, such as https://events.pagerduty.com/x-ere/KEY; others throw these messages away",
            );
        }
    }
    Ok(("https", endpoint.to_owned()))
}

fn is_pagerduty(host: &str) -> bool {
    ["events.pagerduty.com", "events.eu.pagerduty.com"].contains(&host)
}

/// For people: whole for whoever may change it, as far as it is no secret by itself.
fn shown(found: Found, whole: bool) -> Subscription {
    let url = Url::parse(&found.endpoint).ok().filter(|_| found.protocol.starts_with("http"));
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned();
    let reached = match found.protocol.as_str() {
        "email" if found.endpoint.ends_with(".slack.com") => Reached::Chat,
        "email" => Reached::Email,
        "https" if is_pagerduty(&host) => Reached::PagerDuty,
        "https" if host.ends_with(CHAT) => Reached::Chat,
        "https" => Reached::Https,
        _ => Reached::Other,
    };
    let endpoint = match (&url, reached) {
        (Some(_), _) => without_path(&found.endpoint, &host),
        (None, Reached::Other) => format!("{} {}", found.protocol, ending(&found.endpoint)),
        (None, _) if whole => found.endpoint,
        (None, _) => match found.endpoint.split_once('@') {
            Some((name, host)) => format!("{}…@{host}", name.chars().take(1).collect::<String>()),
            None => ending(&found.endpoint),
        },
    };
    Subscription { id: found.id, reached, endpoint, hears: found.hears }
}

/// Whoever knows the whole address may send there: of what follows the host only the end is shown, by which to tell it from others.
fn without_path(endpoint: &str, host: &str) -> String {
    let rest = endpoint.split_once(host).map_or("", |(_, rest)| rest);
    match rest.trim_matches('/').is_empty() {
        true => format!("https://{host}"),
        false => format!("https://{host}/{}", ending(rest)),
    }
}

/// An ARN names and proves nothing; of anything else the last four characters.
fn ending(text: &str) -> String {
    if text.starts_with("arn:") {
        return text.to_owned();
    }
    let count = text.chars().count();
    // Of a short one nothing: four characters would be most of it.
    let last: String = text.chars().skip(if count > 12 { count - 4 } else { count }).collect();
    format!("…{last}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(reached: Reached, endpoint: &str) -> Result<String, String> {
        let wanted = Wanted { reached, endpoint: endpoint.into(), hears: Hears::default() };
        match checked(&wanted) {
            Ok((protocol, endpoint)) => Ok(format!("{protocol} {endpoint}")),
            Err(Error::Invalid(fields)) => Err(format!("{}: {}", fields[0].field, fields[0].message)),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn an_address_that_can_never_get_a_message_is_refused_by_name() {
        use Reached::{Chat, Email, Https, PagerDuty};
        assert_eq!(check(Email, " team@example.org "), Ok("email team@example.org".into()));
        assert_eq!(
            check(Https, "https://hooks.example.org/seamless?key=1"),
            Ok("https https://hooks.example.org/seamless?key=1".into())
        );
        let pages = "https://events.pagerduty.com/x-ere/R0123456789";
        assert_eq!(check(PagerDuty, pages), Ok(format!("https {pages}")));
        for (reached, endpoint, says) in [
            (Email, "team", "such as team@example.org"),
            (Email, "a@b@example.org", "such as team@example.org"),
            (Email, "a@example.org, b@example.org", "such as team@example.org"),
            (Email, "https://example.org", "choose HTTPS"),
            (Https, "hooks.example.org", "such as https://"),
            (Https, "http://hooks.example.org/", "begins with https://"),
            (Https, "https://10.0.0.1/", "by its name"),
            (Https, "https://[::1]/", "by its name"),
            (Https, "https://127.1/", "by its name"),
            (Https, "https://localhost/", "whole internet"),
            (Https, "https://metadata.google.internal/", "whole internet"),
            (Https, "https://printer/", "whole internet"),
            (Https, "https://hooks.slack.com/services/T0/B0/x", "channel's e-mail address"),
            (Chat, "https://hooks.slack.com/services/T0/B0/x", "channel's e-mail address"),
            (PagerDuty, "https://events.pagerduty.com/integration/KEY/enqueue", "Event Orchestration"),
            (PagerDuty, "https://example.org/x-ere/KEY", "Event Orchestration"),
        ] {
            let refused = check(reached, endpoint).unwrap_err();
            assert!(refused.starts_with("endpoint: ") && refused.contains(says), "{endpoint}: {refused}");
        }
    }

    #[test]
    fn nobody_is_shown_what_is_as_good_as_a_password() {
        let found = |protocol: &str, endpoint: &str, whole| {
            let found = Found { id: None, protocol: protocol.into(), endpoint: endpoint.into(), hears: None };
            let shown = shown(found, whole);
            format!("{} {}", shown.reached.title(), shown.endpoint)
        };
        assert_eq!(found("email", "dana@example.org", true), "E-mail dana@example.org");
        assert_eq!(found("email", "dana@example.org", false), "E-mail d…@example.org");
        let key = "https://events.pagerduty.com/x-ere/R0123456789";
        assert_eq!(found("https", key, true), "PagerDuty https://events.pagerduty.com/…6789");
        let login = "https://user:hunter2@example.org/hook";
        assert_eq!(found("https", login, true), "HTTPS https://example.org/…");
        assert_eq!(found("https", "https://example.org/", false), "HTTPS https://example.org");
        let chat = "https://global.sns-api.chatbot.amazonaws.com";
        assert_eq!(found("https", chat, false), format!("Slack or Teams {chat}"));
        assert_eq!(found("email", "ops-x1@acme.slack.com", false), "Slack or Teams o…@acme.slack.com");
        assert_eq!(found("sqs", "arn:aws:sqs:x:1:q", false), "Another way sqs arn:aws:sqs:x:1:q");
        assert_eq!(found("sms", "+4915112345678", true), "Another way sms …5678");
    }
}
