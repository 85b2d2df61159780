//! The processes of this machine, as `/proc` shows them: found by what their environment or command line names, ended by number.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process that lives; one that has ended and was not yet waited for shows neither environment nor command line.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its arguments.
    pub arguments: Vec<String>,
    environment: Vec<String>,
}

impl Process {
    /// A variable of the environment it was started with.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find_map(|v| v.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether its environment or its command line holds this text.
    pub fn names(&self, text: &str) -> bool {
        self.environment.iter().chain(&self.arguments).any(|word| word.contains(text))
    }

    /// Whether it is `seamless COMMAND`.
    pub fn is(&self, command: &str) -> bool {
        self.arguments.get(1).is_some_and(|word| word == command)
            && self.arguments.first().is_some_and(|program| program.ends_with("seamless"))
    }

    /// Ends it at once. One that is gone already is as good.
    pub fn kill9(&self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn words(pid: i32, file: &str) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
    let words = bytes.split(|b| *b == 0).filter(|w| !w.is_empty());
    Some(words.map(|w| String::from_utf8_lossy(w).into_owned()).collect())
}

/// Every process whose environment can be read.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let (arguments, environment) = (words(pid, "cmdline")?, words(pid, "environ")?);
            (!arguments.is_empty() || !environment.is_empty()).then_some(Process {
                pid,
                arguments,
                environment,
            })
        })
        .collect()
}
