//! The log panel: lines that scroll like paper, follow the end until one scrolls up, and can be linked to one by one.
//!
//! Refuses to redraw a line: batches are drawn once; only new ones are added at the end.

use std::sync::Arc;

use domain::{
    Status, Timestamp,
    view::{LogMatches, Stage},
};
use leptos::{html, prelude::*};

use super::{
    Page,
    search::{Hits, Search},
};
use crate::{
    components::Icon,
    live::{Chunk, LogState},
    text::{ansi, line, words},
};

/// The address of a part of a log.
pub fn part(page: Page, stage: &Stage, from: Option<u64>, to: Option<u64>) -> String {
    let (run, attempt) = (page.run.with_untracked(|r| r.id), shown_attempt(page));
    let from = from.map(|f| format!("&from={f}")).unwrap_or_default();
    let line = to.map(|seq| format!("#L{}", line::number(seq))).unwrap_or_default();
    format!("/runs/{run}?stage={}&attempt={attempt}{from}{line}", stage.kind)
}

/// The attempt whose log is shown.
pub fn shown_attempt(page: Page) -> u32 {
    page.log.with_untracked(|l| l.as_ref().map_or(1, |l| l.attempt.max(1)))
}

/// The log of the shown stage.
#[component]
pub fn LogPanel(
    /// What a search found.
    found: Option<LogMatches>,
    /// What was searched for.
    search: String,
) -> impl IntoView {
    let page = expect_context::<Page>();
    let stage = Memo::new(move |_| page.shown());
    let scroller = NodeRef::<html::Div>::new();
    let running =
        Memo::new(move |_| stage.with(|s| s.as_ref().is_some_and(|s| s.status == Status::InProgress)));
    // A stage that has not begun is followed from its first line on.
    let over = stage.with_untracked(|s| s.as_ref().is_some_and(|s| s.status.is_terminal()));
    let following = RwSignal::new(!over && page.at_end.get_untracked() && search.is_empty());
    let hits = StoredValue::new(
        found.as_ref().map(|f| f.matches.iter().map(|m| m.seq).collect()).unwrap_or_default(),
    );
    behave(page, stage, scroller, following);

    let chunks = move || {
        page.log
            .with(|l| {
                l.as_ref()
                    .map(|l| l.chunks.iter().map(|c| (l.stage, l.attempt, Arc::clone(c))).collect::<Vec<_>>())
            })
            .unwrap_or_default()
    };
    let draw = move |chunk: Arc<Chunk>| {
        let marks = line::Marks {
            start: start(page).unwrap_or_else(|| chunk.lines.first().map_or(Timestamp(0), |l| l.at)),
            error: stage.with_untracked(|s| s.as_ref().and_then(|s| s.error.as_ref()).map(|e| e.seq)),
            hits: hits.get_value(),
        };
        let html = line::to_html(&chunk.lines, &marks);
        view! { <div class="chunk" style=format!("--n:{}", chunk.lines.len()) inner_html=html></div> }
    };
    let lines = move || {
        page.log.with(|l| l.as_ref().map_or(0, |l| l.next)).max(if page.at_end.get() {
            0
        } else {
            page.total.get()
        })
    };
    let earlier = move || {
        let first = page.log.with(|l| l.as_ref().map_or(0, LogState::first));
        stage.get().filter(|_| first > 0).map(|s| {
            let href = part(page, &s, Some(first.saturating_sub(1000)), None);
            view! { <a class="more" href=href><Icon name="up"/>{format!("Lines before {}", words::thousands(line::number(first)))}</a> }
        })
    };
    let later = move || {
        let next = page.log.with(|l| l.as_ref().map_or(0, |l| l.next));
        stage.get().filter(|_| !page.at_end.get()).map(|s| {
            let (on, end) = (part(page, &s, Some(next), None), part(page, &s, None, None));
            view! { <span class="more"><a href=on><Icon name="down"/>{format!("Lines from {} on", words::thousands(line::number(next)))}</a>" · "<a href=end>"To the end"</a></span> }
        })
    };
    let empty = move || {
        page.log
            .with(|l| l.as_ref().is_none_or(|l| l.chunks.is_empty()))
            .then(|| view! { <p class="nothing">{nothing(stage.get())}</p> })
    };
    let shown_lines = move || format!("{} lines", words::thousands(lines()));
    let hits_query = search.clone();
    view! {
        <section class="card log" class:live=running aria-label="Log" id="log">
            <div class="logbar">
                <h2>{move || stage.with(|s| s.as_ref().map_or("Log", |s| s.kind.title()))}</h2>
                <span class="dim num count">{shown_lines}</span>
                {move || stage.get().filter(|s| s.attempt > 1).map(attempts)}
                <span class="right"></span>
                {move || stage.get().map(|s| view! { <Search stage=s query=search.clone()/> })}
                <label class="chip opt"><input type="checkbox" class="vh show-time" checked=true/>"Time"</label>
                <label class="chip opt"><input type="checkbox" class="vh wrap-lines" checked=true/>"Wrap"</label>
                {move || running.get().then(|| view! {
                    <button type="button" class="chip js" class:on=following aria-pressed=move || following.get().to_string() on:click=move |_| following.update(|f| *f = !*f)>
                        {move || if following.get() { "Following" } else { "Follow" }}
                    </button>
                })}
            </div>
            {move || stage.get().map(trouble)}
            {found.map(|found| view! { <Hits found query=hits_query stage=stage.get_untracked()/> })}
            <div class="lines" role="log" aria-live="off" aria-label="Lines" tabindex="0" node_ref=scroller>
                {earlier}
                {empty}
                <For each=chunks key=|(stage, attempt, c)| (*stage, *attempt, c.first()) let((_, _, chunk))>
                    {draw(chunk)}
                </For>
                {later}
            </div>
            <div class="follow">
                <span class="js">{move || match (running.get(), following.get()) {
                    (true, true) => Some("Following the end · scroll up to let go · "),
                    (true, false) => Some("Let go · scroll to the end to follow again · "),
                    _ => None,
                }}</span>
                {move || stage.get().map(|s| download(page, &s))}
            </div>
        </section>
    }
    .into_any()
}

