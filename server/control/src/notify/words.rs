//! The words of a message: a subject, plain text for people, and the same for programs and chats.
//!
//! The structured part is what Amazon Q Developer in chat applications takes as a custom notification
//! (<https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html>); everybody else finds all facts in its
//! `metadata.additionalContext`. Refuses to let what a commit or a command says call anybody or format anything.

use std::{collections::BTreeMap, fmt::Write as _};

use domain::{
    EnvironmentName,
    news::News,
    plan::Trigger,
    view::{Run, Stage},
};
use serde_json::{Value, json};

use super::Message;

/// The longest subject that is sent; the limit is "less than 100 characters"
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).
const SUBJECT: usize = 99;
/// What is quoted of anything, in characters.
const QUOTED: usize = 500;
/// What is kept of a name in an attribute, in characters.
const NAMED: usize = 200;

/// What a message is about.
pub(super) struct About<'a> {
    pub id: i64,
    pub news: News,
    pub environment: Option<EnvironmentName>,
    pub service: &'a str,
    pub service_id: &'a str,
    pub pipeline: &'a str,
    pub url: &'a str,
}

/// A message of a run.
pub(super) fn of_run(about: &About<'_>, run: &Run) -> Message {
    let stage = match about.environment {
        Some(environment) => run.stage(environment.stage()),
        None => run.failed_stage(),
    };
    let link = match stage {
        Some(stage) => format!("{}/runs/{}?stage={}", about.url, run.id, stage.kind),
        None => format!("{}/runs/{}", about.url, run.id),
    };
    let title = title(about, run, stage);
    let mut lines = vec![("Service", format!("{} (pipeline {})", about.service, about.pipeline))];
    lines.push(("Branch", branch(run)));
    lines.push(("Commit", commit(run)));
    if let Some(stage) = stage.filter(|_| about.news.status() == "failure") {
        lines.push(("Failed", stage.kind.title().to_owned()));
        lines.extend(stage.reason.as_deref().map(|why| ("Reason", plain(why))));
        lines.extend(stage.error.as_ref().map(|line| ("Look at", plain(&line.text))));
    }
    if about.news == News::ApprovalNeeded {
        lines.extend(run.approval.as_ref().and_then(|a| a.note.as_deref()).map(|n| ("Reason", plain(n))));
    }
    lines.push(("Run", format!("{} ({})", run.number, why(run))));
    let context = json!({
        "run": run.id, "number": run.number, "branch": plain(&run.branch), "commit": run.commit.sha,
        "author": plain(&run.commit.author), "message": plain(&run.commit.message), "link": link,
        "reason": stage.and_then(|s| s.reason.as_deref()).filter(|_| about.news.status() == "failure").map(plain),
        "stage": stage.map(|s| s.kind), "by": run.requested_by.as_deref().map(plain),
    });
    let trigger = if run.trigger.is_pull_request() { "pull_request" } else { run.trigger.as_str() };
    let more = [("branch", run.branch.as_str()), ("trigger", trigger)];
    message(about, &title, &lines, (todo(about.news), &link), context, &more, &run.id.to_string())
}

/// A message of a service, of what somebody did to it.
pub(super) fn of_service(about: &About<'_>, payload: &Value) -> Message {
    let word = |name: &str| payload[name].as_str().map(plain).filter(|text| !text.is_empty());
    let by = word("by").unwrap_or_else(|| "somebody".into());
    let title = match about.news {
        News::DeploysStopped => format!("{}: {by} stopped deploys to production", about.service),
        _ => format!("{}: {by} lets deploys to production go on", about.service),
    };
    let link = format!("{}/services/{}", about.url, about.service_id);
    let mut lines = vec![("Service", format!("{} (pipeline {})", about.service, about.pipeline))];
    lines.extend(word("reason").map(|reason| ("Reason", reason)));
    let context = json!({ "by": by, "reason": word("reason"), "link": link });
    message(about, &title, &lines, ("See it", &link), context, &[("trigger", "manual")], about.service_id)
}

