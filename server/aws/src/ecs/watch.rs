//! One deployment of ECS, looked at again and again until it is over: what is new in what ECS says, and the verdict.
//!
//! It is *this* deployment that is followed, by its id: after a rollback the service is stable as well, with the old version.
//! Refuses to ask anybody: it judges what it is shown.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{Deployment, DeploymentRolloutState, Service, Task};

use super::fate::{self, Cause, Fate};

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All its tasks run and are healthy, and nothing older does.
    Serves,
    /// ECS has given it up, and has put the one before back or not; this is why.
    GivenUp(String),
    /// It would never succeed: it has to be undone, for this reason.
    Hopeless(String),
    /// Something else is deployed now, which is nobody's to undo.
    Replaced(String),
}

/// What was seen at one look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// New lines for the log.
    pub lines: Vec<String>,
    /// The end, once it is there.
    pub verdict: Option<Verdict>,
    /// ECS says that a task found no place: worth a look at what there is.
    pub no_place: Option<String>,
}

/// A deployment that is followed.
#[derive(Debug)]
pub(super) struct Watch {
    ours: String,
    events: BTreeSet<String>,
    tasks: BTreeSet<String>,
    counts: String,
    failures: BTreeMap<Cause, u32>,
    /// The last that went wrong, for the verdict's words.
    trouble: Option<String>,
    /// Looks at a deployment that has failed and has not been followed by anything.
    lonely: u32,
    /// ECS has said that it rolls back.
    rolled_back: bool,
}

/// `orders:12` of a task definition's ARN.
pub(super) fn revision(arn: Option<&str>) -> &str {
    arn.and_then(|arn| arn.rsplit('/').next()).unwrap_or("an unknown task definition")
}

/// The deployment that ECS works towards.
pub(super) fn primary(service: &Service) -> Option<&Deployment> {
    service.deployments().iter().find(|d| d.status() == Some("PRIMARY"))
}

/// Why ECS ended a deployment, as it says. That it is in progress is no reason for an end.
fn reason(deployment: &Deployment) -> &str {
    deployment.rollout_state_reason().filter(|said| !said.contains("in progress")).unwrap_or_default()
}

impl Watch {
    /// Of the deployment with this id; what `service` already tells is no news.
    pub fn new(ours: &str, service: &Service) -> Self {
        Self {
            ours: ours.into(),
            events: service.events().iter().filter_map(|e| e.id()).map(Into::into).collect(),
            tasks: BTreeSet::new(),
            counts: String::new(),
            failures: BTreeMap::new(),
            trouble: None,
            lonely: 0,
            rolled_back: false,
        }
    }

    /// Follows this one, which did not have an id before.
    pub fn follow(&mut self, ours: &str) {
        self.ours = ours.into();
    }

    /// Tasks that were not there at the last look, of those that stopped.
    pub fn unknown(&self, stopped: &[String]) -> Vec<String> {
        stopped.iter().filter(|arn| !self.tasks.contains(*arn)).cloned().collect()
    }

    /// The last that went wrong.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Looks at the service, and at tasks that stopped since the last look.
    pub fn look(&mut self, service: &Service, stopped: &[Task]) -> Seen {
        let mut seen = Seen::default();
        self.hear(service, &mut seen);
        for task in stopped {
            self.mourn(task, &mut seen);
        }
        self.count(service, &mut seen);
        seen.verdict = self.judge(service).or(seen.verdict);
        seen
    }

    fn hear(&mut self, service: &Service, seen: &mut Seen) {
        // The newest comes first.
        for event in service.events().iter().rev() {
            let (Some(id), Some(message)) = (event.id(), event.message()) else { continue };
            if !self.events.insert(id.into()) {
                continue;
            }
            let head = format!("(service {}) ", service.service_name().unwrap_or_default());
            let message = message.strip_prefix(&head).unwrap_or(message);
            seen.lines.push(format!("ECS: {message}"));
            let of_ours = message.contains(&self.ours);
            // These tell the verdict; what led to it was said before.
            let verdict =
                message.contains("rolling back") || of_ours && message.contains("deployment failed");
            self.rolled_back |= verdict;
            if fate::bad(message) && (!verdict || message.contains("alarm")) {
                self.trouble = Some(message.trim_end_matches('.').to_owned());
            }
            if let Some(why) = fate::hopeless(message) {
                seen.verdict = Some(Verdict::Hopeless(why));
            }
            if message.contains("unable to place a task") {
                seen.no_place = Some(message.to_owned());
            }
        }
    }

