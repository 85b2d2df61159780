//! Why a task stopped, and whether the next one can fare better.
//!
//! AWS says it in sentences that are meant for people; those that are known are listed here
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>). Refuses to call hopeless what it
//! does not know: that is left to the circuit breaker.

use aws_sdk_ecs::types::{Task, TaskStopCode};

/// Why a task stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    /// For the log.
    pub words: String,
    /// What it has in common with others that fail in the same way; absent where it is no failure of the version.
    pub cause: Option<Cause>,
}

/// A way to fail, which gives up after some.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    /// What the verdict says.
    pub reason: String,
    /// How many tasks may end so before nobody believes in the next; absent where the circuit breaker judges.
    pub bears: Option<u32>,
}

/// A task's short name.
pub(super) fn short(task: &Task) -> &str {
    let id = task.task_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or("?");
    id.get(..8).unwrap_or(id)
}

/// What cannot heal, in AWS's words.
const NEVER: [&str; 15] = [
    "not found",
    "does not exist",
    "manifest unknown",
    "invalid digest",
    "invalid image",
    "invalid reference format",
    "accessdenied",
    "access denied",
    "403 forbidden",
    "no basic auth credentials",
    "resourcenotfoundexception",
    "matching platform",
    "no matching manifest",
    "exec format error",
    "executable file not found",
];

impl Fate {
    pub fn of(task: &Task) -> Self {
        let stopped = task.stopped_reason().unwrap_or("no reason was given");
        let mut words = stopped.to_owned();
        let mut cause = setup(stopped);
        for container in task.containers() {
            let name = container.name().unwrap_or("?");
            let why = container.reason().filter(|why| !stopped.contains(why));
            match (container.exit_code(), why) {
                (Some(0), None) | (None, None) => {}
                (Some(code), why) => {
                    words.push_str(&format!("; container {name} ended with exit code {code}"));
                    words.push_str(&why.map(|why| format!(" ({why})")).unwrap_or_default());
                }
                (None, Some(why)) => words.push_str(&format!("; container {name}: {why}")),
            }
            cause = cause.or_else(|| container.reason().and_then(setup));
        }
        let ended = matches!(task.stop_code(), Some(TaskStopCode::EssentialContainerExited))
            || task.stop_code().is_none() && stopped.starts_with("Essential container");
        if cause.is_none() && ended {
            let first = task.containers().iter().find(|c| c.exit_code().is_some_and(|code| code != 0));
            let first = first.or_else(|| task.containers().iter().find(|c| c.exit_code().is_some()));
            cause = first.and_then(|c| {
                let (name, code) = (c.name().unwrap_or("?"), c.exit_code()?);
                let out_of_memory = c.reason().is_some_and(|why| why.contains("OutOfMemory"));
                let reason = match code {
                    _ if out_of_memory => format!(
                        "the container {name} takes more memory than the task definition allows: raise its memory"
                    ),
                    0 => format!("the container {name} ends by itself with exit code 0: a service must go on running"),
                    127 => format!("the container {name} ends with exit code 127: its command is not in the image"),
                    _ => format!("the container {name} ends again and again with exit code {code}; its own log says why"),
                };
                Some(Cause { reason, bears: Some(3) })
            });
        }
        let unhealthy = stopped.contains("health check");
        if cause.is_none() && unhealthy {
            cause = Some(Cause { reason: stopped.to_owned(), bears: None });
        }
        Self { words, cause }
    }
}

