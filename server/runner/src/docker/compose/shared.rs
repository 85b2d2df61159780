//! Networks and volumes of a Compose file, made this run's own.
//!
//! Refuses what two runs would have to share: they would test each other.

use serde_json::{Map, Value};

use super::notes::{Note, Notes};
use crate::reason::Failure;

/// Makes the networks this run's own; there is always a default one.
pub(super) fn networks(
    project: &mut Map<String, Value>,
    own: &str,
    notes: &mut Notes,
) -> Result<(), Failure> {
    let networks = section(project, "networks");
    networks.entry("default").or_insert(Value::Null);
    for (name, network) in networks.iter_mut() {
        let mut fields = std::mem::take(network).as_object().cloned().unwrap_or_default();
        if external(&fields) {
            notes.add(Note::OwnNetwork, format!("network {name}"));
            fields = Map::new();
        }
        rename(&mut fields, name, own, "network", notes);
        if let Some(driver) = fields.get("driver").and_then(Value::as_str)
            && driver != "bridge"
        {
            return Err(Failure::new(format!(
                "the network `{name}` of the Compose file has the driver `{driver}`, which two runs at a time would share: take the driver out, or give the tests a file without it (integration.compose_file)"
            )));
        }
        if fields.get("ipam").is_some_and(|ipam| ipam.as_object().is_some_and(|ipam| !ipam.is_empty())) {
            notes.add(Note::Address, format!("network {name}"));
        }
        for fixed in ["ipam", "driver_opts"] {
            fields.remove(fixed);
        }
        *network = Value::Object(fields);
    }
    Ok(())
}

/// Makes the volumes this run's own, so that they go with it.
pub(super) fn volumes(project: &mut Map<String, Value>, own: &str, notes: &mut Notes) -> Result<(), Failure> {
    for (name, volume) in section(project, "volumes").iter_mut() {
        let mut fields = std::mem::take(volume).as_object().cloned().unwrap_or_default();
        if external(&fields) {
            return Err(Failure::new(format!(
                "the volume `{name}` of the Compose file is external: what one run writes there the next one would read. Take `external` out and let a service fill the volume, or give the tests a file without it (integration.compose_file)"
            )));
        }
        rename(&mut fields, name, own, "volume", notes);
        if let Some(place) = fields.get("driver_opts").and_then(|o| o.get("device")).and_then(Value::as_str) {
            notes.add(Note::Outside, format!("volume {name} ({place})"));
        }
        *volume = Value::Object(fields);
    }
    Ok(())
}

/// Puts labels on every network and volume.
pub(super) fn label(project: &mut Map<String, Value>, labels: &[(&str, String)]) {
    for kind in ["networks", "volumes"] {
        for one in section(project, kind).values_mut().filter_map(Value::as_object_mut) {
            put_labels(one, labels);
        }
    }
}

/// Puts labels on something.
pub(super) fn put_labels(one: &mut Map<String, Value>, labels: &[(&str, String)]) {
    let there = one.entry("labels").or_insert(Value::Null);
    if !there.is_object() {
        *there = Value::Object(Map::new());
    }
    if let Some(there) = there.as_object_mut() {
        there.extend(labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))));
    }
}

/// A part of the file that holds named things.
pub(super) fn section<'a>(project: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let section = project.entry(name).or_insert(Value::Null);
    if !section.is_object() {
        *section = Value::Object(Map::new());
    }
    section.as_object_mut().unwrap_or_else(|| unreachable!("it was just made one"))
}

fn external(fields: &Map<String, Value>) -> bool {
    fields.get("external").is_some_and(|external| *external != Value::Bool(false))
}

/// Compose has filled in the name it would give; another one is the file's own.
fn rename(fields: &mut Map<String, Value>, name: &str, own: &str, kind: &str, notes: &mut Notes) {
    let given = fields.remove("name");
    if given.and_then(|given| given.as_str().map(|g| g != format!("{own}_{name}"))) == Some(true) {
        notes.add(Note::FixedName, format!("{kind} {name}"));
    }
}
