//! What was changed in somebody's Compose file, told in few lines: one per kind of change, with the names it befell.
//!
//! Refuses to change anything in silence.

use std::collections::BTreeMap;

/// A kind of change, or of something that a reader of the log should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Note {
    LeftOut,
    Port,
    ContainerName,
    Address,
    OwnNetwork,
    FixedName,
    Logging,
    Restart,
    Powers,
    Outside,
    Hidden,
}

/// All of them, gathered.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<Note, Vec<String>>);

impl Notes {
    /// It befell this one.
    pub fn add(&mut self, note: Note, name: impl Into<String>) {
        let (names, name) = (self.0.entry(note).or_default(), name.into());
        if !names.contains(&name) {
            names.push(name);
        }
    }

    /// As lines for the log.
    pub fn told(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(note, names)| {
                let names = names.join(", ");
                match note {
                    Note::LeftOut => format!("left out, for the test does not ask for their profiles: {names}"),
                    Note::Port => format!(
                        "not published on this host, so that runs never collide (services reach each other by name): the ports of {names}"
                    ),
                    Note::ContainerName => format!("left out, so that runs never collide: the container name of {names}"),
                    Note::Address => format!("left out, so that runs never collide: the fixed address of {names}"),
                    Note::OwnNetwork => format!("this run has its own in the place of what is shared: {names}"),
                    Note::FixedName => format!("this run has its own, so the fixed name is left out: {names}"),
                    Note::Logging => format!("in this log instead of where it goes otherwise: the output of {names}"),
                    Note::Restart => format!("not started again when it ends, for that is the verdict: {names}"),
                    Note::Powers => format!("warning: more rights on this host than a container usually has: {names}"),
                    Note::Outside => format!(
                        "warning: reaches files of this host outside the checkout, which other runs share: {names}"
                    ),
                    Note::Hidden => format!(
                        "warning: files of the checkout are mounted over an image, so there it is not the image that is tested: {names}"
                    ),
                }
            })
            .collect()
    }
}