/// What went wrong before anything of the version ran.
fn setup(said: &str) -> Option<Cause> {
    let pulls = said.contains("CannotPull") || said.contains("PullImage");
    let secrets = said.contains("unable to pull secrets") || said.contains("unable to retrieve secret");
    let remedy = if secrets {
        "let the task's execution role read the secret (secretsmanager:GetSecretValue), and the task reach Secrets Manager"
    } else if pulls && said.to_lowercase().contains("platform") {
        "build the image for the processor that the tasks run on"
    } else if pulls {
        "check that the image is still in its registry, and that the task's execution role may read it and the task reach it"
    } else if said.contains("log stream") || said.contains("logger args") || said.contains("log group") {
        "make the log group that the task definition names, or let the execution role make it"
    } else if said.contains("ResourceInitializationError") {
        "look at the task's roles, network and volumes"
    } else if said.contains("CannotStartContainer")
        || said.contains("CannotCreateContainer")
        || said.contains("ContainerRuntime")
    {
        "look at the start command and the image"
    } else {
        return None;
    };
    let lower = said.to_lowercase();
    let never = NEVER.iter().any(|known| lower.contains(known));
    let what = said.trim_end_matches('.');
    Some(Cause { reason: format!("{what}; {remedy}"), bears: Some(if never { 1 } else { 3 }) })
}

/// Why an event of the service means that no task will ever start, if it does.
pub(super) fn hopeless(event: &str) -> Option<String> {
    let lower = event.to_lowercase();
    let role = lower.contains("unable to assume");
    let group =
        lower.contains("target group") || lower.contains("targetgroup") || lower.contains("target-group");
    let gone = group && (lower.contains("does not exist") || lower.contains("not found"));
    (role || gone).then(|| event.to_owned())
}

/// Whether an event tells of something that goes wrong.
pub(super) fn bad(event: &str) -> bool {
    ["unable", "unhealthy", "failed", "error", "alarm", "rolling back"]
        .iter()
        .any(|word| event.to_lowercase().contains(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_sdk_ecs::types::Container;

    use super::*;

    fn stopped(reason: &str) -> Fate {
        Fate::of(
            &Task::builder()
                .task_arn("arn:aws:ecs:eu-central-1:1:task/c/0123456789ab")
                .stopped_reason(reason)
                .build(),
        )
    }

    #[test]
    fn what_cannot_heal_is_told_from_what_may() {
        for (reason, bears, remedy) in [
            (
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref 1.dkr.ecr.eu-central-1.amazonaws.com/orders@sha256:ab: not found",
                Some(1),
                "still in its registry",
            ),
            (
                "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy: i/o timeout",
                Some(3),
                "still in its registry",
            ),
            (
                "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
                Some(1),
                "for the processor",
            ),
            (
                "ResourceInitializationError: unable to pull secrets or registry auth: AccessDeniedException: not authorized to perform: secretsmanager:GetSecretValue",
                Some(1),
                "execution role",
            ),
            (
                "ResourceInitializationError: failed to validate logger args: The specified log group does not exist.",
                Some(1),
                "log group",
            ),
        ] {
            let cause = stopped(reason).cause.unwrap();
            assert_eq!(cause.bears, bears, "{reason}");
            assert!(cause.reason.contains(remedy), "{}", cause.reason);
        }
        assert_eq!(stopped("Task failed ELB health checks in (target-group x)").cause.unwrap().bears, None);
        assert_eq!(stopped("Scaling activity initiated by (deployment ecs-svc/1)").cause, None);
        assert_eq!(stopped("Your Spot Task was interrupted.").cause, None);
    }

    #[test]
    fn an_exit_code_names_its_container() {
        let task = Task::builder()
            .stop_code(TaskStopCode::EssentialContainerExited)
            .stopped_reason("Essential container in task exited")
            .containers(Container::builder().name("proxy").exit_code(0).build())
            .containers(
                Container::builder()
                    .name("web")
                    .exit_code(137)
                    .reason("OutOfMemoryError: Container killed due to memory usage")
                    .build(),
            )
            .build();
        let fate = Fate::of(&task);
        assert!(
            fate.words.contains("container web ended with exit code 137 (OutOfMemoryError"),
            "{}",
            fate.words
        );
        assert!(fate.cause.unwrap().reason.contains("raise its memory"));
    }
}
