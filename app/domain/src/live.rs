//! What goes over a server-sent stream, and the cursor that lets a browser go on where it stopped.
//!
//! The cursor is the whole memory of a stream: any server can continue any browser from it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    id::StageId,
    status::UnknownName,
    view::{LogLine, Run, Stage},
};

/// Lines of one stage attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Which stage.
    pub stage: StageId,
    /// Which attempt.
    pub attempt: u32,
    /// The lines, in order, without holes.
    pub lines: Vec<LogLine>,
}

/// One message of a stream. The SSE event's name is the variant's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LiveEvent {
    /// `run`: the run as it stands now.
    Run(Box<Run>),
    /// `stage`: a stage as it stands now.
    Stage(Box<Stage>),
    /// `log`: new lines.
    Log(LogEvent),
    /// `changed`: something that belongs to no run, such as a service that was connected; look again.
    Changed,
    /// `end`: nothing more will come.
    End,
}

impl LiveEvent {
    /// The SSE event name.
    pub fn name(&self) -> &'static str {
        match self {
            LiveEvent::Run(_) => "run",
            LiveEvent::Stage(_) => "stage",
            LiveEvent::Log(_) => "log",
            LiveEvent::Changed => "changed",
            LiveEvent::End => "end",
        }
    }
}

/// How far a stream has come: the last event of the event log, and for each stage (by ordinal) and attempt the next line.
///
/// Written `120` or `120;0.1.450;3.2.30`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence number of the last event that was sent.
    pub event: i64,
    /// `(stage ordinal, attempt)` to the next line's number.
    pub lines: BTreeMap<(u8, u32), u64>,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.event)?;
        for ((stage, attempt), next) in &self.lines {
            write!(f, ";{stage}.{attempt}.{next}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let parse = || -> Option<Cursor> {
            let mut parts = text.split(';');
            let event = parts.next()?.parse().ok()?;
            let mut lines = BTreeMap::new();
            for part in parts {
                let mut numbers = part.split('.');
                let key = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
                lines.insert(key, numbers.next()?.parse().ok()?);
                if numbers.next().is_some() {
                    return None;
                }
            }
            Some(Cursor { event, lines })
        };
        parse().ok_or_else(|| UnknownName {
            what: "cursor",
            text: text.to_owned(),
            known: "an event's id such as 120;0.1.450".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_survives_the_wire(event in 0i64.., lines in prop::collection::btree_map((0u8..7, 1u32..9), 0u64.., 0..7)) {
            let cursor = Cursor { event, lines };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn any_text_is_refused_or_read(text in ".*") {
            let _ = text.parse::<Cursor>();
        }
    }
}
