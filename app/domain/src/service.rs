//! What a person tells Seamless about a service: repository, commands, variables, environments.
//!
//! Refuses to validate against the world (does the repository exist?); that is `control`'s. Shape and range are checked here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    containers::{ContainerSettings, EcsService, ImageBuild, TargetKind, Toolchain},
    problem::FieldError,
    stage::{EnvironmentName, StageKind},
};

/// Default hard timeout of a stage, in seconds.
pub const DEFAULT_TIMEOUT_S: u32 = 3600;
/// Default time an approval waits before it expires, in seconds.
pub const DEFAULT_APPROVAL_S: u32 = 10 * 24 * 3600;
/// Shortest secret that is masked; shorter ones would blank out ordinary words.
pub const SHORTEST_SECRET: usize = 6;

/// Whether a secret is long enough to be masked; blanks around it do not count.
pub fn maskable(secret: &str) -> bool {
    secret.trim().chars().count() >= SHORTEST_SECRET
}

/// Which happenings start a run by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Triggers {
    /// A push to the service's branch.
    pub push: bool,
    /// A pull request is opened.
    pub pull_request_opened: bool,
    /// A pull request gets new commits.
    pub pull_request_synchronized: bool,
    /// Only changes of these paths start a run: folders, or patterns with `*`, `**` and `?`; those that begin with `!` are taken
    /// out again. Empty: every change does.
    pub paths: Vec<String>,
    /// Whether new commits of a pull request end its runs of older ones.
    pub cancel_older: bool,
    /// Whether pull requests from forks run without asking anybody; without secrets in any case.
    pub trust_forks: bool,
}

impl Default for Triggers {
    fn default() -> Self {
        Self {
            push: true,
            pull_request_opened: true,
            pull_request_synchronized: true,
            paths: Vec::new(),
            cancel_older: false,
            trust_forks: false,
        }
    }
}

/// The command of each stage, run by `sh -c` in the workspace; absent or empty means that the stage is skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Commands {
    /// Brings in dependencies.
    pub prepare: Option<String>,
    /// Linters.
    pub code_quality: Option<String>,
    /// Tests.
    pub unit_test: Option<String>,
    /// Builds; what the workspace holds afterwards becomes the artifact.
    pub build: Option<String>,
    /// Tests the started candidate beside its neighbours.
    pub integration_test: Option<String>,
    /// Starts the service; it must listen on `PORT`.
    pub start: Option<String>,
}

impl Commands {
    /// The command of a stage, if it has one that is not blank. Deploys use `start`.
    pub fn of(&self, kind: StageKind) -> Option<&str> {
        let command = match kind {
            StageKind::Prepare => &self.prepare,
            StageKind::CodeQuality => &self.code_quality,
            StageKind::UnitTest => &self.unit_test,
            StageKind::Build => &self.build,
            StageKind::IntegrationTest => &self.integration_test,
            StageKind::DeployStaging | StageKind::DeployProduction => &self.start,
        };
        command.as_deref().map(str::trim).filter(|c| !c.is_empty())
    }
}

/// What is told on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reports {
    /// A status on each commit: for the run, and for checks, build, staging and production.
    pub statuses: bool,
    /// A comment on each pull request with its runs, kept up to date in place.
    pub comment: bool,
    /// Deployments to staging and production.
    pub deployments: bool,
}

impl Default for Reports {
    fn default() -> Self {
        Self { statuses: true, comment: false, deployments: true }
    }
}

/// A variable for commands and for the started service.
///
/// On the wire a plain one is a string and a secret one is `{"value": "...", "secret": true}`; answers never carry a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Variable {
    /// Shown to everybody.
    Plain(String),
    /// Encrypted at rest, masked in logs, never shown again.
    Secret(SecretVariable),
}

/// The long form of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecretVariable {
    /// The value; absent in answers. Absent in a change, it keeps the value that is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether it is masked and hidden.
    #[serde(default)]
    pub secret: bool,
}

/// A service's settings in one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnvironmentSettings {
    /// How it is deployed. Absent when the service is connected: `docker` where it has a Dockerfile and the server's daemon
    /// answers, else `process`; that choice is then kept.
    pub target: Option<TargetKind>,
    /// The stable port on which it answers; chosen and kept when absent.
    pub port: Option<u16>,
    /// Variables of this environment alone; they win over the service's.
    pub variables: BTreeMap<String, Variable>,
    /// How its containers are run (target `docker`).
    pub container: ContainerSettings,
    /// The service that it is (target `ecs`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecs: Option<EcsService>,
}

/// Both environments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Environments {
    /// For a last look.
    pub staging: EnvironmentSettings,
    /// For users.
    pub production: EnvironmentSettings,
}

impl Environments {
    /// One of them.
    pub fn of(&self, environment: EnvironmentName) -> &EnvironmentSettings {
        match environment {
            EnvironmentName::Staging => &self.staging,
            EnvironmentName::Production => &self.production,
        }
    }

