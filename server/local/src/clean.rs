//! Keeps the data folder small: workspaces, caches, stage folders and artifacts go by age and by size, oldest first.
//!
//! Refuses to remove what is named as needed, what was touched within the last hour, and what it does not know.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const GIB: u64 = 1 << 30;

/// How much is kept for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of workspaces, one per run.
    pub workspaces: Limit,
    /// Of dependency caches, one per service.
    pub caches: Limit,
    /// Of artifacts that nobody needs.
    pub artifacts: Limit,
    /// Of stage folders, one per attempt.
    pub stages: Limit,
    /// Of images that nobody needs, as Docker tells their sizes: layers that they share are counted for each.
    pub images: Limit,
    /// Of what builds of images may use again.
    pub build_cache: Limit,
    /// How long a stopped container is kept for a rollback.
    pub kept: Duration,
    /// What was touched this recently may still be in use.
    pub untouchable: Duration,
}

/// A limit on one kind of thing.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Older goes.
    pub age: Duration,
    /// Over this, the oldest go.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workspaces: Limit { age: DAY * 2, bytes: 10 * GIB },
            caches: Limit { age: DAY * 30, bytes: 10 * GIB },
            artifacts: Limit { age: DAY * 14, bytes: 10 * GIB },
            stages: Limit { age: DAY * 2, bytes: GIB },
            images: Limit { age: DAY * 14, bytes: 20 * GIB },
            build_cache: Limit { age: DAY * 14, bytes: 10 * GIB },
            kept: DAY * 14,
            untouchable: HOUR,
        }
    }
}

struct Item {
    path: PathBuf,
    name: String,
    age: Duration,
    bytes: u64,
}

fn size(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}

/// When something changed in a folder or right below it; deeper changes do not show, and need not.
fn touched(path: &Path) -> Option<SystemTime> {
    let below = fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
    let below = below.filter_map(|meta| meta.modified().ok()).max();
    let own = fs::symlink_metadata(path).ok()?.modified().ok()?;
    Some(below.map_or(own, |below| below.max(own)))
}

fn items(folder: &Path) -> Vec<Item> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut items: Vec<Item> = entries
        .filter_map(|entry| {
            let touched = touched(&entry.path())?;
            let path = entry.path();
            Some(Item {
                name: entry.file_name().to_string_lossy().into_owned(),
                age: SystemTime::now().duration_since(touched).unwrap_or_default(),
                bytes: size(&path),
                path,
            })
        })
        .collect();
    items.sort_by_key(|item| item.age); // youngest first
    items
}

fn shrink(folder: &Path, limit: Limit, untouchable: Duration, keep: impl Fn(&Item) -> bool) {
    let mut sum = 0u64;
    for (index, item) in items(folder).into_iter().enumerate() {
        sum = sum.saturating_add(item.bytes);
        // The newest stays, however big: it is what the next run goes on with.
        let too_much = item.age > limit.age || (sum > limit.bytes && index > 0);
        if !too_much || item.age < untouchable || keep(&item) {
            continue;
        }
        let removed =
            if item.path.is_dir() { fs::remove_dir_all(&item.path) } else { fs::remove_file(&item.path) };
        match removed {
            Ok(()) => {
                sum -= item.bytes.min(sum);
                tracing::info!(path = %item.path.display(), bytes = item.bytes, "removed");
            }
            Err(error) => tracing::warn!(path = %item.path.display(), %error, "could not be removed"),
        }
    }
}

/// Removes what is too old or too much. Blocks.
pub fn clean(data: &Path, limits: &Limits, artifacts: &[String], runs: &[String], services: &[String]) {
    let quiet = limits.untouchable;
    shrink(&data.join("work"), limits.workspaces, quiet, |item| {
        runs.contains(&item.name) || item.name == "tests"
    });
    shrink(&data.join("work").join("tests"), Limit { age: DAY, bytes: GIB }, quiet, |_| false);
    // What is deployed has its home there.
    shrink(&data.join("caches"), limits.caches, quiet, |item| services.contains(&item.name));
    shrink(&data.join("stages"), limits.stages, quiet, |item| in_use(&item.path));
    shrink(&data.join("artifacts"), limits.artifacts, quiet, |item| {
        item.name.strip_suffix(".tar.zst").is_some_and(|digest| artifacts.iter().any(|kept| kept == digest))
    });
}

/// Whether a runner lives in that stage folder.
fn in_use(folder: &Path) -> bool {
    let Ok(file) = fs::File::open(folder.join("credentials")) else { return false };
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
}
