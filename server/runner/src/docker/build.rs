//! Builds the service's image with BuildKit, keeps it where the other environments find it, and knows it by its digest.
//!
//! An image that was built from the very same before is taken again. Refuses the old builder without BuildKit, since it has no
//! secrets, and refuses to let a secret become an argument, a label or a layer.

use std::sync::{Arc, Mutex};

use domain::{
    containers::short_digest,
    protocol::{ImageWork, JobVariable, Outputs},
    view::Stream,
};
use futures::future::join_all;
use serde::Deserialize;
use tokio::process::Command;

use super::{
    Docker, DockerError,
    buildkit::Seen,
    definition::Definition,
    disturbs,
    inputs::{self, Inputs},
    labels,
    stream::{Undone, ask, call, run},
};
use crate::{
    command::{Watch, seen},
    context::{Context, cannot},
    git,
    reason::Failure,
    sink,
    work::{aside, size},
};

/// How the two ways to BuildKit are called: its own program, and the one inside older `docker` programs.
const WAYS: [&[&str]; 2] = [&["buildx", "build", "--load"], &["build"]];

/// What of a finished image matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
    size: u64,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
}

/// Builds the image, or finds it built, and pushes it where there is a registry.
pub(crate) async fn image(stage: &Context, work: &ImageWork, outputs: &mut Outputs) -> Result<(), Failure> {
    let definition = Definition::of(stage, &work.dockerfile)?;
    if let Some(why) = work.registry.as_ref().and_then(|registry| registry.refused.as_ref()) {
        return Err(Failure::new(format!("images cannot be pushed: {why}")));
    }
    if let Some(warning) = work.registry.as_ref().and_then(|registry| registry.warning.as_ref()) {
        stage.log.system(format!("warning: {warning}"));
    }
    let docker = Docker::here();
    let own = stage.data.stage(stage.job.stage, stage.job.attempt);
    let with = docker
        .logged_in_below(&own, work.registry.as_ref())
        .map_err(|e| Failure::new(format!("the registry's login could not be prepared: {e}")))?;
    let secrets = secrets(stage, work)?;
    let inputs = identity(stage, &docker, &definition, work, &secrets).await?;
    let prefix = work.registry.as_ref().map_or("seamless", |registry| &registry.address);
    let name = format!("{}/{}", prefix.trim_end_matches('/'), stage.job.service);
    let tag = format!("{name}:{}", stage.job.commit);

    if !reuse(stage, &docker, &inputs, &tag).await? {
        let build = Build { stage, work, definition: &definition, secrets: &secrets };
        build.run(&with.docker, &inputs, &tag).await?;
    }
    let pushed = match &work.registry {
        Some(_) => match push(stage, &with.docker, &tag).await? {
            Push::Done(digest) => Some(digest),
            // The registry holds on to what this commit was when it was first built: this one gets a name of its own.
            Push::Taken => {
                let another = format!("{tag}-{}-{}", stage.job.run_number, stage.job.attempt);
                ask(stage, &docker, &["tag", &tag, &another]).await?;
                match push(stage, &with.docker, &another).await? {
                    Push::Done(digest) => Some(digest),
                    Push::Taken => {
                        return Err(Failure::new(format!(
                            "{another} is in the registry already, as another image"
                        )));
                    }
                }
            }
        },
        None => None,
    };
    let said = ask(stage, &docker, &["image", "inspect", "--format", "{{json .}}", &tag]).await?;
    let image: Image = serde_json::from_str(&said)
        .map_err(|e| Failure::new(format!("Docker answered what nobody understands about {tag}: {e}")))?;
    let artifact = match pushed {
        Some(digest) => known_as(&image, &name, digest).ok_or_else(|| {
            Failure::new(format!(
                "{tag} was pushed, but the registry gave it no digest: push it again by a rerun"
            ))
        })?,
        None => image.id.clone(),
    };
    stage.log.system(format!(
        "made image {} of commit {} ({}, tagged {tag})",
        short_digest(&artifact),
        stage.job.commit.get(..7).unwrap_or(&stage.job.commit),
        size(image.size)
    ));
    (outputs.artifact, outputs.artifact_size) = (Some(artifact), Some(image.size));
    Ok(())
}

