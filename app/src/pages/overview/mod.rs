//! The overview: how production is, what waits for a person, every service in every environment, what happened last.
//!
//! Refuses to make anybody read a table to learn whether all is well: a sentence says it first.

mod feed;
mod needs;
mod sentence;
mod table;

use std::time::Duration;

use domain::view::Overview;
use leptos::prelude::*;
use leptos_meta::Title;

pub use needs::NeedCard;
pub use table::environment;

use crate::{
    api,
    components::{Clock, Failure, Icon, Loading, Nudge, Top},
    live::{self, Link},
};

/// The overview page.
#[component]
pub fn OverviewPage() -> impl IntoView {
    let data = Resource::new(|| (), |()| api::overview());
    view! {
        <Title text="Overview"/>
        <Transition fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok(overview) => view! { <Board overview/> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Board(overview: Overview) -> impl IntoView {
    let clock = Clock::provide(overview.now);
    let link = RwSignal::new(Link::Quiet);
    let cursor = overview.cursor.clone();
    let data = RwSignal::new(overview);

    // Many events may come at once; the page asks once they have settled.
    let fetch = Action::new(|(): &()| api::overview());
    let ask = leptos::leptos_dom::helpers::debounce(Duration::from_millis(150), move |()| {
        fetch.dispatch(());
    });
    let ask = StoredValue::new_local(ask);
    live::open("/live/overview".into(), cursor, link, move |_| {
        ask.try_update_value(|ask| ask(()));
    });
    Effect::new(move |_| {
        if let Some(Ok(fresh)) = fetch.value().get() {
            clock.set(fresh.now);
            data.set(fresh);
            Nudge::now();
        }
    });

    let empty = Memo::new(move |_| data.with(|d| d.rows.is_empty()));
    view! {
        <Top connect=true>
            "Main pipeline"
            {move || (link.get() == Link::Lost).then(|| view! { <span class="lost" role="status"><Icon name="again"/>"Reconnecting"</span> })}
        </Top>
        <div class="well">
            <h1>{move || data.with(sentence::headline)}</h1>
            <span class="sub">{move || data.with(sentence::details)}</span>
        </div>
        {move || {
            if empty.get() {
                view! { <Empty/> }.into_any()
            } else {
                view! {
                    <needs::Needs data/>
                    <div class="cols">
                        <table::Table data/>
                        <feed::Feed data/>
                    </div>
                }.into_any()
            }
        }}
    }
    .into_any()
}

/// Nothing is connected: what will be here, and how it comes.
#[component]
fn Empty() -> impl IntoView {
    view! {
        <section class="empty card first">
            <span class="seam" aria-hidden="true"><i class="ok"></i><i class="ok"></i><i class="ok"></i><i class="ok"></i><i class="run"></i><i></i><i></i></span>
            <h2>"Your services will be here, each with what runs in staging and in production."</h2>
            <p class="sub">
                "Connect any Git repository. Seamless looks at it, proposes how to test, build and start it, and every push from then on walks through seven stages: "
                "Prepare, Code Quality, Unit Test, Build, Integration Test, Staging and, when you approve, Production."
            </p>
            <p class="row">
                <a class="btn primary" href="/services/new"><Icon name="plus"/>"Connect a service"</a>
                <span class="dim">"or, in a shell, "<code>"seamless connect PATH_OR_URL"</code></span>
            </p>
        </section>
    }
    .into_any()
}
