//! Searching a log: a plain form, and the lines that were found, each a link.
//!
//! Refuses to search in the browser: the page has a part of the log, the server all of it.

use domain::view::{LogMatches, Stage};
use leptos::prelude::*;

use super::{
    Page,
    log::{part, shown_attempt},
};
use crate::{
    components::Icon,
    text::{ansi, line, words},
};

/// The field in the log's bar.
#[component]
pub fn Search(
    /// The shown stage.
    stage: Stage,
    /// What was searched for.
    query: String,
) -> impl IntoView {
    let page = expect_context::<Page>();
    let run = page.run.with_untracked(|r| r.id);
    let attempt = shown_attempt(page);
    view! {
        <form method="get" action=format!("/runs/{run}#log") class="find" role="search" aria-label="This log">
            <input type="hidden" name="stage" value=stage.kind.as_str()/>
            <input type="hidden" name="attempt" value=attempt.to_string()/>
            <Icon name="find"/>
            <input type="search" name="q" aria-label="Search this log" placeholder="Search this log" value=query autocomplete="off" spellcheck="false"/>
        </form>
    }
    .into_any()
}

/// What was found.
#[component]
pub fn Hits(
    /// The lines.
    found: LogMatches,
    /// What was searched for.
    query: String,
    /// The shown stage.
    stage: Option<Stage>,
) -> impl IntoView {
    let page = expect_context::<Page>();
    let total = found.total as usize;
    let shown = found.matches.len();
    let head = match total {
        0 => format!("No line has “{query}”"),
        _ if shown < total => {
            format!("{} with “{query}”, the first {shown} of them", words::count(total, "line", "lines"))
        }
        _ => format!("{} with “{query}”", words::count(total, "line", "lines")),
    };
    let clear = stage.as_ref().map(|s| part(page, s, None, None)).unwrap_or_default();
    let rows = found
        .matches
        .into_iter()
        .map(|m| {
            let href = stage.as_ref().map(|s| {
                let (path, hash) = (part(page, s, Some(m.seq.saturating_sub(200)), None), line::number(m.seq));
                format!("{path}&q={}#L{hash}", escape(&query))
            });
            view! { <li><a href=href><span class="num">{words::thousands(line::number(m.seq))}</span><code>{ansi::plain(&m.text)}</code></a></li> }
        })
        .collect_view();
    view! {
        <div class="hits">
            <p class="row"><b role="status">{head}</b><a class="link right" href=clear>"Clear"</a></p>
            <ol>{rows}</ol>
        </div>
    }
    .into_any()
}

/// A query's characters as an address carries them.
fn escape(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn addresses_carry_any_text() {
        assert_eq!(super::escape("a b&c=é#"), "a%20b%26c%3D%C3%A9%23");
    }
}
