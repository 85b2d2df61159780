//! The page for addresses that lead nowhere.
//!
//! Refuses to guess what was meant; it offers the ways that exist.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::components::Top;

/// Nothing is here.
#[component]
pub fn Missing() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="Not here"/>
        <Top>"Not here"</Top>
        <section class="empty card">
            <h1>"There is no such page."</h1>
            <p class="sub">"The address may be mistyped, or what it led to was deleted."</p>
            <p class="row">
                <a class="btn primary" href="/">"To the overview"</a>
                <a class="btn" href="/runs">"To the runs"</a>
            </p>
        </section>
    }
    .into_any()
}
