//! The overview: how production is, what waits for a person, every service in every environment, what happened last.
//!
//! Refuses to make anybody read a table to learn whether all is well: a sentence says it first.

mod feed;
mod needs;
mod sentence;
mod table;

use domain::view::Overview;
use leptos::prelude::*;
use leptos_meta::Title;

pub use needs::NeedCard;
pub use table::environment;

use super::{refusal, strangers::Strangers};
use crate::{
    api::{self, ApiError, Rerun},
    components::{Clock, Failure, Icon, Loading, Refused, Top},
    live::{self, Link, Lost},
};

/// The overview page.
#[component]
pub fn OverviewPage() -> impl IntoView {
    let data = Resource::new(|| (), |()| api::overview());
    view! {
        <Title text="Overview"/>
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok(overview) => view! {
                        <Top connect=true>"Main pipeline"</Top>
                        <Strangers/>
                        <Board overview refused={refusal::<Rerun>()} host=host()/>
                    }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// The machine's name in addresses of services that run on it, as this browser reached it.
#[derive(Clone)]
pub struct Host(pub String);

/// The host of the request, without its port.
#[cfg(feature = "ssr")]
pub fn host() -> String {
    let parts = use_context::<http::request::Parts>();
    let host = parts.as_ref().and_then(|p| p.headers.get(http::header::HOST)).and_then(|h| h.to_str().ok());
    without_port(host.unwrap_or("localhost")).to_owned()
}

/// Only the server asks; islands are told.
#[cfg(not(feature = "ssr"))]
pub fn host() -> String {
    String::new()
}

#[cfg(any(feature = "ssr", test))]
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The overview, as it lives in the browser.
#[island]
fn Board(
    /// What the page began with.
    overview: Overview,
    /// What a form on it could not do.
    refused: Option<ApiError>,
    /// The machine's name.
    host: String,
) -> impl IntoView {
    provide_context(Host(host));
    let clock = Clock::provide(overview.now);
    let link = RwSignal::new(Link::Quiet);
    let cursor = overview.cursor.clone();
    let data = RwSignal::new(overview);
    let ask = live::settled(move || renew(data, clock));
    live::open("/live/overview".into(), Some(cursor), link, move |_| ask());
    let empty = Memo::new(move |_| data.with(|d| d.rows.is_empty()));
    view! {
        <Lost link/>
        <div class="well">
            <h1>{move || data.with(sentence::headline)}</h1>
            <span class="sub">{move || data.with(sentence::details)}</span>
        </div>
        <Refused error=refused/>
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
}

/// Asks for the overview again.
#[cfg(feature = "hydrate")]
fn renew(data: RwSignal<Overview>, clock: Clock) {
    use leptos::server_fn::ServerFn;
    leptos::task::spawn_local(async move {
        if let Some(fresh) = live::fetch::function::<Overview>(api::ReadOverview::PATH, "").await {
            clock.set(fresh.now);
            data.set(fresh);
        }
        live::fetch::renew(&[
            crate::components::WAITING,
            crate::components::NOTICES,
            crate::components::STRANGERS,
        ])
        .await;
    });
}

#[cfg(not(feature = "hydrate"))]
fn renew(_: RwSignal<Overview>, _: Clock) {}

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

#[cfg(test)]
mod tests {
    use super::without_port;

    #[test]
    fn hosts_lose_their_port() {
        let names = ["ci.local:3000", "ci.local", "[::1]:3000", "[::1]"].map(without_port);
        assert_eq!(names, ["ci.local", "ci.local", "[::1]", "[::1]"]);
    }
}
