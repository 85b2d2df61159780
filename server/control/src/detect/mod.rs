//! Proposes a service's settings from what its repository holds: which runtime, which commands, which port, which health path.
//!
//! Refuses to read anything itself and to run anything: it is given the paths, says which files it wants, and is given those.
//! Whatever it proposes carries the reason, since a person decides.

mod docker;
mod dotnet;
mod draft;
mod folder;
mod go;
mod java;
mod make;
mod node;
mod python;
mod ruby;
mod rust;
mod source;
mod toolchain;

use std::collections::BTreeMap;

use domain::{service::Commands, view::Proposal};

use self::{draft::Draft, folder::Folder};

/// How many files are asked for at most; a repository may hold thousands.
const MOST_FILES: usize = 80;
/// How many folders are looked at for a service when there is none at the top.
const MOST_FOLDERS: usize = 40;
/// How deep a service's folder may lie.
const DEEPEST: usize = 3;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detection {
    /// A name that the service may have.
    pub name: String,
    /// `node`, `python`, `go`, `rust`, `java`, `ruby`, `dotnet`, `docker`, or none.
    pub runtime: Option<String>,
    /// The stages' commands.
    pub commands: Commands,
    /// The port on which it listens when nobody tells it otherwise. A hint: Seamless tells it otherwise.
    pub port: Option<u16>,
    /// Path that answers when it is healthy.
    pub health_path: Option<String>,
    /// Its Dockerfile.
    pub dockerfile: Option<String>,
    /// Folder inside the repository that is the service, when it is not the whole.
    pub context: Option<String>,
    /// Each of the above with its reason.
    pub proposals: Vec<Proposal>,
}

impl Detection {
    /// The same where containers can be used: a Dockerfile makes an image then, and that knows how it is started.
    pub fn in_containers(&mut self) {
        let Some(dockerfile) = &self.dockerfile else { return };
        self.commands.start = None;
        self.proposals.retain(|proposal| proposal.field != "commands.start");
        let mut say = |field: &str, value: &str, why: String| {
            self.proposals.push(Proposal { field: field.into(), value: value.into(), why });
        };
        say(
            "environments.production.target",
            "docker",
            format!("{dockerfile} is there, and a Docker daemon answers: it is built and run as an image"),
        );
        say("commands.start", "", format!("the image that {dockerfile} makes knows how it is started"));
    }
}

/// One runtime: how it is recognised and what it proposes.
struct Runtime {
    name: Option<&'static str>,
    /// The file that gives it away.
    marker: fn(&Folder) -> Option<String>,
    propose: fn(&Folder, &mut Draft),
}

/// In the order of asking: a repository in Ruby, Python or Go often has a `package.json` for its assets, seldom the reverse.
/// What anything may have besides (a Makefile, a Dockerfile) comes last.
static RUNTIMES: [Runtime; 9] = [
    Runtime { name: Some("go"), marker: go::marker, propose: go::propose },
    Runtime { name: Some("rust"), marker: rust::marker, propose: rust::propose },
    Runtime { name: Some("java"), marker: java::marker, propose: java::propose },
    Runtime { name: Some("dotnet"), marker: dotnet::marker, propose: dotnet::propose },
    Runtime { name: Some("ruby"), marker: ruby::marker, propose: ruby::propose },
    Runtime { name: Some("python"), marker: python::marker, propose: python::propose },
    Runtime { name: Some("node"), marker: node::marker, propose: node::propose },
    Runtime { name: None, marker: make::marker, propose: make::propose },
    Runtime { name: Some("docker"), marker: docker::marker, propose: docker::propose },
];

/// Which of the files it wants to read before it proposes anything.
pub fn wanted(paths: &[String]) -> Vec<String> {
    let mut ranked: Vec<(usize, usize, &String)> = paths
        .iter()
        .filter(|path| !folder::is_foreign(path))
        .filter_map(|path| {
            let depth = path.matches('/').count();
            let rank = if folder::is_manifest(path) && depth <= DEEPEST {
                0
            } else if source::may_be_entry(path) {
                1
            } else {
                return None;
            };
            Some((rank, depth, path))
        })
        .collect();
    ranked.sort();
    ranked.into_iter().take(MOST_FILES).map(|(_, _, path)| path.clone()).collect()
}

