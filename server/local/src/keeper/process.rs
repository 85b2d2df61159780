//! A version that is a process: started or adopted, watched until it ends.
//!
//! Its output goes to a file, never to a pipe, so that it lives on when its keeper dies. Refuses to restart anything;
//! that is the supervisor's to decide.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::{fs::OpenOptionsExt, process::ExitStatusExt},
    path::Path,
    process::Stdio,
    time::Duration,
};

use domain::{
    DeploymentId,
    protocol::{JobVariable, Launch},
};
use tokio::{process::Command, sync::watch};

use super::{
    state::{self, Place},
    version::Exit,
};
use crate::proc::{self, Identity};

/// How often an adopted process is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The environment of a version: the stated one and nothing else.
pub fn environment(
    launch: &Launch,
    environment: &str,
    neighbours: &[JobVariable],
    home: &Path,
    tmp: &Path,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("HOME".to_owned(), home.display().to_string()),
        ("TMPDIR".to_owned(), tmp.display().to_string()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        // What Python prints is to be seen when it is printed, not when a buffer is full.
        ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
    ]);
    if let Ok(path) = std::env::var("PATH") {
        all.insert("PATH".into(), path);
    }
    all.extend(launch.variables.iter().map(|v| (v.name.clone(), v.value.clone())));
    all.extend(neighbours.iter().map(|v| (v.name.clone(), v.value.clone())));
    all.insert("SEAMLESS_COMMIT".into(), launch.commit.clone());
    all.insert("SEAMLESS_ENVIRONMENT".into(), environment.to_owned());
    all.insert("SEAMLESS_SERVICE".into(), launch.service.clone());
    all
}

/// The start command as a process to be: through a shell, in its folder, leading a process group of its own.
pub fn command(
    launch: &Launch,
    folder: &Path,
    environment: &BTreeMap<String, String>,
) -> io::Result<Command> {
    let folder = match &launch.context {
        Some(context) => folder.join(context),
        None => folder.to_owned(),
    };
    if !folder.is_dir() {
        let context = launch.context.as_deref().unwrap_or_default();
        return Err(io::Error::other(format!(
            "the artifact has no folder {context:?}; check the service's folder setting"
        )));
    }
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(&launch.start).current_dir(folder).env_clear().envs(environment);
    command.stdin(Stdio::null()).process_group(0);
    Ok(command)
}

/// A running process, and everything it started.
#[derive(Debug, Clone)]
pub struct Process {
    /// What its processes carry in their environment.
    pub mark: String,
    /// Which process.
    pub id: Identity,
    /// What it got as `PORT`.
    pub port: u16,
    exit: watch::Receiver<Option<Exit>>,
}

impl Process {
    /// Starts a version from its unpacked folder.
    pub fn start(
        place: &Place,
        deployment: DeploymentId,
        launch: &Launch,
        neighbours: &[JobVariable],
    ) -> io::Result<Self> {
        let home = place.data.join("caches").join(&place.service).join("home");
        let tmp = place.folder().join("tmp");
        fs::create_dir_all(&home)?;
        fs::create_dir_all(&tmp)?;
        let port = fresh_port()?;
        let mut variables = environment(launch, place.environment.as_str(), neighbours, &home, &tmp);
        variables.insert("PORT".into(), port.to_string());
        variables.insert("SEAMLESS_DEPLOYMENT".into(), deployment.to_string());
        Self::spawn(launch, &place.version(deployment), variables, &place.log(deployment), port)
    }

    /// Starts a version with an environment that holds its port and its `SEAMLESS_DEPLOYMENT`.
    pub fn spawn(
        launch: &Launch,
        folder: &Path,
        variables: BTreeMap<String, String>,
        log: &Path,
        port: u16,
    ) -> io::Result<Self> {
        let mark = format!(
            "SEAMLESS_DEPLOYMENT={}",
            variables.get("SEAMLESS_DEPLOYMENT").map_or("", String::as_str)
        );
        let log = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
        let mut child = command(launch, folder, &variables)?
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|e| io::Error::other(format!("the start command could not be run: {e}")))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        // Not yet waited for, so its entry is there even if it has ended already; a zombie has no identity to adopt.
        let id = proc::identity(pid).unwrap_or(Identity { pid, started: 0 });
        let (told, exit) = watch::channel(None);
        tokio::spawn(async move {
            let exit = match child.wait().await {
                Ok(status) => status
                    .code()
                    .map(Exit::Code)
                    .or(status.signal().map(Exit::Signal))
                    .unwrap_or(Exit::Unknown),
                Err(_) => Exit::Unknown,
            };
            let _ = told.send(Some(exit));
        });
        Ok(Self { mark, id, port, exit })
    }

    /// Takes over a process that an earlier keeper started; `None` when it is gone or is somebody else by now.
    pub fn adopt(deployment: DeploymentId, id: Identity, port: u16) -> Option<Self> {
        let mark = state::mark(deployment);
        if !id.lives() || !id.carries(&mark) {
            return None;
        }
        let (told, exit) = watch::channel(None);
        tokio::spawn(async move {
            // It is nobody's child, so nobody is told of its end; looking is all there is.
            while id.lives() && !told.is_closed() {
                tokio::time::sleep(LOOK).await;
            }
            let _ = told.send(Some(Exit::Unknown));
        });
        Some(Self { mark, id, port, exit })
    }

    /// Returns when it has ended.
    pub async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit::Unknown),
            Err(_) => Exit::Unknown,
        }
    }

    /// Ends it with everything it started: SIGTERM, the grace, SIGKILL. True when it had to kill.
    pub async fn end(&self, grace: Duration) -> bool {
        proc::end(Some(self.id), &self.mark, grace).await
    }
}

impl Process {
    /// A hint for one that listens where nobody looks.
    pub fn elsewhere(&self) -> String {
        let ports = proc::ports_of(&proc::families(&[self.id]));
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        if ports.is_empty() { String::new() } else { format!(" (it listens on {})", ports.join(", ")) }
    }
}

/// A port for a version: below those the kernel hands out by itself, so that no outgoing connection takes it meanwhile.
pub fn fresh_port() -> io::Result<u16> {
    let mut seed = [0u8; 64];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut seed)?;
    seed.chunks(2)
        .map(|two| 20_000 + u16::from_le_bytes([two[0], two[1]]) % 12_000)
        .find(|port| proc::port_is_free(*port))
        .ok_or_else(|| io::Error::other("no free port between 20000 and 32000; stop what holds them"))
}
