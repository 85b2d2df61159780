//! What happened last, one sentence each.
//!
//! Refuses to repeat the table: it tells of changes, not of states.

use domain::view::{Activity, Overview};
use leptos::prelude::*;

use crate::components::{Icon, Sha, When};

/// The feed.
#[component]
pub fn Feed(data: RwSignal<Overview>) -> impl IntoView {
    let items = move || data.with(|d| d.activity.clone());
    let none = move || data.with(|d| d.activity.is_empty());
    view! {
        <aside class="card feed" aria-label="Activity">
            <h2>"Lately"</h2>
            {move || none().then(|| view! { <p class="dim small">"Pushes, failures, approvals and deploys will be told here."</p> })}
            <ul>
                <For each=items key=|a| (a.at, a.run, a.kind.clone(), a.text.clone()) let:item>
                    <Item item/>
                </For>
            </ul>
        </aside>
    }
    .into_any()
}

#[component]
fn Item(item: Activity) -> impl IntoView {
    let (class, icon) = match item.kind.as_str() {
        "running" => ("st run", "spin"),
        "failed" => ("st bad", "x"),
        "waits" => ("st wait", "pause"),
        "rolled_back" => ("st", "back"),
        "live" => ("st ok", "up"),
        "hold" => ("st wait", "hold"),
        _ => ("st", "stop"),
    };
    let service = item.service.clone();
    let href = item.run.map_or(format!("/services/{}", service.id), |run| format!("/runs/{run}"));
    view! {
        <li>
            <span class=class><Icon name=icon/></span>
            <span>
                <a href=href><b>{service.name}</b></a>" "{item.text}" "
                {item.commit.filter(|c| !c.sha.is_empty()).map(|commit| view! { <Sha commit/> })}
                <br/>
                <span class="dim"><When at=item.at/></span>
            </span>
        </li>
    }
    .into_any()
}
