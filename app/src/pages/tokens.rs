//! API tokens: a part of the settings page. Everybody has their own; owners see everybody's.
//!
//! Refuses to decide who may what; `control` does. A new token is shown here once, and is in no address.

use domain::{Role, view::TokenView};
use leptos::{prelude::*, server_fn::ServerFn};

use super::{members::choice, refusal};
use crate::{
    api::{self, ApiError, Dated, MakeToken, RevokeToken},
    components::{Clock, Failure, Icon, Loading, Refused, Until, When},
};

/// The part.
#[component]
pub fn Tokens() -> impl IntoView {
    let tokens = Resource::new(|| (), |()| api::tokens());
    view! {
        <section class="card panel" id="tokens">
            <h2>"API tokens"</h2>
            <p class="sub">"For programs: each is sent as "<code>"Authorization: Bearer TOKEN"</code>", and may do no more than who made it. Give it the least role that will do."</p>
            <Refused error={refusal::<RevokeToken>()}/>
            <Suspense fallback=Loading>
                {move || Suspend::new(async move {
                    match tokens.await {
                        Ok(tokens) => view! { <All tokens/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Suspense>
        </section>
    }
    .into_any()
}

#[component]
fn All(tokens: Dated<api::Tokens>) -> impl IntoView {
    let now = tokens.now;
    Clock::provide(now);
    let api::Tokens { tokens, made, roles } = tokens.value;
    let wrong = refusal::<MakeToken>();
    view! {
        {made.map(new)}
        {(!tokens.is_empty()).then(|| view! {
            <ul class="sessions">
                {tokens.into_iter().map(|token| { let over = token.expires_at.is_some_and(|at| at <= now); row(token, over) }).collect_view()}
            </ul>
        })}
        {form(&roles, wrong)}
    }
    .into_any()
}

/// Shown this once.
fn new(token: String) -> impl IntoView {
    view! {
        <div class="made" role="status">
            <p class="st ok"><Icon name="check"/><span>"Made. Copy it now: it is not shown again."</span></p>
            <pre class="code whole"><code>{token}</code></pre>
        </div>
    }
}

fn form(roles: &[Role], wrong: Option<ApiError>) -> impl IntoView + use<> {
    let of = |field: &str| wrong.as_ref().and_then(|e| e.of(field));
    let (name, days) = (of("name"), of("days"));
    let other = wrong.filter(|_| name.is_none() && days.is_none());
    let lives = [(7, "a week"), (30, "30 days"), (90, "90 days"), (365, "a year")];
    let lives = lives.map(|(n, words)| view! { <option value=n selected=n == 30>{words}</option> });
    view! {
        <form method="post" action=MakeToken::PATH class="invite three">
            <div class="field">
                <label for="token-name">"What the token is for"</label>
                <input id="token-name" name="name" autocomplete="off" maxlength="100" placeholder="nightly report" required
                    aria-invalid=name.as_ref().map(|_| "true") aria-describedby="token-name-note"/>
                <span class="note" id="token-name-note">{name.map(|text| view! { <span class="wrong">{text}</span> })}</span>
            </div>
            <div class="field">
                <label for="token-role">"It may act as"</label>
                {choice("token-role", roles, Role::Viewer)}
            </div>
            <div class="field">
                <label for="token-days">"Ends after"</label>
                <select id="token-days" name="days" aria-describedby="token-days-note">{lives.into_iter().collect_view()}</select>
                <span class="note" id="token-days-note">{days.map(|text| view! { <span class="wrong">{text}</span> })}</span>
            </div>
            <button class="btn">"Make a token"</button>
        </form>
        <Refused error=other/>
    }
}

fn row(token: TokenView, over: bool) -> impl IntoView {
    let by = token.by.map(|by| format!(" by {by}"));
    let ends = match token.expires_at {
        Some(_) if over => " · ended".into_any(),
        Some(at) => view! { " · ends in "<Until at/> }.into_any(),
        None => " · does not end by itself".into_any(),
    };
    let used = match token.used_at {
        Some(at) => view! { " · used "<When at/> }.into_any(),
        None => " · never used".into_any(),
    };
    let rests = token.rests.then_some(" · rests until who made it logs in again");
    let revoke = format!("Revoke {}", token.name);
    view! {
        <li>
            <span>
                <b>{token.name}</b>" "<span class="ahead">{token.role.as_str()}</span>
                <div class="dim small">"made "<When at=token.created_at/>{by}{ends}{used}{rests}</div>
            </span>
            <form method="post" action=RevokeToken::PATH>
                <input type="hidden" name="id" value=token.id.to_string()/>
                <button class="btn quiet danger" aria-label=revoke>"Revoke"</button>
            </form>
        </li>
    }
}
