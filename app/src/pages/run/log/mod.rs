//! The log panel: a bar to search and choose how lines look, the paper they stand on, and what can be done with them.
//!
//! Refuses to search or to count in the browser: the page has a part of the log, the server all of it. What a page without JavaScript
//! shows of it is made by the server alone.

mod finder;
#[cfg(feature = "hydrate")]
mod hands;
#[cfg(feature = "hydrate")]
mod keys;
#[cfg(feature = "ssr")]
mod still;
#[cfg(feature = "hydrate")]
mod wake;

use domain::{
    Status,
    view::{LogLine, Stage},
};
use leptos::{html, prelude::*};

pub use finder::Found;
#[cfg(feature = "ssr")]
pub use still::Still;
#[cfg(feature = "hydrate")]
pub use wake::switch;

use super::{Asked, Page};
use crate::{
    components::Icon,
    text::{ansi, line, words},
};

/// The address of a part of a log.
pub fn part(page: Page, stage: &Stage, from: Option<u64>, to: Option<u64>) -> String {
    let (run, attempt) = (page.run.with_untracked(|r| r.id), page.attempt());
    let from = from.map(|f| format!("&from={f}")).unwrap_or_default();
    let line = to.map(|seq| format!("#L{}", line::number(seq))).unwrap_or_default();
    format!("/runs/{run}?stage={}&attempt={attempt}{from}{line}", stage.kind)
}

/// The log of the shown stage.
#[component]
pub fn LogPanel(
    /// The lines the page came with: the first ones that the browser knows.
    lines: Vec<LogLine>,
    /// What the address asks for.
    asked: Asked,
) -> impl IntoView {
    let page = expect_context::<Page>();
    let stage = Memo::new(move |_| page.shown());
    let scroller = NodeRef::<html::Div>::new();
    let running =
        Memo::new(move |_| stage.with(|s| s.as_ref().is_some_and(|s| s.status == Status::InProgress)));
    // Without JavaScript the end of a log is what is seen first; the browser itself scrolls to a line that the address names.
    let at_end = asked.from.is_none();
    let (query, regex) = (asked.search.clone(), asked.regex);
    let panel = Panel { page, scroller };
    panel.behave(lines, asked);

    let run = page.run.with_untracked(|r| r.id);
    let kind = move || stage.with(|s| s.as_ref().map_or("", |s| s.kind.as_str()));
    let empty =
        move || (page.total.get() == 0).then(|| view! { <p class="nothing">{nothing(stage.get())}</p> });
    let count = move || format!("{} lines", words::thousands(page.total.get()));
    let following = page.following;
    let follows = move || match (running.get(), following.get()) {
        (true, true) => Some("Following the end · scroll up to let go · "),
        (true, false) => Some("Let go · scroll to the end to follow again · "),
        _ => None,
    };
    let chosen = move || {
        let (from, to) = page.chosen.get()?;
        let copy = move |_| panel.act(Act::Copy);
        Some(view! {
            <button type="button" class="chip js on" on:click=copy>{format!("Copy {}", words::count((to - from + 1) as usize, "line", "lines"))}</button>
        })
    };
    view! {
        <section class="card log" aria-label="Log" id="log" on:click=move |e| panel.click(&e) on:change=move |_| panel.act(Act::Measure)>
            <div class="logbar">
                <h2>{move || stage.with(|s| s.as_ref().map_or("Log", |s| s.kind.title()))}</h2>
                <span class="dim num count">{count}</span>
                {move || stage.get().filter(|s| s.attempt > 1).map(attempts)}
                <span class="right"></span>
                <form method="get" action=format!("/runs/{run}#log") class="find" role="search" aria-label="This log" on:submit=move |e| panel.submit(&e)>
                    <input type="hidden" name="stage" value=kind/>
                    <input type="hidden" name="attempt" value=move || page.attempt().to_string()/>
                    <Icon name="find"/>
                    <input type="search" name="q" aria-label="Search this log" placeholder="Search this log" value=query autocomplete="off" spellcheck="false"/>
                    <label class="rx" title="Regular expression"><input type="checkbox" class="vh" name="regex" value="true" checked=regex aria-label="Regular expression"/><span aria-hidden="true">".*"</span></label>
                </form>
                <span class="steps js" class:some=move || page.found.with(|f| f.total > 0)>
                    <span class="dim num" role="status">{move || page.found.with(Found::says)}</span>
                    <button type="button" class="chip" aria-label="Previous match" on:click=move |_| panel.act(Act::Previous)><Icon name="up"/></button>
                    <button type="button" class="chip" aria-label="Next match" on:click=move |_| panel.act(Act::Next)><Icon name="down"/></button>
                </span>
                {chosen}
                <select class="chip opt times" aria-label="Times">
                    <option value="since">"Since start"</option>
                    <option value="clock">"Date and time"</option>
                    <option value="off">"No times"</option>
                </select>
                <label class="chip opt"><input type="checkbox" class="vh wrap-lines" checked=true/>"Wrap"</label>
                {move || running.get().then(|| view! {
                    <button type="button" class="chip js" class:on=following aria-pressed=move || following.get().to_string() on:click=move |_| panel.act(Act::Follow)>
                        {move || if following.get() { "Following" } else { "Follow" }}
                    </button>
                })}
            </div>
            {move || stage.get().map(trouble)}
            <div class="hits" inner_html=drawn(Drawn::Hits)></div>
            <div class="lines" class:end=at_end role="log" aria-live="off" aria-label="Lines" tabindex="0" node_ref=scroller>
                <div class="roll"><div class="sheet" inner_html=drawn(Drawn::Lines)></div></div>
                {empty}
            </div>
            <div class="follow">
                <span class="js">{follows}</span>
                {move || stage.get().map(|s| download(page, &s))}
                <span class="js">
                    " · "<button type="button" class="text" on:click=move |_| panel.act(Act::Error)>"First error"</button>
                    " · "<button type="button" class="text" on:click=move |_| panel.act(Act::FoldAll)>"Fold"</button>
                    " · "<button type="button" class="text full-screen" on:click=move |_| panel.act(Act::Full)>"Full screen"</button>
                    " · "<button type="button" class="text" id="log-keys-button" popovertarget="log-keys">"? for keys"</button>
                </span>
            </div>
            <div id="log-keys" class="keys" popover="auto" inner_html=drawn(Drawn::Keys)></div>
        </section>
    }
    .into_any()
}

