//! A version that is a container: made from an image by its digest, or adopted, watched until it ends.
//!
//! Its daemon owns it: it outlives keeper, runner and server, and is started again by its policy. Refuses to restart anything
//! itself.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use domain::{containers::RestartPolicy, protocol::Launch};
use runner::docker::{Docker, DockerError, labels};
use tokio::sync::watch;

use super::{
    follow::{Log, heard_until, now},
    health::{Address, Around, Ill},
    process::fresh_port,
    recipe::Recipe,
    state::{Boxed, Place, mark},
    version::Exit,
};
use crate::docker::containers;

/// How often another port is tried when the chosen one is taken.
const TRIES: usize = 5;

/// The name of a deployment's container.
fn name_of(place: &Place, deployment: impl std::fmt::Display) -> String {
    format!("seamless-{}-{}-{deployment}", place.service, place.environment).to_ascii_lowercase()
}

/// A container, and how it is watched.
#[derive(Debug)]
pub struct Container {
    /// What is remembered of it.
    pub boxed: Box<Boxed>,
    /// Its daemon.
    pub docker: Docker,
    exit: watch::Receiver<Option<Exit>>,
    log: Log,
}

impl Container {
    /// Makes one for a deployment and starts it. Asking twice for the same deployment makes one.
    ///
    /// # Errors
    /// In words that a person can act on.
    pub async fn make(
        place: &Place,
        deployment: domain::DeploymentId,
        recipe: &Recipe,
        log: PathBuf,
    ) -> Result<Self, String> {
        let docker = recipe.daemon.docker();
        let name = name_of(place, deployment);
        // What a keeper that died in the middle of this very deploy has left.
        containers::remove(&docker, &name).await.map_err(|e| e.to_string())?;
        let labelled = [
            (labels::INSTANCE, labels::instance(&place.data)),
            (labels::SERVICE, place.service.clone()),
            (labels::ENVIRONMENT, place.environment.to_string()),
            (labels::DEPLOYMENT, deployment.to_string()),
            (labels::CONFIG, recipe.config()),
        ];
        let mut tried = 0;
        let (id, port) = loop {
            let port = fresh_port().map_err(|e| e.to_string())?;
            let publish = publish(&docker, port).await?;
            let create = recipe.create(&name, &labelled, &publish)?;
            let id = create.run(&docker).await.map_err(|e| unstartable(&e.to_string(), recipe))?;
            match docker.ask(&["start", &id]).await {
                Ok(_) => break (id, port),
                Err(error) => {
                    containers::remove(&docker, &id).await.map_err(|e| e.to_string())?;
                    tried += 1;
                    let said = error.to_string();
                    if tried == TRIES
                        || !(said.contains("already allocated") || said.contains("already in use"))
                    {
                        return Err(unstartable(&said, recipe));
                    }
                }
            }
        };
        let boxed = Boxed {
            container: id,
            name,
            daemon: recipe.daemon.clone(),
            address: Address { host: docker.address(), port, forwarded: true, around: None },
            inside: recipe.inside,
            exposed: recipe.exposed.clone(),
            config: recipe.config(),
        };
        Ok(Self::watched(Box::new(boxed), docker, &mark(deployment), log, None, true))
    }

    /// Starts one again that was kept.
    ///
    /// # Errors
    /// When it cannot be; a new one is made then.
    pub async fn again(boxed: Box<Boxed>, mark: &str, log: PathBuf) -> Result<Self, DockerError> {
        let docker = boxed.daemon.docker();
        let since = now();
        docker.ask(&["start", &boxed.container]).await?;
        Ok(Self::watched(boxed, docker, mark, log, Some(since), true))
    }

    /// Takes over the one that is live, whether its daemon answers now or not.
    pub fn adopt(boxed: Box<Boxed>, mark: &str, log: PathBuf) -> Self {
        let docker = boxed.daemon.docker();
        // What it printed since somebody last wrote it down.
        let since = heard_until(&log);
        Self::watched(boxed, docker, mark, log, since, false)
    }

    fn watched(
        boxed: Box<Boxed>,
        docker: Docker,
        mark: &str,
        log: PathBuf,
        since: Option<String>,
        candidate: bool,
    ) -> Self {
        let (told, exit) = watch::channel(None);
        if candidate {
            // A candidate is started by nobody else, so its end is the end.
            let (docker, id) = (docker.clone(), boxed.container.clone());
            tokio::spawn(async move {
                let ended = tokio::select! {
                    ended = wait(&docker, &id) => ended,
                    () = told.closed() => return,
                };
                let _ = told.send(Some(ended));
            });
        }
        let log = Log::follow(docker.clone(), boxed.container.clone(), mark, log, since);
        Self { boxed, docker, exit, log }
    }

    /// Finds the way round its daemon, should that die while the container runs on.
    pub async fn find_around(&mut self) {
        if let Ok(seen) = containers::inspect(&self.docker, &self.boxed.container).await {
            self.note_inside(seen.inside());
        }
    }

