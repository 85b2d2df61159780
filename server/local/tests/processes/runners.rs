//! Runners start, live and end.
use libtest_mimic::Trial;
use std::process::ExitCode;

pub fn runner() -> ExitCode {
    ExitCode::SUCCESS
}

pub fn trials() -> Vec<Trial> {
    vec![]
}
