//! From a hook's payload to what it means.
//!
//! Reads only the fields that decide, each of which may be missing: GitHub adds and leaves out fields, and its examples do so more than
//! its documentation. Refuses to look anything up.

use control::{
    forge::{News, Said},
    inbox::GitHook,
    ports::PortError,
};
use serde::Deserialize;

/// More commits than these are left out of a push; then its list of paths is not whole.
const MOST_COMMITS: usize = 2048;

#[derive(Deserialize)]
struct Repository {
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    login: Option<String>,
}

#[derive(Default, Deserialize)]
struct Commit {
    #[serde(default)]
    message: String,
    #[serde(default)]
    added: Vec<String>,
    #[serde(default)]
    modified: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
}

#[derive(Deserialize)]
struct End {
    sha: Option<String>,
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct PullRequest {
    number: Option<u64>,
    #[serde(default)]
    draft: bool,
    head: Option<End>,
    base: Option<End>,
    user: Option<Account>,
}

#[derive(Deserialize)]
struct Check {
    head_sha: Option<String>,
}

#[derive(Deserialize)]
struct From {
    from: Option<String>,
}

#[derive(Deserialize)]
struct NameChange {
    name: Option<From>,
}

#[derive(Deserialize)]
struct Owner {
    user: Option<Account>,
    organization: Option<Account>,
}

#[derive(Deserialize)]
struct OwnerChange {
    from: Option<Owner>,
}

/// What may have changed about a repository. Other events have lists and texts under this name.
#[derive(Deserialize)]
struct Changes {
    repository: Option<NameChange>,
    owner: Option<OwnerChange>,
}

#[derive(Deserialize)]
struct Payload {
    action: Option<String>,
    repository: Option<Repository>,
    sender: Option<Account>,
    zen: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    before: Option<String>,
    after: Option<String>,
    #[serde(default)]
    forced: bool,
    head_commit: Option<Commit>,
    commits: Option<Vec<Commit>>,
    pusher: Option<serde_json::Value>,
    pull_request: Option<serde_json::Value>,
    check_run: Option<serde_json::Value>,
    check_suite: Option<serde_json::Value>,
    changes: Option<serde_json::Value>,
}

/// Only what is needed to choose a key.
#[derive(Deserialize)]
struct Peek {
    repository: Option<Repository>,
    changes: Option<serde_json::Value>,
}

/// The names of the repository a body speaks of, newest first: what it is called, and what it was called where it was renamed.
/// The body need not be verified: it is read to choose among keys, and for nothing else.
pub fn repositories(body: &[u8]) -> Vec<String> {
    let Ok(peek) = serde_json::from_slice::<Peek>(body) else { return Vec::new() };
    let Some(name) = peek.repository.and_then(|r| r.full_name) else { return Vec::new() };
    let former = former(&name, peek.changes);
    [name].into_iter().chain(former).collect()
}

/// What a repository was called before these changes.
fn former(name: &str, changes: Option<serde_json::Value>) -> Option<String> {
    let changes: Changes = serde_json::from_value(changes?).ok()?;
    let (owner, short) = name.split_once('/')?;
    let was = changes.repository.and_then(|r| r.name).and_then(|n| n.from);
    let from = changes.owner.and_then(|o| o.from);
    let owned = from.and_then(|o| o.organization.or(o.user)).and_then(|a| a.login);
    if was.is_none() && owned.is_none() {
        return None;
    }
    Some(format!("{}/{}", owned.as_deref().unwrap_or(owner), was.as_deref().unwrap_or(short)))
}

/// See [`control::forge::Forge::read`].
pub fn read(event: &str, text: &str) -> Result<Said, PortError> {
    let payload: Payload = serde_json::from_str(text)
        .map_err(|e| PortError(format!("the payload is not what GitHub sends for {event}: {e}")))?;
    let repository = payload.repository.as_ref().and_then(|r| r.full_name.clone());
    let action = payload.action.clone().unwrap_or_default();
    let nothing = || Ok(News::Nothing(format!("{} starts no run", named(event, &action))));
    let news = match (event, action.as_str()) {
        ("ping", _) => {
            let zen = payload.zen.map(|z| format!(" GitHub says: {z}")).unwrap_or_default();
            Ok(News::Nothing(format!("a ping: the hook works.{zen}")))
        }
        ("push", _) => push(payload),
        ("pull_request", "opened" | "reopened" | "ready_for_review" | "synchronize") => {
            pull_request(payload, &action)
        }
        ("check_run" | "check_suite", "rerequested") => again(payload),
        ("repository", "renamed" | "transferred") => {
            let was = repository.as_deref().and_then(|name| former(name, payload.changes));
            match was {
                Some(from) => Ok(News::Renamed { from }),
                None => Err(PortError(format!("repository {action} without the former name"))),
            }
        }
        ("repository", "deleted") => Ok(News::Gone),
        (
            "installation"
            | "installation_repositories"
            | "installation_target"
            | "member"
            | "membership"
            | "organization"
            | "team"
            | "github_app_authorization"
            | "public",
            _,
        ) => Ok(News::Access(format!("{}: access is looked up anew", named(event, &action)))),
        ("repository", "privatized" | "publicized" | "archived" | "unarchived") => {
            Ok(News::Access(format!("{}: access is looked up anew", named(event, &action))))
        }
        _ => nothing(),
    }?;
    Ok(Said { repository, news })
}

fn named(event: &str, action: &str) -> String {
    if action.is_empty() { event.to_owned() } else { format!("{event} {action}") }
}

fn missing(what: &str) -> PortError {
    PortError(format!("the payload lacks {what}"))
}

fn push(payload: Payload) -> Result<News, PortError> {
    let name = |value: &serde_json::Value| value.get("name")?.as_str().map(str::to_owned);
    let before = payload.before.unwrap_or_default();
    // A force push brings what its commits do not tell: what they replaced is different now, too.
    let told = !payload.forced && before.bytes().any(|b| b != b'0');
    let paths = payload.commits.filter(|c| told && c.len() < MOST_COMMITS).map(|commits| {
        let mut paths: Vec<String> =
            commits.into_iter().flat_map(|c| [c.added, c.modified, c.removed].concat()).collect();
        paths.sort();
        paths.dedup();
        paths
    });
    Ok(News::Hook(Box::new(GitHook {
        event: "push".into(),
        reference: payload.reference.ok_or_else(|| missing("ref"))?,
        before,
        after: payload.after.ok_or_else(|| missing("after"))?,
        by: payload.pusher.as_ref().and_then(name).or(payload.sender.and_then(|s| s.login)),
        message: payload.head_commit.map(|c| c.message),
        // A push without a commit, such as a merge that was made elsewhere, says nothing of paths.
        paths: paths.filter(|p| !p.is_empty()),
        ..GitHook::default()
    })))
}

fn pull_request(payload: Payload, action: &str) -> Result<News, PortError> {
    let value = payload.pull_request.ok_or_else(|| missing("pull_request"))?;
    let pull: PullRequest =
        serde_json::from_value(value).map_err(|e| PortError(format!("pull_request: {e}")))?;
    let number = pull.number.ok_or_else(|| missing("pull_request.number"))?;
    let head = pull.head.ok_or_else(|| missing("pull_request.head"))?;
    let own = payload.repository.and_then(|r| r.full_name);
    // A fork that was deleted meanwhile has no name left, and is still not ours.
    let from = match head.repo {
        Some(repo) => repo.full_name,
        None => Some("unknown/unknown".into()),
    };
    let fork = from.filter(|from| own.as_deref().is_none_or(|own| !own.eq_ignore_ascii_case(from)));
    let event = match action {
        "synchronize" => "pull_request_synchronized",
        _ => "pull_request_opened",
    };
    Ok(News::Hook(Box::new(GitHook {
        event: event.into(),
        reference: format!("refs/pull/{number}/head"),
        before: payload.before.unwrap_or_default(),
        after: head.sha.ok_or_else(|| missing("pull_request.head.sha"))?,
        by: payload.sender.and_then(|s| s.login).or(pull.user.and_then(|u| u.login)),
        pull_request: Some(number),
        base: pull.base.and_then(|b| b.sha),
        fork,
        draft: pull.draft,
        ..GitHook::default()
    })))
}

fn again(payload: Payload) -> Result<News, PortError> {
    let value = payload.check_run.or(payload.check_suite).ok_or_else(|| missing("the check"))?;
    let check: Check = serde_json::from_value(value).map_err(|e| PortError(format!("the check: {e}")))?;
    let sha = check.head_sha.ok_or_else(|| missing("head_sha"))?;
    Ok(News::Again { sha, by: payload.sender.and_then(|s| s.login) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn hook(event: &str, payload: Value) -> GitHook {
        match read(event, &payload.to_string()).unwrap().news {
            News::Hook(hook) => *hook,
            other => panic!("{other:?}"),
        }
    }

    fn pull(action: &str, from: Value) -> Value {
        json!({
            "action": action, "number": 7, "repository": { "full_name": "acme/orders" }, "sender": { "login": "eve" },
            "pull_request": {
                "number": 7, "draft": action == "opened", "head": { "sha": "b".repeat(40), "repo": from }, "base": { "sha": "a".repeat(40) }
            }
        })
    }

    #[test]
    fn a_push_tells_paths_unless_they_are_not_all() {
        let mut push = json!({
            "ref": "refs/heads/main", "before": "a".repeat(40), "after": "b".repeat(40), "pusher": { "name": "ada" },
            "head_commit": { "message": "Two\n\n[skip ci]" },
            "commits": [{ "added": ["b"], "removed": ["a"] }, { "modified": ["b"], "message": "Two" }]
        });
        let told = hook("push", push.clone());
        assert_eq!(told.paths, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((told.by.as_deref(), told.message.as_deref()), (Some("ada"), Some("Two\n\n[skip ci]")));
        push["forced"] = true.into();
        assert_eq!(hook("push", push.clone()).paths, None);
        push["forced"] = false.into();
        push["before"] = "0".repeat(40).into();
        assert_eq!(hook("push", push).paths, None);
    }

    #[test]
    fn what_comes_from_elsewhere_is_a_fork() {
        let own = hook("pull_request", pull("synchronize", json!({ "full_name": "Acme/orders" })));
        assert_eq!((own.fork, own.event.as_str()), (None, "pull_request_synchronized"));
        let fork = hook("pull_request", pull("opened", json!({ "full_name": "eve/orders" })));
        assert_eq!((fork.fork.as_deref(), fork.draft), (Some("eve/orders"), true));
        let gone = hook("pull_request", pull("reopened", Value::Null));
        assert!(gone.fork.is_some(), "of a fork that is gone nobody knows whose it was");
    }

    #[test]
    fn names_before_and_after() {
        let renamed = json!({ "action": "renamed", "repository": { "full_name": "acme/shop" }, "changes": { "repository": { "name": { "from": "orders" } } } });
        assert_eq!(
            read("repository", &renamed.to_string()).unwrap().news,
            News::Renamed { from: "acme/orders".into() }
        );
        assert_eq!(repositories(renamed.to_string().as_bytes()), ["acme/shop", "acme/orders"]);
        let moved = json!({ "action": "transferred", "repository": { "full_name": "acme/shop" }, "changes": { "owner": { "from": { "user": { "login": "ada" } } } } });
        assert_eq!(
            read("repository", &moved.to_string()).unwrap().news,
            News::Renamed { from: "ada/shop".into() }
        );
        assert_eq!(repositories(b"not json"), [""; 0]);
    }
}
