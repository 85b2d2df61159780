//! The commands that a person at a terminal uses on runs and services.

use std::collections::HashMap;

use anyhow::{Context, bail};
use domain::{
    EnvironmentName, RunId, StageId, StageKind, Status,
    live::LogEvent,
    time::in_words,
    view::{Deployment, Detected, EnvironmentRow, LogPage, Page, Run, Service, Stage},
};
use futures::StreamExt;
use reqwest::Method;
use serde_json::json;

use super::client::Client;

/// Prints a line; a reader that went away (`| head`) ends the command quietly instead of with a panic.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write;
        if writeln!(std::io::stdout(), $($what)*).is_err() {
            std::process::exit(0);
        }
    }};
}

fn mark(status: Status) -> &'static str {
    match status {
        Status::Idle => "·",
        Status::InProgress => "▸",
        Status::AwaitingApproval => "‖",
        Status::Success => "✓",
        Status::Failure => "✗",
        Status::Cancelled => "⊘",
        Status::Skipped => "–",
    }
}

async fn service(client: &Client, name: &str) -> anyhow::Result<Service> {
    let all: Page<Service> = client.get("/services").await?;
    let names: Vec<_> = all.items.iter().map(|s| s.settings.name.clone()).collect();
    let found = all.items.into_iter().find(|s| s.settings.name == name || s.id.to_string() == name);
    found.with_context(|| format!("there is no service {name:?}; there are: {}", names.join(", ")))
}

/// A run by id, `SERVICE` (its newest, or its newest with a status) or `SERVICE/NUMBER`.
async fn find(client: &Client, text: &str, status: Option<Status>) -> anyhow::Result<Run> {
    if let Ok(id) = text.parse::<RunId>() {
        return client.get(&format!("/runs/{id}")).await;
    }
    let (name, number) = match text.split_once('/') {
        Some((name, number)) => (name, Some(number.parse::<i64>().context("give SERVICE/NUMBER")?)),
        None => (text, None),
    };
    let service = service(client, name).await?;
    let mut before = String::new();
    loop {
        let page: Page<Run> = client.get(&format!("/services/{}/runs?limit=100{before}", service.id)).await?;
        for run in page.items {
            let wanted = match number {
                Some(number) => run.number == number,
                None => status.is_none_or(|s| run.status == s),
            };
            if wanted {
                return Ok(run);
            }
        }
        match page.next {
            Some(next) => before = format!("&before={next}"),
            None if status == Some(Status::AwaitingApproval) => bail!("no run of {name} waits for approval"),
            None => bail!("there is no such run of {name}"),
        }
    }
}

/// `seamless connect`
pub async fn connect(
    repository: &str,
    name: Option<String>,
    branch: Option<String>,
    auto_deploy: bool,
    run: bool,
) -> anyhow::Result<i32> {
    let client = Client::find().await?;
    let place = std::path::Path::new(repository);
    // A path means this folder here, wherever the server runs.
    let repository = if place.exists() {
        std::fs::canonicalize(place)?.display().to_string()
    } else {
        repository.to_owned()
    };
    let look = json!({ "repository": repository, "branch": branch });
    let found: Detected = client.call(Method::POST, "/services/detect", Some(&look)).await?;
    let mut settings = found.settings;
    if let Some(name) = name {
        settings.name = name;
    }
    settings.auto_deploy = auto_deploy;
    say!("{} at {}", found.runtime.as_deref().unwrap_or("No known runtime"), found.commit.short());
    for proposal in &found.proposals {
        say!("  {:<26} {}  ({})", proposal.field, proposal.value, proposal.why);
    }
    let service: Service =
        client.call(Method::POST, "/services", Some(&serde_json::to_value(settings)?)).await?;
    say!("Connected {} ({})", service.settings.name, service.id);
    say!("  production on port {}", service.settings.port.unwrap_or_default());
    say!("  {}/services/{}", client.server, service.id);
    if run {
        return start_of(&client, &service, None, None, false).await;
    }
    Ok(0)
}

