//! Where a person's commands run: on this machine, or inside the service's toolchain image.
//!
//! Inside, a command finds its workspace, caches and temporary folder under the same paths as outside, and the image's own
//! programs. Refuses to let it reach the Docker daemon, to pass on anything of the runner's own environment, and to leave a
//! container behind.

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Arc, Mutex},
};

use domain::{containers::Toolchain, view::Stream};
use tempfile::TempPath;

use super::{
    Docker, DockerError, labels,
    stream::{Undone, ask, call, stream},
};
use crate::{
    command::{self, Leftovers, Watch, follow, seen, was_ended},
    context::{Context, cannot},
    reason::{Failure, Judge, short},
};

/// Processes and threads that a command may have at a time: plenty for a build, too few to choke the machine.
const PIDS: &str = "4096";
/// The exit codes by which `docker run` tells that the command never ran.
const NEVER_RAN: [i32; 3] = [125, 126, 127];
/// How long after a container's end the daemon may still learn that memory ran out, in milliseconds: waited for only
/// after failures that memory may explain.
const LATE: i64 = 500;

/// Where commands run.
pub(crate) enum Place {
    /// On this machine.
    Host,
    /// Inside an image that the daemon has.
    Inside(Inside),
}

/// The image, and how it is run.
pub(crate) struct Inside {
    docker: Docker,
    image: String,
    id: String,
    settings: Toolchain,
}

impl Place {
    /// Where this stage's commands run; the image is fetched when it is not there.
    pub async fn of(stage: &Context) -> Result<Self, Failure> {
        let Some(toolchain) = &stage.job.toolchain else { return Ok(Place::Host) };
        let docker = Docker::here();
        if docker.address() != "127.0.0.1" {
            return Err(Failure::new(format!(
                "commands cannot run in the image `{}`: the Docker daemon at {} is on another machine and does not see this one's files. Give the server a daemon of its own (DOCKER_HOST), or take the service's toolchain image away",
                toolchain.image,
                docker.host()
            )));
        }
        let id = ready(stage, &docker, &toolchain.image).await?;
        let (image, settings) = (toolchain.image.clone(), toolchain.settings);
        stage.log.system(format!("commands run in the image {image} ({})", limits(&settings)));
        Ok(Place::Inside(Inside { docker, image, id, settings }))
    }

    /// What tells one set of programs from another: the image's id.
    pub fn image(&self) -> Option<&str> {
        match self {
            Place::Host => None,
            Place::Inside(inside) => Some(&inside.id),
        }
    }

    /// Runs a command in a folder.
    pub async fn run(&self, stage: &Context, folder: &Path, command: &str) -> Result<(), Failure> {
        match self {
            Place::Host => command::run(stage, folder, command, &[], Leftovers::End).await,
            Place::Inside(inside) => inside.run(stage, folder, command).await,
        }
    }
}

/// How it is run, in words.
fn limits(settings: &Toolchain) -> String {
    let mut said = vec![if settings.network { "with network" } else { "without network" }.to_owned()];
    said.extend(settings.resources.memory_mb.map(|mb| format!("{mb} MiB of memory")));
    said.extend(settings.resources.cpu_millis.map(|millis| format!("{} cores", cores(millis))));
    said.join(", ")
}

fn cores(millis: u32) -> String {
    format!("{}", f64::from(millis) / 1000.0)
}

/// Makes sure that the daemon has the image; answers its id.
pub(super) async fn ready(stage: &Context, docker: &Docker, image: &str) -> Result<String, Failure> {
    let question = ["image", "inspect", "--format", "{{.Id}}", image];
    match ask(stage, docker, &question).await {
        Err(Undone::Docker(DockerError::Missing(_))) => {}
        found => return Ok(found?.trim().to_owned()),
    }
    stage.log.system(format!("the image {image} is not here yet: pulling it"));
    let pull = call(stage, docker, ["pull", image]);
    match stream(stage, docker, "pull", pull).await {
        Ok(()) => Ok(ask(stage, docker, &question).await?.trim().to_owned()),
        Err(Undone::Docker(error)) => Err(Failure::new(unpulled(image, &error))),
        Err(ended) => Err(ended.into()),
    }
}

/// Why an image could not be pulled, and what to do.
fn unpulled(image: &str, error: &DockerError) -> String {
    match error {
        DockerError::RegistryAway(said) => format!(
            "the image `{image}` is not on this machine, and its registry does not answer: check the network, or bring the image in with `docker load` ({said})"
        ),
        DockerError::Login(said) | DockerError::Missing(said) | DockerError::Other(said) => format!(
            "the image `{image}` could not be pulled: check its name in the service's settings; if its registry wants a login, run `docker login` as the server's user ({said})"
        ),
        other => other.to_string(),
    }
}

/// Looks at the command's lines, and for words of Docker's own.
#[derive(Debug, Default)]
struct Looking {
    judge: Judge,
    docker: Option<String>,
    no_shell: bool,
}

