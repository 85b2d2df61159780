//! Who may log in and what they may do: a part of the settings page, for owners.
//!
//! Refuses to decide who may change it; `control` does.

use domain::{Role, view::Member};
use leptos::{prelude::*, server_fn::ServerFn};

use super::refusal;
use crate::{
    api::{self, Dated, Invite, RemoveMember, SetRole},
    components::{Clock, Failure, Loading, Refused, When},
};

/// The part; nothing for whoever is no owner.
#[component]
pub fn Members() -> impl IntoView {
    let people = Resource::new(|| (), |()| api::people());
    view! {
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match people.await {
                    Ok(None) => ().into_any(),
                    Ok(Some(people)) => view! { <People people/> }.into_any(),
                    Err(error) => view! { <section class="card panel"><Failure error/></section> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn People(people: Dated<api::People>) -> impl IntoView {
    Clock::provide(people.now);
    let api::People { members, github } = people.value;
    let nobody = members.is_empty();
    let wrong = refusal::<Invite>();
    let unchanged = refusal::<SetRole>().or_else(refusal::<RemoveMember>);
    let says = wrong.as_ref().and_then(|e| e.of("login"));
    let roles = Role::ALL.map(|role| view! { <div><dt>{role.as_str()}</dt><dd>{role.may()}</dd></div> });
    view! {
        <section class="card panel" id="members">
            <h2>"Members"</h2>
            <p class="sub">"They log in with GitHub. Each role may do what those before it may."</p>
            <dl class="roles">{roles.into_iter().collect_view()}</dl>
            <Refused error=unchanged/>
            {(!github).then(|| view! {
                <p class="dim">"Logging in with GitHub is not set up: it takes "<code>"GITHUB_CLIENT_ID"</code>" and "<code>"GITHUB_CLIENT_SECRET"</code>". Until then whoever has the printed link is the owner."</p>
            })}
            <ul class="sessions members">{members.into_iter().map(row).collect_view()}</ul>
            {(nobody && github).then(|| view! { <p class="dim">"Nobody yet. Whoever logs in with GitHub and the printed code becomes an owner."</p> })}
            <form method="post" action=Invite::PATH class="invite">
                <div class="field">
                    <label for="login">"Invite by GitHub name"</label>
                    <input id="login" name="login" autocomplete="off" spellcheck="false" placeholder="octocat" required
                        aria-invalid=says.as_ref().map(|_| "true") aria-describedby="login-note"/>
                    <span class="note" id="login-note">{says.map(|text| view! { <span class="wrong">{text}</span> })}</span>
                </div>
                <div class="field">
                    <label for="role">"Role"</label>
                    {choice("role", &Role::ALL, Role::Developer)}
                </div>
                <button class="btn">"Invite"</button>
            </form>
        </section>
    }
    .into_any()
}

/// Roles to choose from.
pub(super) fn choice(id: &str, roles: &[Role], chosen: Role) -> impl IntoView + use<> {
    let options = roles
        .iter()
        .map(|&role| view! { <option value=role.as_str() selected=role == chosen>{role.as_str()}</option> })
        .collect_view();
    view! { <select id=id.to_owned() name="role">{options}</select> }
}

fn row(member: Member) -> impl IntoView {
    let came = match (member.came_by.as_str(), member.invited_by) {
        ("code", _) => "came with the set-up code".to_owned(),
        ("invitation", Some(by)) => format!("invited by {by}"),
        ("invitation", None) => "invited".to_owned(),
        _ => "is on a list of the settings".to_owned(),
    };
    let seen = match member.seen_at {
        Some(at) => view! { " · here "<When at/> }.into_any(),
        None => " · never here yet".into_any(),
    };
    let id = member.id.to_string();
    let label = format!("Role of {}", member.login);
    let remove = format!("Remove {}", member.login);
    let select = format!("role-{id}");
    view! {
        <li>
            <span>
                <b>{member.login}</b>
                {(!member.name.is_empty()).then(|| view! { " "<span class="dim">{member.name}</span> })}
                {member.you.then(|| view! { " "<span class="ahead">"you"</span> })}
                <div class="dim small">{came}{seen}</div>
            </span>
            <form method="post" action=SetRole::PATH class="row">
                <input type="hidden" name="id" value=id.clone()/>
                <label class="vh" for=select.clone()>{label}</label>
                {choice(&select, &Role::ALL, member.role)}
                <button class="btn quiet">"Change"</button>
            </form>
            <form method="post" action=RemoveMember::PATH>
                <input type="hidden" name="id" value=id/>
                <button class="btn quiet danger" aria-label=remove>"Remove"</button>
            </form>
        </li>
    }
}
