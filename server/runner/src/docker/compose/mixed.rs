//! Without a Compose file: Seamless makes one of the services that are images, starts the others as processes on this host, and
//! runs the integration command.
//!
//! Containers reach processes through the gateway of the run's network, processes reach containers through ports on the loopback
//! address. Refuses to start the command before every service is well.

use std::{net::IpAddr, path::PathBuf};

use domain::protocol::{JobVariable, Launch};
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};

use super::{
    super::{Docker, toolchain},
    health, image, killed,
    made::{self, Bench, Parts, TEST},
    member::{Member, variable},
    pools,
    project::Project,
    relay::Relays,
    tell, versions,
};
use crate::{
    context::Context,
    integrate,
    reason::Failure,
    target::{Started, Target},
};

/// What is there until the end, in the order in which it ends.
struct Scene<'a> {
    processes: Vec<Started>,
    relays: Relays,
    project: Project<'a>,
    unpacked: PathBuf,
}

/// Does the test.
pub(super) async fn perform(
    stage: &Context,
    docker: Docker,
    target: &dyn Target,
    command: &str,
    candidate: &Launch,
    neighbours: &[Launch],
) -> Result<(), Failure> {
    if docker.address() != "127.0.0.1" {
        return Err(Failure::new(format!(
            "the Docker daemon at {} is on another machine, where the test's files and ports are not: give the server a daemon of its own (DOCKER_HOST), or test with a Compose file (integration)",
            docker.host()
        )));
    }
    let unpacked = stage.data.run(stage.job.run).join(format!("test.{}", stage.job.attempt));
    let (processes, relays) = (Vec::new(), Relays::default());
    let mut scene = Scene { processes, relays, project: Project::new(stage, docker), unpacked };
    let result = tokio::select! {
        result = play(stage, &mut scene, target, command, candidate, neighbours) => result,
        () = stage.ending.ended() => Err(Failure::new("ended")),
    };
    // Dropped half-way, a start leaves processes that carry the cookie; the stage's end takes those.
    join_all(scene.processes.drain(..).map(|one| one.stop.stop())).await;
    scene.project.take_down().await;
    drop(scene.relays);
    let removed = integrate::remove(stage, &scene.unpacked).await;
    result.and(removed)
}