    fn mourn(&mut self, task: &Task, seen: &mut Seen) {
        let Some(arn) = task.task_arn() else { return };
        if !self.tasks.insert(arn.into()) || task.started_by() != Some(&self.ours) {
            return;
        }
        let fate = Fate::of(task);
        seen.lines.push(format!("task {} stopped: {}", fate::short(task), fate.words));
        let Some(cause) = fate.cause else { return };
        self.trouble = Some(cause.reason.clone());
        let count = self.failures.entry(cause.clone()).or_default();
        *count += 1;
        if cause.bears.is_some_and(|bears| *count >= bears) {
            let times = if *count > 1 { format!(" ({count} tasks)") } else { String::new() };
            seen.verdict = Some(Verdict::Hopeless(format!("{}{times}", cause.reason)));
        }
    }

    fn count(&mut self, service: &Service, seen: &mut Seen) {
        let Some(ours) = self.own(service) else { return };
        let old: i32 = service
            .deployments()
            .iter()
            .filter(|d| d.id() != Some(&self.ours))
            .map(|d| d.running_count())
            .sum();
        let some =
            |count: i32, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
        let counts = format!(
            "{} of {} tasks run{}{}{}",
            ours.running_count(),
            ours.desired_count(),
            some(ours.pending_count(), "start"),
            some(ours.failed_tasks(), "failed"),
            some(old, "of the version before"),
        );
        if counts != self.counts {
            seen.lines.push(counts.clone());
            self.counts = counts;
        }
    }

    fn own<'a>(&self, service: &'a Service) -> Option<&'a Deployment> {
        service.deployments().iter().find(|d| d.id() == Some(&self.ours))
    }

    fn judge(&mut self, service: &Service) -> Option<Verdict> {
        if service.status().is_some_and(|status| status != "ACTIVE") {
            return Some(Verdict::Replaced("the service is being deleted".into()));
        }
        let (ours, primary) = (self.own(service), primary(service));
        let said = ours.map(reason).unwrap_or_default();
        let failed = ours.and_then(|d| d.rollout_state()) == Some(&DeploymentRolloutState::Failed);
        let followed = primary.filter(|d| d.id() != Some(&self.ours));
        let back =
            followed.and_then(|d| d.rollout_state_reason()).is_some_and(|r| r.contains("rolling back"));
        if failed && followed.is_none() {
            self.lonely += 1;
            // The deployment that goes back comes a moment later, if there is anything to go back to.
            return (self.lonely > 3).then(|| {
                Verdict::GivenUp(format!(
                    "{}; there is no earlier deployment that ECS could go back to",
                    self.why(said)
                ))
            });
        }
        if let Some(other) = followed {
            let now = revision(other.task_definition());
            if failed || back || self.rolled_back {
                let said = if said.is_empty() { reason(other) } else { said };
                return Some(Verdict::GivenUp(format!("{}; ECS went back to {now}", self.why(said))));
            }
            return Some(Verdict::Replaced(format!(
                "somebody else deployed {now} to the same service meanwhile ({}); that is what ECS works on now",
                other.id().unwrap_or("?")
            )));
        }
        let ours = ours?;
        let done = ours.rollout_state() == Some(&DeploymentRolloutState::Completed);
        (done && ours.running_count() >= ours.desired_count()).then_some(Verdict::Serves)
    }

    /// ECS's reason, and what was seen to go wrong.
    fn why(&self, said: &str) -> String {
        let said = if said.is_empty() { "ECS gave the deployment up" } else { said.trim_end_matches('.') };
        match &self.trouble {
            Some(trouble) if !said.contains(trouble.as_str()) => format!("{said}: {trouble}"),
            _ => said.to_owned(),
        }
    }
}