/// The link to the whole log as text.
fn download(page: Page, stage: &Stage) -> impl IntoView + use<> {
    let (run, attempt) = (page.run.with_untracked(|r| r.id), shown_attempt(page));
    view! { <a href=format!("/runs/{run}/log/{}.txt?attempt={attempt}", stage.kind) download="" rel="external">"Download"</a> }.into_any()
}

/// When the shown attempt began.
fn start(page: Page) -> Option<Timestamp> {
    let attempt = page.log.with_untracked(|l| l.as_ref().map(|l| l.attempt));
    let stage = untrack(move || page.shown())?;
    if Some(stage.attempt) == attempt && stage.started_at.is_some() {
        return stage.started_at;
    }
    page.log.with_untracked(|l| l.as_ref()?.chunks.front()?.lines.first().map(|l| l.at))
}

/// The other attempts.
fn attempts(stage: Stage) -> impl IntoView {
    let page = expect_context::<Page>();
    let run = page.run.with_untracked(|r| r.id);
    let shown = page.log.with_untracked(|l| l.as_ref().map_or(0, |l| l.attempt));
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
        let error = stage.error.clone().map(|e| {
            let shown = page.log.with_untracked(|l| l.as_ref().is_some_and(|l| l.first() <= e.seq && e.seq < l.next));
            let href = if shown { format!("#L{}", line::number(e.seq)) } else { part(page, &stage, Some(e.seq.saturating_sub(200)), Some(e.seq)) };
            let text = ansi::plain(&e.text);
            view! {
                <code>{text}</code>
                <a class="btn" href=href rel=shown.then_some("external")>{format!("Go to line {}", words::thousands(line::number(e.seq)))}</a>
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

/// Scrolling: follow the end, let go, find the line the address names, stand at the error.
#[cfg(feature = "hydrate")]
fn behave(page: Page, stage: Memo<Option<Stage>>, scroller: NodeRef<html::Div>, following: RwSignal<bool>) {
    // Nearer to the end than this counts as being there.
    const NEAR: i32 = 24;

    Effect::new(move |_| {
        let Some(el) = scroller.get() else { return };
        let last = StoredValue::new(el.scroll_top());
        let handle = listen(&el, move |el| {
            let top = el.scroll_top();
            let near = el.scroll_height() - top - el.client_height() < NEAR;
            let up = top < last.get_value();
            last.set_value(top);
            if near {
                following.set(true);
            } else if up {
                following.set(false);
            }
        });
        on_cleanup(handle);
    });
    Effect::new(move |_| {
        page.log.track();
        if following.get() {
            request_animation_frame(move || {
                if let Some(el) = scroller.try_get_untracked().flatten() {
                    el.set_scroll_top(el.scroll_height());
                }
            });
        }
    });
    Effect::new(move |before: Option<()>| {
        let Some(el) = scroller.get() else { return };
        if before.is_some() {
            return;
        }
        let hash = window().location().hash().unwrap_or_default();
        let asked: Option<u64> = hash.strip_prefix("#L").and_then(|n| n.parse().ok());
        match (asked, stage.get_untracked()) {
            (Some(n), Some(stage)) if n > 0 && document().get_element_by_id(&format!("L{n}")).is_none() => {
                let _ = window().location().set_href(&part(
                    page,
                    &stage,
                    Some((n - 1).saturating_sub(200)),
                    Some(n - 1),
                ));
            }
            (Some(n), _) => {
                following.set(false);
                stand_at(&el, n);
            }
            (None, Some(stage)) if stage.status == Status::Failure => {
                if let Some(error) = stage.error {
                    stand_at(&el, line::number(error.seq));
                }
            }
            _ => {}
        }
    });
    // A failure that comes while one watches marks its line as well.
    Effect::new(move |_| {
        let error = stage.with(|s| s.as_ref().and_then(|s| s.error.as_ref()).map(|e| line::number(e.seq)));
        if let Some(line) = error.and_then(|n| document().get_element_by_id(&format!("L{n}"))) {
            let _ = line.class_list().add_1("first");
        }
    });
}

/// Puts a line in the middle of the panel, without moving the page.
#[cfg(feature = "hydrate")]
fn stand_at(el: &web_sys::HtmlDivElement, n: u64) {
    if let Some(line) = document().get_element_by_id(&format!("L{n}")) {
        let (a, b) = (line.get_bounding_client_rect(), el.get_bounding_client_rect());
        let down = (a.top() - b.top()) as i32 - el.client_height() / 2;
        el.set_scroll_top(el.scroll_top() + down);
    }
}

/// Listens to the panel's scrolling until the page goes.
#[cfg(feature = "hydrate")]
fn listen(
    el: &web_sys::HtmlDivElement,
    on: impl Fn(&web_sys::HtmlDivElement) + 'static,
) -> impl Fn() + Send + Sync + 'static {
    use wasm_bindgen::{JsCast, closure::Closure};
    let target = el.clone();
    let closure = Closure::<dyn Fn()>::new(move || on(&target));
    let _ = el.add_event_listener_with_callback("scroll", closure.as_ref().unchecked_ref());
    let kept = StoredValue::new_local((el.clone(), closure));
    move || {
        let _ = kept.try_with_value(|(el, closure)| {
            el.remove_event_listener_with_callback("scroll", closure.as_ref().unchecked_ref())
        });
    }
}

/// Nothing scrolls on the server.
#[cfg(not(feature = "hydrate"))]
fn behave(_: Page, _: Memo<Option<Stage>>, _: NodeRef<html::Div>, _: RwSignal<bool>) {}
