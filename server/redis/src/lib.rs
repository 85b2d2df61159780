//! Redis behind [`control::hot`]: rows of logs in one sorted set per stage attempt, and news between servers by publish and subscribe.
//!
//! Refuses to make anybody wait: a call takes a fraction of a second or fails, and while Redis does not answer, none is made. A probe
//! finds out when it is back; connections are made again for ever.

mod member;
mod news;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use control::{
    hot::{Hot, Log, News, Row, State},
    ports::PortError,
};
use fred::{
    clients::{Client, Pool, SubscriberClient},
    error::{Error, ErrorKind},
    interfaces::{ClientLike, KeysInterface, SortedSetsInterface},
    types::{
        Builder, Expiration,
        config::{Config, Options, ReconnectPolicy, UnresponsiveConfig},
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a log's set lives after its last row.
const KEPT_S: i64 = 48 * 3600;
/// What one call may take.
const PATIENCE: Duration = Duration::from_millis(150);
/// A connection on which an answer is overdue for so long is given up, and another is made.
const OVERDUE: Duration = Duration::from_secs(1);
/// How often the probe looks.
const PROBE: Duration = Duration::from_millis(500);
/// Pauses between tries to connect, in milliseconds: the shortest, the longest, and by what each is longer than the one before.
const PAUSES: (u32, u32, u32) = (50, 1_000, 2);
/// Connections: a large row on its way holds up nobody behind it.
const CONNECTIONS: usize = 3;
/// Commands on their way over one connection; more of them means that it does not keep up.
const ON_THE_WAY: usize = 4_096;
/// News that were not sent or heard yet.
const NEWS: usize = 1_024;

/// A Redis server. It is connected to in the background, and let go when this is dropped.
pub struct Redis {
    pool: Pool,
    state: Arc<RwLock<State>>,
    send: mpsc::Sender<News>,
    heard: broadcast::Sender<News>,
    _ending: DropGuard,
}

impl Redis {
    /// Begins to connect to `redis://`, `rediss://` (TLS), or a cluster or sentinels by their `redis-cluster://` and
    /// `redis-sentinel://`. It need not be there yet.
    ///
    /// # Errors
    /// When the address cannot be understood; the text does not repeat it, since it may hold a password.
    pub fn connect(url: &SecretString) -> Result<Self, PortError> {
        let wrong = |e: Error| PortError::new(e.details());
        let mut config = Config::from_url(url.expose_secret()).map_err(wrong)?;
        // One that is not there yet is waited for like one that went away.
        config.fail_fast = false;
        let mut builder = Builder::from_config(config);
        builder.set_policy(ReconnectPolicy::new_exponential(0, PAUSES.0, PAUSES.1, PAUSES.2));
        builder.with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = Duration::from_secs(2);
            connection.unresponsive =
                UnresponsiveConfig { max_timeout: Some(OVERDUE), interval: Duration::from_millis(200) };
            connection.max_command_buffer_len = ON_THE_WAY;
            connection.tcp.nodelay = Some(true);
        });
        let pool = builder.build_pool(CONNECTIONS).map_err(wrong)?;
        let hears = builder.build_subscriber_client().map_err(wrong)?;
        let state = Arc::new(RwLock::new(State::Away("Redis was not reached yet".into())));
        let ending = CancellationToken::new();
        let (send, to_send) = mpsc::channel(NEWS);
        let heard = broadcast::channel(NEWS).0;
        let work = work(pool.clone(), hears, Arc::clone(&state), to_send, heard.clone());
        let ended = ending.clone();
        // Owned by this value: its end is the guard's.
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = ended.cancelled() => {}
            }
        });
        Ok(Self { pool, state, send, heard, _ending: ending.drop_guard() })
    }

    fn failed(&self, error: &Error) -> PortError {
        // One that is of no use says nothing of the server.
        if !error.details().starts_with("ERR ") {
            set(&self.state, said(error));
        }
        PortError::new(error.details())
    }

    /// A connection, unless calls are known to fail.
    fn client(&self, to_write: bool) -> Result<&Client, PortError> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Away(why) => Err(PortError::new(why)),
            State::Full(why) if to_write => Err(PortError::new(why)),
            State::Full(_) | State::Answers => Ok(self.pool.next()),
        }
    }
}

