//! A detection while it grows: every value is set together with its reason.

use domain::view::Proposal;

use super::Detection;

/// Which command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Prepare,
    CodeQuality,
    UnitTest,
    Build,
    IntegrationTest,
    Start,
}

impl Slot {
    fn field(self) -> &'static str {
        match self {
            Slot::Prepare => "commands.prepare",
            Slot::CodeQuality => "commands.code_quality",
            Slot::UnitTest => "commands.unit_test",
            Slot::Build => "commands.build",
            Slot::IntegrationTest => "commands.integration_test",
            Slot::Start => "commands.start",
        }
    }
}

/// A detection while it grows.
pub struct Draft(Detection);

impl Draft {
    pub fn new(name: &str) -> Self {
        let mut draft = Draft(Detection { name: name.to_owned(), ..Detection::default() });
        draft.add("name", name, "the repository's own name");
        draft
    }

    fn add(&mut self, field: &str, value: impl Into<String>, why: impl Into<String>) {
        self.0.proposals.push(Proposal { field: field.into(), value: value.into(), why: why.into() });
    }

    pub fn runtime(&mut self, name: &str, why: impl Into<String>) {
        self.0.runtime = Some(name.to_owned());
        self.add("runtime", name, why);
    }

    pub fn context(&mut self, folder: &str, why: impl Into<String>) {
        self.0.context = Some(folder.to_owned());
        self.add("context", folder, why);
    }

    pub fn dockerfile(&mut self, path: &str, why: impl Into<String>) {
        self.0.dockerfile = Some(path.to_owned());
        self.add("dockerfile", path, why);
    }

    /// Only proposed: it is the person who switches it on.
    pub fn image(&mut self, image: &str, why: impl Into<String>) {
        self.add("image", image, why);
    }

    pub fn command(&mut self, slot: Slot, value: impl Into<String>, why: impl Into<String>) {
        let value = value.into();
        let commands = &mut self.0.commands;
        let place = match slot {
            Slot::Prepare => &mut commands.prepare,
            Slot::CodeQuality => &mut commands.code_quality,
            Slot::UnitTest => &mut commands.unit_test,
            Slot::Build => &mut commands.build,
            Slot::IntegrationTest => &mut commands.integration_test,
            Slot::Start => &mut commands.start,
        };
        *place = Some(value.clone());
        self.add(slot.field(), value, why);
    }

    pub fn has_start(&self) -> bool {
        self.0.commands.start.is_some()
    }

    /// The first reason wins: what a Dockerfile declares is surer than what a source file mentions.
    pub fn health_path(&mut self, path: &str, why: impl Into<String>) {
        if self.0.health_path.is_none() {
            self.0.health_path = Some(path.to_owned());
            self.add("health_path", path, why);
        }
    }

    /// The first reason wins here too.
    pub fn port(&mut self, port: u16, why: impl Into<String>) {
        if self.0.port.is_none() {
            self.0.port = Some(port);
            self.add("port", port.to_string(), why);
        }
    }

    /// Says why a field that a person would expect is not proposed.
    pub fn left_open(&mut self, field: &str, why: impl Into<String>) {
        self.add(field, "", why);
    }

    /// The same for a command.
    pub fn no_command(&mut self, slot: Slot, why: impl Into<String>) {
        self.add(slot.field(), "", why);
    }

    pub fn finish(mut self) -> Detection {
        if !self.has_start() && !self.0.proposals.iter().any(|p| p.field == Slot::Start.field()) {
            self.no_command(
                Slot::Start,
                "nothing tells how it is started; give a command that listens on $PORT",
            );
        }
        self.0
    }
}
