//! Pull requests from forks that wait: where what they change can be read, and a maintainer's yes or no.
//!
//! Refuses to be drawn in the browser; the server's newest rendering takes its place when something happens.

use domain::view::Stranger;
use leptos::{prelude::*, server_fn::ServerFn};

use super::refusal;
use crate::{
    api::{self, Dated, Release, TurnAway},
    components::{Clock, Icon, Refused, STRANGERS, Sha, When},
};

/// Those that wait, and what the last answer could not do.
#[component]
pub fn Strangers() -> impl IntoView {
    let data = Resource::new(|| (), |()| api::strangers());
    view! {
        <Refused error={refusal::<Release>().or_else(refusal::<TurnAway>)}/>
        <div id=STRANGERS>
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move { data.await.ok().map(|found| view! { <Cards found/> }) })}
            </Suspense>
        </div>
    }
    .into_any()
}

#[component]
fn Cards(found: Dated<Vec<Stranger>>) -> impl IntoView {
    Clock::provide(found.now);
    (!found.value.is_empty()).then(|| {
        let cards = found.value.into_iter().map(|stranger| view! { <Card stranger/> }).collect_view();
        view! { <section class="needs" aria-label="Pull requests from forks">{cards}</section> }
    })
}

#[component]
fn Card(stranger: Stranger) -> impl IntoView {
    let s = stranger;
    let id = s.delivery.to_string();
    let by = s.by.map(|by| format!(" by {by}")).unwrap_or_default();
    view! {
        <article class="card need">
            <div class="row">
                <span class="st wait"><Icon name="pause"/>"From a fork"</span>
                <span class="dim right"><When at=s.since short=true/></span>
            </div>
            <div>
                <b>{s.service.name}</b>{format!(" · pull request {} of {}{by} ", s.pull_request, s.fork)}<Sha commit=s.commit.clone()/>
                {(!s.commit.message.is_empty()).then(|| view! { <div class="sub cut">{s.commit.message.clone()}</div> })}
                <div class="sub">"Look at what it changes before it runs here. It gets no secrets, and keeps nothing for other runs."</div>
            </div>
            <div class="row wrap">
                {s.page.map(|page| view! { <a class="btn" href=page rel="external">"Look at it"</a> })}
                <form method="post" action=Release::PATH>
                    <input type="hidden" name="id" value=id.clone()/>
                    <button class="btn primary"><Icon name="check"/>"Let it run"</button>
                </form>
                <form method="post" action=TurnAway::PATH>
                    <input type="hidden" name="id" value=id/>
                    <button class="btn quiet">"Turn it away"</button>
                </form>
            </div>
        </article>
    }
    .into_any()
}
