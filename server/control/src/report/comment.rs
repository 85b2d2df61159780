//! One comment on a pull request for each service, kept up to date in place: where its newest run stands, stage by stage.

use std::fmt::Write as _;

use domain::{
    Status,
    view::{Run, Stage},
};
use serde::{Deserialize, Serialize};

use super::{Channel, Telling, Trouble, status::span};
use crate::store::{forge, runs};

#[derive(Default, Serialize, Deserialize)]
struct Sent {
    id: Option<i64>,
    text: String,
}

pub(super) async fn tell(telling: &mut Telling<'_>) -> Result<(), Trouble> {
    let control = telling.control;
    let Some(number) = telling.run.pull_request.as_ref().map(|p| p.number) else { return Ok(()) };
    let of_it =
        runs::of_pull_request(control.store.read(), &telling.run.service.id.to_string(), number).await?;
    // The newest run speaks for the pull request.
    if !telling.settings.github.comment || of_it.first() != Some(&telling.run.id.to_string()) {
        return Ok(());
    }
    let mut sent: Sent = telling.sent()?;
    if sent.id.is_none() {
        // An earlier run made the comment.
        let before = forge::told_before(control.store.read(), Channel::Comment.as_str(), &of_it).await?;
        let known = |row: &entity::report::Model| {
            serde_json::from_str::<Option<Sent>>(&row.sent).ok().flatten().and_then(|sent| sent.id)
        };
        sent.id = before.iter().find_map(known);
    }
    let text = text(&telling.run, &telling.link());
    if sent.text == text {
        return Ok(());
    }
    sent.id = Some(control.ports.forge.comment(&telling.repository, number, sent.id, &text).await?);
    sent.text = text;
    telling.keep(&sent).await
}

fn text(run: &Run, link: &str) -> String {
    let mut text = format!("<!-- seamless {} -->\n", run.service.name);
    let took = run.duration_ms.map(|ms| format!(" in {}", span(ms))).unwrap_or_default();
    let _ = writeln!(
        text,
        "**{}**: [run {}]({link}) of {} {}{took}.\n\n| stage | |\n|---|---|",
        run.service.name,
        run.number,
        run.commit.short(),
        match run.status {
            Status::Idle => "is queued",
            Status::InProgress => "is in progress",
            Status::AwaitingApproval => "waits for approval",
            Status::Success => "succeeded",
            Status::Failure => "failed",
            Status::Cancelled => "was cancelled",
            Status::Skipped => "had nothing to do",
        }
    );
    for stage in &run.stages {
        let _ = writeln!(text, "| [{}]({link}?stage={}) | {} |", stage.kind.title(), stage.kind, line(stage));
    }
    text
}

fn line(stage: &Stage) -> String {
    let took = stage.duration_ms.map(|ms| format!(" in {}", span(ms))).unwrap_or_default();
    let why = stage.reason.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default();
    match stage.status {
        Status::Idle => "queued".into(),
        Status::InProgress => "in progress".into(),
        Status::AwaitingApproval => "waits for approval".into(),
        Status::Success => format!("succeeded{took}"),
        Status::Failure => format!("**failed**{took}{why}"),
        Status::Cancelled => format!("cancelled{why}"),
        Status::Skipped => format!("skipped{why}"),
    }
}

/// What a command printed may be anything; in a comment it is text and nothing else.
fn plain(text: &str) -> String {
    let kept: String = text
        .chars()
        .map(|c| if c.is_control() || "`|<>@[]*_#\\".contains(c) { ' ' } else { c })
        .take(200)
        .collect();
    format!("`{}`", kept.trim())
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_is_printed_cannot_format_or_call_anybody() {
        assert_eq!(
            plain("a|b\n@everybody <img src=x> [x](y) ``` #1"),
            "`a b  everybody  img src=x   x (y)      1`"
        );
    }
}