fn title(about: &About<'_>, run: &Run, stage: Option<&Stage>) -> String {
    let (service, version, branch) = (about.service, run.commit.short(), plain(&run.branch));
    let place = about.environment.unwrap_or(EnvironmentName::Production);
    let on = match &run.pull_request {
        Some(request) => format!("for pull request {}", request.number),
        None => format!("on {branch}"),
    };
    match about.news {
        News::RunFailed => {
            format!("{service}: {} failed {on}", stage.map_or("the run", |s| s.kind.title()))
        }
        News::RunRecovered => format!("{service}: succeeds again {on}"),
        News::ApprovalNeeded => format!("{service}: {version} waits for approval to go to {place}"),
        News::ApprovalExpired => {
            format!("{service}: nobody approved {version} in time, it does not go to {place}")
        }
        News::Deployed => format!("{service}: {version} is live in {place}"),
        News::DeployFailed if run.trigger == Trigger::Rollback => {
            format!("{service}: the roll back to {version} in {place} failed")
        }
        News::DeployFailed => format!("{service}: {version} could not be deployed to {place}"),
        News::RolledBack => format!("{service}: {place} was rolled back to {version}"),
        News::DeploysStopped | News::DeploysResumed => service.to_owned(),
    }
}

/// What the link is for.
fn todo(news: News) -> &'static str {
    match news {
        News::RunFailed | News::DeployFailed => "See why",
        News::ApprovalNeeded => "Decide",
        _ => "See the run",
    }
}

fn branch(run: &Run) -> String {
    match &run.pull_request {
        Some(request) => format!("{} (pull request {})", plain(&run.branch), request.number),
        None => plain(&run.branch),
    }
}

fn commit(run: &Run) -> String {
    let mut text = run.commit.short().to_owned();
    if !run.commit.message.is_empty() {
        let _ = write!(text, " \"{}\"", plain(&run.commit.message));
    }
    if !run.commit.author.is_empty() {
        let _ = write!(text, " by {}", plain(&run.commit.author));
    }
    text
}

fn why(run: &Run) -> String {
    let by = run.requested_by.as_deref().map(|by| format!(" by {}", plain(by))).unwrap_or_default();
    match run.trigger {
        Trigger::Push => "after a push".into(),
        Trigger::PullRequestOpened | Trigger::PullRequestSynchronized => "for a pull request".into(),
        Trigger::Manual | Trigger::Trial => format!("started{by}"),
        Trigger::Rollback => format!("rolled back{by}"),
    }
}

fn message(
    about: &About<'_>,
    title: &str,
    lines: &[(&'static str, String)],
    (todo, link): (&str, &str),
    mut context: Value,
    more: &[(&str, &str)],
    thread: &str,
) -> Message {
    let mut text = format!("{title}\n\n");
    let mut told = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{:<8} {value}", format!("{name}:"));
        let _ = writeln!(told, "{name}: {}", quiet(value));
    }
    let _ = write!(text, "\n{todo}: {link}\n");
    let environment = about.environment.map_or("none", EnvironmentName::as_str);
    context["pipeline"] = json!(about.pipeline);
    context["service"] = json!(about.service);
    context["environment"] = json!(environment);
    context["status"] = json!(about.news.status());
    // What is not known is left out: receivers want texts.
    let context: BTreeMap<String, String> = context
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| match value {
            Value::Null => None,
            Value::String(text) => Some((name.clone(), text.clone())),
            other => Some((name.clone(), other.to_string())),
        })
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let structured = json!({
        "version": "1.0",
        "source": "custom",
        "id": about.id.to_string(),
        "content": {
            "textType": "client-markdown",
            "title": format!("{} {}", mark(about.news), quiet(title)),
            "description": told.trim_end(),
            "nextSteps": [format!("{todo}: {link}")],
            "keywords": [about.service, about.news.as_str(), environment],
        },
        "metadata": {
            "threadId": thread,
            "summary": quiet(title),
            "eventType": about.news.as_str(),
            "relatedResources": [about.service],
            "additionalContext": context,
        },
    });
    // At most ten: a subscription with raw delivery to a queue gets no message with more.
    let mut attributes: BTreeMap<String, String> = BTreeMap::new();
    let id = about.id.to_string();
    let own = [
        ("id", id.as_str()),
        ("event", about.news.as_str()),
        ("status", about.news.status()),
        ("environment", environment),
        ("service", about.service),
        ("service_id", about.service_id),
    ];
    for (name, value) in own.iter().chain(more).filter(|(_, value)| !value.is_empty()) {
        let value = value.chars().filter(|c| !c.is_control()).take(NAMED).collect();
        attributes.insert((*name).to_owned(), value);
    }
    Message { subject: subject(title), text, structured, attributes }
}

fn mark(news: News) -> &'static str {
    match news.status() {
        "failure" => ":x:",
        "success" => ":white_check_mark:",
        "waiting" => ":raised_hand:",
        _ => ":no_entry:",
    }
}

/// Printable ASCII, and cut where it is too long.
fn subject(title: &str) -> String {
    let ascii: String = title.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
    if ascii.len() <= SUBJECT {
        return ascii;
    }
    format!("{}...", ascii[..SUBJECT - 3].trim_end())
}

