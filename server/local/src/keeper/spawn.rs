//! Starts a keeper so that it belongs to nobody: not to the server, not to the runner.
//!
//! Refuses to start a second one beside a living one; the lock decides, not a look.

use std::{
    io::{self},
    net::IpAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use runner::docker::DAEMON;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::{Instant, sleep},
};

use super::{
    state::Place,
    wire::{self, Line, Request},
};

/// What a keeper prints when it listens.
pub const READY: &str = "ready";
/// What it prints when another one keeps this place.
pub const HELD: &str = "held";

/// How keepers are started.
#[derive(Debug, Clone)]
pub struct Keepers {
    /// The program; it gets `keeper --data …` as its arguments.
    pub program: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// The address on which stable ports are opened.
    pub address: IpAddr,
}

/// The variables a keeper needs from us; those of its services are stated elsewhere.
const PASSED: [&str; 3] = ["PATH", "HOME", "RUST_LOG"];

impl Keepers {
    /// Keepers of this very program, on the loopback address.
    ///
    /// # Errors
    /// When this program cannot find itself.
    pub fn of_this_program(data: &Path) -> io::Result<Self> {
        // A keeper works in `/`, so the folder's name must hold there too.
        let data = std::path::absolute(data)?;
        Ok(Self { program: std::env::current_exe()?, data, address: IpAddr::from([127, 0, 0, 1]) })
    }

    /// A connection to the place's keeper, which is started when there is none.
    pub async fn reach(&self, place: &Place) -> io::Result<Line> {
        place.make()?;
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            if let Ok(line) = Line::open(place).await {
                return Ok(line);
            }
            let said = self.start(place).await?;
            // Held: another one is just coming up, or just going; both are over soon.
            if said != READY {
                if Instant::now() > deadline {
                    return Err(io::Error::other(format!(
                        "the keeper of {} {} neither answers nor ends; look at {}",
                        place.service,
                        place.environment,
                        place.keeper_log().display()
                    )));
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Starts one and returns its first word.
    async fn start(&self, place: &Place) -> io::Result<String> {
        let mut shell = Command::new("/bin/sh");
        // The shell ends at once, so that its child is nobody's.
        shell.args(["-c", r#""$@" 2>&1 &"#, "sh"]).arg(&self.program).arg("keeper");
        shell.arg("--data").arg(&place.data).args(["--service", &place.service]);
        shell.args(["--environment", place.environment.as_str(), "--address", &self.address.to_string()]);
        shell
            .env_clear()
            .envs(PASSED.iter().chain(&DAEMON).filter_map(|name| Some((name, std::env::var_os(name)?))));
        shell.current_dir("/").process_group(0);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let output = Orphaning::begin().and_then(|_adopts_nobody| {
            let mut child = shell.into_std().spawn()?;
            child.wait()?;
            child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))
        })?;
        let output = tokio::process::ChildStdout::from_std(output)?;
        let mut lines = BufReader::new(output).lines();
        let mut all = String::new();
        let hear = async {
            while let Some(line) = lines.next_line().await? {
                if line == READY || line == HELD {
                    return Ok(line);
                }
                all = format!("{all} {line}");
            }
            Err(io::Error::other(format!("the keeper did not start:{all}")))
        };
        match tokio::time::timeout(Duration::from_secs(15), hear).await {
            Ok(said) => said,
            Err(_) => Err(io::Error::other("the keeper did not start within 15 s")),
        }
    }

    /// Makes sure that a place's keeper lives.
    pub async fn ensure(&self, place: &Place) -> io::Result<()> {
        let asked = async {
            loop {
                let mut line = self.reach(place).await?;
                let answer = match line.say(&Request::Status).await {
                    Ok(()) => line.hear::<wire::Answer>().await,
                    Err(e) => Err(e),
                };
                match answer {
                    Ok(Some(_)) => return Ok(()),
                    // It died with the question in its hands: whoever comes after it is asked again.
                    Ok(None) => {}
                    Err(e)
                        if matches!(e.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                    }
                    Err(e) => return Err(e),
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), asked).await {
            Ok(answered) => answered,
            Err(_) => Err(io::Error::other("its keeper lives but does not answer")),
        }
    }
}

/// While it lives, this process does not adopt orphans.
///
/// A runner adopts everything that its commands leave behind, and ends it with its stage. A keeper must not be among
/// them, so it is let go while the runner looks away; a deploy stage runs no other commands.
struct Orphaning(bool);

impl Orphaning {
    fn begin() -> io::Result<Self> {
        let adopts = rustix::process::child_subreaper()?.is_some();
        if adopts {
            rustix::process::set_child_subreaper(None)?;
        }
        Ok(Self(adopts))
    }
}

impl Drop for Orphaning {
    fn drop(&mut self) {
        if self.0 {
            let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        }
    }
}
