//! Lines of a log as HTML, many at a time: one string per batch is what keeps a long log light on both sides.
//!
//! Refuses raw text: everything that comes from a log goes through [`super::ansi`], which escapes it.

use std::fmt::Write;

use domain::{
    Timestamp,
    outline::{Mark, mark},
    view::{LogLine, Stream},
};

use super::{ansi, words};

/// What else a line's look depends on.
#[derive(Clone, Copy)]
pub struct Marks<'a> {
    /// When the stage attempt began.
    pub start: Timestamp,
    /// The line to look at first.
    pub error: Option<u64>,
    /// Lines that a search found, in order.
    pub hits: &'a [u64],
    /// The one of them that one is at.
    pub current: Option<u64>,
    /// The lines that the address names: first and last.
    pub chosen: Option<(u64, u64)>,
    /// Of a line that begins a part: whether it is folded, and how many lines the part has.
    pub fold: &'a dyn Fn(u64) -> Option<(bool, u64)>,
}

impl Default for Marks<'_> {
    fn default() -> Self {
        let fold = &|_| None;
        Self { start: Timestamp(0), error: None, hits: &[], current: None, chosen: None, fold }
    }
}

/// The number people see: lines are counted from 1.
pub fn number(seq: u64) -> u64 {
    seq + 1
}

/// The HTML of some lines.
#[cfg(any(feature = "ssr", test))]
pub fn to_html(lines: &[LogLine], marks: &Marks) -> String {
    let mut out = String::with_capacity(lines.iter().map(|l| l.text.len() + 140).sum());
    lines.iter().for_each(|line| one(line, marks, &mut out));
    out
}

/// The HTML of a line.
pub fn one(line: &LogLine, marks: &Marks, out: &mut String) {
    let (n, said) = (number(line.seq), mark(line.stream, &line.text));
    out.push_str("<div class=\"ln");
    let mut class = |on: bool, name: &str| {
        if on {
            out.push(' ');
            out.push_str(name);
        }
    };
    class(line.stream == Stream::Stderr, "err");
    class(line.stream == Stream::System, "sys");
    class(matches!(said, Some(Mark::Group(_))), "grp");
    class(matches!(said, Some(Mark::EndGroup)), "quiet");
    class(marks.error == Some(line.seq), "first");
    class(marks.hits.binary_search(&line.seq).is_ok(), "hit");
    class(marks.current == Some(line.seq), "now");
    class(marks.chosen.is_some_and(|(from, to)| (from..=to).contains(&line.seq)), "sel");
    let at = words::offset(line.at.since(marks.start));
    let _ = write!(
        out,
        r##"" id="L{n}"><a href="#L{n}" rel="external" tabindex="-1">{n}</a><time datetime="{}">{at}</time><span>"##,
        line.at
    );
    let fold = (marks.fold)(line.seq);
    if let Some((folded, lines)) = fold {
        let (does, sign) = if folded { ("Unfold", "▸") } else { ("Fold", "▾") };
        let _ = write!(
            out,
            r#"<button type="button" class="tog" data-fold="{}" aria-expanded="{}" aria-label="{does} {lines} lines">{sign}</button>"#,
            line.seq, !folded
        );
    }
    match said {
        Some(Mark::Group(name)) => ansi::to_html(name, out),
        _ => ansi::to_html(&line.text, out),
    }
    if let Some((true, lines)) = fold {
        let _ = write!(out, "<b class=\"more-lines\"> ({} lines)</b>", words::thousands(lines));
    }
    out.push_str("</span></div>");
}

/// The HTML of a line that is not here yet.
#[cfg(feature = "hydrate")]
pub fn blank(seq: u64, out: &mut String) {
    let n = number(seq);
    let _ = write!(out, "<div class=\"ln none\" id=\"L{n}\"><a>{n}</a><time></time><span></span></div>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64, stream: Stream, text: &str) -> LogLine {
        LogLine { seq, at: Timestamp(1_500), stream, text: text.into() }
    }

    #[test]
    fn a_line_shows_its_number_time_pipe_and_marks() {
        let marks = Marks {
            start: Timestamp(1_000),
            error: Some(1),
            hits: &[0],
            current: Some(0),
            chosen: Some((1, 1)),
            ..Marks::default()
        };
        let html =
            to_html(&[line(0, Stream::Stdout, "a<b"), line(1, Stream::Stderr, "\u{1b}[31mno")], &marks);
        assert_eq!(
            html,
            r##"<div class="ln hit now" id="L1"><a href="#L1" rel="external" tabindex="-1">1</a><time datetime="1970-01-01T00:00:01.500Z">00:00.5</time><span>a&lt;b</span></div><div class="ln err first sel" id="L2"><a href="#L2" rel="external" tabindex="-1">2</a><time datetime="1970-01-01T00:00:01.500Z">00:00.5</time><span><i class="f1">no</i></span></div>"##
        );
    }

    #[test]
    fn a_part_has_its_name_and_a_way_to_fold_it() {
        let marks = Marks { fold: &|seq| (seq == 4).then_some((true, 1_200)), ..Marks::default() };
        let html = to_html(&[line(4, Stream::Stdout, "::group::<Set up>")], &marks);
        assert!(html.contains(r#"class="ln grp""#) && html.contains("&lt;Set up&gt;"), "{html}");
        assert!(
            html.contains(r#"data-fold="4" aria-expanded="false" aria-label="Unfold 1200 lines""#),
            "{html}"
        );
        assert!(html.contains("(1,200 lines)") && !html.contains("::group::"), "{html}");
    }
}