/// `name@sha256:…`: by what the registry answered to the push, else by what the daemon remembers of it.
fn known_as(image: &Image, name: &str, digest: Option<String>) -> Option<String> {
    let remembered = || {
        let digests = image.repo_digests.as_deref().unwrap_or_default();
        digests
            .iter()
            .rev()
            .find(|known| known.strip_prefix(name).is_some_and(|d| d.starts_with('@')))
            .cloned()
    };
    digest.map(|digest| format!("{name}@{digest}")).or_else(remembered)
}

/// The variables that the build may read as secrets.
fn secrets<'a>(stage: &'a Context, work: &ImageWork) -> Result<Vec<&'a JobVariable>, Failure> {
    let find = |name: &String| {
        stage.job.variables.iter().find(|variable| variable.name == *name).ok_or_else(|| {
            Failure::new(format!(
                "the build secret {name} has no value: set the variable, or take it off the service's build secrets"
            ))
        })
    };
    work.secrets.iter().map(find).collect()
}

async fn identity(
    stage: &Context,
    docker: &Docker,
    definition: &Definition,
    work: &ImageWork,
    secrets: &[&JobVariable],
) -> Result<String, Failure> {
    let bases = inputs::bases(&definition.text, &work.arguments);
    let ids = join_all(bases.iter().map(async |base| {
        match ask(stage, docker, &["image", "inspect", "--format", "{{.Id}}", base]).await {
            Ok(id) => Ok(format!("{base} {}", id.trim())),
            // BuildKit will fetch it; until then it is known by its name only. What it cannot be called is told by the build.
            Err(Undone::Docker(DockerError::Missing(_) | DockerError::Other(_))) => Ok(format!("{base} ?")),
            Err(undone) => Err(undone),
        }
    }));
    let root = stage.data.root().to_owned();
    let key = inputs::key(&root).map_err(|e| cannot("keep a key in", &root, &e))?;
    let mut inputs = Inputs::new(&key);
    for text in [&definition.text, &definition.ignored, &stage.job.service] {
        inputs.text(text);
    }
    for (name, value) in &work.arguments {
        inputs.text(name);
        inputs.text(value);
    }
    for secret in secrets {
        inputs.text(&secret.name);
        inputs.text(&secret.value);
    }
    let (folder, ignored) = (definition.folder.clone(), definition.ignored.clone());
    let content = aside(stage, move || inputs.folder(&folder, &ignored).map(|()| inputs));
    let (ids, content) = futures::join!(ids, content);
    let mut inputs = content?.map_err(|e| cannot("read", &definition.folder, &e))?;
    for id in ids.into_iter().collect::<Result<Vec<_>, _>>()? {
        inputs.text(id);
    }
    Ok(inputs.finish())
}

/// Gives an image that was built from the same the name of this commit; answers whether there is one.
async fn reuse(stage: &Context, docker: &Docker, inputs: &str, tag: &str) -> Result<bool, Failure> {
    let filter = format!("label={}={inputs}", labels::INPUTS);
    let question = ["image", "ls", "--no-trunc", "--filter", &filter, "--format", "{{.ID}}"];
    let found = ask(stage, docker, &question).await?;
    let Some(id) = found.split_ascii_whitespace().next() else { return Ok(false) };
    match ask(stage, docker, &["tag", id, tag]).await {
        Ok(_) => {}
        // Somebody has just cleaned up.
        Err(Undone::Docker(DockerError::Missing(_))) => return Ok(false),
        Err(undone) => return Err(undone.into()),
    }
    stage.log.system(format!(
        "nothing that the image is built from has changed: image {} is taken again",
        short_digest(id)
    ));
    Ok(true)
}

struct Build<'a> {
    stage: &'a Context,
    work: &'a ImageWork,
    definition: &'a Definition,
    secrets: &'a [&'a JobVariable],
}

