//! Use cases, the store and the ports to the outside: everything that decides.
//!
//! Refuses to know HTTP, pages, processes and forges; those reach it through [`Control`] or wait behind [`ports`].

pub mod access;
mod candidates;
mod cloud;
pub mod deploys;
pub mod detect;
mod drafts;
pub mod engine;
pub mod error;
pub mod forge;
mod hooks;
pub mod hot;
pub mod identity;
pub mod inbox;
pub mod ingest;
mod jobs;
mod kept;
pub mod live;
pub mod login;
pub mod logs;
mod masks;
mod missed;
pub mod nodes;
pub mod notify;
pub mod nudge;
pub mod pages;
mod pause;
pub mod people;
pub mod pipelines;
pub mod ports;
pub mod readiness;
mod report;
mod retention;
pub mod runner;
pub mod runs;
pub mod seal;
pub mod services;
pub mod store;
pub mod targets;
pub mod tokens;
mod variables;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use domain::{Role, StageId, Timestamp, UserId};
use secrecy::SecretString;

pub use error::{Error, Result};
pub use runs::Rerun;

use crate::{
    forge::Forge,
    hot::Hot,
    nudge::Nudge,
    ports::{Git, Host, Launcher},
    seal::Sealer,
    store::Store,
};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Their name, for the audit trail.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Which person it is; none for tokens, for whoever owns this machine, and for Seamless itself.
    pub person: Option<UserId>,
}

impl Actor {
    /// Seamless itself, for a cause it names; it may do everything.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), role: Role::Owner, person: None }
    }

    /// Refuses who may less than `needed`. Every use case that changes something, or shows what not everybody may see, begins with it.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn must(&self, needed: Role) -> Result<()> {
        if self.role >= needed {
            return Ok(());
        }
        Err(Error::Forbidden { name: self.name.clone(), has: self.role, needed })
    }

    /// Seamless itself.
    pub fn system() -> Self {
        Self::named("seamless")
    }
}

/// How the embedded engine works.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Stages at a time.
    pub slots: usize,
    /// A runner that lives but has not been heard of for this long is lost, in milliseconds.
    pub lease_ms: i64,
    /// What a person's session lasts, in milliseconds.
    pub session_ms: i64,
    /// Memory for log lines on their way into the database, in bytes.
    pub log_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let slots = std::thread::available_parallelism().map_or(2, usize::from);
        Self { slots, lease_ms: 60_000, session_ms: 30 * 24 * 3_600_000, log_bytes: 64 << 20 }
    }
}

/// The outside, as the binary wires it.
#[derive(Clone)]
pub struct Ports {
    /// Starts runners.
    pub launcher: Arc<dyn Launcher>,
    /// Reads repositories.
    pub git: Arc<dyn Git>,
    /// Knows what runs here.
    pub host: Arc<dyn Host>,
    /// Where repositories are developed.
    pub forge: Arc<dyn Forge>,
    /// What drives runs in the place of the embedded engine; absent where that one does.
    pub executions: Option<Arc<dyn engine::executions::Executions>>,
    /// Who people are; absent where they log in with the printed link alone.
    pub identity: Option<Arc<dyn identity::Identity>>,
    /// Keeps the newest rows of logs for many readers, and carries news to other servers; absent where there is no Redis.
    pub hot: Option<Arc<dyn Hot>>,
    /// The registry, where it gives logins for a while (ECR); absent where its login is a setting or nobody logs in.
    pub images: Option<Arc<dyn ports::Images>>,
    /// Where services run that are not on hosts of ours (ECS); absent where no account is set.
    pub cloud: Option<Arc<dyn ports::Cloud>>,
    /// Tells whoever subscribed of what happens; absent where nobody is told.
    pub notifier: Option<Arc<dyn notify::Notifier>>,
}

/// What the binary was told, as far as use cases need it.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// How the embedded engine works.
    pub limits: Limits,
    /// How a local repository's hook reaches this server: a shell command without the service's id.
    pub hook_command: Option<String>,
    /// Where images are pushed; they stay with the daemon when absent.
    pub registry: Option<ImageRegistry>,
    /// What holds for the logs of stages.
    pub log: domain::protocol::LogRules,
    /// How browsers and GitHub reach this server, without a slash at the end.
    pub url: String,
    /// Who may log in besides those who were invited.
    pub allowed: login::Allowed,
    /// Keys that were in use before: what they sealed can still be opened.
    pub old_keys: Vec<SecretString>,
    /// With what a forge signs all its hooks, beside the keys of their own that hooks have.
    pub forge_secret: Option<SecretString>,
    /// Which server this is.
    pub node: nodes::Node,
    /// Stages run in tasks elsewhere that take with them what they started, so that services can be deployed to ECS alone.
    pub tasks_elsewhere: bool,
}

