//! Lines of a log as HTML, many at a time: one string per batch is what keeps a long log light on both sides.
//!
//! Refuses raw text: everything that comes from a log goes through [`super::ansi`], which escapes it.

use std::{collections::HashSet, fmt::Write};

use domain::{
    Timestamp,
    view::{LogLine, Stream},
};

use super::{ansi, words};

/// What else a line's look depends on.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// When the stage attempt began.
    pub start: Timestamp,
    /// The line to look at first.
    pub error: Option<u64>,
    /// Lines that a search found.
    pub hits: HashSet<u64>,
}

/// The number people see: lines are counted from 1.
pub fn number(seq: u64) -> u64 {
    seq + 1
}

/// The HTML of some lines.
pub fn to_html(lines: &[LogLine], marks: &Marks) -> String {
    let mut out = String::with_capacity(lines.iter().map(|l| l.text.len() + 120).sum());
    for line in lines {
        let n = number(line.seq);
        let mut class = String::from("ln");
        match line.stream {
            Stream::Stderr => class.push_str(" err"),
            Stream::System => class.push_str(" sys"),
            Stream::Stdout => {}
        }
        if marks.error == Some(line.seq) {
            class.push_str(" first");
        }
        if marks.hits.contains(&line.seq) {
            class.push_str(" hit");
        }
        let at = words::offset(line.at.since(marks.start));
        let _ = write!(
            out,
            r##"<div class="{class}" id="L{n}"><a href="#L{n}" rel="external" tabindex="-1">{n}</a><time datetime="{}">{at}</time><span>"##,
            line.at
        );
        ansi::to_html(&line.text, &mut out);
        out.push_str("</span></div>");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_its_number_time_pipe_and_marks() {
        let line = |seq, stream, text: &str| LogLine { seq, at: Timestamp(1_500), stream, text: text.into() };
        let marks = Marks { start: Timestamp(1_000), error: Some(1), hits: [0].into() };
        let html =
            to_html(&[line(0, Stream::Stdout, "a<b"), line(1, Stream::Stderr, "\u{1b}[31mno")], &marks);
        assert_eq!(
            html,
            r##"<div class="ln hit" id="L1"><a href="#L1" rel="external" tabindex="-1">1</a><time datetime="1970-01-01T00:00:01.500Z">00:00.5</time><span>a&lt;b</span></div><div class="ln err first" id="L2"><a href="#L2" rel="external" tabindex="-1">2</a><time datetime="1970-01-01T00:00:01.500Z">00:00.5</time><span><i class="f1">no</i></span></div>"##
        );
    }
}
