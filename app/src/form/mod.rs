//! The service form: every setting as a text field, as browsers post them, and the way from there to settings and back.
//!
//! Refuses to lose what it does not show: settings without a field are taken from what is stored.

mod amounts;
mod cloud;
mod containers;
mod durations;
mod variables;

use domain::{
    problem::FieldError,
    service::{Commands, Reports, ServiceSettings, Triggers},
};
use serde::{Deserialize, Serialize};

pub use cloud::{CloudForm, Purpose};
pub use containers::{ContainersForm, PlaceForm};
pub use variables::KEEP;

/// What the form's inputs hold. Check boxes are absent when they are off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceForm {
    /// Name of the service.
    pub name: String,
    /// Path or URL.
    pub repository: String,
    /// Branch; empty for the default.
    pub branch: String,
    /// Folder inside the repository.
    pub context: String,
    /// Command of Prepare.
    pub prepare: String,
    /// Command of Code Quality.
    pub code_quality: String,
    /// Command of Unit Test.
    pub unit_test: String,
    /// Command of Build.
    pub build: String,
    /// Command of Integration Test.
    pub integration_test: String,
    /// Command that starts the service.
    pub start: String,
    /// Port of production; empty to let one be chosen.
    pub port: String,
    /// Port of staging; empty to let one be chosen.
    pub staging_port: String,
    /// Health path; empty when an open port counts.
    pub health_path: String,
    /// Limit of a stage, such as `1 h`.
    pub stage_timeout: String,
    /// How long an approval waits, such as `10 d`.
    pub approval_timeout: String,
    /// How long a start may take, such as `60 s`.
    pub health_timeout: String,
    /// Whether there is a staging.
    pub staging: Option<String>,
    /// Whether production follows by itself.
    pub auto_deploy: Option<String>,
    /// Whether pushes start runs.
    pub on_push: Option<String>,
    /// Whether opened pull requests start runs.
    pub on_opened: Option<String>,
    /// Whether new commits of pull requests start runs.
    pub on_synchronized: Option<String>,
    /// Only changes of these paths, one on a line.
    #[serde(default)]
    pub only_paths: String,
    /// Ticked when new commits of a pull request end its older runs.
    #[serde(default)]
    pub cancel_older: Option<String>,
    /// Ticked when pull requests from forks run without asking.
    #[serde(default)]
    pub trust_forks: Option<String>,
    /// Ticked when commits get statuses on GitHub.
    pub tell_statuses: Option<String>,
    /// Ticked when pull requests get a comment.
    pub tell_comment: Option<String>,
    /// Ticked when GitHub shows deployments.
    pub tell_deployments: Option<String>,
    /// Ticked when a pull request that succeeded is merged.
    pub auto_merge: Option<String>,
    /// `NAME=value` lines.
    pub variables: String,
    /// `NAME=value` lines of secrets; six stars keep what is stored.
    pub secrets: String,
    /// The same for staging alone.
    pub staging_variables: String,
    /// The same for staging alone.
    pub staging_secrets: String,
    /// The same for production alone.
    pub production_variables: String,
    /// The same for production alone.
    pub production_secrets: String,
    /// Everything about containers.
    pub containers: ContainersForm,
}

fn tick(on: bool) -> Option<String> {
    on.then(|| "on".to_owned())
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

fn filled(text: String) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.replace("\r\n", "\n"))
}

impl ServiceForm {
    /// The form as it shows some settings.
    pub fn of(settings: &ServiceSettings) -> Self {
        let (c, e) = (&settings.commands, &settings.environments);
        let port = |p: Option<u16>| p.map(|p| p.to_string()).unwrap_or_default();
        Self {
            name: settings.name.clone(),
            repository: settings.repository.clone(),
            branch: text(&settings.branch),
            context: text(&settings.context),
            prepare: text(&c.prepare),
            code_quality: text(&c.code_quality),
            unit_test: text(&c.unit_test),
            build: text(&c.build),
            integration_test: text(&c.integration_test),
            start: text(&c.start),
            port: port(settings.port.or(e.production.port)),
            staging_port: port(e.staging.port),
            health_path: text(&settings.health_path),
            stage_timeout: durations::to_text(settings.stage_timeout_s),
            approval_timeout: durations::to_text(settings.approval_timeout_s),
            health_timeout: durations::to_text(settings.health_timeout_s),
            staging: tick(settings.staging),
            auto_deploy: tick(settings.auto_deploy),
            on_push: tick(settings.triggers.push),
            on_opened: tick(settings.triggers.pull_request_opened),
            on_synchronized: tick(settings.triggers.pull_request_synchronized),
            only_paths: settings.triggers.paths.join("\n"),
            cancel_older: tick(settings.triggers.cancel_older),
            trust_forks: tick(settings.triggers.trust_forks),
            tell_statuses: tick(settings.github.statuses),
            tell_comment: tick(settings.github.comment),
            tell_deployments: tick(settings.github.deployments),
            auto_merge: tick(settings.auto_merge),
            variables: variables::plain_lines(&settings.variables),
            secrets: variables::secret_lines(&settings.variables),
            staging_variables: variables::plain_lines(&e.staging.variables),
            staging_secrets: variables::secret_lines(&e.staging.variables),
            production_variables: variables::plain_lines(&e.production.variables),
            production_secrets: variables::secret_lines(&e.production.variables),
            containers: ContainersForm::of(settings),
        }
    }

