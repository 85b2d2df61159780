//! What a person tells Seamless about a service's containers: the toolchain its checks run in, how its image is built, how it is run.
//!
//! Refuses to know how containers are made to do any of it, and whether a daemon is there: shape and range are checked here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    problem::FieldError,
    service::{ServiceSettings, Variable},
    stage::EnvironmentName,
};

/// How a service is deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TargetKind {
    /// A supervised process on this host.
    #[default]
    Process,
    /// Containers of a Docker daemon, on this host or another.
    Docker,
    /// A service of Amazon ECS.
    Ecs,
}

impl TargetKind {
    /// All of them.
    pub const ALL: [TargetKind; 3] = [TargetKind::Process, TargetKind::Docker, TargetKind::Ecs];

    /// Whether it deploys images rather than bundles of files.
    pub fn takes_images(self) -> bool {
        self != TargetKind::Process
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetKind::Process => "process",
            TargetKind::Docker => "docker",
            TargetKind::Ecs => "ecs",
        }
    }
}

/// What an artifact is, told from how it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtifactKind {
    /// A bundle of files: 64 hexadecimal digits, the SHA-256 of the bundle.
    Bundle,
    /// An image: `name@sha256:…` as a registry knows it, or `sha256:…` as this host's daemon does.
    Image,
}

impl ArtifactKind {
    /// Of an artifact as written down.
    pub fn of(artifact: &str) -> Self {
        if artifact.contains("sha256:") { ArtifactKind::Image } else { ArtifactKind::Bundle }
    }
}

/// The first twelve digits of an artifact's digest: enough to know it by.
pub fn short_digest(artifact: &str) -> &str {
    let digest = artifact.rsplit(':').next().unwrap_or(artifact);
    digest.get(..12).unwrap_or(digest)
}

/// When a container that ended is started again by the daemon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RestartPolicy {
    /// Unless a person stopped it.
    #[default]
    UnlessStopped,
    /// When it ended with an error.
    OnFailure,
    /// Always, also after a person stopped it and the daemon was started again.
    Always,
    /// Never.
    Never,
}

impl RestartPolicy {
    /// All of them.
    pub const ALL: [RestartPolicy; 4] =
        [RestartPolicy::UnlessStopped, RestartPolicy::OnFailure, RestartPolicy::Always, RestartPolicy::Never];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            RestartPolicy::UnlessStopped => "unless_stopped",
            RestartPolicy::OnFailure => "on_failure",
            RestartPolicy::Always => "always",
            RestartPolicy::Never => "never",
        }
    }

    /// Docker's word for it.
    pub fn as_docker(self) -> &'static str {
        match self {
            RestartPolicy::UnlessStopped => "unless-stopped",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::Always => "always",
            RestartPolicy::Never => "no",
        }
    }
}

/// What a container may take of its host. Absent means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resources {
    /// Memory in MiB, at least 6.
    pub memory_mb: Option<u32>,
    /// Thousandths of a processor core: 1500 is one and a half.
    pub cpu_millis: Option<u32>,
}

impl Resources {
    fn problems(&self, field: &str, say: &mut impl FnMut(String, &str)) {
        if self.memory_mb.is_some_and(|mb| !(6..=1_048_576).contains(&mb)) {
            say(format!("{field}.memory_mb"), "give 6 to 1048576 MiB, or leave it out for no limit");
        }
        if self.cpu_millis.is_some_and(|millis| !(10..=256_000).contains(&millis)) {
            say(
                format!("{field}.cpu_millis"),
                "give 0.01 to 256 cores, which are 10 to 256000 thousandths, or leave it out for no limit",
            );
        }
    }
}

/// How the toolchain image (`image`) is run for Prepare, Code Quality, Unit Test and the build command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Toolchain {
    /// Whether commands inside reach the network.
    pub network: bool,
    /// What they may take.
    pub resources: Resources,
}

impl Default for Toolchain {
    fn default() -> Self {
        Self { network: true, resources: Resources::default() }
    }
}

