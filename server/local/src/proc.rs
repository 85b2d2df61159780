//! What `/proc` knows: which process is which, who descends from whom, who carries a mark in its environment.
//!
//! Refuses to trust a bare process number: numbers are used again, so a process is its number and its start time.

use std::{collections::BTreeSet, fs, net::SocketAddr, time::Duration};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// One process for certain: its number and when it started (clock ticks since boot).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The process number.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`.
    pub started: u64,
}

/// A line of `/proc/<pid>/stat`, as far as it matters here.
struct Stat {
    parent: i32,
    group: i32,
    started: u64,
    dead: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so count from its end.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Stat {
        dead: matches!(state, "Z" | "X"),
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        started: fields.nth(16)?.parse().ok()?,
    })
}

/// The process with that number, if it lives.
pub fn identity(pid: i32) -> Option<Identity> {
    stat(pid).filter(|s| !s.dead).map(|s| Identity { pid, started: s.started })
}

impl Identity {
    /// Whether it still lives (a zombie does not).
    pub fn lives(self) -> bool {
        identity(self.pid) == Some(self)
    }

    /// Whether its environment holds `NAME=value`.
    pub fn carries(self, mark: &str) -> bool {
        fs::read(format!("/proc/{}/environ", self.pid))
            .is_ok_and(|environ| environ.split(|b| *b == 0).any(|entry| entry == mark.as_bytes()))
    }

    /// Sends a signal if it is still that process.
    pub fn signal(self, signal: Signal) {
        if self.lives()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // It may have ended in between; that is what we want anyway.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// All living processes whose environment holds `NAME=value`, except this one.
pub fn carriers(mark: &str) -> Vec<Identity> {
    let own = std::process::id() as i32;
    pids().filter(|pid| *pid != own).filter_map(identity).filter(|id| id.carries(mark)).collect()
}

/// The living among these, with all their descendants and the members of the groups they lead; never this process.
pub fn families(roots: &[Identity]) -> Vec<Identity> {
    let all: Vec<(i32, Stat)> = pids().filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let is_root = |pid: i32, s: &Stat| roots.contains(&Identity { pid, started: s.started });
    let mut found: BTreeSet<i32> =
        all.iter().filter(|(pid, s)| is_root(*pid, s)).map(|(pid, _)| *pid).collect();
    let leaders = found.clone();
    loop {
        let before = found.len();
        let belongs = |s: &Stat| found.contains(&s.parent) || leaders.contains(&s.group);
        let more: Vec<i32> = all.iter().filter(|(_, s)| belongs(s)).map(|(pid, _)| *pid).collect();
        found.extend(more);
        if found.len() == before {
            break;
        }
    }
    let own = std::process::id() as i32;
    all.iter()
        .filter(|(pid, s)| *pid != own && !s.dead && found.contains(pid))
        .map(|(pid, s)| Identity { pid: *pid, started: s.started })
        .collect()
}

/// Ends a process with everything that descends from it or carries `mark`: SIGTERM, `grace`, SIGKILL. True when it had to kill.
pub async fn end(root: Option<Identity>, mark: &str, grace: Duration) -> bool {
    let members = || {
        let roots: Vec<Identity> = carriers(mark).into_iter().chain(root).collect();
        families(&roots).into_iter().collect::<BTreeSet<Identity>>()
    };
    // Each once: to some programs a second SIGTERM means "at once, without cleaning up".
    let mut known = members();
    if !grace.is_zero() {
        known.iter().for_each(|id| id.signal(Signal::TERM));
    }
    let deadline = Instant::now() + grace;
    let mut pause = Duration::from_millis(5);
    while Instant::now() < deadline && known.iter().any(|id| id.lives()) {
        tokio::time::sleep(pause.min(deadline - Instant::now())).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    known.extend(members());
    let mut killed = false;
    let deadline = Instant::now() + Duration::from_secs(10);
    while known.iter().any(|id| id.lives()) && Instant::now() < deadline {
        killed = true;
        known.iter().for_each(|id| id.signal(Signal::KILL));
        tokio::time::sleep(Duration::from_millis(5)).await;
        known = members();
    }
    killed
}

/// The listening sockets of this machine: port and inode.
fn listening() -> Vec<(u16, String)> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let port = fields
                .get(1)
                .and_then(|a| a.rsplit(':').next())
                .and_then(|p| u16::from_str_radix(p, 16).ok());
            if let (Some(port), Some(&"0A"), Some(inode)) = (port, fields.get(3), fields.get(9)) {
                found.push((port, format!("socket:[{inode}]")));
            }
        }
    }
    found
}

/// What a process holds open; nothing when it may not be asked.
fn open_files(pid: i32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| Some(fs::read_link(file.path()).ok()?.to_string_lossy().into_owned())).collect()
}

/// Who listens on a port of this machine, in words such as `python3, process 4711`; only what this user may see.
pub fn listener(port: u16) -> Option<String> {
    let sockets: Vec<String> =
        listening().into_iter().filter(|(p, _)| *p == port).map(|(_, inode)| inode).collect();
    if sockets.is_empty() {
        return None;
    }
    pids().find(|pid| open_files(*pid).iter().any(|file| sockets.contains(file))).map(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{}, process {pid}", name.trim())
    })
}

/// The ports on which these processes listen.
pub fn ports_of(processes: &[Identity]) -> BTreeSet<u16> {
    let all = listening();
    let held: BTreeSet<String> = processes.iter().flat_map(|id| open_files(id.pid)).collect();
    all.into_iter().filter(|(_, inode)| held.contains(inode)).map(|(port, _)| port).collect()
}

/// Whether nobody listens on a port of this machine, on any of its addresses.
pub fn port_is_free(port: u16) -> bool {
    let any = [SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([127, 0, 0, 1], port))];
    // Taken but never listened on: a process that is just being started holds our sockets for a moment, and one that listens
    // would make the port look taken, by ourselves.
    let may_be_taken = |address: &SocketAddr| {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(*address)
    };
    any.iter().all(|address| may_be_taken(address).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::{Command, Stdio};

    #[tokio::test]
    async fn a_tree_ends_with_those_that_left_the_group_and_ignore_sigterm() {
        let mark = format!("LOCAL_PROC_TEST={}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let script = "trap '' TERM; setsid sh -c \"trap '' TERM; while :; do sleep 0.1; done\" & while :; do sleep 0.1; done";
        let mut child =
            Command::new("sh").args(["-c", script]).env(name, value).stdout(Stdio::null()).spawn().unwrap();
        let root = identity(child.id() as i32).unwrap();
        while carriers(&mark).len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(root.carries(&mark) && !root.carries("LOCAL_PROC_TEST="));
        assert!(end(Some(root), &mark, Duration::from_millis(100)).await);
        child.wait().unwrap();
        assert_eq!(carriers(&mark), []);
        assert!(!root.lives());
    }

    #[test]
    fn a_taken_port_is_seen_with_its_holder() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(!port_is_free(port));
        assert!(listener(port).unwrap().ends_with(&format!("process {}", std::process::id())));
    }
}
