//! Settings: read once from the environment, typed, refused whole with every problem in one message.
//!
//! Refuses to be read anywhere else: whatever needs a setting is handed it.

mod cloud;
mod forge;
mod keys;

use std::{fs, net::SocketAddr, os::unix::fs::DirBuilderExt, path::PathBuf};

use anyhow::bail;
use control::{ImageRegistry, login::Allowed};
use domain::protocol::{Behind, LogRules};
use secrecy::SecretString;

pub use self::{
    forge::GitHub,
    keys::{KEY_FILE, replace_keys},
};

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
        let topics = cloud::topics(&get, &mut problems);
        let log = log_rules(&get, &mut problems);
        let github = forge::github(&get, &mut problems);
        let allowed = forge::allowed(&get, &mut problems);
        if !allowed.is_empty() && github.sign_in.is_none() {
            problems.push(
                "SEAMLESS_ALLOWED_USERS and SEAMLESS_ALLOWED_ORGS are about logging in with GitHub: set GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET, too"
                    .into(),
            );
        }
        let engine = cloud::engine(&get, &mut problems);
        let tasks_here = cloud::tasks_here(&get, &mut problems);
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
                let mut kept = keys::read(&data.join(KEY_FILE))?;
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

fn default_site() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("site")));
    match beside {
        Some(site) if site.is_dir() => site,
        _ => PathBuf::from("target/site"),
    }
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
}