/// `seamless run`
pub async fn start(
    name: &str,
    commit: Option<String>,
    branch: Option<String>,
    follow: bool,
) -> anyhow::Result<i32> {
    let client = Client::find().await?;
    let service = service(&client, name).await?;
    start_of(&client, &service, commit, branch, follow).await
}

async fn start_of(
    client: &Client,
    service: &Service,
    commit: Option<String>,
    branch: Option<String>,
    follow: bool,
) -> anyhow::Result<i32> {
    let body = json!({ "commit": commit, "branch": branch });
    let run: Run = client.call(Method::POST, &format!("/services/{}/runs", service.id), Some(&body)).await?;
    say!("Run {} of {} at {}", run.number, run.service.name, run.commit.short());
    say!("  {}/runs/{}", client.server, run.id);
    if follow { watch(client, &run, None).await } else { Ok(0) }
}

/// `seamless logs`
pub async fn logs(text: &str, follow: bool, only: Option<StageKind>) -> anyhow::Result<i32> {
    let client = Client::find().await?;
    let run = find(&client, text, None).await?;
    if follow {
        return watch(&client, &run, only).await;
    }
    for stage in run.stages.iter().filter(|s| only.is_none_or(|k| s.kind == k) && s.attempt > 0) {
        say!("== {} ({})", stage.kind.title(), stage.status);
        let mut from = 0;
        loop {
            let page: LogPage =
                client.get(&format!("/stages/{}/log?from={from}&limit=10000", stage.id)).await?;
            for line in &page.lines {
                say!("{}", line.text);
            }
            if page.lines.is_empty() {
                break;
            }
            from = page.next_seq;
        }
    }
    Ok(0)
}

/// Follows a run to its end, across reconnects.
async fn watch(client: &Client, run: &Run, only: Option<StageKind>) -> anyhow::Result<i32> {
    let mut seen: HashMap<StageId, (Status, u32)> = HashMap::new();
    let kinds: HashMap<StageId, StageKind> = run.stages.iter().map(|s| (s.id, s.kind)).collect();
    let mut last: Option<String> = None;
    let mut current: Run = run.clone();
    loop {
        let answer = match client.stream(&format!("/live/runs/{}", run.id), last.as_deref()).await {
            Ok(answer) => answer,
            // Asking again would be answered alike: the run was forgotten, or the token.
            Err(error) if refused(&error) => return Err(error.context("the run can no longer be followed")),
            Err(_) => {
                // The server is away; the stream goes on after its last id.
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                continue;
            }
        };
        let mut body = answer.bytes_stream();
        let mut buffer: Vec<u8> = Vec::new();
        while let Some(Ok(piece)) = body.next().await {
            buffer.extend_from_slice(&piece);
            while let Some(end) = buffer.windows(2).position(|w| w == b"\n\n") {
                let block = String::from_utf8_lossy(&buffer[..end]).into_owned();
                buffer.drain(..end + 2);
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))
                        .map(|v| v.trim_start().to_owned())
                };
                if let Some(id) = field("id") {
                    last = Some(id);
                }
                let data = field("data").unwrap_or_default();
                match field("event").as_deref() {
                    Some("stage") => {
                        let stage: Stage = serde_json::from_str(&data)?;
                        let new = (stage.status, stage.attempt);
                        if seen.insert(stage.id, new) != Some(new) && only.is_none_or(|k| k == stage.kind) {
                            tell(&stage);
                        }
                    }
                    Some("run") => current = serde_json::from_str(&data)?,
                    Some("log") => {
                        let log: LogEvent = serde_json::from_str(&data)?;
                        let kind = kinds.get(&log.stage).copied();
                        if only.is_none() || only == kind {
                            for line in log.lines {
                                say!("{}", line.text);
                            }
                        }
                    }
                    Some("end") => return end_of(&current),
                    _ => {}
                }
                if current.status == Status::AwaitingApproval {
                    say!("‖ waits for approval: {}/runs/{}", client.server, run.id);
                    return Ok(0);
                }
            }
        }
    }
}