    /// One of them, to be changed.
    pub fn of_mut(&mut self, environment: EnvironmentName) -> &mut EnvironmentSettings {
        match environment {
            EnvironmentName::Staging => &mut self.staging,
            EnvironmentName::Production => &mut self.production,
        }
    }
}

/// A Compose file with the integration tests (target `docker`); without one, Seamless makes it from what it knows of the
/// pipeline's services and runs the integration command in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Integration {
    /// Repository of the tests; the service's own when absent. Its default branch is used.
    pub repository: Option<String>,
    /// Compose file in it; `compose.yaml` and its kin when absent.
    pub compose_file: Option<String>,
    /// Name of this service in the compose file; its own name when absent.
    pub service: Option<String>,
    /// Name of the service whose exit code is the verdict; `test` when absent.
    pub test_service: Option<String>,
}

/// Everything a person sets for a service. `POST /services` takes it, `GET` gives it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceSettings {
    /// Unique in its pipeline: lower-case letters, digits, hyphens, at most 63.
    pub name: String,
    /// URL, path, or `owner/name` on GitHub.
    pub repository: String,
    /// Branch whose pushes are deployed; the repository's default when absent.
    #[serde(default)]
    pub branch: Option<String>,
    /// What starts a run.
    #[serde(default)]
    pub triggers: Triggers,
    /// The stages' commands.
    #[serde(default)]
    pub commands: Commands,
    /// Toolchain image in which Prepare, Code Quality, Unit Test and the build command run; on the host when absent.
    #[serde(default)]
    pub image: Option<String>,
    /// How that image is run.
    #[serde(default)]
    pub toolchain: Toolchain,
    /// Path of the Dockerfile in the repository (target `docker`).
    #[serde(default)]
    pub dockerfile: Option<String>,
    /// How the image is built (target `docker`).
    #[serde(default)]
    pub build: ImageBuild,
    /// The port on which the service listens inside its container, told to it in `PORT`; what its image exposes when absent,
    /// else 8080.
    #[serde(default)]
    pub container_port: Option<u16>,
    /// Folder inside the repository that is the service.
    #[serde(default)]
    pub context: Option<String>,
    /// Stable port of production; chosen and kept when absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// Path that answers 2xx when the service is healthy; without one, an open port counts.
    #[serde(default)]
    pub health_path: Option<String>,
    /// Whether there is a staging before production.
    #[serde(default = "yes")]
    pub staging: bool,
    /// Whether production follows without a person's approval.
    #[serde(default)]
    pub auto_deploy: bool,
    /// Whether a green pull request is merged by itself (used with GitHub).
    #[serde(default)]
    pub auto_merge: bool,
    /// What is told on GitHub.
    #[serde(default)]
    pub github: Reports,
    /// Variables for commands and the service.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    /// Integration tests by Compose.
    #[serde(default)]
    pub integration: Option<Integration>,
    /// Settings per environment.
    #[serde(default)]
    pub environments: Environments,
    /// Hard limit of each stage, in seconds.
    #[serde(default = "default_timeout")]
    pub stage_timeout_s: u32,
    /// How long an approval waits, in seconds.
    #[serde(default = "default_approval")]
    pub approval_timeout_s: u32,
    /// How long a started version may take to become healthy, in seconds.
    #[serde(default = "default_health")]
    pub health_timeout_s: u32,
}

fn yes() -> bool {
    true
}
fn default_timeout() -> u32 {
    DEFAULT_TIMEOUT_S
}
fn default_approval() -> u32 {
    DEFAULT_APPROVAL_S
}
fn default_health() -> u32 {
    60
}

