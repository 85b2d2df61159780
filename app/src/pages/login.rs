//! The one page that strangers see: how to get in.
//!
//! Refuses to ask for a password, since there is none: the login link proves that one may use the server's shell.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::components::Icon;

/// Says where the login link comes from.
#[component]
pub fn LoginPage() -> impl IntoView {
    let query = use_query_map();
    let spent = move || query.read().get("said").is_some_and(|v| v == "link");
    view! {
        <Title text="Log in"/>
        <main class="door">
            <section class="card">
                <p class="brand"><Icon name="mark"/>"Seamless"</p>
                <h1>"This needs the login link."</h1>
                {move || spent().then(|| view! {
                    <p class="refused" role="alert"><Icon name="warn"/><span>"That link was used already, or its time is over. Get a new one."</span></p>
                })}
                <p class="sub">"On the machine that runs Seamless, type"</p>
                <pre class="code"><code>"seamless login"</code></pre>
                <p class="sub">"and open the link it prints. It works once and logs this browser in. The first one stands in what the server printed when it started."</p>
            </section>
        </main>
    }
    .into_any()
}
