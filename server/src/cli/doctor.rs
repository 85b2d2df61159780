//! `seamless doctor`: looks whether everything is there that the settings ask for, and says what to mend. Refuses to change anything.

use std::time::{Duration, SystemTime};

use aws::doctor::{Checked, Found, Uses, examine};
use control::store::Store;
use secrecy::ExposeSecret;

use crate::config::Config;

/// A clock that is further off is refused by AWS before long, in seconds.
const CLOCK_S: u64 = 240;

/// Prints one line for each thing; 1 when something is bad.
pub async fn doctor(config: &Config) -> anyhow::Result<i32> {
    let mut all = vec![database(config).await, reachable(config).await];
    match &config.engine {
        None => all.push(Checked { what: "engine", found: Found::Good("embedded".into()) }),
        Some(_) => all.push(away_from_here(config)),
    }
    let uses = Uses { engine: config.engine.clone(), images: config.ecr() };
    if config.aws || uses.engine.is_some() || uses.images.is_some() {
        all.push(clock(uses.region().unwrap_or("us-east-1")).await);
        all.extend(examine(&uses).await);
    }
    let width = all.iter().map(|one| one.what.len()).max().unwrap_or_default();
    let mut bad = 0;
    for one in &all {
        let (mark, words) = match &one.found {
            Found::Good(words) => ("ok  ", words),
            Found::Doubtful(words) => ("hm  ", words),
            Found::Bad(words) => ("bad ", words),
        };
        bad += i32::from(matches!(one.found, Found::Bad(_)));
        println!("{mark} {:width$}  {words}", one.what);
    }
    match bad {
        0 => println!("Everything that was looked at is there."),
        1 => println!("One thing is to be mended."),
        many => println!("{many} things are to be mended."),
    }
    Ok(i32::from(bad > 0))
}

async fn database(config: &Config) -> Checked {
    let found = match Store::pending(config.database.expose_secret()).await {
        Ok(steps) if steps.is_empty() => Found::Good("it opens".into()),
        Ok(steps) => {
            let steps = steps.len();
            Found::Doubtful(format!(
                "it wants {steps} steps to be up to date: a server takes them when it starts"
            ))
        }
        Err(error) => Found::Bad(format!("{:#}", crate::serve::with_causes(error))),
    };
    Checked { what: "database", found }
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build()
}

async fn reachable(config: &Config) -> Checked {
    let address = format!("{}/readyz", config.url);
    let asked = async { client()?.get(&address).send().await?.error_for_status() };
    let found = match asked.await {
        Ok(_) => Found::Good(format!("{} answers", config.url)),
        Err(error) => Found::Doubtful(format!(
            "SEAMLESS_URL does not answer from here ({}): start the server, or look at the way there",
            error.without_url()
        )),
    };
    Checked { what: "address", found }
}

/// Tasks run on other machines.
fn away_from_here(config: &Config) -> Checked {
    let host = config.url.parse::<url::Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_default();
    let loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    let found = if loopback {
        Found::Doubtful(format!(
            "tasks on other machines cannot reach {}: set SEAMLESS_URL to an address of this server in their network",
            config.url
        ))
    } else {
        Found::Good(format!("tasks are told {}", config.url))
    };
    Checked { what: "way of tasks", found }
}

/// Compares this machine's clock with that of AWS, as its answers have it.
async fn clock(region: &str) -> Checked {
    let address =
        std::env::var("AWS_ENDPOINT_URL").unwrap_or_else(|_| format!("https://sts.{region}.amazonaws.com"));
    let asked = async {
        let answer = client().ok()?.get(&address).send().await.ok()?;
        let date = answer.headers().get(http::header::DATE)?.to_str().ok()?.to_owned();
        httpdate::parse_http_date(&date).ok()
    };
    let found = match asked.await {
        None => Found::Doubtful(format!("{address} does not say what time it is")),
        Some(theirs) => {
            let now = SystemTime::now();
            let off = now.duration_since(theirs).or_else(|e| Ok::<_, ()>(e.duration())).unwrap_or_default();
            match off.as_secs() {
                off if off > CLOCK_S => Found::Bad(format!(
                    "{off} seconds from that of AWS, which refuses what is signed by such a clock: set it, as by chrony"
                )),
                off => Found::Good(format!("within {} s of that of AWS", off.max(1))),
            }
        }
    };
    Checked { what: "clock", found }
}
