//! The candidate beside its neighbours, each knowing the others' addresses, and a command that tests them.
//!
//! Whatever happens, everything that was started is stopped.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use domain::protocol::{JobVariable, Launch};
use futures::future::join_all;

use crate::{
    artifact,
    command::{self, Leftovers},
    context::{Context, cannot},
    reason::Failure,
    target::{Started, Target},
    work::{aside, told},
};

/// Starts all, runs the command in the unpacked candidate, stops all.
pub(crate) async fn perform(
    stage: &Context,
    target: &dyn Target,
    command: &str,
    candidate: &Launch,
    neighbours: &[Launch],
) -> Result<(), Failure> {
    let folder = stage.data.run(stage.job.run).join(format!("test.{}", stage.job.attempt));
    unpack(stage, candidate, &folder).await?;

    let all: Vec<&Launch> = std::iter::once(candidate).chain(neighbours).collect();
    let ports = free_ports(all.len())?;
    let addresses: Vec<JobVariable> =
        all.iter().zip(&ports).map(|(launch, port)| address(launch, *port)).collect();
    for (launch, at) in all.iter().zip(&addresses) {
        let commit = launch.commit.get(..7).unwrap_or(&launch.commit);
        stage.log.system(format!("starting {} {commit} at {}", launch.service, at.value));
    }
    let starting = join_all(all.iter().enumerate().map(|(own, launch)| {
        let mut extra: Vec<_> =
            addresses.iter().enumerate().filter(|(i, _)| *i != own).map(|(_, at)| at.clone()).collect();
        extra.push(JobVariable { name: "PORT".into(), value: ports[own].to_string(), secret: false });
        async move { target.start_for_test(launch, &extra, stage.tree.cookie(), &stage.log).await }
    }));
    // Dropped half-way, it leaves processes that carry the cookie; the stage's end takes those.
    let results = tokio::select! {
        results = starting => results,
        () = stage.ending.ended() => return Err(Failure::new("ended")),
    };
    let (mut started, mut failed) = (Vec::new(), None);
    for (launch, result) in all.iter().zip(results) {
        match result {
            Ok(one) => started.push(one),
            Err(error) => {
                let role =
                    if launch.service == candidate.service { "the candidate" } else { "its neighbour" };
                failed.get_or_insert(format!("{role} {} did not start: {}", launch.service, error.message));
            }
        }
    }
    let result = match failed {
        Some(reason) => Err(Failure::new(reason)),
        None => {
            // What the target says is right, should it have had to choose another port.
            let told = addresses.iter().zip(&started).map(|(at, one)| (at.name.clone(), one.url.clone()));
            let told: Vec<_> = told.collect();
            test(stage, command, &folder, &told).await
        }
    };
    stop(started).await;
    if result.is_ok() {
        remove(stage, &folder).await?;
    }
    result
}

/// Lays out the candidate's files, with whatever its build left for the tests.
pub(crate) async fn unpack(stage: &Context, candidate: &Launch, folder: &Path) -> Result<(), Failure> {
    remove(stage, folder).await?;
    let (artifacts, digest, into) = (stage.data.artifacts(), candidate.artifact.clone(), folder.to_owned());
    aside(stage, move || artifact::unpack(&artifacts, &digest, &into)).await?.map_err(told)
}

/// Runs the command on this host, with the services' addresses.
pub(crate) async fn test(
    stage: &Context,
    command: &str,
    folder: &Path,
    addresses: &[(String, String)],
) -> Result<(), Failure> {
    command::run(stage, &stage.folder(folder)?, command, addresses, Leftovers::Leave).await
}

async fn stop(started: Vec<Started>) {
    join_all(started.into_iter().map(|one| one.stop.stop())).await;
}

/// Removes a folder, should it be there.
pub(crate) async fn remove(stage: &Context, folder: &Path) -> Result<(), Failure> {
    let gone = folder.to_owned();
    match aside(stage, move || std::fs::remove_dir_all(gone)).await? {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(cannot("remove", folder, &e)),
        _ => Ok(()),
    }
}

/// `SEAMLESS_URL_STOCK_API` of `stock-api`.
fn address(launch: &Launch, port: u16) -> JobVariable {
    let name = launch.service.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    JobVariable {
        name: format!("SEAMLESS_URL_{name}"),
        value: format!("http://127.0.0.1:{port}"),
        secret: false,
    }
}

/// Ports that nobody listens on; all are held until the last is found, so that no two are the same.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    let held: Result<Vec<_>, _> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    held.and_then(|held| held.iter().map(|l| Ok(l.local_addr()?.port())).collect())
        .map_err(|e| Failure::new(format!("no free port on this machine: {e}")))
}
