//! One running version, whatever it runs as: the face that deploys and the supervisor deal with.
//!
//! Refuses to know how a process or a container is started; each has a file of its own.

use std::{fmt, time::Duration};

use domain::{DeploymentId, protocol::Launch};

use super::{
    container::Container,
    health::{Address, Ill},
    process::Process,
    state::{Place, Started, mark},
};
use crate::docker::containers;

/// How a version ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Nobody can say: it was started by an earlier keeper.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with {code}"),
            Exit::Signal(9) => write!(f, "was killed (signal 9; is the machine out of memory?)"),
            Exit::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Exit::Unknown => write!(f, "ended"),
        }
    }
}

/// A running version.
#[derive(Debug)]
pub enum Version {
    /// A process of this machine.
    Process(Process),
    /// A container.
    Container(Container),
}

impl Version {
    /// Takes over what an earlier keeper started; `None` when it is gone or is somebody else by now.
    pub fn adopt(place: &Place, deployment: DeploymentId, started: &Started) -> Option<Self> {
        match started {
            Started::Process { id, port } => Process::adopt(deployment, *id, *port).map(Version::Process),
            Started::Container(boxed) => {
                let log = place.log(deployment);
                Some(Version::Container(Container::adopt(boxed.clone(), &mark(deployment), log)))
            }
        }
    }

    /// What is remembered of it.
    pub fn started(&self) -> Started {
        match self {
            Version::Process(process) => Started::Process { id: process.id, port: process.port },
            Version::Container(container) => Started::Container(container.boxed.clone()),
        }
    }

    /// Where it answers.
    pub fn address(&self) -> Address {
        match self {
            Version::Process(process) => Address::here(process.port),
            Version::Container(container) => container.boxed.address.clone(),
        }
    }

    /// Returns when it has ended.
    pub async fn ended(&self) -> Exit {
        match self {
            Version::Process(process) => process.ended().await,
            Version::Container(container) => container.ended().await,
        }
    }

    /// Ends it with everything it started: SIGTERM, the grace, SIGKILL. True when it had to kill. A container stays, stopped.
    pub async fn end(&self, grace: Duration) -> bool {
        match self {
            Version::Process(process) => process.end(grace).await,
            Version::Container(container) => {
                let parked = containers::park(&container.docker, &container.boxed.container, grace).await;
                // What the daemon did not do now it does when whoever sweeps comes by.
                parked
                    .inspect_err(|error| tracing::warn!(%error, "a container was not stopped"))
                    .unwrap_or(false)
            }
        }
    }

    /// Why it is not healthy, in words; `seconds` is for how long it was not.
    pub async fn ill(&self, launch: &Launch, ill: &Ill, seconds: Option<u64>) -> String {
        match self {
            Version::Process(process) => {
                let mut why = ill.words(launch.health_path.as_deref(), process.port, seconds);
                if *ill == Ill::Closed && seconds.is_some() {
                    why.push_str(&process.elsewhere());
                }
                why
            }
            Version::Container(container) => container.ill(launch, ill, seconds).await,
        }
    }
}
