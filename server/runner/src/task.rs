//! The process `seamless runner --task`: started by an engine elsewhere, it claims its stage from the server first, and then works as any
//! runner does. What it is told lies in its environment; what it may do is in the answer to its claim.
//!
//! Its exit code tells the engine how to go on: [`PASSED`], [`FAILED`] (the server knows more), [`AGAIN`], or [`NOT_BEGUN`].

use std::{path::PathBuf, sync::Arc, time::Duration};

use domain::protocol::{Claim, Claimed, Credentials, Outcome};
use serde::Deserialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use crate::{
    client::{Claims, Client},
    ending::{Cause, Ending},
    entry,
    stage::{Adoption, End, attempt},
    target::Target,
};

/// The stage passed, or need not be done.
pub const PASSED: i32 = 0;
/// It did not, and the server has written down why.
pub const FAILED: i32 = 1;
/// The runner was lost before there was a verdict: another task may try. `EX_TEMPFAIL` of sysexits.h.
pub const AGAIN: i32 = 75;
/// It was told to stop before it had its stage: another task may do even what is never done twice.
pub const NOT_BEGUN: i32 = 76;
/// The environment is not one that an engine made. `EX_CONFIG`.
pub const NOT_TOLD: i32 = 78;

/// What a task is told by its environment.
struct Told {
    claim: Claim,
    server: String,
    data: PathBuf,
}

/// Does the stage that this task was started for; answers the exit code.
pub async fn task(target: Arc<dyn Target>) -> i32 {
    let told = match told(|name| std::env::var(name).ok()).await {
        Ok(told) => told,
        Err(missing) => {
            tracing::error!(
                "{missing} is missing or wrong: `seamless runner --task` is started by an engine"
            );
            return NOT_TOLD;
        }
    };
    entry::lead();
    let ending = Ending::default();
    let claims = match Claims::new(&told.server, &told.data) {
        Ok(claims) => claims,
        Err(error) => {
            tracing::error!(error, "no way to the server");
            return NOT_TOLD;
        }
    };
    let stopped = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::pin!(stopped);
    let credentials = loop {
        let answer = tokio::select! {
            answer = claims.claim(&told.claim) => answer,
            () = &mut stopped => return NOT_BEGUN,
        };
        match answer {
            Ok(Claimed::Go { id, attempt, token }) => {
                break Credentials {
                    server: told.server.clone(),
                    token,
                    data: told.data.display().to_string(),
                    stage: id,
                    attempt,
                };
            }
            Ok(Claimed::Wait { after_ms, why }) => {
                tracing::info!(why, "waiting");
                tokio::select! {
                    () = sleep(Duration::from_millis(after_ms)) => {}
                    () = &mut stopped => return NOT_BEGUN,
                }
            }
            Ok(Claimed::Over { passed }) => return if passed { PASSED } else { FAILED },
            Err(_) => return FAILED,
        }
    };
    let working = attempt(&credentials, target, ending.clone(), Adoption::All);
    tokio::pin!(working);
    let end = tokio::select! {
        end = &mut working => end,
        () = &mut stopped => {
            // Told to stop by whoever cancelled the run, or because this machine goes away: the server knows which.
            ending.end(if cancelled(&credentials).await { Cause::Cancelled } else { Cause::Displaced });
            working.await
        }
    };
    match end {
        End::Reported(Outcome::Success) => PASSED,
        End::Reported(_) | End::Fenced | End::NoCredentials => FAILED,
        End::Stopped => AGAIN,
    }
}

async fn cancelled(credentials: &Credentials) -> bool {
    match Client::new(credentials) {
        Ok(client) => client.heartbeat().await.is_ok_and(|answer| answer.cancel),
        Err(_) => false,
    }
}

async fn told(get: impl Fn(&str) -> Option<String>) -> Result<Told, &'static str> {
    let want = |name: &'static str| get(name).filter(|text| !text.trim().is_empty()).ok_or(name);
    let claim = Claim {
        run: want("SEAMLESS_RUN")?.parse().map_err(|_| "SEAMLESS_RUN")?,
        stage: want("SEAMLESS_STAGE")?.parse().map_err(|_| "SEAMLESS_STAGE")?,
        round: want("SEAMLESS_TRY")?.parse().map_err(|_| "SEAMLESS_TRY")?,
        ticket: want("SEAMLESS_TICKET")?,
        task: task_name(get("ECS_CONTAINER_METADATA_URI_V4")).await,
    };
    Ok(Told { claim, server: want("SEAMLESS_URL")?, data: want("SEAMLESS_DATA")?.into() })
}

/// What the metadata endpoint of ECS says of the task; only its name is read.
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "TaskARN")]
    task: String,
}

/// The task's own name: its ARN where ECS tells it, else what no other process on any machine has.
async fn task_name(metadata: Option<String>) -> String {
    if let Some(address) = metadata {
        let asked = async {
            let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().ok()?;
            let answer = http.get(format!("{address}/task")).send().await.ok()?;
            let bytes = answer.error_for_status().ok()?.bytes().await.ok()?;
            serde_json::from_slice::<Metadata>(&bytes).ok()
        };
        if let Some(found) = asked.await {
            return found.task;
        }
        tracing::warn!("the task's metadata cannot be read; it names itself");
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{host}/{}/{}", std::process::id(), since.as_nanos())
}