    /// Writes down its address in its network. True when that is another than before.
    pub fn note_inside(&mut self, inside: Option<IpAddr>) -> bool {
        let socket = self.docker.host().strip_prefix("unix://").map(PathBuf::from);
        let around = socket
            .zip(inside)
            .map(|(socket, address)| Around { socket, inside: SocketAddr::new(address, self.boxed.inside) });
        let other = around.is_some() && around != self.boxed.address.around;
        if other {
            self.boxed.address.around = around;
        }
        other
    }

    /// Returns when it has ended; never for one that its daemon starts again.
    pub async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let Some(exit) = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit) else {
            return std::future::pending().await;
        };
        // Its last words are still on their way.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.log.quiet()).await;
        exit
    }

    /// Returns when there is nothing more to follow: it has ended, or its daemon has.
    pub async fn quiet(&self) {
        self.log.quiet().await;
    }

    /// Follows what it prints again, after it was started again.
    pub fn listen(&self) {
        self.log.go_on();
    }

    /// Whether somebody follows what it prints.
    pub fn is_heard(&self) -> bool {
        self.log.goes_on()
    }

    /// Its policy takes over from here on.
    ///
    /// # Errors
    /// When the daemon does not do it.
    pub async fn settle(&self, policy: RestartPolicy) -> Result<(), DockerError> {
        let policy = policy.as_docker();
        self.docker.ask(&["update", "--restart", policy, &self.boxed.container]).await.map(drop)
    }

    /// Why it is not healthy, in words.
    pub async fn ill(&self, launch: &Launch, ill: &Ill, seconds: Option<u64>) -> String {
        let path = launch.health_path.as_deref();
        let inside = self.boxed.inside;
        let during = seconds.map(|s| format!(" for {s} s")).unwrap_or_default();
        let plain = ill.words(path, inside, seconds);
        if matches!(ill, Ill::Answered(_)) {
            return plain;
        }
        let looked = match self.boxed.daemon.is_here() {
            true => containers::inspect(&self.docker, &self.boxed.container).await.ok(),
            false => None,
        };
        let ports =
            looked.filter(|seen| seen.state.pid > 0).map(|seen| containers::listening(seen.state.pid));
        match &ports {
            Some(ports) if ports.contains(&(inside, true)) => return plain,
            Some(ports) if ports.contains(&(inside, false)) => {
                return format!(
                    "it listens on 127.0.0.1:{inside} inside its container{during}, which nobody outside reaches: let it listen on 0.0.0.0"
                );
            }
            // Nobody can look inside, and somebody took the connection: it may well be the service.
            None if *ill == Ill::Silent => return plain,
            _ => {}
        }
        let nothing = format!("nothing listened on port {inside} inside the container{during}");
        let open: Vec<u16> = ports.unwrap_or_default().into_iter().map(|(port, _)| port).collect();
        match (open.as_slice(), self.boxed.exposed.as_slice()) {
            ([one], _) => format!(
                "{nothing}; it listens on {one}: set the container port to {one}, or let it listen on the port in the variable PORT"
            ),
            ([], [one]) if *one != inside => {
                format!("{nothing}; the image exposes {one}: set the container port to {one}")
            }
            ([], _) => {
                format!("{nothing}: the service must listen on the port that it gets in the variable PORT")
            }
            (many, _) => format!(
                "{nothing}; it listens on {}: set the container port to the right one, or let it listen on the port in the variable PORT",
                many.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

/// What helps when a container ended before it was healthy, where something does.
pub fn advice(launch: &Launch, exit: Exit, last: Option<&str>) -> Option<&'static str> {
    // The words of the small init that Docker starts first.
    let shell = last.is_some_and(|last| last.contains("exec sh failed"));
    match exit {
        Exit::Code(127) if shell && !launch.start.trim().is_empty() => Some(
            "the image has no shell for the start command: leave the start command empty, so that the image's own is used",
        ),
        Exit::Signal(9) => Some("it was killed: most likely it took more memory than it may"),
        _ => None,
    }
}

/// Why a container could not be started, with what helps.
fn unstartable(said: &str, recipe: &Recipe) -> String {
    match &recipe.command {
        None if said.contains("No command specified") => {
            "the image says no command: add CMD or ENTRYPOINT to the Dockerfile, or set a start command"
                .into()
        }
        _ => format!("the container could not be started: {said}"),
    }
}

/// Where its port is published: on the loopback address of this machine, or on the address of its daemon's.
async fn publish(docker: &Docker, port: u16) -> Result<String, String> {
    let host = docker.address();
    let address = match host.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => tokio::net::lookup_host((host.as_str(), port))
            .await
            .ok()
            .and_then(|mut found| found.next())
            .map(|found| found.ip())
            .ok_or_else(|| format!("{host}, where the Docker daemon is, has no address: check the daemon's host in the settings"))?,
    };
    Ok(match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    })
}

async fn wait(docker: &Docker, id: &str) -> Exit {
    let asked = docker.command(["wait", id]).output().await;
    let code =
        asked.ok().and_then(|output| String::from_utf8_lossy(&output.stdout).trim().parse::<i32>().ok());
    match code {
        Some(137) => Exit::Signal(9),
        Some(code) => Exit::Code(code),
        None => Exit::Unknown,
    }
}
