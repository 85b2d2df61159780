//! The one page that strangers see: how to get in, and why they did not.
//!
//! Refuses to ask for a password, since there is none: GitHub says who somebody is, and the printed link that one may use the server's
//! shell.

use domain::view::Door;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{api, components::Icon};

/// How one gets in.
#[component]
pub fn LoginPage() -> impl IntoView {
    let door = Resource::new(|| (), |()| api::door());
    view! {
        <Title text="Log in"/>
        <main class="door">
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move { ways(door.await.unwrap_or_default()) })}
            </Suspense>
        </main>
    }
    .into_any()
}

fn ways(door: Door) -> impl IntoView {
    let query = use_query_map().get_untracked();
    let who = query.get("who").unwrap_or_default();
    let next = query.get("next").unwrap_or_default();
    let said = query.get("said").and_then(|said| says(&said, &who, door.site.as_deref().unwrap_or_default()));
    let said =
        said.map(|text| view! { <p class="refused" role="alert"><Icon name="warn"/><span>{text}</span></p> });
    match door.site.clone() {
        Some(site) => view! {
            <section class="card">
                <p class="brand"><Icon name="mark"/>"Seamless"</p>
                <h1>"Log in"</h1>
                {said}
                <form method="post" action="/login/github" class="enter">
                    <input type="hidden" name="next" value=next/>
                    {door.needs_code.then(code)}
                    <button class="btn primary">"Log in with GitHub"</button>
                </form>
                {asked(&door, &site)}
                <details>
                    <summary>"With a link from the server instead"</summary>
                    <p class="sub">"On the machine that runs Seamless, type "<code>"seamless login"</code>" and open the link it prints. It works once, within 15 minutes."</p>
                </details>
            </section>
        }
        .into_any(),
        None => view! {
            <section class="card">
                <p class="brand"><Icon name="mark"/>"Seamless"</p>
                <h1>"This needs the login link."</h1>
                {said}
                <p class="sub">"On the machine that runs Seamless, type"</p>
                <pre class="code"><code>"seamless login"</code></pre>
                <p class="sub">"and open the link it prints. It works once and logs this browser in. The first one stands in what the server printed when it started."</p>
            </section>
        }
        .into_any(),
    }
}

fn code() -> impl IntoView {
    view! {
        <div class="field">
            <label for="code">"Set-up code"</label>
            <input id="code" name="code" autocomplete="off" spellcheck="false" aria-describedby="code-note"/>
            <span class="note" id="code-note">
                "Nobody owns this Seamless yet; with the code you do. It is the last part of the link that the server printed when it started, and "
                <code>"seamless login"</code>" prints a new one."
            </span>
        </div>
    }
}

/// What GitHub will be asked for, each with its reason.
fn asked(door: &Door, site: &str) -> impl IntoView {
    let scopes = door.scopes.iter().map(|scope| {
        let why = match scope.as_str() {
            "read:org" => "to see whether you belong to an organisation or a team that is let in",
            _ => "for what an owner set up",
        };
        view! { <li><code>{scope.clone()}</code>", "{why}</li> }
    });
    view! {
        <div class="rights">
            <p class="sub">"Asked for at "<code>{site.to_owned()}</code>":"</p>
            <ul>
                <li>"Your name and number there, to know who you are. They are public: no right is needed."</li>
                {scopes.collect_view()}
            </ul>
            <p class="dim small">"No right to any repository. Connecting a private one asks for that then, and says why."</p>
        </div>
    }
}

/// What went wrong, and what to do about it.
fn says(said: &str, who: &str, site: &str) -> Option<String> {
    // It comes from an address that anybody can write: a name, and nothing that looks like more.
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let who = if !who.is_empty() && who.len() <= 39 && who.chars().all(name) { who } else { "This account" };
    Some(match said {
        "link" => "That link was used already, or its time is over. Get a new one.".into(),
        "over" => "You are logged out: the session ended, or was ended here or on GitHub. Log in again.".into(),
        "begin" => "That login was not begun in this browser, or took more than ten minutes. Begin again.".into(),
        "spent" => "That answer of GitHub was used already; it is good for one login. Begin again.".into(),
        "declined" => "You declined at GitHub, and nothing was handed over. Begin again if that was a slip.".into(),
        "code" => "That set-up code is wrong, was used, or its time is over. “seamless login” on the server prints a new one.".into(),
        "owner" => format!("Nobody owns this Seamless yet. {who} becomes its owner with the set-up code; without it nobody gets in."),
        "stranger" => format!("{who} may not in here. Ask an owner to invite you by that name, in Settings under Members. To come as somebody else, log out at {site} first."),
        "away" => "GitHub does not answer just now. Try again in a moment.".into(),
        "app" => "GitHub does not accept this server's app. Whoever runs the server finds the reason in its log: mostly a callback URL or a secret that does not fit.".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::says;

    #[test]
    fn an_address_cannot_put_words_into_the_page() {
        let said = says("stranger", "dana", "https://github.com").unwrap_or_default();
        assert!(said.starts_with("dana may not in here"), "{said}");
        for written in ["Call 555-1234 now", "https://evil.example", ""] {
            assert!(
                says("stranger", written, "").is_some_and(|said| said.starts_with("This account may not"))
            );
        }
        assert_eq!(says("anything", "dana", ""), None);
    }
}
