//! Pipelines: what they keep, and for how long.

use domain::{PipelineId, view::Pipeline};
use leptos::prelude::*;

use super::Answer;

#[cfg(feature = "ssr")]
use super::server::{actor, control, refuse};

/// Every pipeline.
#[server(name = ReadPipelines, prefix = "/fn", endpoint = "pipelines")]
pub async fn pipelines() -> Answer<Vec<Pipeline>> {
    control()?.pipelines().await.map(|page| page.items).map_err(refuse)
}

/// Sets how long a pipeline keeps logs and runs; an empty field is no limit.
#[server(prefix = "/fn", endpoint = "set_retention")]
pub async fn set_retention(
    id: PipelineId,
    log_days: String,
    log_megabytes: String,
    run_days: String,
) -> Answer<Pipeline> {
    let kept = retention(&log_days, &log_megabytes, &run_days).map_err(refuse)?;
    control()?.update_pipeline(&actor()?, id, None, None, Some(kept)).await.map_err(refuse)
}

#[cfg(feature = "ssr")]
fn retention(days: &str, megabytes: &str, runs: &str) -> Result<domain::view::Retention, control::Error> {
    fn number<T: std::str::FromStr + Default>(field: &str, text: &str) -> Result<T, control::Error> {
        match text.trim() {
            "" => Ok(T::default()),
            text => text.parse().map_err(|_| {
                control::Error::field(
                    &format!("retention.{field}"),
                    "give a whole number, or nothing for no limit",
                )
            }),
        }
    }
    Ok(domain::view::Retention {
        log_days: number("log_days", days)?,
        log_megabytes: number("log_megabytes", megabytes)?,
        run_days: number("run_days", runs)?,
    })
}
