//! What the form asks about containers, and the way from there to settings and back.
//!
//! Refuses to throw away what is not used: settings of containers are kept while a service runs as processes.

use std::collections::BTreeMap;

use domain::{
    containers::{
        ContainerSettings, EcsService, ImageBuild, Resources, RestartPolicy, TargetKind, Toolchain,
    },
    problem::FieldError,
    service::{EnvironmentSettings, Integration, ServiceSettings, Variable},
    stage::EnvironmentName,
};
use serde::{Deserialize, Serialize};

use super::{amounts, error, filled, text, tick, variables};

/// The inputs about containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainersForm {
    /// `process`, `docker` or `ecs`; empty keeps what is stored.
    pub target: String,
    /// Path of the Dockerfile.
    pub dockerfile: String,
    /// Port inside the container; empty for what the image exposes.
    pub port: String,
    /// Build arguments, `NAME=value` lines.
    pub arguments: String,
    /// Names of secrets that the build may read.
    pub secrets: String,
    /// Toolchain image; empty for this machine.
    pub image: String,
    /// Whether commands in it reach the network.
    pub network: Option<String>,
    /// What they may take of memory and cores.
    pub memory: String,
    /// The same of cores.
    pub cores: String,
    /// Whether integration tests are a Compose file's.
    pub compose: Option<String>,
    /// Repository of that file; empty for the service's own.
    pub compose_repository: String,
    /// Its path; empty for the usual names.
    pub compose_file: String,
    /// The service's name in it; empty for its own.
    pub compose_service: String,
    /// The service whose exit code is the verdict; empty for `test`.
    pub compose_test: String,
    /// Containers of staging.
    pub staging: PlaceForm,
    /// Containers of production.
    pub production: PlaceForm,
}

/// The inputs about containers of one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaceForm {
    /// Memory; empty for no limit.
    pub memory: String,
    /// Cores; empty for no limit.
    pub cores: String,
    /// When the daemon starts it again; empty for unless stopped.
    pub restart: String,
    /// The daemon; empty for the server's own.
    pub host: String,
    /// Folder of certificates for it.
    pub certificates: String,
    /// The service on ECS, as `cluster/service`; empty for none.
    pub ecs: String,
    /// The container of it that gets the image; empty where that is clear.
    pub ecs_container: String,
}

fn resources(of: Resources) -> (String, String) {
    let memory = of.memory_mb.map(amounts::memory_to_text).unwrap_or_default();
    (memory, of.cpu_millis.map(amounts::cores_to_text).unwrap_or_default())
}

/// Reads limits; what is no amount is said.
fn limits(field: &str, memory: &str, cores: &str, problems: &mut Vec<FieldError>) -> Resources {
    let mut read = |name: &str, text: &str, parse: fn(&str) -> Option<u32>, remedy: &str| {
        let text = Some(text.trim()).filter(|t| !t.is_empty())?;
        let amount = parse(text);
        if amount.is_none() {
            problems.push(error(&format!("{field}.{name}"), remedy));
        }
        amount
    };
    Resources {
        memory_mb: read(
            "memory_mb",
            memory,
            amounts::parse_memory,
            "write a whole number and a unit, such as `512 MiB` or `2 GiB`, or leave it empty for no limit",
        ),
        cpu_millis: read(
            "cpu_millis",
            cores,
            amounts::parse_cores,
            "write a number of cores, such as `2` or `0.5`, or leave it empty for no limit",
        ),
    }
}

impl PlaceForm {
    fn of(of: &EnvironmentSettings) -> Self {
        let (settings, ecs) = (&of.container, of.ecs.clone());
        let (memory, cores) = resources(settings.resources);
        Self {
            memory,
            cores,
            restart: settings.restart.as_str().into(),
            host: text(&settings.host),
            certificates: text(&settings.certificates),
            ecs: ecs.as_ref().map(|e| format!("{}/{}", e.cluster, e.service)).unwrap_or_default(),
            ecs_container: ecs.and_then(|e| e.container).unwrap_or_default(),
        }
    }

    /// The service on ECS, where one is picked.
    fn ecs(&self) -> Option<EcsService> {
        let picked = Some(self.ecs.trim()).filter(|picked| !picked.is_empty())?;
        // A cluster may be an ARN, with a slash of its own.
        let (cluster, service) = picked.rsplit_once('/').unwrap_or(("", picked));
        let container = filled(self.ecs_container.clone());
        Some(EcsService { cluster: cluster.trim().into(), service: service.trim().into(), container })
    }

