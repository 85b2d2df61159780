//! The form of a service on ECS that is not there yet, as browsers post it, and the way from there to what is asked of AWS.
//!
//! Refuses to judge what can be: [`NewCloudService::problems`] does.

use domain::{cloud::NewCloudService, containers::EcsService, problem::FieldError, stage::EnvironmentName};
use serde::{Deserialize, Serialize};

use super::{ServiceForm, amounts, error, filled};

/// What the form's inputs hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloudForm {
    /// Name of the cluster.
    pub cluster: String,
    /// Its name.
    pub service: String,
    /// What it runs at once; empty for nothing.
    pub image: String,
    /// Port of the container.
    pub port: String,
    /// 1024ths of a core.
    pub cpu: String,
    /// Memory, such as `512 MiB`.
    pub memory: String,
    /// How many tasks.
    pub tasks: String,
    /// The neighbour, as `cluster/service`.
    pub like: String,
    /// Ids apart by blanks, commas or lines.
    pub subnets: String,
    /// The same.
    pub security_groups: String,
    /// Ticked for public addresses.
    pub public_address: Option<String>,
    /// ARN of a target group.
    pub target_group: String,
    /// Name in Service Connect.
    pub connect_name: String,
    /// ARN of the execution role.
    pub execution_role: String,
    /// ARN of the task role.
    pub task_role: String,
    /// Name of a log group.
    pub log_group: String,
}

impl Default for CloudForm {
    fn default() -> Self {
        Self {
            cluster: String::new(),
            service: String::new(),
            image: String::new(),
            port: String::new(),
            cpu: "256".into(),
            memory: "512 MiB".into(),
            tasks: "1".into(),
            like: String::new(),
            subnets: String::new(),
            security_groups: String::new(),
            public_address: None,
            target_group: String::new(),
            connect_name: String::new(),
            execution_role: String::new(),
            task_role: String::new(),
            log_group: String::new(),
        }
    }
}

fn ids(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c.is_whitespace() || c == ',');
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl CloudForm {
    /// What is proposed for an environment of a pipeline form: its name, and the other environment's cluster and network.
    pub fn proposed(form: &ServiceForm, environment: EnvironmentName) -> Self {
        let (other, suffix) = match environment {
            EnvironmentName::Staging => (&form.containers.production, "-staging"),
            EnvironmentName::Production => (&form.containers.staging, ""),
        };
        let service = if form.name.is_empty() { String::new() } else { format!("{}{suffix}", form.name) };
        let cluster = other.ecs.rsplit_once('/').map(|(cluster, _)| cluster.to_owned()).unwrap_or_default();
        Self {
            cluster,
            service,
            port: form.containers.port.clone(),
            like: other.ecs.clone(),
            ..Self::default()
        }
    }

    /// What AWS is asked for.
    ///
    /// # Errors
    /// Every field that cannot be read or is out of range.
    pub fn into_wanted(self) -> Result<NewCloudService, Vec<FieldError>> {
        let mut problems = Vec::new();
        let mut number = |field: &str, text: &str, remedy: &str| -> Option<u32> {
            let read = text.trim().parse().ok();
            if read.is_none() {
                problems.push(error(field, remedy));
            }
            read
        };
        let port = Some(self.port.trim()).filter(|text| !text.is_empty());
        let port =
            port.and_then(|text| number("port", text, "give a port from 1 to 65535, or leave it empty"));
        let cpu = number("cpu", &self.cpu, "choose how many cores a task has").unwrap_or(256);
        let tasks = number("tasks", &self.tasks, "give a number of tasks, such as 2").unwrap_or(1);
        let memory = amounts::parse_memory(&self.memory);
        if memory.is_none() {
            problems
                .push(error("memory_mb", "write a whole number and a unit, such as `512 MiB` or `2 GiB`"));
        }
        let port = port.map(u16::try_from).map(|port| {
            port.unwrap_or_else(|_| {
                problems.push(error("port", "give a port from 1 to 65535, or leave it empty"));
                1
            })
        });
        let cluster = self.cluster.trim().to_owned();
        let like = match filled(self.like) {
            Some(like) => match like.rsplit_once('/') {
                Some((of, name)) if of == cluster => Some(name.to_owned()),
                _ => {
                    let why = format!("is in another cluster than {cluster}: choose one beside it, or none");
                    problems.push(error("like", &why));
                    None
                }
            },
            None => None,
        };
        let wanted = NewCloudService {
            cluster,
            service: self.service.trim().to_owned(),
            image: filled(self.image),
            port,
            cpu,
            memory_mb: memory.unwrap_or(512),
            tasks,
            like,
            subnets: ids(&self.subnets),
            security_groups: ids(&self.security_groups),
            public_address: self.public_address.is_some(),
            target_group: filled(self.target_group),
            connect_name: filled(self.connect_name),
            execution_role: filled(self.execution_role),
            task_role: filled(self.task_role),
            log_group: filled(self.log_group),
        };
        // What could not be read stands for something by now, which is not to be found fault with.
        let read = |of: &FieldError| !problems.iter().any(|known| known.field == of.field);
        let more: Vec<_> = wanted.problems().into_iter().filter(read).collect();
        problems.extend(more);
        if problems.is_empty() { Ok(wanted) } else { Err(problems) }
    }
}