async fn play(
    stage: &Context,
    scene: &mut Scene<'_>,
    target: &dyn Target,
    command: &str,
    candidate: &Launch,
    neighbours: &[Launch],
) -> Result<(), Failure> {
    let project = &mut scene.project;
    let all = || std::iter::once(candidate).chain(neighbours);
    let role =
        |launch: &Launch| if launch.service == candidate.service { "the candidate" } else { "its neighbour" };
    let mut members = Vec::new();
    for launch in all().filter(|launch| launch.container.is_some()) {
        let port = image::ready(stage, &project.docker, launch, role(launch)).await?;
        members.push(Member { name: launch.service.clone(), launch, port });
    }
    let outside: Vec<&Launch> = all().filter(|launch| launch.container.is_none()).collect();
    let ports = integrate::free_ports(outside.len())?;
    members.iter().for_each(|member| versions(stage, member));

    let mut network = None;
    if !outside.is_empty() {
        let (name, gateway) = project.network().await?;
        for (launch, port) in outside.iter().zip(&ports) {
            scene.relays.open(gateway, *port).await.map_err(|e| {
                Failure::new(format!(
                    "containers cannot reach {}, which runs as a process: this host does not have the address {gateway} of their network ({e}). Deploy it as a container too, or use a Docker daemon on this very machine",
                    launch.service
                ))
            })?;
            let commit = launch.commit.get(..7).unwrap_or(&launch.commit);
            stage.log.system(format!(
                "{} {commit} runs as a process on this host; the containers reach it at {gateway}:{port}",
                launch.service
            ));
        }
        network = Some((name, gateway));
    }
    let gateway =
        network.as_ref().map(|(_, gateway): &(String, IpAddr)| gateway.to_string()).unwrap_or_default();
    let named: Vec<_> = outside
        .iter()
        .zip(&ports)
        .map(|(launch, port)| {
            let url = format!("http://{}:{port}", launch.service);
            (launch.service.clone(), gateway.clone(), (variable(&launch.service), url))
        })
        .collect();
    let bench = if candidate.container.is_some() {
        Some(bench(stage, project, command, candidate).await?)
    } else {
        None
    };
    let labels = project.labels();
    let file = made::project(&Parts {
        project: &project.name,
        labels: &labels,
        members: &members,
        outside: &named,
        network: network.as_ref().map(|(name, _)| name.as_str()),
        bench: bench.as_ref(),
    });
    project.nameless = Some(TEST);
    project.open(&file)?;
    let create = project.run(&["create", "--no-build"], |_| false).await;
    create.map_err(|e| {
        Failure::new(format!("the containers of the test could not be made: {}", pools(&e.to_string())))
    })?;
    let made = project.made().await?;
    let ids: Vec<&str> = members.iter().filter_map(|m| made.get(&m.name)).map(String::as_str).collect();
    project
        .start(&ids)
        .await
        .map_err(|e| Failure::new(format!("a container of the test could not be started: {e}")))?;
    let published = project.published(&members, &made).await?;

    // Each process is told where the others are, as seen from this host.
    let local: Vec<(String, String)> = members
        .iter()
        .zip(&published)
        .map(|(member, port)| (variable(&member.launch.service), format!("http://127.0.0.1:{port}")))
        .chain(
            outside
                .iter()
                .zip(&ports)
                .map(|(l, port)| (variable(&l.service), format!("http://127.0.0.1:{port}"))),
        )
        .collect();
    let starting =
        join_all(
            outside.iter().zip(&ports).map(|(launch, port)| {
                let own = variable(&launch.service);
                let told = |(name, value): &(String, String)| JobVariable {
                    name: name.clone(),
                    value: value.clone(),
                    secret: false,
                };
                let mut extra: Vec<_> = local.iter().filter(|(name, _)| *name != own).map(told).collect();
                extra.push(JobVariable { name: "PORT".into(), value: port.to_string(), secret: false });
                async move {
                    (*launch, target.start_for_test(launch, &extra, stage.tree.cookie(), &stage.log).await)
                }
            }),
        );
    let well = all_well(project, &members, &published, stage);
    let (started, well) = tokio::join!(starting, well);
    let mut failed = None;
    for (launch, result) in started {
        match result {
            Ok(one) => scene.processes.push(one),
            Err(error) => {
                let why = format!("{} {} did not start: {}", role(launch), launch.service, error.message);
                failed.get_or_insert(Failure::new(why));
            }
        }
    }
    if let Err((service, why)) = well {
        project.settle().await;
        let launch = members.iter().find(|m| m.name == service).map_or(candidate, |m| m.launch);
        let reason = format!("{} {service} did not start: {why}", role(launch));
        return Err(Failure { error: project.error_of(&service), ..Failure::new(reason) });
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    match bench {
        Some(bench) => inside(stage, project, command, &bench, made.get(TEST)).await,
        None => {
            integrate::unpack(stage, candidate, &scene.unpacked).await?;
            let test = integrate::test(stage, command, &scene.unpacked, &local);
            tokio::pin!(test);
            // What becomes of the containers is heard meanwhile.
            loop {
                tokio::select! {
                    result = &mut test => return result,
                    died = project.died() => tell(stage, &died?),
                }
            }
        }
    }
}

/// Where the command runs: the toolchain's image if there is one, else the candidate's own.
async fn bench(
    stage: &Context,
    project: &Project<'_>,
    command: &str,
    candidate: &Launch,
) -> Result<Bench, Failure> {
    let workspace = stage.data.workspace(stage.job.run);
    let folder = stage.folder(&workspace)?;
    stage.make_folders()?;
    let (image, resources) = match &stage.job.toolchain {
        Some(toolchain) => {
            let id = toolchain::ready(stage, &project.docker, &toolchain.image).await?;
            stage.log.system(format!("the command runs in the image {}", toolchain.image));
            (id, toolchain.settings.resources)
        }
        None => {
            stage.log.system(
                "the command runs in the candidate's own image: a toolchain image would take its place",
            );
            (candidate.artifact.clone(), Default::default())
        }
    };
    let borrowed = toolchain::borrowed(&workspace).map(|path| (path, true));
    let mounts =
        std::iter::once(workspace.clone()).chain(stage.writable()).map(|path| (path, false)).chain(borrowed);
    Ok(Bench {
        image,
        command: command.to_owned(),
        folder,
        mounts: mounts.collect(),
        user: toolchain::user(&project.docker),
        // Processes inside are the daemon's, not the stage's: they do not carry its cookie.
        environment: stage.stated().into_iter().filter(|(name, _)| name != crate::tree::COOKIE).collect(),
        resources,
    })
}

/// Waits until all answer; the first that ends or stays silent is named.
async fn all_well(
    project: &mut Project<'_>,
    members: &[Member<'_>],
    published: &[u16],
    stage: &Context,
) -> Result<(), (String, String)> {
    let mut asking: FuturesUnordered<_> = members
        .iter()
        .zip(published)
        .map(|(member, port)| async move { (member, health::well(member, *port).await) })
        .collect();
    loop {
        tokio::select! {
            answer = asking.next() => match answer {
                Some((member, Ok(()))) => stage.log.system(format!("{} is healthy", member.name)),
                Some((member, Err(why))) => return Err((member.name.clone(), why)),
                None => return Ok(()),
            },
            died = project.died() => match died {
                Ok(died) => {
                    let why = format!("its container ended with exit code {}{}", died.code, killed(died.code));
                    return Err((died.service, why));
                }
                Err(failure) => return Err((members.first().map(|m| m.name.clone()).unwrap_or_default(), failure.reason)),
            },
        }
    }
}

/// Runs the command in its container.
async fn inside(
    stage: &Context,
    project: &mut Project<'_>,
    command: &str,
    bench: &Bench,
    id: Option<&String>,
) -> Result<(), Failure> {
    let Some(id) = id else { return Err(Failure::new("the container of the integration command is gone")) };
    stage.log.system(format!("$ {command}"));
    if let Err(error) = project.start(&[id]).await {
        let said = error.to_string();
        let shell = said.contains("/bin/sh");
        return Err(Failure::new(if shell && stage.job.toolchain.is_none() {
            format!(
                "the integration command cannot run in the candidate's image, which has no /bin/sh: name a toolchain image ({said})"
            )
        } else {
            format!("the integration command could not be started in the image {}: {said}", bench.image)
        }));
    }
    let code = loop {
        let died = project.died().await?;
        if died.service == TEST {
            break died.code;
        }
        tell(stage, &died);
    };
    project.settle().await;
    if code == 0 {
        return Ok(());
    }
    let status = std::os::unix::process::ExitStatusExt::from_raw((code & 0xff) << 8);
    let judge = project.judge(TEST);
    let judge = judge.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let image = stage.job.toolchain.as_ref().map_or("the candidate's image", |t| t.image.as_str());
    Err(judge.failure(command, status, &format!("in {image}")))
}
