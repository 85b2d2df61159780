//! The hook of the service's repository on GitHub: how pushes are noticed, what is wrong with it, and the way to mend it.
//!
//! Refuses to show a key; `seamless hook-secret` prints the one for hooks that people make.

use domain::{ServiceId, view::Hook};
use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::MendHook,
    components::{Icon, Refused},
    pages::refusal,
};

/// Shown where something is to be done; a hook that is right has nothing to say.
#[component]
pub fn HookPanel(service: ServiceId, hook: Option<Hook>) -> impl IntoView {
    let Some(hook) = hook.filter(|hook| hook.state != "right") else { return ().into_any() };
    let (title, help) = match (hook.state.as_str(), hook.can_mend) {
        ("gone", _) => ("The hook on GitHub was deleted", None),
        ("refused", _) => ("The hook on GitHub could not be made", None),
        (_, true) => ("The hook on GitHub is being made", None),
        (_, false) => ("GitHub does not tell of pushes yet", Some(hook.url.clone())),
    };
    let service = service.to_string();
    view! {
        <section class="card panel" aria-label="Hook on GitHub">
            <p class="st wait"><Icon name="warn"/><span>{title}</span></p>
            {hook.problem.map(|why| view! { <p class="sub">{why}</p> })}
            {help.map(|url| view! {
                <p class="sub">
                    "In the settings of "<a class="link" href=format!("{}/settings/hooks", hook.page) rel="external">{hook.repository.clone()}</a>
                    " add a webhook: payload URL "<code>{url}</code>", content type "<code>"application/json"</code>
                    ", the secret that "<code>"seamless hook-secret SERVICE"</code>" prints, events pushes and pull requests."
                </p>
            })}
            {hook.can_mend.then(|| view! {
                <form method="post" action=MendHook::PATH>
                    <input type="hidden" name="service" value=service/>
                    <button class="btn"><Icon name="again"/>"Make the hook anew"</button>
                </form>
                <Refused error={refusal::<MendHook>()}/>
            })}
        </section>
    }
    .into_any()
}