/// What only the server draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Hits,
    Lines,
    Keys,
}

/// A part of the panel as the server makes it; in the browser it stands there already, and is left as it is.
fn drawn(part: Drawn) -> String {
    #[cfg(feature = "ssr")]
    let html = use_context::<Still>().map(|still| still.html(part)).unwrap_or_default();
    #[cfg(not(feature = "ssr"))]
    let html = {
        let _ = part;
        String::new()
    };
    html
}

/// What a person can do with the log, by a button or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
pub enum Act {
    /// To the next match.
    Next,
    /// To the previous match.
    Previous,
    /// To the first error.
    Error,
    /// Follow the end, or let go.
    Follow,
    /// Fold every part, or unfold all.
    FoldAll,
    /// Copy the chosen lines.
    Copy,
    /// Fill the window, or not.
    Full,
    /// The look of lines was changed.
    Measure,
}

/// The panel as its handlers know it.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
pub struct Panel {
    page: Page,
    scroller: NodeRef<html::Div>,
}

/// Nothing moves on the server.
#[cfg(not(feature = "hydrate"))]
impl Panel {
    fn behave(self, _: Vec<LogLine>, _: Asked) {}
    fn act(self, _: Act) {}
    fn click(self, _: &leptos::ev::MouseEvent) {}
    fn submit(self, _: &leptos::ev::SubmitEvent) {}
}

/// The link to the whole log as text.
fn download(page: Page, stage: &Stage) -> impl IntoView + use<> {
    let (run, attempt) = (page.run.with_untracked(|r| r.id), page.attempt());
    view! { <a href=format!("/runs/{run}/log/{}.txt?attempt={attempt}", stage.kind) download="" rel="external">"Download"</a> }.into_any()
}

/// The other attempts.
fn attempts(stage: Stage) -> impl IntoView {
    let page = expect_context::<Page>();
    let run = page.run.with_untracked(|r| r.id);
    let shown = page.attempt();
    let links = (1..=stage.attempt)
        .map(|n| {
            let here = (n == shown).then_some("true");
            view! { <a class="chip" class:on=n == shown aria-current=here href=format!("/runs/{run}?stage={}&attempt={n}", stage.kind)>{n}</a> }
        })
        .collect_view();
    view! { <span class="attempts"><span class="dim">"attempt"</span>{links}</span> }.into_any()
}

/// For a failure: the reason, the line to look at first, and the way to it.
fn trouble(stage: Stage) -> impl IntoView {
    let page = expect_context::<Page>();
    (stage.status == Status::Failure).then(move || {
        let reason = stage.reason.clone().unwrap_or_else(|| format!("{} failed", stage.kind.title()));
        let error = stage.error.clone().filter(|_| page.attempt() == stage.attempt).map(|e| {
            let href = part(page, &stage, Some(e.seq.saturating_sub(200)), Some(e.seq));
            let text = ansi::plain(&e.text);
            view! {
                <code>{text}</code>
                <a class="btn" href=href>{format!("Go to line {}", words::thousands(line::number(e.seq)))}</a>
            }
        });
        view! { <div class="trouble"><span class="st bad"><Icon name="x"/>{reason}</span>{error}</div> }
    })
}

/// Why there are no lines.
fn nothing(stage: Option<Stage>) -> String {
    let Some(stage) = stage else {
        return "No stage has begun. Its log will be here, line by line as it is printed.".into();
    };
    if let Some(removed) = stage.log_removed {
        return format!("This log was {removed}.");
    }
    let because = stage.reason.map(|r| format!(": {r}")).unwrap_or_default();
    match stage.status {
        Status::Idle => {
            "This stage has not begun. Its log will be here, line by line as it is printed.".into()
        }
        Status::AwaitingApproval => "This stage begins when somebody approves.".into(),
        Status::InProgress => "Nothing was printed yet.".into(),
        Status::Skipped => format!("Skipped{because}"),
        Status::Cancelled => format!("Cancelled before it printed anything{because}"),
        Status::Success | Status::Failure => "It printed nothing.".into(),
    }
}
