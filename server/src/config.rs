//! Settings: read once from the environment, typed, refused whole with every problem in one message.
//!
//! Refuses to be read anywhere else: whatever needs a setting is handed it.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use control::{ImageRegistry, engine::executions::Size, login::Allowed};
use domain::{
    Role, StageKind,
    protocol::{Behind, LogRules},
};
use secrecy::{ExposeSecret, SecretString};

/// All settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// `SEAMLESS_DATA`: everything Seamless keeps. Default `./data`.
    pub data: PathBuf,
    /// `SEAMLESS_LISTEN`: address and port. Default `127.0.0.1:3000`.
    pub listen: SocketAddr,
    /// `SEAMLESS_URL`: how browsers reach it. Default `http://` and `SEAMLESS_LISTEN`.
    pub url: String,
    /// `DATABASE_URL`: `sqlite:PATH` or `postgres://...`. Default a SQLite file in the data folder.
    pub database: SecretString,
    /// `REDIS_URL`: `redis://USER:PASSWORD@HOST:6379/0`, or `rediss://` for TLS: the hot copy of logs, and news between servers. Default
    /// none: the database alone.
    pub redis: Option<SecretString>,
    /// `SEAMLESS_DATABASE_POOL`: connections to the database at a time, from 2 to 200. Default 16 to PostgreSQL, whose own limit
    /// (`max_connections`, 100 as it comes) is shared by all servers; 4 that read from SQLite, which has one that writes besides.
    pub pool: Option<u32>,
    /// `SEAMLESS_SECRET_KEY`: what secrets at rest are sealed with. Default a generated file that only its owner can read.
    pub key: SecretString,
    /// `SEAMLESS_SECRET_KEY_OLD`: keys that were in use before, with commas between them: what they sealed can still be opened. Default
    /// none. `seamless rotate-key` seals everything anew.
    pub old_keys: Vec<SecretString>,
    /// `SEAMLESS_ALLOWED_USERS` and `SEAMLESS_ALLOWED_ORGS`: who may log in with GitHub besides those who were invited: names,
    /// organisations and `organisation/team`, with commas between them, each with `:ROLE` or as a developer. Default nobody.
    pub allowed: Allowed,
    /// `SEAMLESS_SLOTS`: stages at a time. Default the number of cores.
    pub slots: usize,
    /// `SEAMLESS_ENGINE`: what drives runs: `local`, the default, or `step-functions`, with `SEAMLESS_STATE_MACHINE` (its ARN),
    /// `SEAMLESS_QUEUE` (the queue's URL) and, if so wished, `SEAMLESS_STAGE_SIZES`: what the tasks of stages may take, in 1024ths of a core
    /// and MiB, such as `1024/2048, build=2048/4096`.
    pub engine: Option<aws::EngineSettings>,
    /// `SEAMLESS_TASKS_HERE`: `yes` where tasks of Step Functions are processes of this machine with this data folder, as in a trial on one
    /// machine: services may be deployed as processes and containers then. Default `no`: to ECS alone.
    pub tasks_here: bool,
    /// `SEAMLESS_REGISTRY`, `SEAMLESS_REGISTRY_USERNAME`, `SEAMLESS_REGISTRY_PASSWORD`: where images are pushed, such as
    /// `registry.example.org/acme`. Default none: images stay with the Docker daemon.
    pub registry: Option<ImageRegistry>,
    /// `AWS_REGION`: whether services on Amazon ECS are offered, with the SDK's own variables saying who asks. The region of an ECR
    /// registry does as well.
    pub aws: bool,
    /// `SEAMLESS_NOTIFY`: `sns` has Amazon SNS tell teams what happens, `none`, the default, tells nobody. `SEAMLESS_TOPIC_PREFIX`: with
    /// what the names of the topics begin that are made for it. Default `seamless-`.
    pub topics: Option<String>,
    /// `SEAMLESS_LOG_LINES` and `SEAMLESS_LOG_MIB`: what one stage may log before the middle is left out. Default 10000000 and 1024.
    /// `SEAMLESS_LOG_BEHIND`: whether a command whose lines are not stored in time is to `wait` (the default), or goes on and its lines
    /// `spool` to the disk.
    pub log: LogRules,
    /// `GITHUB_*`: where repositories are developed, and who Seamless is there.
    pub github: GitHub,
    /// `SEAMLESS_SITE`: the dashboard's files. Default `site` beside the binary, else `target/site`.
    pub site: PathBuf,
}

