//! What teams are told of, outside of pages: the kinds of news, and what somebody who subscribes wants to hear.
//!
//! Refuses to know how it is told; that is the notifier's.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{EnvironmentName, PipelineId, ServiceId, Timestamp, status::UnknownName, view::ServiceRef};

/// The kinds of news. Few, since each is to be worth somebody's attention: a run that begins, or that succeeds as runs do, is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// A run failed before it deployed anything.
    RunFailed,
    /// The first run of a branch that succeeded after one that failed.
    RunRecovered,
    /// A person must decide before production.
    ApprovalNeeded,
    /// Nobody decided in time.
    ApprovalExpired,
    /// A new version is live.
    Deployed,
    /// A deploy failed, or a roll back did.
    DeployFailed,
    /// An older version is live again.
    RolledBack,
    /// Somebody stopped automatic deploys to production.
    DeploysStopped,
    /// And let them go on.
    DeploysResumed,
}

impl News {
    /// All of them, in the order of a run's life.
    pub const ALL: [News; 9] = [
        News::RunFailed,
        News::RunRecovered,
        News::ApprovalNeeded,
        News::ApprovalExpired,
        News::Deployed,
        News::DeployFailed,
        News::RolledBack,
        News::DeploysStopped,
        News::DeploysResumed,
    ];

    /// Its name in messages and filters.
    pub fn as_str(self) -> &'static str {
        match self {
            News::RunFailed => "run_failed",
            News::RunRecovered => "run_recovered",
            News::ApprovalNeeded => "approval_needed",
            News::ApprovalExpired => "approval_expired",
            News::Deployed => "deployed",
            News::DeployFailed => "deploy_failed",
            News::RolledBack => "rolled_back",
            News::DeploysStopped => "deploys_stopped",
            News::DeploysResumed => "deploys_resumed",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            News::RunFailed => "Run failed",
            News::RunRecovered => "Run succeeds again",
            News::ApprovalNeeded => "Approval needed",
            News::ApprovalExpired => "Approval expired",
            News::Deployed => "Deployed",
            News::DeployFailed => "Deploy failed",
            News::RolledBack => "Rolled back",
            News::DeploysStopped => "Deploys stopped",
            News::DeploysResumed => "Deploys resumed",
        }
    }

    /// How things stand, in a word that filters can be made of: `failure`, `success`, `waiting` or `stopped`.
    pub fn status(self) -> &'static str {
        match self {
            News::RunFailed | News::DeployFailed => "failure",
            News::RunRecovered | News::Deployed | News::RolledBack | News::DeploysResumed => "success",
            News::ApprovalNeeded => "waiting",
            News::ApprovalExpired | News::DeploysStopped => "stopped",
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for News {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        News::ALL.into_iter().find(|n| n.as_str() == text).ok_or_else(|| UnknownName {
            what: "kind of news",
            text: text.to_owned(),
            known: News::ALL.map(News::as_str).join(", "),
        })
    }
}

/// What a subscription hears of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hears {
    /// These kinds; all of them when empty.
    pub news: Vec<News>,
    /// Of what is about an environment, only this one; what is about none comes all the same.
    pub environment: Option<EnvironmentName>,
    /// These services; all of the pipeline's when empty.
    pub services: Vec<ServiceId>,
    /// Also what is about pull requests.
    pub pull_requests: bool,
}

/// How a subscription is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// By e-mail.
    Email,
    /// By HTTPS, with the notifier's envelope around each message.
    Https,
    /// By HTTPS, at an integration of PagerDuty's.
    PagerDuty,
    /// Slack by the e-mail address of a channel, or Slack or Teams through Amazon Q Developer in chat applications.
    Chat,
    /// In a way that is not made here, such as a queue.
    Other,
}

impl Reached {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Reached::Email => "E-mail",
            Reached::Https => "HTTPS",
            Reached::PagerDuty => "PagerDuty",
            Reached::Chat => "Slack or Teams",
            Reached::Other => "Another way",
        }
    }
}

/// Somebody who hears of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// By which it is changed and removed; none as long as it waits to be confirmed.
    pub id: Option<String>,
    /// How.
    pub reached: Reached,
    /// Where, without what is secret in it.
    pub endpoint: String,
    /// What it hears of; none where that is not known: it waits to be confirmed, or its filter was made elsewhere.
    pub hears: Option<Hears>,
}

impl Subscription {
    /// Whether whoever is there has said that they want it.
    pub fn confirmed(&self) -> bool {
        self.id.is_some()
    }
}

/// A pipeline's notifications, as the page shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    /// Which pipeline.
    pub pipeline: PipelineId,
    /// Its name.
    pub name: String,
    /// Its services.
    pub services: Vec<ServiceRef>,
    /// The topic's address; none where there is trouble.
    pub topic: Option<String>,
    /// Who hears.
    pub subscriptions: Vec<Subscription>,
    /// Why they cannot be shown or made.
    pub trouble: Option<String>,
    /// Messages that are still to be sent.
    pub waiting: u64,
    /// Why the oldest of them has not gone, and since when it is tried.
    pub problem: Option<(Timestamp, String)>,
}
