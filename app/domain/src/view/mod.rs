//! What the REST API answers and the pages show: one set of types for both.
//!
//! Refuses to hold a secret: variables of secret kind arrive here without their value.

mod deployment;
mod draft;
mod event;
mod forge;
mod log;
mod page;
mod people;
mod pipeline;
mod run;
mod service;
mod setup;

pub use self::{
    deployment::{Deployment, KeptImage},
    draft::{Candidate, Candidates, Detected, Draft, Proposal},
    event::{Activity, Event},
    forge::{Delivery, Forge, Hook, Stranger},
    log::{LogLine, LogMatch, LogMatches, LogPage, Stream},
    page::{Need, Overview, OverviewRow, Page, RunPage, ServicePage},
    people::{Door, Member, SessionView, TokenView},
    pipeline::{Pipeline, Retention},
    run::{Approval, Artifact, Commit, ErrorLine, PullRequest, Run, Stage},
    service::{EnvironmentRow, EnvironmentState, Hold, Service, ServiceRef},
    setup::{Aside, Containers, Daemon, Engine, Means},
};