    /// The settings the form asks for, on top of `base` for what it does not show.
    ///
    /// # Errors
    /// Every field that cannot be read or is out of range.
    pub fn into_settings(self, base: ServiceSettings) -> Result<ServiceSettings, Vec<FieldError>> {
        let mut problems = Vec::new();
        let mut port = |field: &str, text: &str| match text.trim() {
            "" => None,
            text => text.parse::<u16>().map_or_else(
                |_| {
                    problems.push(error(field, "give a number from 1024 to 65535, or leave it empty"));
                    None
                },
                Some,
            ),
        };
        let production_port = port("port", &self.port);
        let staging_port = port("environments.staging.port", &self.staging_port);
        let mut seconds = |field: &str, text: &str, default: u32| match durations::parse(text) {
            _ if text.trim().is_empty() => default,
            Some(seconds) => seconds,
            None => {
                problems.push(error(
                    field,
                    "write a number and a unit, such as `90 s`, `30 min`, `1 h` or `10 d`",
                ));
                default
            }
        };
        let stage_timeout_s = seconds("stage_timeout_s", &self.stage_timeout, base.stage_timeout_s);
        let approval_timeout_s =
            seconds("approval_timeout_s", &self.approval_timeout, base.approval_timeout_s);
        let health_timeout_s = seconds("health_timeout_s", &self.health_timeout, base.health_timeout_s);
        let mut group =
            |field: &str, plain: &str, secret: &str| variables::parse(field, plain, secret, &mut problems);
        let variables = group("variables", &self.variables, &self.secrets);
        let staging_variables =
            group("environments.staging.variables", &self.staging_variables, &self.staging_secrets);
        let production_variables =
            group("environments.production.variables", &self.production_variables, &self.production_secrets);
        let mut environments = base.environments.clone();
        environments.staging.port = staging_port;
        environments.staging.variables = staging_variables;
        // One setting, said once: the service's own port is production's.
        environments.production.port = None;
        environments.production.variables = production_variables;
        let mut settings = ServiceSettings {
            name: self.name.trim().to_owned(),
            repository: self.repository.trim().to_owned(),
            branch: filled(self.branch),
            triggers: Triggers {
                push: self.on_push.is_some(),
                pull_request_opened: self.on_opened.is_some(),
                pull_request_synchronized: self.on_synchronized.is_some(),
                paths: self
                    .only_paths
                    .lines()
                    .map(str::trim)
                    .filter(|l| !l.is_empty())
                    .map(str::to_owned)
                    .collect(),
                cancel_older: self.cancel_older.is_some(),
                trust_forks: self.trust_forks.is_some(),
            },
            commands: Commands {
                prepare: filled(self.prepare),
                code_quality: filled(self.code_quality),
                unit_test: filled(self.unit_test),
                build: filled(self.build),
                integration_test: filled(self.integration_test),
                start: filled(self.start),
            },
            context: filled(self.context),
            port: production_port,
            health_path: filled(self.health_path),
            staging: self.staging.is_some(),
            auto_deploy: self.auto_deploy.is_some(),
            auto_merge: self.auto_merge.is_some(),
            github: Reports {
                statuses: self.tell_statuses.is_some(),
                comment: self.tell_comment.is_some(),
                deployments: self.tell_deployments.is_some(),
            },
            variables,
            environments,
            stage_timeout_s,
            approval_timeout_s,
            health_timeout_s,
            ..base
        };
        self.containers.apply(&mut settings, &mut problems);
        problems.extend(settings.problems());
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// Whether secrets were typed that did not travel along.
    pub fn lacks_secrets(&self) -> bool {
        let all = [&self.secrets, &self.staging_secrets, &self.production_secrets];
        all.into_iter().flat_map(|lines| lines.lines()).any(|line| line.trim_end().ends_with('='))
    }

    /// The form without any secret's value, fit to travel in an address.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        for lines in [&mut self.secrets, &mut self.staging_secrets, &mut self.production_secrets] {
            *lines = variables::hide(lines);
        }
        self
    }
}