/// What others wrote, on one line and not without end.
fn plain(text: &str) -> String {
    let kept: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let kept = kept.trim();
    match kept.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{}…", &kept[..at]),
        None => kept.to_owned(),
    }
}

/// The same in a chat, where these two call people and make links.
fn quiet(text: &str) -> String {
    text.replace('<', "‹").replace('>', "›")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use insta::assert_snapshot;

    use super::*;

    const SERVICE: &str = "01JGQ5Y3X8V4T6R2N9M7K1H0FB";

    /// A run of which one stage has this status.
    fn run(trigger: &str, stage: &str, status: &str) -> Run {
        let stage = json!({
            "id": "01JGQ5Y3X8V4T6R2N9M7K1H0FC", "kind": stage, "status": status, "attempt": 1, "lines": 9,
            "reason": (status == "failure").then_some("exit code 3"),
            "error": (status == "failure").then_some(json!({ "seq": 7, "text": "expected 10, got 11 <!channel> @here" })),
        });
        serde_json::from_value(json!({
            "id": "01JGQ5Y3X8V4T6R2N9M7K1H0FA", "number": 12, "service": { "id": SERVICE, "name": "checkout" },
            "status": status, "reason": null, "trigger": trigger, "branch": "main",
            "requested_by": (trigger != "push").then_some("dana"),
            "commit": { "sha": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "message": "Round taxes – *again*", "author": "Dana" },
            "pull_request": null, "plan": { "stages": [], "launch": null }, "stages": [stage], "approval": null,
            "artifact": null, "rerun_of": null, "created_at": "2026-01-01T00:00:00Z", "started_at": null, "ended_at": null, "duration_ms": null,
        }))
        .unwrap()
    }

    fn about(news: News, environment: Option<EnvironmentName>) -> About<'static> {
        let (service, pipeline, url) = ("checkout", "Main", "https://seamless.example.org");
        About { id: 42, news, environment, service, service_id: SERVICE, pipeline, url }
    }

    fn both(message: &Message) -> String {
        let filters: Vec<_> =
            message.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(message.text.lines().next(), Some(message.subject.as_str()));
        format!("{}[{}]", message.text, filters.join(" "))
    }

    #[test]
    fn a_failure_says_what_failed_and_where_to_look() {
        let message = of_run(&about(News::RunFailed, None), &run("push", "unit_test", "failure"));
        assert_snapshot!(both(&message), @r#"
        checkout: Unit Test failed on main

        Service: checkout (pipeline Main)
        Branch:  main
        Commit:  1a2b3c4 "Round taxes – *again*" by Dana
        Failed:  Unit Test
        Reason:  exit code 3
        Look at: expected 10, got 11 <!channel> @here
        Run:     12 (after a push)

        See why: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=unit_test
        [branch=main environment=none event=run_failed id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=failure trigger=push]
        "#);
        assert_snapshot!(serde_json::to_string_pretty(&message.structured).unwrap(), @r#"
        {
          "content": {
            "description": "Service: checkout (pipeline Main)\nBranch: main\nCommit: 1a2b3c4 \"Round taxes – *again*\" by Dana\nFailed: Unit Test\nReason: exit code 3\nLook at: expected 10, got 11 ‹!channel› @here\nRun: 12 (after a push)",
            "keywords": [
              "checkout",
              "run_failed",
              "none"
            ],
            "nextSteps": [
              "See why: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=unit_test"
            ],
            "textType": "client-markdown",
            "title": ":x: checkout: Unit Test failed on main"
          },
          "id": "42",
          "metadata": {
            "additionalContext": {
              "author": "Dana",
              "branch": "main",
              "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
              "environment": "none",
              "link": "https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=unit_test",
              "message": "Round taxes – *again*",
              "number": "12",
              "pipeline": "Main",
              "reason": "exit code 3",
              "run": "01JGQ5Y3X8V4T6R2N9M7K1H0FA",
              "service": "checkout",
              "stage": "unit_test",
              "status": "failure"
            },
            "eventType": "run_failed",
            "relatedResources": [
              "checkout"
            ],
            "summary": "checkout: Unit Test failed on main",
            "threadId": "01JGQ5Y3X8V4T6R2N9M7K1H0FA"
          },
          "source": "custom",
          "version": "1.0"
        }
        "#);
    }

    #[test]
    fn each_kind_of_news_has_its_words() {
        let production = Some(EnvironmentName::Production);
        let deploys = |trigger, status| run(trigger, "deploy_production", status);
        let mut all = vec![
            of_run(&about(News::RunRecovered, None), &run("push", "unit_test", "success")),
            of_run(&about(News::ApprovalNeeded, production), &deploys("push", "awaiting_approval")),
            of_run(&about(News::ApprovalExpired, production), &deploys("push", "cancelled")),
            of_run(&about(News::Deployed, production), &deploys("manual", "success")),
            of_run(&about(News::DeployFailed, production), &deploys("push", "failure")),
            of_run(&about(News::DeployFailed, production), &deploys("rollback", "failure")),
            of_run(&about(News::RolledBack, production), &deploys("rollback", "success")),
        ];
        let held = json!({ "by": "dana", "reason": "Black Friday" });
        all.push(of_service(&about(News::DeploysStopped, production), &held));
        all.push(of_service(&about(News::DeploysResumed, production), &json!({ "by": "dana" })));
        let all: Vec<_> = all.iter().map(both).collect();
        assert_snapshot!(all.join("\n\n"), @r#"
        checkout: succeeds again on main

        Service: checkout (pipeline Main)
        Branch:  main
        Commit:  1a2b3c4 "Round taxes – *again*" by Dana
        Run:     12 (after a push)

        See the run: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA
        [branch=main environment=none event=run_recovered id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=success trigger=push]

        checkout: 1a2b3c4 waits for approval to go to production

        Service: checkout (pipeline Main)
        Branch:  main
        Commit:  1a2b3c4 "Round taxes – *again*" by Dana
        Run:     12 (after a push)

        Decide: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=deploy_production
        [branch=main environment=production event=approval_needed id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=waiting trigger=push]

        checkout: nobody approved 1a2b3c4 in time, it does not go to production

        Service: checkout (pipeline Main)
        Branch:  main
        Commit:  1a2b3c4 "Round taxes – *again*" by Dana
        Run:     12 (after a push)

        See the run: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=deploy_production
        [branch=main environment=production event=approval_expired id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=stopped trigger=push]

        checkout: 1a2b3c4 is live in production

        Service: checkout (pipeline Main)
        Branch:  main
        Commit:  1a2b3c4 "Round taxes – *again*" by Dana
        Run:     12 (started by dana)

        See the run: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=deploy_production
        [branch=main environment=production event=deployed id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=success trigger=manual]

        checkout: 1a2b3c4 could not be deployed to production

        Service: checkout (pipeline Main)
        Branch:  main
        Commit:  1a2b3c4 "Round taxes – *again*" by Dana
        Failed:  Deploy to Production
        Reason:  exit code 3
        Look at: expected 10, got 11 <!channel> @here
        Run:     12 (after a push)

        See why: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=deploy_production
        [branch=main environment=production event=deploy_failed id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=failure trigger=push]

        checkout: the roll back to 1a2b3c4 in production failed

        Service: checkout (pipeline Main)
        Branch:  main
        Commit:  1a2b3c4 "Round taxes – *again*" by Dana
        Failed:  Deploy to Production
        Reason:  exit code 3
        Look at: expected 10, got 11 <!channel> @here
        Run:     12 (rolled back by dana)

        See why: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=deploy_production
        [branch=main environment=production event=deploy_failed id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=failure trigger=rollback]

        checkout: production was rolled back to 1a2b3c4

        Service: checkout (pipeline Main)
        Branch:  main
        Commit:  1a2b3c4 "Round taxes – *again*" by Dana
        Run:     12 (rolled back by dana)

        See the run: https://seamless.example.org/runs/01JGQ5Y3X8V4T6R2N9M7K1H0FA?stage=deploy_production
        [branch=main environment=production event=rolled_back id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=success trigger=rollback]

        checkout: dana stopped deploys to production

        Service: checkout (pipeline Main)
        Reason:  Black Friday

        See it: https://seamless.example.org/services/01JGQ5Y3X8V4T6R2N9M7K1H0FB
        [environment=production event=deploys_stopped id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=stopped trigger=manual]

        checkout: dana lets deploys to production go on

        Service: checkout (pipeline Main)

        See it: https://seamless.example.org/services/01JGQ5Y3X8V4T6R2N9M7K1H0FB
        [environment=production event=deploys_resumed id=42 service=checkout service_id=01JGQ5Y3X8V4T6R2N9M7K1H0FB status=success trigger=manual]
        "#);
    }

    #[test]
    fn a_subject_is_short_and_plain() {
        let long = format!("checkout: {} failed on größe\n", "x".repeat(120));
        let cut = subject(&long);
        assert_eq!(cut.len(), SUBJECT);
        assert!(cut.ends_with("..."));
        assert_eq!(subject("größe\n"), "gr??e?");
    }
}
