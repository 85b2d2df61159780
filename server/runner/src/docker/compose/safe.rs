//! Somebody's Compose file, resolved, becomes the file of one run: the pipeline's services at the versions that are tested,
//! everything its own, nothing published.
//!
//! A pure function of what `docker compose config` says. Refuses a file without the services that the test is about.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Map, Value, json};

use super::{
    member::{Member, beneath},
    notes::{Note, Notes},
    service, shared,
};
use crate::reason::Failure;

/// What the file is to become.
pub(super) struct Wanted<'a> {
    /// The project's name.
    pub project: &'a str,
    /// What everything carries.
    pub labels: &'a [(&'a str, String)],
    /// The version under test, by its name in the file.
    pub candidate: &'a Member<'a>,
    /// The others of the pipeline that run as images; those that the file knows take part.
    pub neighbours: &'a [Member<'a>],
    /// Whose end is the verdict.
    pub test: &'a str,
    /// What the test is told besides the addresses.
    pub told: &'a [(String, String)],
    /// The folder that the file may mount from.
    pub checkout: &'a Path,
}

/// The file of one run.
#[derive(Debug)]
pub(super) struct Safe {
    /// The file.
    pub project: Value,
    /// What was changed, for the log.
    pub notes: Vec<String>,
    /// The services that Compose builds.
    pub built: Vec<String>,
}

/// Makes the run's file.
pub(super) fn make(resolved: Value, wanted: &Wanted<'_>) -> Result<Safe, Failure> {
    let Value::Object(mut project) = resolved else {
        return Err(Failure::new("the Compose file holds no services"));
    };
    let mut notes = Notes::default();
    let (candidate, test) = (wanted.candidate, wanted.test);
    let services = shared::section(&mut project, "services");
    let known = services.keys().cloned().collect::<Vec<_>>().join(", ");
    for (name, what, field) in
        [(candidate.name.as_str(), "this service", "service"), (test, "the test", "test_service")]
    {
        if !services.contains_key(name) {
            return Err(Failure::new(format!(
                "the Compose file has no service `{name}`, which is {what}: name one of {known} in the service's settings (integration.{field}), or add it to the file"
            )));
        }
    }
    choose(services, &[&candidate.name, test], &mut notes);
    let present: Vec<&Member<'_>> = std::iter::once(candidate)
        .chain(
            wanted.neighbours.iter().filter(|n| n.name != candidate.name && services.contains_key(&n.name)),
        )
        .collect();
    for member in &present {
        if let Some(fields) = services.get_mut(&member.name).and_then(Value::as_object_mut) {
            service::replace(&member.name, fields, &member.launch.artifact, &mut notes);
            let others =
                present.iter().filter(|other| other.name != member.name).map(|other| other.address());
            beneath(fields, member.told().into_iter().chain(others));
        }
    }
    let built = build(services, wanted);
    for (name, fields) in services.iter_mut() {
        let Some(fields) = fields.as_object_mut() else { continue };
        service::isolate(name, fields, wanted.checkout, &mut notes)?;
        shared::put_labels(fields, wanted.labels);
        if name == test {
            service::judge(name, fields, &mut notes);
            let addresses = present.iter().map(|member| member.address());
            beneath(fields, wanted.told.iter().cloned().chain(addresses));
        }
    }
    shared::networks(&mut project, wanted.project, &mut notes)?;
    shared::volumes(&mut project, wanted.project, &mut notes)?;
    shared::label(&mut project, wanted.labels);
    project.insert("name".into(), wanted.project.into());
    Ok(Safe { project: Value::Object(project), notes: notes.told(), built })
}

/// Leaves out services whose profile nobody asked for, but for those that the test needs.
fn choose(services: &mut Map<String, Value>, asked: &[&str], notes: &mut Notes) {
    let free = |fields: &Value| fields.get("profiles").and_then(Value::as_array).is_none_or(Vec::is_empty);
    let mut open: Vec<String> =
        services.iter().filter(|(_, fields)| free(fields)).map(|(name, _)| name.clone()).collect();
    open.extend(asked.iter().map(|name| (*name).to_owned()));
    let mut kept = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(fields) = services.get(&name)
            && kept.insert(name.clone())
        {
            let needs = fields.get("depends_on").and_then(Value::as_object).into_iter().flatten();
            let needed = needs.filter(|(_, how)| how.get("required") != Some(&Value::Bool(false)));
            open.extend(needed.map(|(name, _)| name.clone()));
        }
    }
    services.retain(|name, _| {
        let stays = kept.contains(name);
        if !stays {
            notes.add(Note::LeftOut, name);
        }
        stays
    });
    for fields in services.values_mut() {
        if let Some(needs) = fields.get_mut("depends_on").and_then(Value::as_object_mut) {
            needs.retain(|name, _| kept.contains(name));
        }
    }
}

/// Images that Compose builds get names of this run, so that no other run builds another one under the same name meanwhile.
fn build(services: &mut Map<String, Value>, wanted: &Wanted<'_>) -> Vec<String> {
    let (mut built, mut images) = (Vec::new(), BTreeMap::new());
    for (name, fields) in
        services.iter_mut().filter_map(|(name, fields)| Some((name, fields.as_object_mut()?)))
    {
        let Some(build) = fields.get_mut("build").and_then(Value::as_object_mut) else { continue };
        build.remove("tags");
        build.remove("cache_to");
        shared::put_labels(build, wanted.labels);
        let own = format!("{}-{name}", wanted.project);
        if let Some(given) =
            fields.insert("image".into(), own.as_str().into()).and_then(|i| i.as_str().map(str::to_owned))
        {
            images.insert(given, own);
        }
        fields.remove("pull_policy");
        built.push(name.clone());
    }
    for fields in services.values_mut().filter_map(Value::as_object_mut).filter(|f| !f.contains_key("build"))
    {
        let own = fields.get("image").and_then(Value::as_str).and_then(|image| images.get(image)).cloned();
        if let Some(own) = own {
            fields.insert("image".into(), own.into());
            fields.insert("pull_policy".into(), json!("never"));
        }
    }
    built
}

#[cfg(test)]
mod tests;
