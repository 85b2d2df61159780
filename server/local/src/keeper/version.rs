//! One running version, whatever it runs as: the face that deploys and the supervisor deal with.
//!
//! Refuses to know how a process or a container is started; each has a file of its own.

use std::{fmt, time::Duration};

use domain::{DeploymentId, protocol::Launch};

use super::{
    health::{Address, Ill},
    process::Process,
    state::Started,
};

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
#[derive(Debug, Clone)]
pub enum Version {
    /// A process of this machine.
    Process(Process),
}

impl Version {
    /// Takes over what an earlier keeper started; `None` when it is gone or is somebody else by now.
    pub fn adopt(deployment: DeploymentId, started: &Started) -> Option<Self> {
        match started {
            Started::Process { id, port } => Process::adopt(deployment, *id, *port).map(Version::Process),
        }
    }

    /// What is remembered of it.
    pub fn started(&self) -> Started {
        match self {
            Version::Process(process) => Started::Process { id: process.id, port: process.port },
        }
    }

    /// Where it answers.
    pub fn address(&self) -> Address {
        match self {
            Version::Process(process) => Address::here(process.port),
        }
    }

    /// Returns when it has ended.
    pub async fn ended(&self) -> Exit {
        match self {
            Version::Process(process) => process.ended().await,
        }
    }

    /// Ends it with everything it started: SIGTERM, the grace, SIGKILL. True when it had to kill.
    pub async fn end(&self, grace: Duration) -> bool {
        match self {
            Version::Process(process) => process.end(grace).await,
        }
    }

    /// Why it is not healthy, in words; `seconds` is for how long it was not.
    pub fn ill(&self, launch: &Launch, ill: &Ill, seconds: Option<u64>) -> String {
        match self {
            Version::Process(process) => {
                let mut why = ill.words(launch.health_path.as_deref(), process.port, seconds);
                if *ill == Ill::Closed && seconds.is_some() {
                    why.push_str(&process.elsewhere());
                }
                why
            }
        }
    }
}
