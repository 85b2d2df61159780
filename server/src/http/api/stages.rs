//! `/stages/{id}/log`: ranges, search, the whole as text.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use control::{
    Control,
    logs::{Case, Part, Search},
};
use domain::{
    StageId,
    problem::{FieldError, Problem},
    view::{LogMatches, LogPage},
};
use futures::stream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{limit, within};
use crate::http::{
    App,
    auth::Caller,
    problem::{Path, Query, Refusal},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(log)).routes(routes!(text))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Range {
    /// Number of the first line, from 0. Of a search: matches from this line on.
    from: Option<u64>,
    /// Lines, or matches, at most; from 1 to 10000.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<u64>,
    /// The last lines instead, so many; from 1 to 10000.
    #[param(minimum = 1, maximum = 10000)]
    tail: Option<u64>,
    /// Search for this text instead, in what is seen without colours.
    q: Option<String>,
    /// Whether `q` is a regular expression (of Rust's `regex`); it never matches beyond a line.
    regex: Option<bool>,
    /// Whether upper and lower case differ: `smart` (only when `q` has an upper-case letter; the default), `exact`, `ignore`.
    case: Option<Letters>,
    /// Search, instead of for `q`, for lines that say what went wrong.
    errors: Option<bool>,
    /// Of a search: the last matches before this line.
    before: Option<u64>,
    /// Which attempt; the current one when absent.
    attempt: Option<u32>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Letters {
    Smart,
    Exact,
    Ignore,
}

/// What a query asks for.
enum Asked {
    From(u64),
    Tail(u64),
    Search(Search, Part),
}

impl Range {
    fn asked(&self) -> Result<Asked, Refusal> {
        let searches = [
            ("regex", self.regex.is_some()),
            ("case", self.case.is_some()),
            ("before", self.before.is_some()),
        ];
        let errors = self.errors.unwrap_or(false);
        let refuse = |field: &str, message: &str| {
            Err(Refusal::invalid(vec![FieldError { field: field.into(), message: message.into() }]))
        };
        match (&self.q, errors, self.tail) {
            (Some(_), true, _) => refuse("errors", "search for these or for `q`, not for both"),
            (Some(_), _, Some(_)) | (_, true, Some(_)) => {
                refuse("tail", "is for lines; of a search, `before` gives the last matches")
            }
            (None, false, tail) => {
                if let Some((field, _)) = searches.iter().find(|(_, given)| *given) {
                    return refuse(field, "is for a search: give `q` as well");
                }
                match tail {
                    Some(_) if self.from.is_some() || self.limit.is_some() => {
                        refuse("tail", "says where to begin and how many: leave `from` and `limit` out")
                    }
                    Some(tail) => Ok(Asked::Tail(tail)),
                    None => Ok(Asked::From(self.from.unwrap_or(0))),
                }
            }
            (q, ..) => {
                let part = match (self.from, self.before) {
                    (Some(_), Some(_)) => return refuse("before", "give this or `from`, not both"),
                    (_, Some(before)) => Part::Before(before),
                    (from, None) => Part::From(from.unwrap_or(0)),
                };
                let case = match self.case {
                    Some(Letters::Exact) => Case::Exact,
                    Some(Letters::Ignore) => Case::Ignore,
                    Some(Letters::Smart) | None => Case::Smart,
                };
                let search = match q {
                    Some(q) => Search { pattern: q.clone(), regex: self.regex.unwrap_or(false), case },
                    None => Search::errors(),
                };
                Ok(Asked::Search(search, part))
            }
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Which attempt; the current one when absent.
    attempt: Option<u32>,
}

/// Lines, or what a search found.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Log {
    /// A range.
    Lines(LogPage),
    /// Matches.
    Found(LogMatches),
}

/// Lines of a log, or a search in it
#[utoipa::path(get, path = "/stages/{id}/log", tag = "logs", params(("id" = StageId, Path), Range),
    responses((status = 200, body = Log), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn log(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<StageId>,
    Query(range): Query<Range>,
) -> Result<Json<Log>, Refusal> {
    let most = limit(range.limit, 1_000, 10_000)?;
    let (control, attempt) = (&app.control, range.attempt);
    Ok(Json(match range.asked()? {
        Asked::From(from) => Log::Lines(control.log_page(id, attempt, from, most).await?),
        Asked::Tail(tail) => Log::Lines(control.log_tail(id, attempt, within("tail", tail, 10_000)?).await?),
        Asked::Search(search, part) => {
            Log::Found(control.log_search(id, attempt, &search, part, most).await?)
        }
    }))
}

/// A whole log as text, streamed
#[utoipa::path(get, path = "/stages/{id}/log.txt", tag = "logs", params(("id" = StageId, Path), Which),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem)))]
async fn text(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<StageId>,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    log_text(app.control, id, which.attempt).await
}

/// Streams a log piece by piece: memory does not grow with it.
///
/// # Errors
/// When there is no such stage or attempt: that is a 404 and no empty file.
pub async fn log_text(control: Control, stage: StageId, attempt: Option<u32>) -> Result<Response, Refusal> {
    // Which attempt is settled first: a rerun in the middle changes nothing for who is reading.
    let attempt = control.log_attempt(stage, attempt).await?;
    let pieces = stream::try_unfold((control, 0), move |(control, from)| async move {
        let piece = control.log_text(stage, attempt, from).await?;
        Ok::<_, control::Error>(piece.map(|(text, next)| (text, (control, next))))
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(pieces)).into_response())
}
