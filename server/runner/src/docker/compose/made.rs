//! The Compose file that Seamless makes where there is none: the candidate, its neighbours, and a place for the command.
//!
//! A pure function of what is known of the services. Refuses to guess a port: who asks has looked at the image.

use std::path::PathBuf;

use domain::containers::Resources;
use serde_json::{Map, Value, json};

use super::{
    member::{Member, beneath, plain},
    shared,
};

/// The name of the command's own service: an underscore is in no service's name.
pub(super) const TEST: &str = "integration_test";

/// Where the command runs.
pub(super) struct Bench {
    /// The image.
    pub image: String,
    /// The command.
    pub command: String,
    /// In which folder.
    pub folder: PathBuf,
    /// Folders of this host under their own paths; those to read only are marked.
    pub mounts: Vec<(PathBuf, bool)>,
    /// User and group, by number.
    pub user: String,
    /// Its environment besides the addresses.
    pub environment: Vec<(String, String)>,
    /// What it may take.
    pub resources: Resources,
}

/// What the file is made of.
pub(super) struct Parts<'a> {
    /// The project's name.
    pub project: &'a str,
    /// What everything carries.
    pub labels: &'a [(&'a str, String)],
    /// The candidate and its neighbours that run as containers.
    pub members: &'a [Member<'a>],
    /// Services that run as processes on this host: name, address, `SEAMLESS_URL_<SERVICE>`.
    pub outside: &'a [(String, String, (String, String))],
    /// A network that is there already.
    pub network: Option<&'a str>,
    /// Where the command runs, unless it runs on this host.
    pub bench: Option<&'a Bench>,
}

/// Makes the file.
pub(super) fn project(parts: &Parts<'_>) -> Value {
    let mut services = Map::new();
    let outside = || parts.outside.iter().map(|(_, _, address)| address.clone());
    for member in parts.members {
        let mut fields = start(member.launch.artifact.as_str(), parts);
        let others = parts.members.iter().filter(|other| other.name != member.name).map(Member::address);
        beneath(&mut fields, member.told().into_iter().chain(others).chain(outside()));
        // A port of the host's own choice, on this machine alone: how the runner, and services that are processes, reach it.
        fields.insert(
            "ports".into(),
            json!([{ "host_ip": "127.0.0.1", "target": member.port, "protocol": "tcp" }]),
        );
        if !member.launch.start.trim().is_empty() {
            fields.insert("command".into(), json!(["sh", "-c", plain(member.launch.start.trim())]));
        }
        if let Some(container) = &member.launch.container {
            limit(&mut fields, container.settings.resources);
        }
        services.insert(member.name.clone(), Value::Object(fields));
    }
    if let Some(bench) = parts.bench {
        let mut fields = start(&bench.image, parts);
        let addresses = parts.members.iter().map(Member::address);
        beneath(&mut fields, bench.environment.iter().cloned().chain(addresses).chain(outside()));
        fields.insert("entrypoint".into(), json!(["/bin/sh", "-c", plain(&bench.command)]));
        fields.insert("command".into(), json!([]));
        fields.insert("working_dir".into(), plain(&bench.folder.to_string_lossy()));
        fields.insert("user".into(), bench.user.as_str().into());
        let mounts = bench.mounts.iter().map(|(path, read_only)| {
            let path = plain(&path.to_string_lossy());
            json!({ "type": "bind", "source": path, "target": path, "read_only": read_only })
        });
        fields.insert("volumes".into(), mounts.collect());
        limit(&mut fields, bench.resources);
        services.insert(TEST.into(), Value::Object(fields));
    }
    let network = match parts.network {
        Some(name) => json!({ "name": name, "external": true }),
        None => json!({}),
    };
    let mut project =
        json!({ "name": parts.project, "services": services, "networks": { "default": network } });
    if let (Some(project), None) = (project.as_object_mut(), parts.network) {
        shared::label(project, parts.labels);
    }
    project
}

/// What every service begins with.
fn start(image: &str, parts: &Parts<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("image".into(), image.into());
    fields.insert("pull_policy".into(), "never".into());
    fields.insert("networks".into(), json!({ "default": null }));
    fields.insert("logging".into(), json!({ "driver": "json-file", "options": {} }));
    fields.insert("stop_grace_period".into(), "2s".into());
    fields.insert("init".into(), true.into());
    fields.insert("security_opt".into(), json!(["no-new-privileges"]));
    let hosts = parts.outside.iter().map(|(name, at, _)| format!("{name}={at}"));
    let hosts: Vec<_> = hosts.collect();
    if !hosts.is_empty() {
        fields.insert("extra_hosts".into(), json!(hosts));
    }
    shared::put_labels(&mut fields, parts.labels);
    fields
}