impl Watch for Looking {
    fn see(&mut self, stream: Stream, seq: u64, text: &str) {
        if stream == Stream::Stderr && self.docker.is_none() && text.starts_with("docker: ") {
            self.docker = Some(text.to_owned());
            self.no_shell |= text.contains("/bin/sh") && text.contains("no such file");
        }
        self.no_shell |= text.contains("tini") && text.contains("exec /bin/sh failed");
        self.judge.see(stream, seq, text);
    }
}

impl Inside {
    async fn run(&self, stage: &Context, folder: &Path, command: &str) -> Result<(), Failure> {
        stage.make_folders()?;
        stage.log.system(format!("$ {command}"));
        let name = format!("seamless-{}-{}", stage.job.stage, stage.job.attempt);
        let home = stage.home();
        let others =
            stage.stated().into_iter().filter(|(name, value)| name != "HOME" || home != Path::new(value));
        let (clear, disturbing): (Vec<_>, Vec<_>) = others.partition(|(name, _)| !super::disturbs(name));
        let file = self.file(stage, &disturbing)?;
        let begun = crate::sink::now();
        let mut run = call(stage, &self.docker, self.arguments(stage, folder, &name));
        // Its own HOME is where the program finds its settings; the command's is no secret.
        run.arg("--env").arg(format!("HOME={}", home.display()));
        for (name, value) in &clear {
            run.arg("--env").arg(name).env(name, value);
        }
        run.args(
            file.as_ref().map(|file| ["--env-file".into(), file.as_os_str().to_owned()]).iter().flatten(),
        );
        // Values of variables travel in the program's environment; the image's own start-up is not what is to run.
        run.args(["--entrypoint", "/bin/sh", &self.id, "-c", command]);
        let mut child = run.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Failure::new(DockerError::NoProgram.to_string()),
            _ => cannot("start `docker run` in", folder, &e),
        })?;
        let looking = Arc::new(Mutex::new(Looking::default()));
        let status = follow(stage, &mut child, &looking, Leftovers::End)
            .await
            .map_err(|e| cannot("wait for `docker run` in", folder, &e))?;
        let Some(status) = status else {
            self.remove(&name).await;
            return Err(was_ended(command, seen(&looking).judge.verdict()));
        };
        // Asked before it is removed: of a container that is gone, the daemon says nothing more.
        let memory = !status.success() && self.ran_out_of_memory(&name, begun, status).await;
        self.remove(&name).await;
        if status.success() {
            return Ok(());
        }
        Err(self.failure(command, status, &seen(&looking), memory))
    }

    /// What a failed command means.
    fn failure(&self, command: &str, status: ExitStatus, looking: &Looking, memory: bool) -> Failure {
        let image = &self.image;
        let not_run = |reason: String| Failure { error: looking.judge.verdict(), ..Failure::new(reason) };
        let ran = !status.code().is_some_and(|code| NEVER_RAN.contains(&code));
        if !ran && looking.no_shell {
            return not_run(format!(
                "the image `{image}` has no /bin/sh, and commands are run by a shell: choose an image that has one"
            ));
        }
        if !ran && let Some(said) = &looking.docker {
            return not_run(match DockerError::read("run", &self.docker.host(), said) {
                DockerError::Other(said) => format!("the image `{image}` could not be run: {said}"),
                known => known.to_string(),
            });
        }
        let failure = looking.judge.failure(command, status, &format!("in the image {image}"));
        let reason = match (memory, self.settings.resources.memory_mb) {
            (true, Some(mb)) => format!(
                "out of memory: {} may take {mb} MiB and wanted more (raise the toolchain's memory, `toolchain.resources.memory_mb`)",
                short(command)
            ),
            (true, None) => format!("out of memory: this machine has none left for {}", short(command)),
            (false, _) => return failure,
        };
        Failure { reason, ..failure }
    }

    fn arguments(&self, stage: &Context, folder: &Path, name: &str) -> Vec<OsString> {
        let label = |name: &str, value: &str| ["--label".to_owned(), format!("{name}={value}")];
        let mut all: Vec<String> =
            ["run", "--init", "--pull", "never", "--log-driver", "none"].map(str::to_owned).into();
        all.extend(["--name".into(), name.into()]);
        all.extend(label(labels::INSTANCE, &labels::instance(stage.data.root())));
        all.extend(label(labels::ATTEMPT, stage.tree.cookie()));
        all.extend(label(labels::SERVICE, &stage.job.service));
        all.extend(["--user".into(), user(&self.docker), "--userns".into(), "host".into()]);
        all.extend(["--security-opt".into(), "no-new-privileges".into(), "--pids-limit".into(), PIDS.into()]);
        if !self.settings.network {
            all.extend(["--network".into(), "none".into()]);
        }
        if let Some(mb) = self.settings.resources.memory_mb {
            // The same for both: what is meant is memory, not memory and as much again of swap.
            all.extend(["--memory".into(), format!("{mb}m"), "--memory-swap".into(), format!("{mb}m")]);
        }
        if let Some(millis) = self.settings.resources.cpu_millis {
            all.extend(["--cpus".into(), cores(millis)]);
        }
        let mut all: Vec<OsString> = all.into_iter().map(OsString::from).collect();
        let workspace = stage.data.workspace(stage.job.run);
        let borrowed = borrowed(&workspace);
        let own = std::iter::once(&workspace).cloned().chain(stage.writable()).map(|path| (path, false));
        for (path, read_only) in own.chain(borrowed.map(|path| (path, true))) {
            all.extend(["--mount".into(), mount(&path, read_only)]);
        }
        all.extend(["--workdir".into(), folder.as_os_str().to_owned()]);
        all
    }

    /// Variables that the `docker` program would take as its own go through a private file, which holds a line for each.
    fn file(&self, stage: &Context, variables: &[(String, String)]) -> Result<Option<TempPath>, Failure> {
        if variables.is_empty() {
            return Ok(None);
        }
        let folder = stage.data.stage(stage.job.stage, stage.job.attempt);
        let mut text = String::new();
        for (name, value) in variables {
            if value.contains(['\n', '\r']) {
                return Err(Failure::new(format!(
                    "the variable {name} holds more than one line, which cannot be passed into an image under this name: name it otherwise"
                )));
            }
            text.push_str(&format!("{name}={value}\n"));
        }
        let write = || {
            let mut file = tempfile::Builder::new().prefix("env-").tempfile_in(&folder)?; // 0600 from birth
            file.write_all(text.as_bytes())?;
            Ok(file.into_temp_path())
        };
        write().map(Some).map_err(|e| cannot("write to", &folder, &e))
    }

    /// Ends the container, should it still be there.
    async fn remove(&self, name: &str) {
        match self.docker.ask(&["rm", "--force", "--volumes", name]).await {
            Ok(_) | Err(DockerError::Missing(_)) => {}
            // Whoever comes after finds it by its label.
            Err(error) => tracing::warn!(name, %error, "a container could not be removed"),
        }
    }

    /// Whether the kernel ended something in it for want of memory. The daemon's events tell, and they may come a moment
    /// after the container's end: it is another part of containerd that watches memory.
    async fn ran_out_of_memory(&self, name: &str, begun: domain::Timestamp, status: ExitStatus) -> bool {
        if self.settings.resources.memory_mb.is_none() && status.code() != Some(137) {
            return false;
        }
        let moment = |at: domain::Timestamp| format!("{}.{:03}", at.0 / 1000, at.0 % 1000);
        let (since, until) = (moment(begun), moment(crate::sink::now().plus(LATE)));
        let container = format!("container={name}");
        let question = ["events", "--since", &since, "--until", &until, "--filter", &container];
        let filters = ["--filter", "event=oom", "--format", "{{.Action}}"];
        let question: Vec<&str> = question.into_iter().chain(filters).collect();
        self.docker.ask(&question).await.is_ok_and(|events| !events.stdout.trim().is_empty())
    }
}