fn error(field: &str, message: &str) -> FieldError {
    FieldError { field: field.into(), message: message.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use domain::{
        EnvironmentName,
        containers::{ContainerSettings, EcsService, Resources, RestartPolicy, TargetKind},
        service::{Integration, SecretVariable, Variable},
    };

    fn full() -> ServiceSettings {
        let mut s = ServiceSettings::new("orders", "/srv/orders.git");
        s.branch = Some("main".into());
        s.commands.start = Some("node server.js".into());
        s.commands.unit_test = Some("npm test\nnpm run more".into());
        s.port = Some(4100);
        s.environments.staging.port = Some(4600);
        s.health_path = Some("/healthz".into());
        s.auto_deploy = true;
        s.auto_merge = true;
        s.github = Reports { statuses: false, comment: true, deployments: false };
        s.image = Some("node:22".into());
        s.toolchain.network = false;
        s.toolchain.resources.cpu_millis = Some(1500);
        s.dockerfile = Some("docker/orders.Dockerfile".into());
        s.container_port = Some(8080);
        s.build.arguments.insert("NODE_ENV".into(), "production".into());
        s.build.secrets = vec!["NPM_TOKEN".into(), "KEY".into()];
        s.variables
            .insert("NPM_TOKEN".into(), Variable::Secret(SecretVariable { value: None, secret: true }));
        s.integration =
            Some(Integration { compose_file: Some("compose.test.yaml".into()), ..Default::default() });
        for environment in EnvironmentName::ALL {
            s.environments.of_mut(environment).target = Some(TargetKind::Docker);
        }
        s.environments.staging.ecs = Some(EcsService {
            cluster: "arn:aws:ecs:eu-central-1:123456789012:cluster/main".into(),
            service: "orders-staging".into(),
            container: Some("web".into()),
        });
        s.environments.production.container = ContainerSettings {
            host: Some("tcp://10.0.0.5:2376".into()),
            certificates: Some("/etc/seamless/docker".into()),
            resources: Resources { memory_mb: Some(2048), cpu_millis: Some(250) },
            restart: RestartPolicy::OnFailure,
        };
        s.stage_timeout_s = 90;
        s.triggers.pull_request_opened = false;
        s.triggers.paths = vec!["services/orders".into(), "!**/*.md".into()];
        s.triggers.cancel_older = true;
        s.triggers.trust_forks = true;
        s.variables.insert("GREETING".into(), Variable::Plain("two\nlines".into()));
        let kept = Variable::Secret(SecretVariable { value: None, secret: true });
        s.variables.insert("KEY".into(), kept.clone());
        s.environments.production.variables.insert("TOKEN".into(), kept);
        s
    }

    #[test]
    fn there_and_back_changes_nothing() {
        assert_eq!(ServiceForm::of(&full()).into_settings(full()), Ok(full()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let form = ServiceForm {
            name: "Orders!".into(),
            repository: "/srv/orders.git".into(),
            port: "http".into(),
            stage_timeout: "a while".into(),
            variables: "A=1\nnonsense\n".into(),
            ..ServiceForm::default()
        };
        let problems = form.into_settings(ServiceSettings::new("x", "y")).unwrap_err();
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["port", "stage_timeout_s", "variables", "name"]);
        assert!(problems[2].message.contains("line 2"), "{}", problems[2].message);
    }

    #[test]
    fn what_is_wrong_about_containers_is_named() {
        let mut form = ServiceForm::of(&full());
        let c = &mut form.containers;
        (c.target, c.port, c.memory) = ("cloud".into(), "http".into(), "much".into());
        (c.arguments, c.secrets) = ("nonsense".into(), "KEY, NOBODY\nKEY".into());
        (c.production.cores, c.staging.restart) = ("1,5".into(), "sometimes".into());
        let problems = form.into_settings(full()).unwrap_err();
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "environments.production.target",
                "container_port",
                "build.arguments",
                "toolchain.resources.memory_mb",
                "environments.staging.container.restart",
                "environments.production.container.resources.cpu_millis",
                "build.secrets.NOBODY",
            ]
        );
    }

    #[test]
    fn what_is_emptied_is_gone() {
        let form = ServiceForm { name: "a".into(), repository: "/b".into(), ..ServiceForm::default() };
        let mut base = full();
        base.environments = Default::default();
        let settings = form.into_settings(base).unwrap();
        assert_eq!((settings.image, settings.dockerfile, settings.integration), (None, None, None));
        assert_eq!((settings.container_port, settings.build), (None, Default::default()));
    }

    #[test]
    fn a_checkbox_that_is_off_is_absent() {
        let mut form = ServiceForm { name: "a".into(), repository: "/b".into(), ..ServiceForm::default() };
        form.containers.dockerfile = "Dockerfile".into();
        let settings = form.into_settings(full()).unwrap();
        assert!(!settings.toolchain.network && settings.integration.is_none());
        assert!(!settings.staging && !settings.auto_deploy && !settings.triggers.push);
        assert!(!settings.auto_merge && !settings.github.statuses);
    }

    #[test]
    fn secrets_do_not_travel() {
        let form = ServiceForm { secrets: "KEY=hunter2hunter2\nOLD=******".into(), ..ServiceForm::default() };
        assert_eq!(form.without_secrets().secrets, "KEY=\nOLD=******");
    }
}