fn limit(fields: &mut Map<String, Value>, resources: Resources) {
    if let Some(mb) = resources.memory_mb {
        fields.insert("mem_limit".into(), format!("{mb}m").into());
    }
    if let Some(millis) = resources.cpu_millis {
        fields.insert("cpus".into(), (f64::from(millis) / 1000.0).into());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use domain::{
        containers::ContainerSettings,
        protocol::{Container, JobVariable, Launch},
    };

    use super::*;

    #[test]
    fn a_file_of_what_is_known() {
        let resources = Resources { memory_mb: Some(256), cpu_millis: Some(1500) };
        let launch = |service: &str| Launch {
            service: service.into(),
            artifact: format!("sha256:{service}"),
            commit: "c0ffee".into(),
            start: "exec \"$0\"".into(),
            context: None,
            health_path: None,
            health_timeout_s: 5,
            variables: vec![JobVariable { name: "PRICE".into(), value: "$5".into(), secret: false }],
            container: Some(Container {
                settings: ContainerSettings { resources, ..ContainerSettings::default() },
                ..Container::default()
            }),
        };
        let (orders, stock) = (launch("orders"), Launch { start: String::new(), ..launch("stock-api") });
        let member = |launch, port| Member { name: Launch::clone(launch).service, launch, port };
        let made = project(&Parts {
            project: "seamless-1",
            labels: &[("seamless.attempt", "1.1".to_owned())],
            members: &[member(&orders, 8080), member(&stock, 9000)],
            outside: &[(
                "pricing".into(),
                "172.18.0.1".into(),
                ("SEAMLESS_URL_PRICING".into(), "http://pricing:4711".into()),
            )],
            network: Some("seamless-1_test"),
            bench: Some(&Bench {
                image: "sha256:t00ls".into(),
                command: "test \"$A\" = 1".into(),
                folder: Path::new("/run/$src").into(),
                mounts: vec![("/run/$src".into(), false), ("/mirror".into(), true)],
                user: "0:0".into(),
                environment: vec![("CI".into(), "true".into())],
                resources: Resources::default(),
            }),
        });
        insta::assert_snapshot!(serde_json::to_string_pretty(&made).unwrap(), @r#"
        {
          "name": "seamless-1",
          "networks": {
            "default": {
              "external": true,
              "name": "seamless-1_test"
            }
          },
          "services": {
            "integration_test": {
              "command": [],
              "entrypoint": [
                "/bin/sh",
                "-c",
                "test \"$$A\" = 1"
              ],
              "environment": {
                "CI": "true",
                "SEAMLESS_URL_ORDERS": "http://orders:8080",
                "SEAMLESS_URL_PRICING": "http://pricing:4711",
                "SEAMLESS_URL_STOCK_API": "http://stock-api:9000"
              },
              "extra_hosts": [
                "pricing=172.18.0.1"
              ],
              "image": "sha256:t00ls",
              "init": true,
              "labels": {
                "seamless.attempt": "1.1"
              },
              "logging": {
                "driver": "json-file",
                "options": {}
              },
              "networks": {
                "default": null
              },
              "pull_policy": "never",
              "security_opt": [
                "no-new-privileges"
              ],
              "stop_grace_period": "2s",
              "user": "0:0",
              "volumes": [
                {
                  "read_only": false,
                  "source": "/run/$$src",
                  "target": "/run/$$src",
                  "type": "bind"
                },
                {
                  "read_only": true,
                  "source": "/mirror",
                  "target": "/mirror",
                  "type": "bind"
                }
              ],
              "working_dir": "/run/$$src"
            },
            "orders": {
              "command": [
                "sh",
                "-c",
                "exec \"$$0\""
              ],
              "cpus": 1.5,
              "environment": {
                "PORT": "8080",
                "PRICE": "$$5",
                "SEAMLESS_COMMIT": "c0ffee",
                "SEAMLESS_ENVIRONMENT": "test",
                "SEAMLESS_SERVICE": "orders",
                "SEAMLESS_URL_PRICING": "http://pricing:4711",
                "SEAMLESS_URL_STOCK_API": "http://stock-api:9000"
              },
              "extra_hosts": [
                "pricing=172.18.0.1"
              ],
              "image": "sha256:orders",
              "init": true,
              "labels": {
                "seamless.attempt": "1.1"
              },
              "logging": {
                "driver": "json-file",
                "options": {}
              },
              "mem_limit": "256m",
              "networks": {
                "default": null
              },
              "ports": [
                {
                  "host_ip": "127.0.0.1",
                  "protocol": "tcp",
                  "target": 8080
                }
              ],
              "pull_policy": "never",
              "security_opt": [
                "no-new-privileges"
              ],
              "stop_grace_period": "2s"
            },
            "stock-api": {
              "cpus": 1.5,
              "environment": {
                "PORT": "9000",
                "PRICE": "$$5",
                "SEAMLESS_COMMIT": "c0ffee",
                "SEAMLESS_ENVIRONMENT": "test",
                "SEAMLESS_SERVICE": "stock-api",
                "SEAMLESS_URL_ORDERS": "http://orders:8080",
                "SEAMLESS_URL_PRICING": "http://pricing:4711"
              },
              "extra_hosts": [
                "pricing=172.18.0.1"
              ],
              "image": "sha256:stock-api",
              "init": true,
              "labels": {
                "seamless.attempt": "1.1"
              },
              "logging": {
                "driver": "json-file",
                "options": {}
              },
              "mem_limit": "256m",
              "networks": {
                "default": null
              },
              "ports": [
                {
                  "host_ip": "127.0.0.1",
                  "protocol": "tcp",
                  "target": 9000
                }
              ],
              "pull_policy": "never",
              "security_opt": [
                "no-new-privileges"
              ],
              "stop_grace_period": "2s"
            }
          }
        }
        "#);
    }
}
