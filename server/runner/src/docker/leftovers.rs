//! What a stage attempt may have left: with the daemon its containers, networks and volumes, known by their label; in its stage
//! folder what was meant to be there for a moment.
//!
//! Refuses to touch anything that does not carry both the instance and an attempt.

use std::{collections::BTreeSet, fs, path::Path};

use super::{Docker, DockerError, labels};

/// The kinds of things, in the order in which they can be removed.
const KINDS: [Kind; 3] = [
    Kind { name: "container", list: &["ps", "--all", "--quiet"], remove: &["rm", "--force", "--volumes"] },
    Kind { name: "network", list: &["network", "ls", "--quiet"], remove: &["network", "rm"] },
    Kind { name: "volume", list: &["volume", "ls", "--quiet"], remove: &["volume", "rm", "--force"] },
];

struct Kind {
    name: &'static str,
    list: &'static [&'static str],
    remove: &'static [&'static str],
}

/// How the files and folders begin that an attempt makes in its stage folder for a while: lists of variables, logins, and what
/// an image is built from.
const FILES: [&str; 3] = ["env-", "seamless-docker-", "image-"];

/// Removes what a runner that was killed left in its stage folder. Blocks.
pub fn remove_files(stage: &Path) {
    for entry in fs::read_dir(stage).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !FILES.iter().any(|head| name.as_encoded_bytes().starts_with(head.as_bytes())) {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "could not be removed");
        }
    }
}

/// The attempts of an instance that have anything with the daemon, as `<stage>.<attempt>`.
///
/// # Errors
/// When the daemon does not tell.
pub async fn attempts(docker: &Docker, instance: &str) -> Result<BTreeSet<String>, DockerError> {
    let filter = format!("label={}={instance}", labels::INSTANCE);
    let mark = format!("label={}", labels::ATTEMPT);
    let shown = format!("{{{{.Label \"{}\"}}}}", labels::ATTEMPT);
    let mut found = BTreeSet::new();
    for kind in &KINDS {
        let list = kind.list.iter().copied().filter(|part| *part != "--quiet");
        let filters = ["--filter", &filter, "--filter", &mark, "--format", &shown];
        let arguments: Vec<&str> = list.chain(filters).collect();
        found.extend(docker.ask(&arguments).await?.stdout.split_ascii_whitespace().map(str::to_owned));
    }
    Ok(found)
}

/// Removes everything of an attempt at once; answers what there was, such as `container 0123456789ab`.
///
/// # Errors
/// When the daemon does not answer, or something stays.
pub async fn remove(docker: &Docker, instance: &str, attempt: &str) -> Result<Vec<String>, DockerError> {
    let instance = format!("label={}={instance}", labels::INSTANCE);
    let attempt = format!("label={}={attempt}", labels::ATTEMPT);
    let filters = ["--filter", &instance, "--filter", &attempt];
    let (mut removed, mut stays) = (Vec::new(), None);
    for kind in &KINDS {
        let list: Vec<&str> = kind.list.iter().copied().chain(filters).collect();
        let listed = docker.ask(&list).await?.stdout;
        let there: Vec<&str> = listed.split_ascii_whitespace().collect();
        if there.is_empty() {
            continue;
        }
        let call: Vec<&str> = kind.remove.iter().copied().chain(there.iter().copied()).collect();
        if let Err(error) = docker.ask(&call).await {
            // It may just have gone by itself, as a container that ended does.
            if !docker.ask(&list).await?.stdout.trim().is_empty() {
                stays.get_or_insert(error);
            }
        }
        removed.extend(there.into_iter().map(|one| format!("{} {one}", kind.name)));
    }
    stays.map_or(Ok(removed), Err)
}