/// Files that a command makes belong to whoever runs the server. A daemon without root does that by itself: to it, root
/// inside is its own user outside.
pub(super) fn user(docker: &Docker) -> String {
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    let rootless = !user.is_root() && docker.host().starts_with("unix:///run/user/");
    if rootless { "0:0".into() } else { format!("{}:{}", user.as_raw(), group.as_raw()) }
}

/// Git objects that a workspace borrows from its mirror: without them `git` inside knows no commit.
pub(super) fn borrowed(workspace: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let text = std::fs::read_to_string(workspace.join(".git/objects/info/alternates")).unwrap_or_default();
    let paths: Vec<PathBuf> =
        text.lines().map(PathBuf::from).filter(|path| path.is_absolute() && path.is_dir()).collect();
    paths.into_iter()
}

/// A folder under its own path, as one line of comma-separated values.
fn mount(path: &Path, read_only: bool) -> OsString {
    let path = path.to_string_lossy();
    let field = |name: &str| {
        let field = format!("{name}={path}");
        if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    };
    let end = if read_only { ",readonly" } else { "" };
    format!("type=bind,{},{}{end}", field("source"), field("target")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_may_be_called_anything() {
        let told = |path: &str, read_only| mount(Path::new(path), read_only).into_string();
        assert_eq!(told("/srv/a b", false), Ok("type=bind,source=/srv/a b,target=/srv/a b".into()));
        assert_eq!(
            told("/srv/a,\"b\"", true),
            Ok(r#"type=bind,"source=/srv/a,""b""","target=/srv/a,""b""",readonly"#.into())
        );
    }

    #[test]
    fn what_cannot_be_pulled_says_what_to_do() {
        let away = unpulled("node:22", &DockerError::RegistryAway("dial tcp: no such host".into()));
        assert!(away.contains("docker load") && away.contains("no such host"), "{away}");
        let denied = unpulled("node:222", &DockerError::Login("pull access denied for node".into()));
        assert!(denied.contains("check its name") && denied.contains("docker login"), "{denied}");
    }
}
