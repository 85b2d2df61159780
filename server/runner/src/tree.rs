//! Every process of a stage, and how all of them end.
//!
//! A process belongs to a stage when its environment carries the stage's cookie, when its parent belongs to it, or,
//! inside the stage's own runner, when it descends from the runner: the runner is a child subreaper, so whatever forks
//! twice to get away becomes its child. Refuses to guess by name or by remembered process id.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::Duration,
};

use rustix::process::{self, Pid, Signal, WaitId, WaitIdOptions, WaitOptions};
use tokio::time::{Instant, sleep};

/// The environment variable by which processes of a stage attempt are known.
pub const COOKIE: &str = "SEAMLESS_STAGE_ATTEMPT";

/// How long after SIGTERM a process may take to end by itself.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long SIGKILL is repeated: a process that is stuck in the kernel may survive it.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// So many looks in a row must find nothing.
const QUIET: u32 = 3;

/// A process, for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its short name.
    pub name: String,
}

struct Row {
    name: String,
    parent: i32,
    group: i32,
    dead: bool,
}

/// The processes of one stage attempt.
#[derive(Debug, Clone)]
pub struct Tree {
    cookie: String,
    adopts: bool,
}

/// Ends every process that carries the cookie, and their descendants: SIGTERM, `grace`, SIGKILL. Never the caller
/// itself. Answers what was there.
pub async fn kill(cookie: &str, grace: Duration) -> Vec<Process> {
    Tree::new(cookie).end(grace).await
}

impl Tree {
    /// What carries this cookie.
    pub fn new(cookie: impl Into<String>) -> Self {
        Self { cookie: cookie.into(), adopts: false }
    }

    /// What carries this cookie, and everything that descends from this process: for a runner that is a subreaper.
    pub fn adopting(cookie: impl Into<String>) -> Self {
        Self { cookie: cookie.into(), adopts: true }
    }

    /// The cookie's value.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Whether it is certain, at the price of one system call, that nothing is left.
    pub fn surely_gone(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.adopts && process::waitid(WaitId::All, options).is_err_and(|e| e == rustix::io::Errno::CHILD)
    }

    /// The living processes, the caller left out.
    pub fn living(&self) -> Vec<Process> {
        let table = table();
        self.members(&table)
            .into_iter()
            .filter_map(|pid| table.get(&pid).map(|row| Process { pid, name: row.name.clone() }))
            .collect()
    }

    fn members(&self, table: &HashMap<i32, Row>) -> Vec<i32> {
        let own = own_pid();
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for (pid, row) in table {
            children.entry(row.parent).or_default().push(*pid);
        }
        let mut open: Vec<i32> =
            table.iter().filter(|(pid, row)| !row.dead && self.marks(**pid)).map(|(pid, _)| *pid).collect();
        if self.adopts {
            open.extend(children.get(&own).into_iter().flatten());
        }
        let mut found = HashSet::new();
        while let Some(pid) = open.pop() {
            if pid != own && found.insert(pid) {
                open.extend(children.get(&pid).into_iter().flatten());
            }
        }
        let mut found: Vec<i32> =
            found.into_iter().filter(|pid| table.get(pid).is_some_and(|r| !r.dead)).collect();
        found.sort_unstable();
        found
    }

    fn marks(&self, pid: i32) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        environment.split(|b| *b == 0).any(|entry| {
            entry
                .strip_prefix(COOKIE.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
                .is_some_and(|value| value == self.cookie.as_bytes())
        })
    }

    /// Ends all of them: SIGTERM, `grace`, SIGKILL until none is left. Answers what was there.
    pub async fn end(&self, grace: Duration) -> Vec<Process> {
        if self.surely_gone() {
            return Vec::new();
        }
        let (start, mut told, mut seen) = (Instant::now(), HashSet::new(), Vec::new());
        let (mut pause, mut quiet) = (Duration::from_millis(2), 0);
        loop {
            let table = table();
            let members = self.members(&table);
            if members.is_empty() {
                // A process that is just being replaced by another program shows no environment for a moment.
                quiet += 1;
                if quiet == QUIET || self.surely_gone() {
                    return seen;
                }
                sleep(Duration::from_millis(6)).await;
                continue;
            }
            quiet = 0;
            let out_of_patience = start.elapsed() >= grace;
            if start.elapsed() >= grace + KILL_LIMIT {
                tracing::error!(?members, "processes survive SIGKILL");
                return seen;
            }
            for &pid in &members {
                let Some(row) = table.get(&pid) else { continue };
                if told.insert(pid) {
                    seen.push(Process { pid, name: row.name.clone() });
                    signal(pid, Signal::TERM);
                    // A stopped process hears SIGTERM only when it goes on.
                    signal(pid, Signal::CONT);
                }
                if out_of_patience {
                    // The group first: a shell that forks faster than this loop turns goes at once.
                    if row.group == pid && pid != own_group() {
                        signal_group(pid, Signal::KILL);
                    }
                    signal(pid, Signal::KILL);
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(40));
            if !out_of_patience {
                pause = pause.min(grace.saturating_sub(start.elapsed()).max(Duration::from_millis(1)));
            }
        }
    }
}

fn own_pid() -> i32 {
    process::getpid().as_raw_nonzero().get()
}

fn own_group() -> i32 {
    process::getpgrp().as_raw_nonzero().get()
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = process::kill_process(pid, signal); // gone already is as good
    }
}

fn signal_group(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = process::kill_process_group(group, signal);
    }
}

/// All processes of this machine that can be read.
fn table() -> HashMap<i32, Row> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, row(&fs::read(format!("/proc/{pid}/stat")).ok()?)?))
        })
        .collect()
}

/// `123 (name with ) and blanks) S 1 123 ...`: the name ends at the last parenthesis.
fn row(stat: &[u8]) -> Option<Row> {
    let stat = String::from_utf8_lossy(stat);
    let (head, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let dead = matches!(fields.next()?, "Z" | "X" | "x");
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Row { name: head.split_once('(')?.1.to_owned(), parent, group, dead })
}

/// Takes in the dead that were orphaned to this process and that nobody waits for.
///
/// One that is dead in two visits is nobody's: what was started here is waited for at once.
#[derive(Debug, Default)]
pub struct Undertaker {
    seen: HashSet<i32>,
}

impl Undertaker {
    /// Call it every few seconds.
    pub fn visit(&mut self) {
        let own = own_pid();
        let dead: HashSet<i32> = table()
            .into_iter()
            .filter(|(_, row)| row.dead && row.parent == own)
            .map(|(pid, _)| pid)
            .collect();
        for pid in dead.intersection(&self.seen) {
            let _ = process::waitpid(Pid::from_raw(*pid), WaitOptions::NOHANG);
        }
        self.seen = dead;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let found = row(b"12 (a) b (c) S 7 9 9 0").map(|r| (r.name, r.parent, r.group, r.dead));
        assert_eq!(found, Some(("a) b (c".into(), 7, 9, false)));
        assert!(row(b"12 (a) Z 7 9 9 0").is_some_and(|r| r.dead));
        assert!(row(b"nonsense").is_none());
    }
}