    fn read(self, field: &str, problems: &mut Vec<FieldError>) -> ContainerSettings {
        let resources = limits(&format!("{field}.resources"), &self.memory, &self.cores, problems);
        let asked = self.restart.trim();
        let restart = RestartPolicy::ALL.into_iter().find(|policy| policy.as_str() == asked);
        if restart.is_none() && !asked.is_empty() {
            let known = RestartPolicy::ALL.map(RestartPolicy::as_str).join(", ");
            problems.push(error(&format!("{field}.restart"), &format!("choose one of: {known}")));
        }
        ContainerSettings {
            host: filled(self.host),
            certificates: filled(self.certificates),
            resources,
            restart: restart.unwrap_or_default(),
        }
    }
}

impl ContainersForm {
    /// As it shows some settings.
    pub(super) fn of(settings: &ServiceSettings) -> Self {
        let e = &settings.environments;
        let (memory, cores) = resources(settings.toolchain.resources);
        let plain = |(name, value): (&String, &String)| (name.clone(), Variable::Plain(value.clone()));
        let arguments: BTreeMap<_, _> = settings.build.arguments.iter().map(plain).collect();
        let composed = settings.integration.clone().unwrap_or_default();
        Self {
            target: settings.target().as_str().into(),
            dockerfile: text(&settings.dockerfile),
            port: settings.container_port.map(|p| p.to_string()).unwrap_or_default(),
            arguments: variables::plain_lines(&arguments),
            secrets: settings.build.secrets.join("\n"),
            image: text(&settings.image),
            network: tick(settings.toolchain.network),
            memory,
            cores,
            compose: tick(settings.integration.is_some()),
            compose_repository: text(&composed.repository),
            compose_file: text(&composed.compose_file),
            compose_service: text(&composed.service),
            compose_test: text(&composed.test_service),
            staging: PlaceForm::of(&e.staging),
            production: PlaceForm::of(&e.production),
        }
    }

    /// Puts what the form asks for into the settings; what cannot be read is said.
    pub(super) fn apply(self, settings: &mut ServiceSettings, problems: &mut Vec<FieldError>) {
        let asked = self.target.trim();
        match TargetKind::ALL.into_iter().find(|target| target.as_str() == asked) {
            // Both environments get the same artifact, so both have the same target.
            Some(target) => {
                for environment in EnvironmentName::ALL {
                    settings.environments.of_mut(environment).target = Some(target);
                }
            }
            None if asked.is_empty() => {}
            None => {
                problems.push(error("environments.production.target", "choose `process`, `docker` or `ecs`"));
            }
        }
        settings.container_port = match self.port.trim() {
            "" => None,
            text => text.parse::<u16>().map(Some).unwrap_or_else(|_| {
                problems.push(error("container_port", "give a port from 1 to 65535, or leave it empty"));
                None
            }),
        };
        settings.dockerfile = filled(self.dockerfile);
        let plain = |(name, variable)| match variable {
            Variable::Plain(value) => Some((name, value)),
            Variable::Secret(_) => None,
        };
        let arguments = variables::parse("build.arguments", &self.arguments, "", problems);
        settings.build = ImageBuild {
            arguments: arguments.into_iter().filter_map(plain).collect(),
            secrets: names(&self.secrets),
        };
        settings.image = filled(self.image);
        let resources = limits("toolchain.resources", &self.memory, &self.cores, problems);
        settings.toolchain = Toolchain { network: self.network.is_some(), resources };
        settings.integration = self.compose.is_some().then(|| Integration {
            repository: filled(self.compose_repository),
            compose_file: filled(self.compose_file),
            service: filled(self.compose_service),
            test_service: filled(self.compose_test),
        });
        for (environment, place) in
            [(EnvironmentName::Staging, self.staging), (EnvironmentName::Production, self.production)]
        {
            let field = format!("environments.{environment}.container");
            let of = settings.environments.of_mut(environment);
            of.ecs = place.ecs();
            of.container = place.read(&field, problems);
        }
    }
}

/// Names apart by blanks, commas or lines, each once, in their order.
fn names(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in text.split(|c: char| c.is_whitespace() || c == ',').filter(|n| !n.is_empty()) {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}
