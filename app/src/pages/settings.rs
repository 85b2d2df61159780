//! The person's own settings: colours, and the browsers that are logged in; what pipelines keep; and what this server has for containers.
//!
//! Refuses to change the server's own settings; those come from the environment and are read once.

use domain::view::{Containers, Daemon, Engine, Forge, SessionView};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_meta::Title;

use super::{keeping::Keeping, members::Members, refusal, tokens::Tokens};
use crate::{
    api::{self, Dated, RevokeSession, SetTheme},
    components::{Clock, Failure, Icon, Loading, Refused, Top, Until, When},
    text::words,
    theme::Theme,
};

/// The settings page.
#[component]
pub fn SettingsPage() -> impl IntoView {
    let sessions = Resource::new(|| (), |()| api::sessions());
    let here = Resource::new(|| (), |()| api::containers());
    let forge = Resource::new(|| (), |()| api::forge());
    let drives = Resource::new(|| (), |()| api::engine());
    view! {
        <Title text="Settings"/>
        <Top>"Settings"</Top>
        <div class="well"><h1>"Settings"</h1></div>
        <div class="stack">
            <Colours/>
            <section class="card panel">
                <h2>"Browsers that are logged in"</h2>
                <Refused error={refusal::<RevokeSession>()}/>
                <Suspense fallback=Loading>
                    {move || Suspend::new(async move {
                        match sessions.await {
                            Ok(list) => view! { <Sessions list/> }.into_any(),
                            Err(error) => view! { <Failure error/> }.into_any(),
                        }
                    })}
                </Suspense>
            </section>
            <Members/>
            <Tokens/>
            <section class="card panel">
                <h2>"Notifications"</h2>
                <p class="sub">"Who hears by e-mail, in Slack, through PagerDuty or by HTTPS when a run fails, an approval is needed, or something goes live."</p>
                <p><a class="btn" href="/settings/notifications">"Who hears of what"</a></p>
            </section>
            <Keeping/>
            <section class="card panel">
                <h2>"Engine"</h2>
                <Suspense fallback=Loading>
                    {move || Suspend::new(async move {
                        match drives.await {
                            Ok(engine) => view! { <Drives engine/> }.into_any(),
                            Err(error) => view! { <Failure error/> }.into_any(),
                        }
                    })}
                </Suspense>
            </section>
            <section class="card panel">
                <h2>"Containers"</h2>
                <Suspense fallback=Loading>
                    {move || Suspend::new(async move {
                        match here.await {
                            Ok(here) => view! { <Boxes here/> }.into_any(),
                            Err(error) => view! { <Failure error/> }.into_any(),
                        }
                    })}
                </Suspense>
            </section>
            <section class="card panel">
                <h2>"GitHub"</h2>
                <Suspense fallback=Loading>
                    {move || Suspend::new(async move {
                        match forge.await {
                            Ok(forge) => view! { <GitHub forge/> }.into_any(),
                            Err(error) => view! { <Failure error/> }.into_any(),
                        }
                    })}
                </Suspense>
            </section>
            <section class="card panel">
                <h2>"About"</h2>
                <dl>
                    <dt>"Version"</dt>
                    <dd class="num">{env!("CARGO_PKG_VERSION")}</dd>
                    <dt>"Interface"</dt>
                    <dd><a class="link" href="/api/v1/openapi.json" rel="external">"OpenAPI document of the REST API"</a></dd>
                    <dt>"State"</dt>
                    <dd><a class="link" href="/readyz" rel="external">"Readiness"</a>" · "<a class="link" href="/metrics" rel="external">"Metrics"</a></dd>
                </dl>
            </section>
        </div>
    }
    .into_any()
}

/// Whether a daemon answers and where images go; else the way there.
#[component]
fn Boxes(here: Containers) -> impl IntoView {
    let daemon = match here.daemon {
        Daemon::Answers { version, host } => view! {
            <p class="st ok"><Icon name="check"/><span>{format!("Docker {version} answers")}</span></p>
            <p class="sub">"At "<code>{host}</code>". Services with a Dockerfile can run in containers, and commands in toolchain images."</p>
        }
        .into_any(),
        Daemon::Away(why) => view! {
            <p class="st wait"><Icon name="warn"/><span>"Docker cannot be used"</span></p>
            <p class="sub">{words::sentence(&why)}"."</p>
            <p class="dim">"Services run as processes meanwhile. With Docker installed and running on this machine it is found by itself; "<code>"DOCKER_HOST"</code>" names a daemon elsewhere."</p>
        }
        .into_any(),
        Daemon::Elsewhere => view! {
            <p class="st ok"><Icon name="check"/><span>"Docker of the stages' hosts"</span></p>
            <p class="sub">"Stages build images and run toolchain images where AWS starts them; this server needs no Docker."</p>
        }
        .into_any(),
    };
    let registry = match here.registry {
        Some(address) => view! { "Pushed to "<code>{address}</code> }.into_any(),
        None => view! { "Stay with the daemon. "<code>"SEAMLESS_REGISTRY"</code>" names a registry, such as "<code>"registry.example.org/acme"</code> }.into_any(),
    };
    view! {
        <div class="boxes">{daemon}</div>
        <dl><dt>"Images"</dt><dd>{registry}</dd></dl>
    }
    .into_any()
}