/// How the image is built from the Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageBuild {
    /// Build arguments. They stay visible in the image's history: nothing secret belongs here.
    pub arguments: BTreeMap<String, String>,
    /// Names of the service's secret variables that `RUN --mount=type=secret,id=NAME` may read; they stay in no layer.
    pub secrets: Vec<String>,
}

/// How containers of one environment are run (target `docker`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContainerSettings {
    /// The daemon: `unix:///…`, `tcp://HOST:2376` with `certificates`, or `ssh://USER@HOST`. The server's own when absent.
    pub host: Option<String>,
    /// Folder on the server with `ca.pem`, `cert.pem` and `key.pem`, for a daemon behind TLS.
    pub certificates: Option<String>,
    /// What it may take.
    pub resources: Resources,
    /// When the daemon starts it again.
    pub restart: RestartPolicy,
}

/// The service on ECS that an environment is (target `ecs`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EcsService {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The service's name in it.
    pub service: String,
    /// Which container of its tasks gets the image, where there are several; else the one with the service's name, or the only
    /// one that is essential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

impl ContainerSettings {
    /// What is wrong with the shape, each with its path below `field`.
    fn problems(&self, field: &str) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut say =
            |field: String, message: &str| found.push(FieldError { field, message: message.into() });
        if let Some(host) = &self.host {
            let known =
                ["unix://", "tcp://", "ssh://"].iter().any(|p| host.len() > p.len() && host.starts_with(p));
            if !known || host.contains(char::is_whitespace) {
                say(
                    format!("{field}.host"),
                    "give unix:///path, tcp://host:2376 or ssh://user@host, or leave it out for the server's own daemon",
                );
            }
            if host.starts_with("tcp://") && self.certificates.is_none() {
                say(
                    format!("{field}.certificates"),
                    "a daemon over tcp:// is used with TLS only: name the folder on the server that holds ca.pem, cert.pem and key.pem",
                );
            }
        }
        if self.certificates.as_deref().is_some_and(|folder| !folder.starts_with('/')) {
            say(format!("{field}.certificates"), "give an absolute path on the server");
        }
        self.resources.problems(&format!("{field}.resources"), &mut say);
        found
    }
}