/// What is set about GitHub.
#[derive(Clone)]
pub struct GitHub {
    /// `GITHUB_URL` and `GITHUB_API_URL`: where it is. Default `https://github.com` and `https://api.github.com`, and for an Enterprise
    /// Server its address with `/api/v3`.
    pub place: github::Place,
    /// `GITHUB_TOKEN`, or `GITHUB_APP_ID` with `GITHUB_APP_PRIVATE_KEY` (or `_FILE`): who Seamless is there. Default nobody: it
    /// listens, and neither makes hooks nor tells of runs.
    pub credentials: Option<Arc<github::Credentials>>,
    /// `GITHUB_CLIENT_ID` and `GITHUB_CLIENT_SECRET`: the app through which people log in, an OAuth app or a GitHub App. Default none:
    /// whoever owns this machine, by the printed link.
    pub sign_in: Option<(String, SecretString)>,
    /// `GITHUB_WEBHOOK_SECRET`: with what it signs hooks that Seamless did not make, as a GitHub App's. Default none.
    pub webhook_secret: Option<SecretString>,
}

impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitHub").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Config {
    /// Where images go, if that is ECR, for which nobody needs a login of ours.
    pub fn ecr(&self) -> Option<aws::ecr::Address> {
        let registry = self.registry.as_ref().filter(|registry| registry.login.is_none())?;
        aws::ecr::Address::parse(&registry.address)
    }

    /// From the process's environment; makes the data folder where it is missing.
    ///
    /// # Errors
    /// One message with every problem and its remedy.
    pub fn from_env() -> anyhow::Result<Self> {
        Self::from(|name| std::env::var(name).ok().filter(|v| !v.trim().is_empty()))
    }

    /// From any source of variables.
    pub fn from(get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let mut problems = Vec::new();
        let data = PathBuf::from(get("SEAMLESS_DATA").unwrap_or_else(|| "data".into()));
        let data = std::path::absolute(&data).unwrap_or(data);
        let listen = get("SEAMLESS_LISTEN").unwrap_or_else(|| "127.0.0.1:3000".into());
        let listen: SocketAddr = listen.parse().unwrap_or_else(|_| {
            problems.push(format!(
                "SEAMLESS_LISTEN is {listen:?}: give address and port, such as 127.0.0.1:3000"
            ));
            SocketAddr::from(([127, 0, 0, 1], 3000))
        });
        let url = get("SEAMLESS_URL").unwrap_or_else(|| format!("http://{listen}"));
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            problems.push(format!("SEAMLESS_URL is {url:?}: it must begin with http:// or https://"));
        }
        let database =
            get("DATABASE_URL").unwrap_or_else(|| format!("sqlite:{}", data.join("seamless.db").display()));
        if !["sqlite:", "postgres://", "postgresql://"].iter().any(|p| database.starts_with(p)) {
            problems.push("DATABASE_URL must begin with sqlite: or postgres://".into());
        }
        let redis = get("REDIS_URL");
        let kinds = [
            "redis://",
            "rediss://",
            "redis-cluster://",
            "rediss-cluster://",
            "redis-sentinel://",
            "rediss-sentinel://",
        ];
        if redis.as_ref().is_some_and(|url| !kinds.iter().any(|kind| url.starts_with(kind))) {
            problems.push("REDIS_URL must begin with redis:// or rediss://".into());
        }
        let slots = match get("SEAMLESS_SLOTS") {
            None => std::thread::available_parallelism().map_or(2, usize::from),
            Some(text) => match text.parse() {
                Ok(slots @ 1..=1000) => slots,
                _ => {
                    problems.push(format!("SEAMLESS_SLOTS is {text:?}: give a number from 1 to 1000"));
                    1
                }
            },
        };
        let pool = get("SEAMLESS_DATABASE_POOL").and_then(|text| match text.parse() {
            Ok(pool @ 2..=200) => Some(pool),
            _ => {
                problems.push(format!("SEAMLESS_DATABASE_POOL is {text:?}: give a number from 2 to 200"));
                None
            }
        });
        let registry = registry(&get, &mut problems);
        let aws = get("AWS_REGION").or(get("AWS_DEFAULT_REGION")).is_some();
        let topics = topics(&get, &mut problems);
        let log = log_rules(&get, &mut problems);
        let github = github(&get, &mut problems);
        let allowed = allowed(&get, &mut problems);
        if !allowed.is_empty() && github.sign_in.is_none() {
            problems.push(
                "SEAMLESS_ALLOWED_USERS and SEAMLESS_ALLOWED_ORGS are about logging in with GitHub: set GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET, too"
                    .into(),
            );
        }
        let engine = engine(&get, &mut problems);
        let tasks_here = tasks_here(&get, &mut problems);
        if let Err(e) = fs::DirBuilder::new().recursive(true).mode(0o700).create(&data) {
            problems.push(format!("SEAMLESS_DATA: {} cannot be made: {e}", data.display()));
        }
        if !problems.is_empty() {
            bail!("the settings cannot be used:\n  - {}", problems.join("\n  - "));
        }
        let old_keys = get("SEAMLESS_SECRET_KEY_OLD").unwrap_or_default();
        let mut old_keys: Vec<SecretString> =
            old_keys.split(',').map(str::trim).filter(|k| !k.is_empty()).map(Into::into).collect();
        let key = match get("SEAMLESS_SECRET_KEY") {
            Some(key) if key.len() < 16 => {
                bail!("SEAMLESS_SECRET_KEY is too short: give at least 16 random characters")
            }
            Some(key) => key.into(),
            None => {
                let mut kept = key_file(&data.join(KEY_FILE))?;
                old_keys.extend(kept.split_off(1));
                kept.remove(0)
            }
        };
        let site = match get("SEAMLESS_SITE") {
            Some(site) => site.into(),
            None => default_site(),
        };
        Ok(Self {
            data,
            listen,
            url: url.trim_end_matches('/').to_owned(),
            database: database.into(),
            redis: redis.map(Into::into),
            pool,
            key,
            old_keys,
            allowed,
            slots,
            engine,
            tasks_here,
            registry,
            aws,
            topics,
            log,
            github,
            site,
        })
    }

    /// How runners on this machine reach the server, whatever browsers use.
    pub fn local_url(&self) -> String {
        let mut at = self.listen;
        if at.ip().is_unspecified() {
            at.set_ip(if at.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        format!("http://{at}")
    }
}

/// Who may log in: `name`, `organisation`, `organisation/team`, each with or without `:role`.
fn allowed(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Allowed {
    let mut list = |name: &str| -> Vec<(String, Role)> {
        let text = get(name).unwrap_or_default().to_lowercase();
        let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
        words
            .filter_map(|word| {
                let (who, role) = word.split_once(':').unwrap_or((word, Role::Developer.as_str()));
                let plain = |part: &str| {
                    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                };
                match role.parse() {
                    Ok(role) if who.split('/').all(plain) => Some((who.to_owned(), role)),
                    Ok(_) => {
                        problems.push(format!("{name} holds {word:?}: give names as they are on GitHub"));
                        None
                    }
                    Err(e) => {
                        problems.push(format!("{name} holds {word:?}: {e}"));
                        None
                    }
                }
            })
            .collect()
    };
    let users = list("SEAMLESS_ALLOWED_USERS");
    let organisations = list("SEAMLESS_ALLOWED_ORGS")
        .into_iter()
        .map(|(who, role)| match who.split_once('/') {
            Some((organisation, team)) => (organisation.to_owned(), Some(team.to_owned()), role),
            None => (who, None, role),
        })
        .collect();
    Allowed { users, organisations }
}

/// What one stage may log.
fn log_rules(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> LogRules {
    let usual = LogRules::default();
    let mut number = |name: &str, least: u64, most: u64, usual: u64| match get(name) {
        None => usual,
        Some(text) => match text.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                problems.push(format!("{name} is {text:?}: give a number from {least} to {most}"));
                usual
            }
        },
    };
    let lines = number("SEAMLESS_LOG_LINES", 1000, 1_000_000_000, usual.lines);
    let bytes = number("SEAMLESS_LOG_MIB", 1, 1 << 20, usual.bytes >> 20) << 20;
    let behind = match get("SEAMLESS_LOG_BEHIND").as_deref() {
        None | Some("wait") => Behind::Wait,
        Some("spool") => Behind::Spool,
        Some(text) => {
            problems.push(format!("SEAMLESS_LOG_BEHIND is {text:?}: give wait or spool"));
            Behind::Wait
        }
    };
    LogRules { lines, bytes, behind }
}

/// With what the names of topics begin, where there are any.
fn topics(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Option<String> {
    let prefix = get("SEAMLESS_TOPIC_PREFIX");
    match get("SEAMLESS_NOTIFY").as_deref() {
        None | Some("none") => {
            if prefix.is_some() {
                problems.push(
                    "SEAMLESS_TOPIC_PREFIX is set, but nobody is told of anything: set SEAMLESS_NOTIFY to sns, too"
                        .into(),
                );
            }
            return None;
        }
        Some("sns") => {}
        Some(other) => {
            problems.push(format!("SEAMLESS_NOTIFY is {other:?}: give sns or none"));
            return None;
        }
    }
    let prefix = prefix.unwrap_or_else(|| "seamless-".into());
    // A topic's name has 256 characters at most, and the id of a pipeline is 26 of them.
    let fits = prefix.len() <= 200 && prefix.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !fits {
        problems.push(format!(
            "SEAMLESS_TOPIC_PREFIX is {prefix:?}: give up to 200 letters, digits, hyphens and underscores, such as seamless-"
        ));
    }
    Some(prefix)
}

/// What drives runs, where the embedded engine does not.
fn engine(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Option<aws::EngineSettings> {
    let names = ["SEAMLESS_STATE_MACHINE", "SEAMLESS_QUEUE", "SEAMLESS_STAGE_SIZES"];
    match get("SEAMLESS_ENGINE").as_deref() {
        None | Some("local") => {
            for name in names.into_iter().filter(|name| get(name).is_some()) {
                problems.push(format!("{name} is set, but runs are not driven by AWS: set SEAMLESS_ENGINE to step-functions, too"));
            }
            return None;
        }
        Some("step-functions") => {}
        Some(other) => {
            problems.push(format!("SEAMLESS_ENGINE is {other:?}: give local or step-functions"));
            return None;
        }
    }
    let mut want = |name: &str, example: &str| {
        get(name).unwrap_or_else(|| {
            problems.push(format!(
                "{name} is missing: SEAMLESS_ENGINE is step-functions; give it such as {example}"
            ));
            String::new()
        })
    };
    let machine =
        want("SEAMLESS_STATE_MACHINE", "arn:aws:states:eu-west-1:123456789012:stateMachine:seamless");
    let queue = want("SEAMLESS_QUEUE", "https://sqs.eu-west-1.amazonaws.com/123456789012/seamless");
    let mut settings = aws::EngineSettings { machine, queue, sizes: BTreeMap::new() };
    if !settings.machine.is_empty() && !settings.queue.is_empty() {
        problems.extend(settings.problem());
    }
    match sizes(&get("SEAMLESS_STAGE_SIZES").unwrap_or_default()) {
        Ok(sizes) => settings.sizes = sizes,
        Err(wrong) => problems.push(format!(
            "SEAMLESS_STAGE_SIZES holds {wrong:?}: give CPU/MEMORY for all stages, KIND=CPU/MEMORY for one, in 1024ths of a core (128 to 196608) and MiB (128 to 786432), such as 1024/2048, build=2048/4096"
        )),
    }
    Some(settings)
}

/// Whether tasks leave behind what they start.
fn tasks_here(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> bool {
    match get("SEAMLESS_TASKS_HERE").as_deref() {
        None | Some("no") => false,
        Some("yes") => true,
        Some(other) => {
            problems.push(format!("SEAMLESS_TASKS_HERE is {other:?}: give yes or no"));
            false
        }
    }
}

fn sizes(text: &str) -> Result<BTreeMap<StageKind, Size>, String> {
    let mut sizes = BTreeMap::new();
    // What is said of all stages comes first, wherever it stands.
    let mut words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    words.sort_by_key(|word| word.contains('='));
    for word in words {
        let (kinds, size) = match word.split_once('=') {
            Some((kind, size)) => (vec![kind.trim().parse().map_err(|_| word.to_owned())?], size),
            None => (StageKind::ALL.to_vec(), word),
        };
        let number = |text: &str, most| text.trim().parse::<u32>().ok().filter(|n| (128..=most).contains(n));
        let size = size.split_once('/').and_then(|(cpu, memory)| {
            Some(Size { cpu: number(cpu, 196_608)?, memory: number(memory, 786_432)? })
        });
        let size = size.ok_or_else(|| word.to_owned())?;
        sizes.extend(kinds.into_iter().map(|kind| (kind, size)));
    }
    Ok(sizes)
}

/// Where images are pushed: an address without a scheme, and both parts of a login or neither.
fn registry(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Option<ImageRegistry> {
    let login = (get("SEAMLESS_REGISTRY_USERNAME"), get("SEAMLESS_REGISTRY_PASSWORD"));
    let Some(address) = get("SEAMLESS_REGISTRY") else {
        if login != (None, None) {
            problems.push(
                "SEAMLESS_REGISTRY_USERNAME and _PASSWORD are set, but no SEAMLESS_REGISTRY to log in to"
                    .into(),
            );
        }
        return None;
    };
    let address = address.trim_end_matches('/').to_owned();
    let wrong = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_:/[]".contains(c));
    if address.contains("://") || address.contains(wrong) || address.starts_with(['-', '/']) {
        problems.push(format!(
            "SEAMLESS_REGISTRY is {address:?}: give host, port and path without http://, in lower case, such as registry.example.org/acme"
        ));
    }
    let login = match login {
        (Some(name), Some(password)) => Some((name, password.into())),
        (None, None) => None,
        _ => {
            problems.push(
                "SEAMLESS_REGISTRY_USERNAME and SEAMLESS_REGISTRY_PASSWORD go together: set both or neither"
                    .into(),
            );
            None
        }
    };
    Some(ImageRegistry { address, login })
}

fn github(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> GitHub {
    let mut address = |name: &str, default: &str| {
        let text = get(name).unwrap_or_else(|| default.into());
        text.parse::<url::Url>()
            .ok()
            .filter(|u| ["http", "https"].contains(&u.scheme()) && u.has_host())
            .unwrap_or_else(|| {
                problems.push(format!("{name} is {text:?}: give an address such as {default}"));
                url::Url::parse(default).unwrap_or_else(|_| unreachable!())
            })
    };
    let url = address("GITHUB_URL", "https://github.com");
    let usual = match url.host_str() {
        Some("github.com") => "https://api.github.com".to_owned(),
        _ => format!("{}/api/v3", url.as_str().trim_end_matches('/')),
    };
    let place = github::Place { api: address("GITHUB_API_URL", &usual), url };
    let credentials = credentials(get, problems).map(Arc::new);
    let webhook_secret = get("GITHUB_WEBHOOK_SECRET").map(SecretString::from);
    if webhook_secret.as_ref().is_some_and(|s| s.expose_secret().len() < 16) {
        problems.push("GITHUB_WEBHOOK_SECRET is too short: give at least 16 random characters".into());
    }
    let sign_in = match (get("GITHUB_CLIENT_ID"), get("GITHUB_CLIENT_SECRET")) {
        (Some(id), Some(secret)) => Some((id.trim().to_owned(), secret.trim().to_owned().into())),
        (None, None) => None,
        _ => {
            problems
                .push("GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET go together: set both or neither".into());
            None
        }
    };
    GitHub { place, credentials, sign_in, webhook_secret }
}

/// A token or an app, not both, and an app whole.
fn credentials(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Vec<String>,
) -> Option<github::Credentials> {
    const KEY: &str = "GITHUB_APP_PRIVATE_KEY";
    let (token, id) = (get("GITHUB_TOKEN"), get("GITHUB_APP_ID"));
    let key = match (get(KEY), get("GITHUB_APP_PRIVATE_KEY_FILE")) {
        (Some(_), Some(_)) => {
            problems.push(format!("{KEY} and {KEY}_FILE are the same setting: set one of them"));
            None
        }
        (Some(key), None) => Some(SecretString::from(key)),
        (None, Some(path)) => match fs::read_to_string(&path) {
            Ok(key) => Some(key.into()),
            Err(e) => {
                problems.push(format!("{KEY}_FILE is {path:?}, which cannot be read: {e}"));
                None
            }
        },
        (None, None) => None,
    };
    match (token, id, key) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            problems.push("GITHUB_TOKEN and GITHUB_APP_ID are two ways to the same: set one of them".into());
            None
        }
        (Some(token), None, None) => Some(github::Credentials::Token(token.trim().to_owned().into())),
        (None, Some(id), Some(key)) => match github::App::new(id.trim(), &key) {
            Ok(app) => Some(github::Credentials::App(Box::new(app))),
            Err(e) => {
                problems.push(format!("{KEY} cannot be used: {e}; download a new one from the app's page"));
                None
            }
        },
        (None, Some(_), None) => {
            problems.push(format!("GITHUB_APP_ID is set, but no {KEY} or {KEY}_FILE that can be used"));
            None
        }
        (None, None, Some(_)) => {
            problems.push(format!("{KEY} is set, but no GITHUB_APP_ID to go with it"));
            None
        }
        (None, None, None) => None,
    }
}

fn default_site() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("site")));
    match beside {
        Some(site) if site.is_dir() => site,
        _ => PathBuf::from("target/site"),
    }
}

/// The file in the data folder that holds the key: the first line seals, the others open what they sealed before.
pub const KEY_FILE: &str = "secret.key";

/// Reads the keys, or makes one, for its owner's eyes only. Two processes that start at once end up with the same one.
fn key_file(path: &Path) -> anyhow::Result<Vec<SecretString>> {
    if !path.exists() {
        let draft = key_draft(path, &[control::seal::new_token()?])?;
        // A link fails when somebody else was first, where a rename would replace their key.
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft)?;
        if let Err(e) = linked
            && e.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(e).with_context(|| format!("{} cannot be made", path.display()));
        }
    }
    let keys = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let keys: Vec<SecretString> =
        keys.lines().map(str::trim).filter(|k| !k.is_empty()).map(Into::into).collect();
    if keys.is_empty() {
        bail!("{} is empty: bring the key back, without which nobody opens the secrets", path.display());
    }
    Ok(keys)
}

