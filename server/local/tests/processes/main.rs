//! Real processes and real sockets: the keeper, the process target, the launcher.
//!
//! This program is its own keeper and its own runner: started with those words it does their work, so the tests need
//! nothing that must be built beside them.

#![allow(clippy::unwrap_used)]

mod bench;
mod boxes;
mod containers;
mod daemons;
mod finding;
mod hosting;
mod keepers;
mod proxying;
mod runners;
mod sweeping;
mod switching;
mod tidying;

use std::{future::Future, process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};

fn test<F: Future<Output = ()>>(name: &str, story: impl Fn() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let told = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), story()).await });
        runtime.shutdown_timeout(Duration::from_secs(1));
        told.map_err(|_| Failed::from("it took more than two minutes"))
    })
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("keeper") => return bench::keeper(),
        Some("runner") => return runners::runner(),
        Some("adopter") => return keepers::adopter(),
        Some("server") => return runners::server(&std::env::args().nth(2).unwrap()),
        _ => {}
    }
    let mut trials = Vec::new();
    trials.extend(switching::trials());
    trials.extend(proxying::trials());
    trials.extend(keepers::trials());
    trials.extend(hosting::trials());
    trials.extend(containers::trials());
    trials.extend(finding::trials());
    trials.extend(tidying::trials());
    trials.extend(daemons::trials());
    trials.extend(sweeping::trials());
    trials.extend(runners::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