impl Build<'_> {
    async fn run(&self, docker: &Docker, inputs: &str, tag: &str) -> Result<(), Failure> {
        let context = self.stage.job.context.as_deref().filter(|c| !c.is_empty()).unwrap_or("the repository");
        self.stage.log.system(format!("building {tag} from {} with {context}", self.work.dockerfile));
        for way in WAYS {
            let seen_of = Arc::new(Mutex::new(Seen::default()));
            if run(self.stage, way[0], self.command(docker, way, inputs, tag), &seen_of).await? {
                return Ok(());
            }
            let seen = seen(&seen_of);
            if !seen.no_buildkit() {
                return Err(seen.failure(&docker.host(), &self.work.dockerfile));
            }
            if way[0] == "buildx" {
                self.stage.log.system("`docker buildx` is not there: trying the BuildKit of `docker build`");
            }
        }
        Err(Failure::new(
            "images are built with BuildKit, and this machine's `docker` has none: install Docker's buildx plugin (docker-buildx), then rerun",
        ))
    }

    fn command(&self, docker: &Docker, way: &[&str], inputs: &str, tag: &str) -> Command {
        let (stage, job) = (self.stage, &self.stage.job);
        let mut command = call(stage, docker, way);
        // Proofs of origin would give the same build another digest each time.
        command.env("DOCKER_BUILDKIT", "1").env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
        command.args(["--progress", "plain", "--tag", tag, "--file"]).arg(&self.definition.dockerfile);
        let labels = [
            ("org.opencontainers.image.source", git::without_password(&self.work.source)),
            ("org.opencontainers.image.revision", job.commit.clone()),
            ("org.opencontainers.image.created", sink::now().to_string()),
            (labels::INSTANCE, labels::instance(stage.data.root())),
            (labels::SERVICE, job.service.clone()),
            (labels::INPUTS, inputs.to_owned()),
        ];
        for (name, value) in labels {
            command.arg("--label").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.work.arguments {
            command.arg("--build-arg");
            if disturbs(name) {
                command.arg(format!("{name}={value}"));
            } else {
                command.arg(name).env(name, value);
            }
        }
        for (number, secret) in self.secrets.iter().enumerate() {
            let variable = format!("SEAMLESS_BUILD_SECRET_{number}");
            command.arg("--secret").arg(format!("id={},env={variable}", secret.name));
            command.env(variable, &secret.value);
        }
        command.arg(&self.definition.folder);
        command
    }
}

/// Looks for what the registry calls the image.
#[derive(Debug, Default)]
struct Pushing {
    digest: Option<String>,
    errors: Vec<String>,
}

impl Watch for Pushing {
    fn see(&mut self, stream: Stream, _: u64, text: &str) {
        if stream == Stream::Stderr {
            self.errors.push(text.to_owned());
        } else if let Some((_, rest)) = text.split_once(": digest: sha256:") {
            let digest: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
            self.digest = (digest.len() == 64).then(|| format!("sha256:{digest}"));
        }
    }
}

/// What became of a push.
enum Push {
    /// It is there; the digest, where it was told.
    Done(Option<String>),
    /// The tag is another image's for good.
    Taken,
}

async fn push(stage: &Context, docker: &Docker, tag: &str) -> Result<Push, Failure> {
    stage.log.system(format!("pushing {tag}"));
    let pushing = Arc::new(Mutex::new(Pushing::default()));
    let done = run(stage, "push", call(stage, docker, ["push", tag]), &pushing).await?;
    let pushing = seen(&pushing);
    if done {
        return Ok(Push::Done(pushing.digest.clone()));
    }
    let said = pushing.errors.join("\n");
    if said.contains("immutable") {
        return Ok(Push::Taken);
    }
    Err(Failure::new(match DockerError::read("push", &docker.host(), &said) {
        DockerError::Other(said) | DockerError::Missing(said) => {
            format!("{tag} could not be pushed: {said}")
        }
        known => known.to_string(),
    }))
}