impl ServiceSettings {
    /// What is wrong with everything that has to do with containers.
    pub(crate) fn container_problems(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        for environment in EnvironmentName::ALL {
            let field = format!("environments.{environment}.container");
            found.extend(self.environments.of(environment).container.problems(&field));
        }
        let mut say =
            |field: String, message: &str| found.push(FieldError { field, message: message.into() });
        self.toolchain.resources.problems("toolchain.resources", &mut say);
        let reference = |image: &str| {
            !image.starts_with('-') && !image.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        if self.image.as_deref().is_some_and(|image| !reference(image)) {
            say(
                "image".into(),
                "give an image such as `node:22` or `registry.example.org/tools/node@sha256:…`",
            );
        }
        let inside = |path: &str| !path.starts_with(['/', '-']) && !path.split('/').any(|part| part == "..");
        if self.dockerfile.as_deref().is_some_and(|path| !inside(path)) {
            say(
                "dockerfile".into(),
                "must be a path inside the repository, such as `Dockerfile` or `docker/orders.Dockerfile`",
            );
        }
        if let Some(integration) = &self.integration
            && integration.compose_file.as_deref().is_some_and(|path| !inside(path))
        {
            say(
                "integration.compose_file".into(),
                "must be a path inside the repository, such as `compose.test.yaml`",
            );
        }
        if self.container_port == Some(0) {
            say(
                "container_port".into(),
                "give a port from 1 to 65535, or leave it out for what the image exposes",
            );
        }
        let (staging, production) = (&self.environments.staging, &self.environments.production);
        if let (true, Some(one), Some(other)) = (self.staging, staging.target, production.target)
            && one != other
        {
            say(
                "environments.production.target".into(),
                "must be staging's target: both environments get the very same artifact, and that is either files or an image",
            );
        }
        if self.target().takes_images()
            && self.dockerfile.as_deref().is_none_or(|path| path.trim().is_empty())
        {
            say(
                "dockerfile".into(),
                "the targets `docker` and `ecs` deploy images: name the Dockerfile that makes one",
            );
        }
        for environment in EnvironmentName::ALL {
            let of = self.environments.of(environment);
            let field = format!("environments.{environment}.ecs");
            let used = environment == EnvironmentName::Production || self.staging;
            match &of.ecs {
                Some(place) => {
                    let bad = |name: &str| name.is_empty() || name.contains(char::is_whitespace);
                    if bad(&place.cluster) || bad(&place.service) {
                        say(
                            field,
                            "name a cluster and a service of it as ECS lists them, such as `main/orders`",
                        );
                    }
                }
                None if used && self.target() == TargetKind::Ecs => {
                    say(field, "pick the cluster and the service of ECS that this environment is");
                }
                None => {}
            }
        }
        let [staging, production] = [&self.environments.staging.ecs, &self.environments.production.ecs];
        if let (true, Some(one), Some(other)) = (self.staging, staging, production)
            && (&one.cluster, &one.service) == (&other.cluster, &other.service)
        {
            say(
                "environments.staging.ecs".into(),
                "is production's service as well: each environment needs one of its own",
            );
        }
        let secret =
            |name: &String| matches!(self.variables.get(name), Some(Variable::Secret(long)) if long.secret);
        for name in self.build.arguments.keys() {
            let wrong = if secret(name) {
                "is a secret, and build arguments stay readable in the image: list it in `build.secrets` instead"
            } else if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                "a build argument's name is letters, digits and underscores"
            } else {
                continue;
            };
            say(format!("build.arguments.{name}"), wrong);
        }
        for name in self.build.secrets.iter().filter(|name| !secret(name)) {
            say(
                format!("build.secrets.{name}"),
                "is no secret variable of this service: add it to its secrets, then list it here",
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_tell_what_they_are() {
        let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!((ArtifactKind::of(digest), short_digest(digest)), (ArtifactKind::Bundle, "9f86d081884c"));
        let image = format!("127.0.0.1:5000/shop@sha256:{digest}");
        assert_eq!((ArtifactKind::of(&image), short_digest(&image)), (ArtifactKind::Image, "9f86d081884c"));
        assert_eq!(ArtifactKind::of(&format!("sha256:{digest}")), ArtifactKind::Image);
    }

    #[test]
    fn names_are_those_of_the_wire() {
        for policy in RestartPolicy::ALL {
            assert_eq!(serde_json::json!(policy), policy.as_str());
        }
        for target in TargetKind::ALL {
            assert_eq!(serde_json::json!(target), target.as_str());
        }
    }

    #[test]
    fn a_daemon_over_tcp_needs_certificates() {
        let mut settings =
            ContainerSettings { host: Some("tcp://10.0.0.5:2376".into()), ..Default::default() };
        let fields = |s: &ContainerSettings| s.problems("c").into_iter().map(|p| p.field).collect::<Vec<_>>();
        assert_eq!(fields(&settings), ["c.certificates"]);
        settings.certificates = Some("/etc/seamless/docker".into());
        assert_eq!(fields(&settings), [""; 0]);
        settings.host = Some("10.0.0.5".into());
        settings.resources.memory_mb = Some(1);
        assert_eq!(fields(&settings), ["c.host", "c.resources.memory_mb"]);
    }

    #[test]
    fn images_need_a_dockerfile_and_secrets_stay_out_of_arguments() {
        let mut s = ServiceSettings::new("orders", "/srv/orders.git");
        s.environments.production.target = Some(TargetKind::Docker);
        s.environments.staging.target = Some(TargetKind::Process);
        let secret = crate::service::SecretVariable { value: Some("hunter2hunter2".into()), secret: true };
        s.variables.insert("TOKEN".into(), Variable::Secret(secret));
        s.build.arguments.insert("TOKEN".into(), "x".into());
        s.build.secrets = vec!["TOKEN".into(), "OTHER".into()];
        let fields: Vec<_> = s.problems().into_iter().map(|p| p.field).collect();
        assert_eq!(
            fields,
            ["environments.production.target", "dockerfile", "build.arguments.TOKEN", "build.secrets.OTHER"]
        );
    }
}
