//! What the server draws of a log, for browsers without JavaScript and for the first moment of those with it: the lines the page begins
//! with and the ways to the others, what a search found, and the keys.
//!
//! Refuses to be in the WASM: what stands here is made once, on the server.

use std::fmt::Write;

use domain::{
    RunId, Timestamp,
    view::{LogLine, LogMatches, RunPage, Stage},
};

use super::{super::Asked, Drawn};
use crate::{
    api::Answer,
    text::{
        ansi::{escape, plain},
        line, words,
    },
};

/// Lines that are drawn as one: what is not seen of them costs nothing.
const CHUNK: usize = 100;
/// Lines of a page.
const PAGE: u64 = 1_000;

/// Keys and what they do.
const KEYS: [(&str, &str); 14] = [
    ("/", "search; Enter next, Shift+Enter previous, :120 goes to line 120"),
    ("n N", "next match, previous match"),
    ("g G", "to the beginning, to the end"),
    ("j k", "a line down, a line up"),
    ("Space", "a page down; with Shift up"),
    ("e", "to the first error"),
    ("f", "follow the end, or let go"),
    ("z", "fold every part, or unfold all"),
    ("l", "choose the line that is looked at, for the address; with Shift up to there"),
    ("c", "copy the chosen lines"),
    ("t", "times: since start, date and time, none"),
    ("w", "wrap long lines, or not"),
    ("m", "full screen"),
    ("d ?", "download; these keys"),
];

/// What the server knows of the log for its page.
#[derive(Debug, Clone)]
pub struct Still {
    run: RunId,
    stage: Option<Stage>,
    attempt: u32,
    lines: Vec<LogLine>,
    next: u64,
    total: u64,
    found: Option<Result<LogMatches, String>>,
    asked: Asked,
}

impl Still {
    /// Of the page and what was searched for in it.
    pub fn new(page: &RunPage, found: Option<Answer<LogMatches>>, asked: &Asked) -> Self {
        let stage = page.shown.and_then(|id| page.run.stages.iter().find(|s| s.id == id)).cloned();
        Self {
            run: page.run.id,
            attempt: asked.attempt.or(stage.as_ref().map(|s| s.attempt)).unwrap_or(1).max(1),
            stage,
            lines: page.log.lines.clone(),
            next: page.log.next_seq,
            total: page.log.total,
            found: found.map(|f| f.map_err(|e| e.message)),
            asked: asked.clone(),
        }
    }

    /// A part of the panel.
    pub(super) fn html(&self, part: Drawn) -> String {
        match part {
            Drawn::Lines => self.lines(),
            Drawn::Hits => self.hits(),
            Drawn::Keys => keys(),
        }
    }

    fn address(&self, also: &str) -> String {
        let stage = self.stage.as_ref().map_or("", |s| s.kind.as_str());
        format!("/runs/{}?stage={stage}&amp;attempt={}{also}", self.run, self.attempt)
    }

    fn lines(&self) -> String {
        let mut out = String::new();
        let first = self.lines.first().map_or(0, |l| l.seq);
        let current = self.stage.as_ref().filter(|s| s.attempt == self.attempt);
        let start = current.and_then(|s| s.started_at).or(self.lines.first().map(|l| l.at));
        let found = self.found.as_ref().and_then(|f| f.as_ref().ok());
        let hits: Vec<u64> = found.into_iter().flat_map(|f| f.matches.iter().map(|m| m.seq)).collect();
        let marks = line::Marks {
            start: start.unwrap_or(Timestamp(0)),
            error: current.and_then(|s| s.error.as_ref()).map(|e| e.seq),
            hits: &hits,
            ..line::Marks::default()
        };
        if first > 0 {
            let href = self.address(&format!("&amp;from={}", first.saturating_sub(PAGE)));
            let _ = write!(
                out,
                r##"<p class="more"><a href="{}&amp;from=0">First line</a> · <a href="{href}">Lines before {}</a></p>"##,
                self.address(""),
                words::thousands(line::number(first))
            );
        }
        for chunk in self.lines.chunks(CHUNK) {
            let _ = write!(
                out,
                r#"<div class="chunk" style="--n:{}">{}</div>"#,
                chunk.len(),
                line::to_html(chunk, &marks)
            );
        }
        if self.next < self.total {
            let _ = write!(
                out,
                r#"<p class="more"><a href="{}">Lines from {} on</a> · <a href="{}">To the end</a></p>"#,
                self.address(&format!("&amp;from={}", self.next)),
                words::thousands(line::number(self.next)),
                self.address("")
            );
        }
        out
    }

    fn hits(&self) -> String {
        let (mut out, mut query) = (String::new(), String::new());
        let found = match &self.found {
            None => return out,
            Some(Ok(found)) => found,
            Some(Err(why)) => {
                out.push_str(r#"<p class="refused" role="alert">"#);
                escape(why, &mut out);
                return out + "</p>";
            }
        };
        escape(&self.asked.search, &mut query);
        let (total, shown) = (found.total as usize, found.matches.len());
        let lines = words::count(total, "line", "lines");
        let _ = write!(out, r#"<p class="row"><b role="status">"#);
        let _ = match total {
            0 => write!(out, "No line has “{query}”"),
            _ if shown < total => {
                let first = found.earlier as usize + 1;
                write!(out, "{lines} with “{query}”: {first} to {} of them", first + shown.max(1) - 1)
            }
            _ => write!(out, "{lines} with “{query}”"),
        };
        let _ = write!(out, r#"</b><a class="link right" href="{}">Clear</a></p><ol>"#, self.address(""));
        for m in &found.matches {
            let (n, from) = (line::number(m.seq), m.seq.saturating_sub(200));
            let href = self.address(&format!("&amp;from={from}{}#L{n}", self.query()));
            let _ =
                write!(out, r#"<li><a href="{href}"><span class="num">{}</span><code>"#, words::thousands(n));
            escape(&plain(&m.text), &mut out);
            out.push_str("</code></a></li>");
        }
        out.push_str("</ol>");
        if let Some(next) = found.next {
            let href = self.address(&format!("{}&amp;hits={next}", self.query()));
            let _ = write!(out, r#"<p><a class="link" href="{href}">The next ones</a></p>"#);
        }
        out
    }

    /// What was searched for, as an address carries it.
    fn query(&self) -> String {
        let regex = if self.asked.regex { "&amp;regex=true" } else { "" };
        format!("&amp;q={}{regex}", words::in_address(&self.asked.search))
    }
}

fn keys() -> String {
    let mut out = String::from("<h3>Keys</h3><dl>");
    for (keys, does) in KEYS {
        out.push_str("<dt>");
        for key in keys.split(' ') {
            let _ = write!(out, "<kbd>{key}</kbd>");
        }
        let _ = write!(out, "</dt><dd>{does}</dd>");
    }
    out.push_str("</dl><p class=\"dim\">They work when nothing else on the page has the focus, or the log has it. Click a number to choose a line, with Shift for a range.</p>");
    out
}