impl ServiceSettings {
    /// Settings with every default, for a name and a repository.
    pub fn new(name: impl Into<String>, repository: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            repository: repository.into(),
            branch: None,
            triggers: Triggers::default(),
            commands: Commands::default(),
            image: None,
            toolchain: Toolchain::default(),
            dockerfile: None,
            build: ImageBuild::default(),
            container_port: None,
            context: None,
            port: None,
            health_path: None,
            staging: true,
            auto_deploy: false,
            auto_merge: false,
            github: Reports::default(),
            variables: BTreeMap::new(),
            integration: None,
            environments: Environments::default(),
            stage_timeout_s: DEFAULT_TIMEOUT_S,
            approval_timeout_s: DEFAULT_APPROVAL_S,
            health_timeout_s: default_health(),
        }
    }

    /// How it is deployed; processes as long as nothing else was chosen. Both environments get the same artifact, so both have
    /// the same target.
    pub fn target(&self) -> TargetKind {
        self.environments.production.target.or(self.environments.staging.target).unwrap_or_default()
    }

    /// Every field whose shape is wrong, each with the remedy.
    pub fn problems(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut say = |field: &str, message: String| found.push(FieldError { field: field.into(), message });
        let name_ok = !self.name.is_empty()
            && self.name.len() <= 63
            && self.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !self.name.starts_with('-')
            && !self.name.ends_with('-');
        if !name_ok {
            say("name", "use 1 to 63 lower-case letters, digits and hyphens, such as `orders` or `stock-api`; no hyphen at either end".into());
        }
        if self.repository.trim().is_empty() {
            say("repository", "give a path, a URL, or owner/name on GitHub".into());
        } else if self.repository.starts_with('-') || self.repository.contains(['\n', '\0']) {
            say("repository", "must not start with a hyphen or hold line breaks".into());
        }
        if let Some(branch) = &self.branch
            && (branch.is_empty()
                || branch.starts_with('-')
                || branch.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            say(
                "branch",
                "give a branch name such as `main`, or leave it out for the repository's default".into(),
            );
        }
        for path in &self.triggers.paths {
            let bare = path.strip_prefix('!').unwrap_or(path);
            if bare.is_empty() || bare.starts_with('/') || bare.split('/').any(|part| part == "..") {
                say(
                    "triggers.paths",
                    format!(
                        "{path:?} must be a path inside the repository, such as `services/orders` or `**/*.proto`"
                    ),
                );
            }
        }
        if let Some(path) = &self.health_path
            && !path.starts_with('/')
        {
            say("health_path", format!("must start with `/`, such as `/{path}`"));
        }
        if let Some(context) = &self.context
            && (context.starts_with('/') || context.split('/').any(|part| part == ".."))
        {
            say("context", "must be a folder inside the repository, such as `services/orders`".into());
        }
        for (field, port) in [
            ("port", self.port),
            ("environments.staging.port", self.environments.staging.port),
            ("environments.production.port", self.environments.production.port),
        ] {
            if port.is_some_and(|p| p < 1024) {
                say(field, "choose a port from 1024 to 65535, or leave it out".into());
            }
        }
        if let (Some(a), Some(b)) = (self.port, self.environments.production.port)
            && a != b
        {
            say(
                "environments.production.port",
                "differs from `port`; they are the same setting, so give one of them".into(),
            );
        }
        for (field, seconds, most) in [
            ("stage_timeout_s", self.stage_timeout_s, 24 * 3600),
            ("approval_timeout_s", self.approval_timeout_s, 365 * 24 * 3600),
            ("health_timeout_s", self.health_timeout_s, 3600),
        ] {
            if seconds == 0 || seconds > most {
                say(field, format!("give 1 to {most} seconds"));
            }
        }
        found.extend(self.container_problems());
        let mut say = |field: &str, message: String| found.push(FieldError { field: field.into(), message });
        let groups = [
            ("variables", &self.variables),
            ("environments.staging.variables", &self.environments.staging.variables),
            ("environments.production.variables", &self.environments.production.variables),
        ];
        for (group, variables) in groups {
            for (name, variable) in variables {
                let field = format!("{group}.{name}");
                let name_ok = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                if !name_ok {
                    say(
                        &field,
                        "a variable's name is letters, digits and underscores, not starting with a digit"
                            .into(),
                    );
                }
                if name == "PORT" || name.starts_with("SEAMLESS_") {
                    say(
                        &field,
                        "PORT and names that start with SEAMLESS_ are set by Seamless; choose another name"
                            .into(),
                    );
                }
                let (value, secret) = match variable {
                    Variable::Plain(value) => (Some(value), false),
                    Variable::Secret(long) => (long.value.as_ref(), long.secret),
                };
                if value.is_some_and(|v| v.contains('\0')) {
                    say(&field, "must not hold a NUL character".into());
                }
                if secret && value.is_some_and(|v| !maskable(v)) {
                    say(
                        &field,
                        format!(
                            "a secret under {SHORTEST_SECRET} characters cannot be masked in logs; use a longer one"
                        ),
                    );
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_field_is_named() {
        let mut settings = ServiceSettings::new("Orders!", "");
        settings.health_path = Some("health".into());
        settings.port = Some(80);
        settings.context = Some("../etc".into());
        settings.variables.insert("PORT".into(), Variable::Plain("1".into()));
        settings.variables.insert(
            "KEY".into(),
            Variable::Secret(SecretVariable { value: Some("abc".into()), secret: true }),
        );
        let fields: Vec<_> = settings.problems().into_iter().map(|p| p.field).collect();
        assert_eq!(
            fields,
            ["name", "repository", "health_path", "context", "port", "variables.KEY", "variables.PORT"]
        );
        assert_eq!(ServiceSettings::new("orders", "/srv/orders.git").problems(), []);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let refused =
            serde_json::from_str::<ServiceSettings>(r#"{"name":"a","repository":"b","comands":{}}"#);
        assert!(refused.is_err_and(|e| e.to_string().contains("comands")));
    }
}