#[async_trait]
impl Hot for Redis {
    async fn put(&self, log: Log, rows: &[Row]) -> Result<(), PortError> {
        let pipeline = self.client(true)?.pipeline().with_options(&options());
        let members = rows.iter().map(member::pack).collect::<Result<Vec<_>, _>>()?;
        let call = async {
            let _: () = pipeline.zadd(member::key(log), None, None, false, false, members).await?;
            let _: () = pipeline.expire(member::key(log), KEPT_S, None).await?;
            pipeline.all::<()>().await
        };
        patiently(call).await.map_err(|e| self.failed(&e))
    }

    async fn rows(&self, log: Log, from: u64, most: u64) -> Result<Vec<Row>, PortError> {
        let pipeline = self.client(false)?.pipeline().with_options(&options());
        let (key, most) = (member::key(log), i64::try_from(most).unwrap_or(i64::MAX));
        let from = i64::try_from(from).unwrap_or(i64::MAX - 1);
        let call = async {
            let _: () = pipeline.zrevrangebyscore(&key, from, "-inf", false, Some((0, 1))).await?;
            let _: () = pipeline.zrangebyscore(&key, from + 1, "+inf", false, Some((0, most))).await?;
            pipeline.all::<(Vec<Bytes>, Vec<Bytes>)>().await
        };
        let (holds, after) = patiently(call).await.map_err(|e| self.failed(&e))?;
        // A member that is not ours is a hole.
        Ok(holds.iter().chain(&after).filter_map(|bytes| member::unpack(bytes)).collect())
    }

    fn tell(&self, news: News) {
        let _ = self.send.try_send(news);
    }

    fn listen(&self) -> broadcast::Receiver<News> {
        self.heard.subscribe()
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everything that goes on in the background, until it is dropped.
async fn work(
    pool: Pool,
    hears: SubscriberClient,
    state: Arc<RwLock<State>>,
    to_send: mpsc::Receiver<News>,
    heard: broadcast::Sender<News>,
) {
    let connections = pool.connect();
    let sends = pool.clone();
    tokio::select! {
        () = probe(&pool, &state) => {}
        () = news::send(&sends, hears.id(), &state, to_send) => {}
        () = news::hear(&hears, hears.id(), heard) => {}
    }
    connections.abort();
}

/// Looks whether it takes a write, and is the only one that says it is well again.
async fn probe(pool: &Pool, state: &RwLock<State>) {
    let mut ticks = tokio::time::interval(PROBE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0_usize;
    loop {
        ticks.tick().await;
        // Each connection in its turn, and all of them before it counts as back.
        let asked = if matches!(&*state.read().unwrap_or_else(PoisonError::into_inner), State::Answers) {
            round += 1;
            round % CONNECTIONS..round % CONNECTIONS + 1
        } else {
            0..CONNECTIONS
        };
        let mut found = State::Answers;
        for client in &pool.clients()[asked] {
            let client = client.with_options(&options());
            let expires = Some(Expiration::EX(60));
            let call = client.set::<(), _, _>(member::PROBE, "1", expires, None, false);
            if let Err(error) = patiently(call).await {
                found = said(&error);
                break;
            }
        }
        set(state, found);
    }
}

/// One try, with an answer soon.
fn options() -> Options {
    Options { max_attempts: Some(1), timeout: Some(PATIENCE), fail_fast: true, ..Options::default() }
}

/// Gives up also on what waits before it is sent.
async fn patiently<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::new(ErrorKind::Timeout, "it takes too long to answer")),
    }
}

/// What an error says of the server, in words for people.
fn said(error: &Error) -> State {
    let why = error.details().trim().trim_end_matches('.');
    if why.starts_with("OOM") {
        return State::Full("Redis is full: it takes nothing more; give it more memory, or a policy by which it drops what is old".into());
    }
    if why.starts_with("MISCONF") || why.starts_with("READONLY") || why.starts_with("NOPERM") {
        return State::Full(format!("Redis takes nothing: {why}"));
    }
    State::Away(match error.kind() {
        ErrorKind::Timeout => "Redis takes too long to answer, or cannot be reached".into(),
        ErrorKind::Auth => format!("Redis refuses the login: {why}"),
        _ => format!("Redis does not answer: {why}"),
    })
}

fn set(state: &RwLock<State>, found: State) {
    let mut known = state.write().unwrap_or_else(PoisonError::into_inner);
    if *known == found {
        return;
    }
    match &found {
        State::Answers => tracing::info!("Redis answers"),
        // The first failure says most; what follows from it says it differently.
        State::Away(_) if matches!(&*known, State::Away(_)) => {}
        State::Away(why) | State::Full(why) => {
            tracing::warn!(why, "going on without Redis: the database has everything");
        }
    }
    *known = found;
}