/// Keys in a file beside the one that is meant, for its owner's eyes only.
fn key_draft(path: &Path, keys: &[SecretString]) -> anyhow::Result<PathBuf> {
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    for key in keys {
        writeln!(file, "{}", key.expose_secret())?;
    }
    file.sync_all()?;
    Ok(draft)
}

/// Puts other keys in the place of those in the file: there are always the old ones or the new ones.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace_keys(path: &Path, keys: &[SecretString]) -> anyhow::Result<()> {
    let draft = key_draft(path, keys)?;
    fs::rename(&draft, path).with_context(|| format!("{} cannot be replaced", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_problem_is_in_one_message() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().display().to_string();
        let refused = Config::from(|name| {
            Some(match name {
                "SEAMLESS_DATA" => data.clone(),
                "SEAMLESS_LISTEN" => "3000".into(),
                "SEAMLESS_URL" => "ci.example.org".into(),
                "DATABASE_URL" => "mysql://x".into(),
                "REDIS_URL" => "localhost:6379".into(),
                "SEAMLESS_SLOTS" => "0".into(),
                "SEAMLESS_DATABASE_POOL" => "1".into(),
                "SEAMLESS_REGISTRY" => "https://registry.example.org".into(),
                "SEAMLESS_REGISTRY_USERNAME" => "ci".into(),
                "SEAMLESS_NOTIFY" => "sns".into(),
                "SEAMLESS_TOPIC_PREFIX" => "acme:".into(),
                "SEAMLESS_LOG_LINES" => "many".into(),
                "SEAMLESS_LOG_BEHIND" => "drop".into(),
                "GITHUB_URL" => "github.example.org".into(),
                "GITHUB_CLIENT_ID" => "Iv1.0".into(),
                "SEAMLESS_ALLOWED_USERS" => "dana:boss".into(),
                "SEAMLESS_ALLOWED_ORGS" => "acme, acme/ops/x y".into(),
                "GITHUB_WEBHOOK_SECRET" => "short".into(),
                "GITHUB_APP_ID" => "1".into(),
                "GITHUB_APP_PRIVATE_KEY" => "-----BEGIN RSA PRIVATE KEY-----\\nAAAA\\n-----END".into(),
                _ => return None,
            })
        });
        let message = refused.unwrap_err().to_string();
        for name in [
            "SEAMLESS_LISTEN",
            "SEAMLESS_URL",
            "DATABASE_URL",
            "REDIS_URL",
            "SEAMLESS_SLOTS",
            "SEAMLESS_DATABASE_POOL is \"1\": give a number from 2 to 200",
            "SEAMLESS_REGISTRY is",
            "SEAMLESS_REGISTRY_PASSWORD",
            "SEAMLESS_TOPIC_PREFIX is \"acme:\"",
            "SEAMLESS_LOG_LINES",
            "SEAMLESS_LOG_BEHIND is",
            "GITHUB_URL",
            "GITHUB_WEBHOOK_SECRET",
            "GITHUB_APP_PRIVATE_KEY cannot be used",
            "GITHUB_CLIENT_SECRET go together",
            "SEAMLESS_ALLOWED_USERS holds \"dana:boss\"",
            "SEAMLESS_ALLOWED_ORGS holds \"acme/ops/x y\"",
        ] {
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn nobody_is_told_unless_that_is_set() {
        let read = |given: &[(&str, &str)]| {
            let mut problems = Vec::new();
            let find = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            (topics(&find, &mut problems), problems.join("; "))
        };
        assert_eq!(read(&[]), (None, String::new()));
        assert_eq!(read(&[("SEAMLESS_NOTIFY", "sns")]), (Some("seamless-".into()), String::new()));
        let both = [("SEAMLESS_NOTIFY", "sns"), ("SEAMLESS_TOPIC_PREFIX", "ci_")];
        assert_eq!(read(&both), (Some("ci_".into()), String::new()));
        assert!(read(&[("SEAMLESS_NOTIFY", "mail")]).1.contains("give sns or none"));
        assert!(read(&[("SEAMLESS_TOPIC_PREFIX", "ci_")]).1.contains("set SEAMLESS_NOTIFY to sns"));
    }

    #[test]
    fn the_key_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.key");
        let read = || -> Vec<String> {
            key_file(&path).unwrap().iter().map(|k| k.expose_secret().to_owned()).collect()
        };
        let first = read();
        assert_eq!((first.len(), &first), (1, &read()));
        let both = [SecretString::from("another"), first[0].clone().into()];
        replace_keys(&path, &both).unwrap();
        assert_eq!(read(), ["another", &*first[0]]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
