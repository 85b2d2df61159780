//! The parts of a log: what a program marked as a group, and the commands that a stage ran one after another.
//!
//! Refuses to keep a part's lines: it knows where a part begins and ends, and may go on where it stopped.

use serde::{Deserialize, Serialize};

use crate::view::Stream;

/// Parts that are remembered; what follows stays unfolded.
pub const MOST: usize = 5_000;

/// What makes a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Between `::group::` and `::endgroup::`.
    Group,
    /// A command of the stage, up to the next.
    Phase,
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// What it is.
    pub kind: Kind,
    /// Number of its first line, which names it.
    pub first: u64,
    /// Number of the line after its last; none while it is open.
    pub end: Option<u64>,
}

/// What a line says about parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark<'a> {
    /// A group of this name begins.
    Group(&'a str),
    /// The innermost group ends.
    EndGroup,
    /// A command begins.
    Phase,
}

/// What a line says about parts, if it says anything.
pub fn mark(stream: Stream, text: &str) -> Option<Mark<'_>> {
    if stream == Stream::System {
        return text.starts_with("$ ").then_some(Mark::Phase);
    }
    let text = text.trim_start();
    for begin in ["::group::", "##[group]"] {
        if let Some(name) = text.strip_prefix(begin) {
            return Some(Mark::Group(name.trim()));
        }
    }
    (text.starts_with("::endgroup::") || text.starts_with("##[endgroup]")).then_some(Mark::EndGroup)
}

/// The parts of a log up to a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// By their first lines.
    pub sections: Vec<Section>,
    /// The line that was not looked at yet.
    pub next: u64,
}

impl Outline {
    /// A line goes by; one that was seen already changes nothing.
    pub fn see(&mut self, seq: u64, stream: Stream, text: &str) {
        if seq < self.next {
            return;
        }
        self.next = seq + 1;
        match mark(stream, text) {
            Some(Mark::Group(_)) => self.open(Kind::Group, seq),
            Some(Mark::EndGroup) => {
                if let Some(group) = self.innermost() {
                    group.end = Some(seq + 1);
                }
            }
            Some(Mark::Phase) => {
                self.close(seq);
                self.open(Kind::Phase, seq);
            }
            None => {}
        }
    }

    /// The log is over after `next` lines: what is still open ends there.
    pub fn close(&mut self, next: u64) {
        for section in self.sections.iter_mut().filter(|s| s.end.is_none()) {
            section.end = Some(next);
        }
    }

    fn open(&mut self, kind: Kind, first: u64) {
        if self.sections.len() < MOST {
            self.sections.push(Section { kind, first, end: None });
        }
    }

    fn innermost(&mut self) -> Option<&mut Section> {
        self.sections.iter_mut().rev().find(|s| s.kind == Kind::Group && s.end.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(lines: &[(Stream, &str)]) -> Vec<(Kind, u64, Option<u64>)> {
        let mut outline = Outline::default();
        for (seq, (stream, text)) in lines.iter().enumerate() {
            outline.see(seq as u64, *stream, text);
            // Seeing a line again, as after a reconnect, is seeing it once.
            outline.see(seq as u64, *stream, text);
        }
        outline.sections.iter().map(|s| (s.kind, s.first, s.end)).collect()
    }

    #[test]
    fn groups_nest_and_commands_follow_one_another() {
        use Stream::{Stderr, Stdout, System};
        let lines = [
            (System, "checked out"),
            (System, "$ npm ci"),
            (Stdout, "::group::Install"),
            (Stderr, "  ##[group]inner"),
            (Stdout, "::endgroup::"),
            (Stdout, "::endgroup::"),
            (Stdout, "::endgroup::"),
            (Stdout, "$ not a command of ours"),
            (System, "$ npm test"),
            (Stdout, "::group::left open"),
            (System, "$ end"),
        ];
        assert_eq!(
            outline(&lines),
            [
                (Kind::Phase, 1, Some(8)),
                (Kind::Group, 2, Some(6)),
                (Kind::Group, 3, Some(5)),
                (Kind::Phase, 8, Some(10)),
                (Kind::Group, 9, Some(10)),
                (Kind::Phase, 10, None),
            ]
        );
    }

    #[test]
    fn a_name_is_read() {
        assert_eq!(mark(Stream::Stdout, "::group:: Set up "), Some(Mark::Group("Set up")));
        assert_eq!(mark(Stream::Stdout, "a ::group::no"), None);
        assert_eq!(mark(Stream::System, "::group::ours"), None);
    }
}
