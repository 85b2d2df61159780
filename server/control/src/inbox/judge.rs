//! What a hook means for one service: pure rules, each refusal with its reason.

use domain::{paths, plan::Trigger, service::ServiceSettings};
use entity::service;

use super::GitHook;

/// What becomes of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A run.
    Accept(Trigger),
    /// A run, once a person says so.
    Wait,
    /// Nothing.
    Ignore,
}

/// The verdict, and why where there is something to say.
type Judged = (Verdict, String);

/// Words in a commit's message by which its author asks for no run; GitHub's own.
const SKIPS: [&str; 5] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];

fn ignore(why: impl std::fmt::Display) -> Judged {
    (Verdict::Ignore, format!("ignored: {why}"))
}

pub(super) fn is_zero(sha: &str) -> bool {
    !sha.is_empty() && sha.bytes().all(|b| b == b'0')
}

/// What can be said from the hook and the settings alone.
pub(super) fn judge(
    row: &service::Model,
    settings: &ServiceSettings,
    hook: &GitHook,
    released: bool,
) -> Judged {
    if is_zero(&hook.after) {
        return ignore(format_args!("{} was deleted", hook.reference));
    }
    if !(hook.after.len() == 40 || hook.after.len() == 64)
        || !hook.after.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return ignore(format_args!("{:?} is no commit hash", hook.after));
    }
    let trigger = match hook.event.parse::<Trigger>() {
        Ok(trigger @ (Trigger::Push | Trigger::PullRequestOpened | Trigger::PullRequestSynchronized)) => {
            trigger
        }
        _ => return ignore(format_args!("event {:?} starts no run", hook.event)),
    };
    let (wanted, name) = match trigger {
        Trigger::PullRequestOpened => (settings.triggers.pull_request_opened, "pull_request_opened"),
        Trigger::PullRequestSynchronized => {
            (settings.triggers.pull_request_synchronized, "pull_request_synchronized")
        }
        _ => (settings.triggers.push, "push"),
    };
    if !wanted {
        return ignore(format_args!("trigger {name} is off for {}", row.name));
    }
    if trigger == Trigger::Push {
        let Some(branch) = hook.reference.strip_prefix("refs/heads/") else {
            return ignore(format_args!("{} is no branch", hook.reference));
        };
        if branch != row.branch {
            return ignore(format_args!("branch filter ({branch} is not {})", row.branch));
        }
    }
    if hook.draft {
        let number = hook.pull_request.unwrap_or_default();
        return ignore(format_args!("pull request {number} is a draft; it runs once it is ready for review"));
    }
    if let Some(word) = hook.message.as_deref().and_then(skips) {
        return ignore(format_args!("the commit's message says {word}"));
    }
    if let Some(changed) = &hook.paths
        && !paths::concerned(&settings.triggers.paths, changed.iter().map(String::as_str))
    {
        let only = settings.triggers.paths.join(", ");
        return ignore(format_args!("path filter (none of {} changed paths is in {only})", changed.len()));
    }
    match &hook.fork {
        Some(fork) if !released && !settings.triggers.trust_forks => {
            let by = hook.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            let why =
                format!("it comes from the fork {fork}{by}; look at what it changes before it runs here");
            (Verdict::Wait, why)
        }
        _ => (Verdict::Accept(trigger), String::new()),
    }
}

fn skips(message: &str) -> Option<&'static str> {
    let message = message.to_ascii_lowercase();
    SKIPS.into_iter().find(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_may_ask_for_no_run() {
        assert_eq!(skips("Fix a typo [Skip CI]\n\nNothing else."), Some("[skip ci]"));
        assert_eq!(skips("Skip ci where it is slow"), None);
    }
}
