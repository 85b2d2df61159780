//! A version of one of the pipeline's services, as it takes part in a test.

use domain::protocol::Launch;
use serde_json::{Map, Value};

/// One that runs as a container.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    /// Its name in the network, and in the file.
    pub name: String,
    /// What is started.
    pub launch: &'a Launch,
    /// The port on which it listens inside.
    pub port: u16,
}

impl Member<'_> {
    /// Where the others reach it, as `SEAMLESS_URL_<SERVICE>` says.
    pub fn address(&self) -> (String, String) {
        (variable(&self.launch.service), format!("http://{}:{}", self.name, self.port))
    }

    /// What it is told besides the addresses of the others: its variables, its port, its version.
    pub fn told(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = crate::context::pairs(&self.launch.variables).collect();
        all.extend([
            ("PORT".into(), self.port.to_string()),
            ("SEAMLESS_COMMIT".into(), self.launch.commit.clone()),
            ("SEAMLESS_ENVIRONMENT".into(), "test".into()),
            ("SEAMLESS_SERVICE".into(), self.launch.service.clone()),
        ]);
        all
    }
}

/// `SEAMLESS_URL_STOCK_API` of `stock-api`.
pub(super) fn variable(service: &str) -> String {
    format!("SEAMLESS_URL_{}", service.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

/// A value as a Compose file holds it: a dollar sign begins a variable there unless it is doubled.
pub(super) fn plain(text: &str) -> Value {
    Value::String(text.replace('$', "$$"))
}

/// Adds variables to a service's, which win over them.
pub(super) fn beneath(
    service: &mut Map<String, Value>,
    variables: impl IntoIterator<Item = (String, String)>,
) {
    let environment = service.entry("environment").or_insert(Value::Null);
    if !environment.is_object() {
        *environment = Value::Object(Map::new());
    }
    let Some(environment) = environment.as_object_mut() else { return };
    for (name, value) in variables {
        let there = environment.entry(name).or_insert(Value::Null);
        if there.is_null() {
            *there = plain(&value);
        }
    }
}
