//! One service of a Compose file, made safe to run beside itself.
//!
//! Refuses what cannot be made safe, and hides nothing of what it takes of its host.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::notes::{Note, Notes};
use crate::reason::Failure;

/// What gives a container more than usual, each with how it is told.
const POWERS: [(&str, &str); 9] = [
    ("privileged", "privileged"),
    ("cap_add", "added capabilities"),
    ("devices", "devices"),
    ("device_cgroup_rules", "device rules"),
    ("security_opt", "security options"),
    ("userns_mode", "the host's users"),
    ("cgroup_parent", "a control group of the host"),
    ("credential_spec", "credentials of the host"),
    ("use_api_socket", "the Docker daemon"),
];
/// How long a container that was told to stop may take, where the file does not say: Docker's own 10 s are long for a test.
const STOP: &str = "2s";

/// Takes away what would make two runs collide.
pub(super) fn isolate(
    name: &str,
    service: &mut Map<String, Value>,
    checkout: &Path,
    notes: &mut Notes,
) -> Result<(), Failure> {
    let refused = |what: &str, instead: &str| {
        Err(Failure::new(format!(
            "the service `{name}` of the Compose file {what}: {instead}, or give the tests a file without it (integration.compose_file)"
        )))
    };
    let filled = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(all) => !all.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    if service.remove("ports").as_ref().is_some_and(filled) {
        notes.add(Note::Port, name);
    }
    if service.remove("container_name").as_ref().is_some_and(filled) {
        notes.add(Note::ContainerName, name);
    }
    if service.remove("external_links").as_ref().is_some_and(filled) {
        return refused(
            "links to containers outside of it (external_links)",
            "let the file hold what it needs",
        );
    }
    let text = |service: &Map<String, Value>, field: &str| {
        service.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let network = text(service, "network_mode");
    match network.split(':').next().unwrap_or_default() {
        "" | "none" | "service" => {}
        "bridge" | "default" => {
            service.remove("network_mode");
            service.insert("networks".into(), json!({ "default": null }));
            notes.add(Note::OwnNetwork, format!("network of {name}"));
        }
        "host" => {
            return refused(
                "uses the host's network, where two runs at a time would collide",
                "take `network_mode: host` out and let services reach each other by name",
            );
        }
        _ => return refused(&format!("has `network_mode: {network}`"), "let it have a network of the file"),
    }
    for field in ["pid", "ipc", "uts", "cgroup"] {
        let mode = text(service, field);
        if mode.starts_with("container:") {
            return refused(
                &format!("has `{field}: {mode}`, a container outside of it"),
                "name a service instead",
            );
        }
        if mode == "host" {
            notes.add(Note::Powers, format!("{name} ({field}: host)"));
        }
    }
    if let Some(from) = service.get("volumes_from").and_then(Value::as_array)
        && from.iter().filter_map(Value::as_str).any(|from| from.starts_with("container:"))
    {
        return refused(
            "takes volumes from a container outside of it (volumes_from)",
            "name a service instead",
        );
    }
    // Fewer rights are nothing to tell.
    let harmless = |value: &Value| {
        let mut options = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        options.all(|option| option.starts_with("no-new-privileges"))
    };
    for (field, told) in POWERS {
        if service
            .get(field)
            .is_some_and(|value| filled(value) && !(field == "security_opt" && harmless(value)))
        {
            notes.add(Note::Powers, format!("{name} ({told})"));
        }
    }
    if let Some(networks) = service.get_mut("networks").and_then(Value::as_object_mut) {
        for network in networks.values_mut().filter_map(Value::as_object_mut) {
            for fixed in ["ipv4_address", "ipv6_address", "mac_address", "link_local_ips"] {
                if network.remove(fixed).as_ref().is_some_and(filled) {
                    notes.add(Note::Address, name);
                }
            }
        }
    }
    let driver =
        service.remove("logging").and_then(|l| l.get("driver").and_then(Value::as_str).map(str::to_owned));
    if driver.is_some_and(|driver| !matches!(driver.as_str(), "json-file" | "local")) {
        notes.add(Note::Logging, name);
    }
    // What is followed is what is kept: everything, for as long as the container is there.
    service.insert("logging".into(), json!({ "driver": "json-file", "options": {} }));
    service.entry("stop_grace_period").or_insert(STOP.into());
    for never in ["develop", "profiles", "attach"] {
        service.remove(never);
    }
    mounts(name, service, checkout, notes);
    Ok(())
}

fn mounts(name: &str, service: &Map<String, Value>, checkout: &Path, notes: &mut Notes) {
    for mount in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
        let source = mount.get("source").and_then(Value::as_str).unwrap_or_default();
        if mount.get("type").and_then(Value::as_str) == Some("bind")
            && !Path::new(source).starts_with(checkout)
        {
            notes.add(Note::Outside, format!("{name} ({source})"));
        }
    }
}

/// Puts an image in the place of whatever the file says the service is made of.
pub(super) fn replace(name: &str, service: &mut Map<String, Value>, image: &str, notes: &mut Notes) {
    for other in ["build", "platform"] {
        service.remove(other);
    }
    service.insert("image".into(), image.into());
    // It is here by now, and nothing but its digest will do.
    service.insert("pull_policy".into(), "never".into());
    for mount in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
        let part = |field: &str| mount.get(field).and_then(Value::as_str).unwrap_or_default();
        if part("type") == "bind" {
            notes.add(Note::Hidden, format!("{name} ({})", part("target")));
        }
    }
}

/// The one whose end is the verdict: once, and not again.
pub(super) fn judge(name: &str, service: &mut Map<String, Value>, notes: &mut Notes) {
    let again = service.remove("restart");
    if again.and_then(|r| r.as_str().map(|r| r != "no")) == Some(true) {
        notes.add(Note::Restart, name);
    }
    service.remove("scale");
    if let Some(deploy) = service.get_mut("deploy").and_then(Value::as_object_mut) {
        deploy.remove("replicas");
        deploy.remove("restart_policy");
    }
}