/// The pipeline form for which a service is made: which one it is, and what was typed there. It travels in the address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    /// The environment that the new service is to be; none where it is for no form.
    pub environment: Option<EnvironmentName>,
    /// The service whose settings they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The draft that they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
    /// What was typed, but for secrets.
    pub form: ServiceForm,
    /// The service that was made and is picked in the form by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
}

impl Purpose {
    /// As it stands in an address.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// For an address, which takes it percent-encoded.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Picks what was made.
    #[must_use]
    pub fn picking(mut self, made: &EcsService) -> Self {
        let picked = format!("{}/{}", made.cluster, made.service);
        let containers = &mut self.form.containers;
        let place = match self.environment {
            Some(EnvironmentName::Staging) => &mut containers.staging,
            _ => &mut containers.production,
        };
        (place.ecs, place.ecs_container) = (picked.clone(), String::new());
        containers.target = "ecs".into();
        Self { made: Some(picked), ..self }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_once_and_what_can_is_asked_for() {
        let form = CloudForm {
            cluster: "main".into(),
            service: "stock".into(),
            port: "http".into(),
            memory: "much".into(),
            tasks: "-1".into(),
            like: "other/orders".into(),
            subnets: "subnet-0a1b2c3d,\r\nsubnet-0a1b2c3e".into(),
            execution_role: "arn:aws:iam::123456789012:role/start".into(),
            target_group: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/s/6".into(),
            log_group: " /ecs/stock ".into(),
            ..CloudForm::default()
        };
        let problems = form.clone().into_wanted().unwrap_err();
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["port", "tasks", "memory_mb", "like"]);
        let good = CloudForm {
            port: "8080".into(),
            memory: "1 GiB".into(),
            tasks: "2".into(),
            like: "main/orders".into(),
            ..form
        };
        let wanted = good.into_wanted().unwrap();
        assert_eq!(wanted.subnets, ["subnet-0a1b2c3d", "subnet-0a1b2c3e"]);
        assert_eq!((wanted.memory_mb, wanted.tasks, wanted.like.as_deref()), (1024, 2, Some("orders")));
        assert_eq!(wanted.log_group.as_deref(), Some("/ecs/stock"));
    }

    #[test]
    fn the_pipeline_form_comes_back_as_it_was_with_the_new_service_picked() {
        let mut form = ServiceForm { name: "stock".into(), secrets: "KEY=".into(), ..ServiceForm::default() };
        form.containers.production.ecs = "main/stock".into();
        let proposed = CloudForm::proposed(&form, EnvironmentName::Staging);
        assert_eq!(
            (&*proposed.cluster, &*proposed.service, &*proposed.like),
            ("main", "stock-staging", "main/stock")
        );
        let environment = Some(EnvironmentName::Staging);
        let purpose =
            Purpose { environment, form: form.clone(), draft: Some("x".into()), ..Purpose::default() };
        let back = Purpose::read(&purpose.write()).unwrap();
        assert_eq!(back, purpose);
        let made = EcsService { cluster: "main".into(), service: "stock-staging".into(), container: None };
        let picked = back.picking(&made);
        form.containers.staging.ecs = "main/stock-staging".into();
        form.containers.target = "ecs".into();
        assert_eq!((picked.form, picked.made.as_deref()), (form, Some("main/stock-staging")));
    }
}