/// Where images are kept.
#[derive(Debug, Clone)]
pub struct ImageRegistry {
    /// Host, port and path before a service's name.
    pub address: String,
    /// Who logs in, and with what; nobody when absent.
    pub login: Option<(String, SecretString)>,
}

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// All use cases. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

/// What all use cases share.
pub struct Inner {
    pub(crate) store: Store,
    pub(crate) sealer: Sealer,
    pub(crate) ports: Ports,
    pub(crate) nudge: Nudge,
    pub(crate) hot: Option<hot::Copy>,
    /// What followers of a run share.
    pub(crate) desk: live::Desk,
    pub(crate) setup: Setup,
    clock: Clock,
    /// Attempts between "started" in the database and "started" for the launcher: the reconciler leaves them alone.
    pub(crate) launching: Mutex<HashSet<(StageId, u32)>>,
    /// Commits between two versions, by repository and both ends; they never change.
    pub(crate) ahead: Mutex<std::collections::HashMap<(String, String, String), u32>>,
    /// Whether the daemon answers, as it was a moment ago.
    pub(crate) daemon: targets::Brief<domain::view::Daemon>,
    pub(crate) cloud: targets::Brief<std::result::Result<domain::cloud::CloudAccount, String>>,
    /// Deliveries on their way into the database.
    pub(crate) arrivals: inbox::Arrivals,
    /// Whether a delivery was refused and is to be asked for.
    pub(crate) owed: std::sync::atomic::AtomicBool,
    /// A turn to ask for what was missed.
    pub(crate) asking: tokio::sync::Mutex<()>,
    /// Keys of hooks, as they were a moment ago.
    pub(crate) keys: inbox::Keys,
    /// Turns to look through a whole log.
    pub(crate) scans: tokio::sync::Semaphore,
    /// What was told last of what people should know.
    pub(crate) told: Mutex<Vec<String>>,
    /// Who takes deliveries in: within a process one after the other, so that who asks for it finds them taken in.
    pub(crate) intake: tokio::sync::Mutex<()>,
    /// Log lines on their way into the database.
    pub(crate) ingest: ingest::Ingest,
    /// What is looked for in them.
    pub(crate) known: masks::Known,
    pub(crate) proofs: runner::Proofs,
    /// When an engine elsewhere was last asked how an execution stands.
    pub(crate) looked: Mutex<Option<std::time::Instant>>,
    /// When executions were last driven, and since when without a gap.
    pub(crate) drove: Mutex<Option<(Timestamp, Timestamp)>>,
    /// Why nothing that an engine elsewhere tells is heard.
    pub(crate) deaf: Mutex<Option<String>>,
    started: Timestamp,
}

impl std::ops::Deref for Control {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Control {
    /// Use cases over a store and the outside.
    pub fn new(store: Store, key: &SecretString, ports: Ports, setup: Setup) -> Self {
        Self::with_clock(store, key, ports, setup, Arc::new(wall_clock))
    }

    /// With a clock of the caller's: for tests of what takes days.
    pub fn with_clock(
        store: Store,
        key: &SecretString,
        ports: Ports,
        setup: Setup,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        let started = clock();
        let ingest = ingest::Ingest::new(setup.limits.log_bytes);
        Self(Arc::new(Inner {
            store,
            sealer: Sealer::new(key).and_old(&setup.old_keys),
            nudge: Nudge::of(ports.hot.clone()),
            hot: ports.hot.clone().map(hot::Copy::of),
            desk: live::Desk::default(),
            ports,
            setup,
            clock,
            launching: Mutex::default(),
            ahead: Mutex::default(),
            daemon: targets::Brief::default(),
            cloud: targets::Brief::default(),
            arrivals: inbox::Arrivals::default(),
            owed: Default::default(),
            asking: Default::default(),
            keys: inbox::Keys::default(),
            scans: tokio::sync::Semaphore::new(logs::SCANS),
            told: Mutex::default(),
            intake: tokio::sync::Mutex::default(),
            ingest,
            known: masks::Known::default(),
            proofs: runner::Proofs::default(),
            looked: Mutex::default(),
            drove: Mutex::default(),
            deaf: Mutex::default(),
            started,
        }))
    }

    /// The store, for the binary's own commands.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What drives runs in the place of the embedded engine, if anything does.
    pub fn executions(&self) -> Option<Arc<dyn engine::executions::Executions>> {
        self.ports.executions.clone()
    }

    /// The nudges, for workers and streams.
    pub fn nudges(&self) -> &Nudge {
        &self.0.nudge
    }
}

impl Inner {
    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// When this process began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// A new id of any kind, ordered by time.
    pub fn new_id<T: From<ulid::Ulid>>(&self) -> Result<T> {
        let random = u128::from_le_bytes(seal::random::<16>()?);
        Ok(ulid::Ulid::from_parts(self.now().0.max(0) as u64, random).into())
    }
}

/// Milliseconds since 1970 by the machine's clock.
pub fn wall_clock() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64))
}