/// What drives runs, and what became of messages that nothing could be made of.
#[component]
fn Drives(engine: Dated<Option<Engine>>) -> impl IntoView {
    Clock::provide(engine.now);
    let Some(engine) = engine.value else {
        return view! {
            <div class="boxes">
                <p class="st ok"><Icon name="check"/><span>"Embedded"</span></p>
                <p class="sub">"Stages run on the machines of Seamless itself. "<code>"SEAMLESS_ENGINE=step-functions"</code>" has AWS run them."</p>
            </div>
        }
        .into_any();
    };
    let how = if engine.troubles.is_empty() {
        view! { <p class="st ok"><Icon name="check"/><span>"AWS Step Functions"</span></p> }.into_any()
    } else {
        view! { <p class="st wait"><Icon name="warn"/><span>"AWS Step Functions: trouble"</span></p> }
            .into_any()
    };
    let troubles: Vec<_> = engine
        .troubles
        .into_iter()
        .map(|why| view! { <p class="sub">{words::sentence(&why)}"."</p> })
        .collect();
    let aside = (!engine.aside.is_empty()).then(|| {
        let rows: Vec<_> = engine
            .aside
            .into_iter()
            .map(|one| view! { <p><When at=one.at/>": "{one.why}</p><p><code>{one.body}</code></p> })
            .collect();
        view! { <dt>"Messages set aside"</dt><dd>{rows}</dd> }
    });
    view! {
        <div class="boxes">{how}{troubles}</div>
        <dl><dt>"Executions that go on"</dt><dd class="num">{engine.open}</dd>{aside}</dl>
    }
    .into_any()
}

/// As whom Seamless acts on GitHub, and how that goes.
#[component]
fn GitHub(forge: Dated<Forge>) -> impl IntoView {
    Clock::provide(forge.now);
    let forge = forge.value;
    let who = match forge.acts_as.as_deref() {
        Some(who) => view! {
            <p class="st ok"><Icon name="check"/><span>{if who == "app" { "Acts as an app" } else { "Acts with a token" }}</span></p>
            <p class="sub">"At "<code>{forge.site}</code>". Hooks are made and mended, and GitHub is told how runs go."</p>
        }
        .into_any(),
        None => view! {
            <p class="st"><Icon name="skip"/><span>"Only listens"</span></p>
            <p class="sub">"To "<code>{forge.site}</code>". With "<code>"GITHUB_APP_ID"</code>" and its key, or "<code>"GITHUB_TOKEN"</code>", Seamless makes hooks, reads private repositories and tells how runs go."</p>
        }
        .into_any(),
    };
    let left = forge.requests_left.map(|left| {
        let resets = forge.resets_at.map(|at| view! { ", counted anew in "<Until at/> });
        view! { <dt>"Requests left"</dt><dd class="num">{left}{resets}</dd> }
    });
    let waits = forge
        .waits_until
        .map(|at| view! { <dt>"Its limit is reached"</dt><dd>"asked again in "<Until at/></dd> });
    let untold =
        (forge.untold > 0).then(|| view! { <dt>"Still to be told"</dt><dd class="num">{forge.untold}</dd> });
    let problem = forge.problem.map(|why| view! { <dt>"Trouble"</dt><dd>{why}</dd> });
    view! {
        <div class="boxes">{who}</div>
        <dl>{left}{waits}{untold}{problem}</dl>
    }
    .into_any()
}

#[component]
fn Colours() -> impl IntoView {
    let chosen = Theme::current();
    let buttons = Theme::ALL
        .map(|theme| {
            let on = chosen == theme;
            view! {
                <button class="chip" class:on=on aria-pressed=on.to_string() name="theme" value=theme.as_str()>
                    {theme.title()}
                </button>
            }
        })
        .into_iter()
        .collect_view();
    view! {
        <section class="card panel">
            <h2>"Colours"</h2>
            <form method="post" action=SetTheme::PATH><div class="row wrap">{buttons}</div></form>
            <Refused error={refusal::<SetTheme>()}/>
        </section>
    }
    .into_any()
}

/// The few words of a browser's long introduction that tell it from others.
fn browser(agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    let what = find(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "Headless Chromium"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let on = find(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (what, on) {
        (Some(what), Some(on)) => format!("{what} on {on}"),
        (Some(what), None) => what.to_owned(),
        _ if agent.is_empty() => "A browser that does not say which".into(),
        _ => agent.chars().take(60).collect(),
    }
}

#[component]
fn Sessions(list: Dated<Vec<SessionView>>) -> impl IntoView {
    Clock::provide(list.now);
    let rows = list
        .value
        .into_iter()
        .map(|s| {
            view! {
                <li>
                    <span>
                        <b title=s.agent.clone()>{browser(&s.agent)}</b>
                        " "<span class="dim">{s.user}</span>
                        {s.current.then(|| view! { " "<span class="ahead">"this one"</span> })}
                        <div class="dim small">"logged in "<When at=s.created_at/>" · ends in "<Until at=s.expires_at/></div>
                    </span>
                    <form method="post" action=RevokeSession::PATH>
                        <input type="hidden" name="id" value=s.id.to_string()/>
                        <button class="btn quiet danger">{if s.current { "Log out" } else { "Revoke" }}</button>
                    </form>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="sessions">{rows}</ul> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_are_named() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
        assert_eq!(
            [browser(chrome), browser("curl/8.1"), browser("")],
            ["Chrome on Linux", "curl", "A browser that does not say which"].map(String::from)
        );
    }
}