/// Proposes settings. `name_hint` is the repository's name or address; `read` holds the content of the wanted files.
pub fn propose(name_hint: &str, paths: &[String], read: &BTreeMap<String, String>) -> Detection {
    let name = service_name(name_hint);
    let root = Folder::new("", &name, paths, read);
    // A Dockerfile alone says little: a folder below it that tells more goes before it.
    let at_top = recognise(&root);
    if let Some((runtime, marker)) = &at_top
        && runtime.name != Some("docker")
    {
        return describe(runtime, marker, &root, Draft::new(&name));
    }
    let found = nested(&name, paths, read);
    let named = found.iter().position(|(parent, _, _)| parent.rsplit('/').next() == Some(&name)).unwrap_or(0);
    let Some((context, runtime, marker)) = found.get(named) else {
        return match at_top {
            Some((runtime, marker)) => describe(runtime, &marker, &root, Draft::new(&name)),
            None => nothing(&name, paths),
        };
    };
    let mut draft = Draft::new(&name);
    let others: Vec<&str> =
        found.iter().map(|(parent, _, _)| parent.as_str()).filter(|parent| parent != context).collect();
    let besides = match others.len() {
        0 => String::new(),
        1..=8 => format!("; other services may be in {}", others.join(", ")),
        n => format!("; {n} other folders may be services too, {} among them", others[..5].join(", ")),
    };
    draft.context(
        context,
        format!("nothing at the top tells a runtime, and {context}/{marker} does{besides}"),
    );
    describe(runtime, marker, &Folder::new(context, &name, paths, read), draft)
}

/// The same for one folder that somebody named, if any.
pub fn propose_in(
    name_hint: &str,
    folder: Option<&str>,
    paths: &[String],
    read: &BTreeMap<String, String>,
) -> Detection {
    let Some(folder) = folder else { return propose(name_hint, paths, read) };
    let name = service_name(folder);
    let inside = Folder::new(folder, &name, paths, read);
    let mut draft = Draft::new(&name);
    draft.context(folder, "this folder was chosen");
    match recognise(&inside) {
        Some((runtime, marker)) => describe(runtime, &marker, &inside, draft),
        None => draft.finish(),
    }
}

/// Folders that look like services of their own.
pub fn folders(paths: &[String], read: &BTreeMap<String, String>) -> Vec<String> {
    nested("", paths, read).into_iter().map(|(folder, _, _)| folder).collect()
}

fn nested(
    name: &str,
    paths: &[String],
    read: &BTreeMap<String, String>,
) -> Vec<(String, &'static Runtime, String)> {
    let mut nested: Vec<(usize, String)> = paths
        .iter()
        .filter(|path| !folder::is_foreign(path) && folder::is_manifest(path))
        .filter_map(|path| path.rsplit_once('/').map(|(parent, _)| parent.to_owned()))
        .map(|parent| (parent.matches('/').count(), parent))
        .filter(|(depth, _)| *depth < DEEPEST)
        .collect();
    nested.sort();
    nested.dedup();
    nested.truncate(MOST_FOLDERS);
    let mut found: Vec<(String, &Runtime, String)> = Vec::new();
    for (_, parent) in nested {
        // A folder inside a service belongs to that service.
        if found.iter().any(|(service, _, _)| parent.starts_with(&format!("{service}/"))) {
            continue;
        }
        if let Some((runtime, marker)) = recognise(&Folder::new(&parent, name, paths, read)) {
            found.push((parent, runtime, marker));
        }
    }
    found
}

fn recognise(folder: &Folder) -> Option<(&'static Runtime, String)> {
    RUNTIMES.iter().find_map(|runtime| (runtime.marker)(folder).map(|marker| (runtime, marker)))
}

fn describe(runtime: &Runtime, marker: &str, folder: &Folder, mut draft: Draft) -> Detection {
    if let Some(name) = runtime.name {
        draft.runtime(name, format!("{marker} is there"));
        toolchain::hints(name, folder, &mut draft);
    }
    (runtime.propose)(folder, &mut draft);
    docker::hints(folder, &mut draft);
    source::hints(folder, &mut draft);
    draft.finish()
}

fn nothing(name: &str, paths: &[String]) -> Detection {
    let mut draft = Draft::new(name);
    let files = paths.len();
    draft.left_open(
        "runtime",
        format!(
            "nothing among its {files} files tells a runtime that is known here; fill in the commands by hand"
        ),
    );
    draft.finish()
}

/// A name that the settings accept, from a repository's name, path or address.
pub fn service_name(hint: &str) -> String {
    let last =
        hint.trim_end_matches('/').rsplit(['/', ':', '\\']).find(|part| !part.is_empty()).unwrap_or("");
    let last = last.strip_suffix(".git").unwrap_or(last);
    let mut name = String::new();
    for c in last.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(63);
    let name = name.trim_matches('-');
    if name.is_empty() { "service".into() } else { name.into() }
}

#[cfg(test)]
mod tests;
