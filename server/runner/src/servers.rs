//! Which server a runner talks to: the one that started it, or, once that does not answer, another of those that the data folder's list
//! names now.
//!
//! Refuses to choose: whoever answers will do, since all of them write into the same database.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use domain::protocol::ADDRESSES;

/// The servers.
#[derive(Debug)]
pub(crate) struct Servers {
    first: String,
    list: PathBuf,
    current: Mutex<String>,
}

impl Servers {
    /// Begins with one.
    pub fn new(first: &str, data: &Path) -> Self {
        let first = first.trim_end_matches('/').to_owned();
        Self { current: Mutex::new(first.clone()), first, list: data.join(ADDRESSES) }
    }

    /// The one to ask.
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// That one did not answer: the next, unless somebody has gone on already.
    pub fn failed(&self, address: &str) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != address {
            return;
        }
        let known = self.known();
        let next = known.iter().position(|a| a == address).map_or(0, |at| (at + 1) % known.len());
        current.clone_from(&known[next]);
        if *current != address {
            tracing::info!(server = *current, "trying another server");
        }
    }

    /// At least one.
    pub fn known(&self) -> Vec<String> {
        let mut known = vec![self.first.clone()];
        for line in std::fs::read_to_string(&self.list).unwrap_or_default().lines() {
            let line = line.trim().trim_end_matches('/');
            if line.starts_with("http") && !known.iter().any(|a| a == line) {
                known.push(line.to_owned());
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_server_gets_its_turn_and_the_list_may_change() {
        let data = tempfile::tempdir().unwrap();
        let servers = Servers::new("http://a/", data.path());
        servers.failed("http://a");
        assert_eq!(servers.current(), "http://a", "there is no other");
        std::fs::write(data.path().join(ADDRESSES), "http://b\nhttp://a\n").unwrap();
        servers.failed("http://a");
        servers.failed("http://a");
        assert_eq!(servers.current(), "http://b", "two calls that fail at once go on by one");
        std::fs::write(data.path().join(ADDRESSES), "http://c").unwrap();
        servers.failed("http://b");
        assert_eq!(servers.current(), "http://a");
        servers.failed("http://a");
        assert_eq!(servers.current(), "http://c");
    }
}