fn refused(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<reqwest::Error>().and_then(reqwest::Error::status);
    status.is_some_and(|s| s.is_client_error())
}

fn tell(stage: &Stage) {
    let took = stage.duration_ms.map(|ms| format!(" in {}", in_words(ms))).unwrap_or_default();
    let why = stage.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
    eprintln!("{} {} {}{took}{why}", mark(stage.status), stage.kind.title(), stage.status);
}

fn end_of(run: &Run) -> anyhow::Result<i32> {
    let took = run.duration_ms.map(|ms| format!(" in {}", in_words(ms))).unwrap_or_default();
    let why = run.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
    eprintln!("{} run {} of {} {}{took}{why}", mark(run.status), run.number, run.service.name, run.status);
    Ok(i32::from(run.status != Status::Success))
}

/// `seamless approve` and `seamless reject`
pub async fn decide(text: &str, what: &str, comment: Option<String>) -> anyhow::Result<i32> {
    let client = Client::find().await?;
    let run = find(&client, text, Some(Status::AwaitingApproval)).await?;
    let body = json!({ "comment": comment });
    let run: Run = client.call(Method::POST, &format!("/runs/{}/{what}", run.id), Some(&body)).await?;
    say!("Run {} of {}: {}", run.number, run.service.name, run.status);
    Ok(0)
}

/// `seamless cancel`
pub async fn cancel(text: &str) -> anyhow::Result<i32> {
    let client = Client::find().await?;
    let run = find(&client, text, None).await?;
    let run: Run = client.call(Method::POST, &format!("/runs/{}/cancel", run.id), None).await?;
    say!("Run {} of {} is ending", run.number, run.service.name);
    Ok(0)
}

/// `seamless rollback`
pub async fn rollback(name: &str, environment: EnvironmentName, to: Option<String>) -> anyhow::Result<i32> {
    let client = Client::find().await?;
    let service = service(&client, name).await?;
    let path = format!("/services/{}/deployments?environment={environment}&limit=200", service.id);
    let all: Page<Deployment> = client.get(&path).await?;
    let found = match &to {
        Some(to) => all
            .items
            .iter()
            .find(|d| d.id.to_string() == *to || (to.len() >= 4 && d.commit.sha.starts_with(to.as_str()))),
        None => all.items.iter().find(|d| d.can_roll_back),
    };
    let target =
        found.with_context(|| format!("{name} has no such deployment in {environment} to go back to"))?;
    let body = json!({ "environment": environment, "deployment": target.id });
    let run: Run =
        client.call(Method::POST, &format!("/services/{}/rollback", service.id), Some(&body)).await?;
    say!(
        "Rolling {name} back to {} in {environment}; automatic deploys wait until resumed",
        target.commit.short()
    );
    watch(&client, &run, None).await
}

/// `seamless status`
pub async fn status(text: Option<String>) -> anyhow::Result<i32> {
    let client = Client::find().await?;
    if let Some(text) = text {
        let run = find(&client, &text, None).await?;
        say!(
            "{} run {} of {}: {} ({})",
            mark(run.status),
            run.number,
            run.service.name,
            run.status,
            run.commit.short()
        );
        if let Some(reason) = &run.reason {
            say!("  {reason}");
        }
        for stage in &run.stages {
            let took = stage.duration_ms.map(in_words).unwrap_or_default();
            say!(
                "  {} {:<21} {took:<9} {}",
                mark(stage.status),
                stage.kind.title(),
                stage.reason.as_deref().unwrap_or("")
            );
        }
        return Ok(0);
    }
    let rows: Page<EnvironmentRow> = client.get("/environments").await?;
    say!("{:<20} {:<22} {:<22}", "SERVICE", "STAGING", "PRODUCTION");
    for row in rows.items {
        let show = |s: &domain::view::EnvironmentState| match &s.commit {
            Some(commit) => format!("{} {}", commit.short(), s.health),
            None => "-".into(),
        };
        say!("{:<20} {:<22} {:<22}", row.service.name, show(&row.staging), show(&row.production));
    }
    Ok(0)
}
