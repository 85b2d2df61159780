//! The inbox: every hook that came, what became of it and why, and the way to try it again.
//!
//! Refuses to hide what was ignored; that is what one comes here for.

use domain::view::{Delivery, Page};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::refusal;
use crate::{
    api::{self, Dated, Release, Replay, TurnAway},
    components::{Clock, Failure, Hint, Icon, Loading, Refused, Sha, Top, When},
    live::{Fresh, REGION},
};

/// The list of deliveries.
#[component]
pub fn DeliveriesPage() -> impl IntoView {
    let query = use_query_map();
    let before = Memo::new(move |_| query.read().get("before").and_then(|b| b.parse().ok()));
    let data = Resource::new(move || before.get(), api::deliveries);
    view! {
        <Title text="Deliveries"/>
        <Top>"Deliveries"<Fresh/></Top>
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok(page) => view! { <div id=REGION><List page/></div> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn List(page: Dated<Page<Delivery>>) -> impl IntoView {
    Clock::provide(page.now);
    let Page { items, next } = page.value;
    let none = items.is_empty();
    view! {
        <div class="well"><h1>"What hooks said"</h1><span class="sub">"Every push that was told to Seamless, and what became of it"</span></div>
        <Refused error={refusal::<Replay>()}/>
        <Refused error={refusal::<Release>().or_else(refusal::<TurnAway>)}/>
        {if none {
            view! {
                <Hint title="No delivery yet.">
                    <p class="sub">"A push to a connected repository is told by its hook, or noticed by comparing branches. Each will be here with its verdict."</p>
                </Hint>
            }.into_any()
        } else {
            let rows = items.into_iter().map(|delivery| view! { <Row delivery/> }).collect_view();
            view! { <ol class="card inbox">{rows}</ol> }.into_any()
        }}
        <div class="pages">{next.map(|n| view! { <a class="btn" href=format!("/deliveries?before={n}")>"Older deliveries"</a> })}</div>
    }
    .into_any()
}

/// What an event is called.
fn event_name(event: &str, payload: &serde_json::Value) -> String {
    let action = payload.get("action").and_then(|a| a.as_str()).unwrap_or_default();
    match (event, action) {
        ("push", _) => "Push".into(),
        ("pull_request_opened", _) => "Pull request opened".into(),
        ("pull_request_synchronized", _) | ("pull_request", "synchronize") => "Pull request updated".into(),
        (other, action) => {
            let mut words = other.replace('_', " ");
            if let Some(first) = words.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            [words.as_str(), &action.replace('_', " ")].join(" ").trim_end().to_owned()
        }
    }
}

/// The pull request a payload speaks of.
fn number_of(payload: &serde_json::Value) -> Option<u64> {
    let number = payload.get("pull_request")?;
    number.as_u64().or_else(|| number.get("number")?.as_u64())
}

/// The commit a payload speaks of, by any of the names it may have.
fn commit_of(payload: &serde_json::Value) -> Option<domain::view::Commit> {
    let named = |path: &&str| payload.pointer(path)?.as_str();
    let sha = ["/pull_request/head/sha", "/after", "/sha", "/commit", "/new"].iter().find_map(named)?;
    let looks = sha.len() == 40 && sha.chars().all(|c| c.is_ascii_hexdigit());
    looks.then(|| domain::view::Commit { sha: sha.to_owned(), ..Default::default() })
}

#[component]
fn Row(delivery: Delivery) -> impl IntoView {
    let (class, icon, word) = match delivery.verdict.as_str() {
        "accepted" => ("st ok", "check", "Accepted"),
        "ignored" => ("st", "skip", "Ignored"),
        "waiting" => ("st wait", "pause", "Waits for you"),
        _ => ("st wait", "clock", "Pending"),
    };
    // The word beside the icon says it already.
    let why = delivery.reason.as_deref().map(|why| why.strip_prefix("ignored: ").unwrap_or(why).to_owned());
    let from = match delivery.source.as_str() {
        "git" => "from its Git hook",
        "github" => "from GitHub",
        "poll" => "noticed by comparing branches",
        _ => "from a hook",
    };
    let payload = serde_json::to_string_pretty(&delivery.payload).unwrap_or_default();
    let id = delivery.id.to_string();
    view! {
        <li>
            <div class="what">
                <span class=class><Icon name=icon/>{word}</span>
                <span>
                    <b>{delivery.service.as_ref().map_or("No service".to_owned(), |s| s.name.clone())}</b>" · "
                    {event_name(&delivery.event, &delivery.payload)}
                    {number_of(&delivery.payload).map(|n| format!(" #{n}"))}" "
                    {commit_of(&delivery.payload).map(|commit| view! { <Sha commit/> })}
                    {why.map(|why| view! { <div class="sub">{why}</div> })}
                    <div class="dim small">{from}" · "<When at=delivery.received_at/></div>
                </span>
                <span class="row right">
                    {delivery.run.map(|run| view! { <a class="btn quiet" href=format!("/runs/{run}")>"Open its run"</a> })}
                    {(delivery.verdict == "waiting").then(|| view! {
                        <form method="post" action=Release::PATH>
                            <input type="hidden" name="id" value=id.clone()/>
                            <button class="btn primary"><Icon name="check"/>"Let it run"</button>
                        </form>
                        <form method="post" action=TurnAway::PATH>
                            <input type="hidden" name="id" value=id.clone()/>
                            <button class="btn">"Turn it away"</button>
                        </form>
                    })}
                    <form method="post" action=Replay::PATH>
                        <input type="hidden" name="id" value=id/>
                        <button class="btn quiet"><Icon name="again"/>"Replay"</button>
                    </form>
                </span>
            </div>
            <details>
                <summary>"Payload"</summary>
                <p class="dim small">
                    "Delivery "<code>{delivery.guid.clone()}</code>
                    {delivery.payload.get("begins").map(|_| view! { ", of which this is the beginning; the whole is at "<code>{format!("/api/v1/deliveries/{}", delivery.id)}</code> })}
                </p>
                <pre class="code" tabindex="0"><code>{payload}</code></pre>
            </details>
        </li>
    }
    .into_any()
}
