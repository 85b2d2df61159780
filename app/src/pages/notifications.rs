//! Who hears of what happens: of each pipeline the list, a form to add somebody, and what each hears of.
//!
//! Refuses to decide who may change it; `control` does. Addresses arrive here without what is secret in them.

use std::collections::BTreeMap;

use domain::{
    EnvironmentName, PipelineId, ServiceId,
    news::{Hears, News, Notifications, Subscription},
    view::ServiceRef,
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::refusal;
use crate::{
    api::{self, ApiError, ChangeSubscription, Dated, Subscribe, Unsubscribe},
    components::{Clock, Crumbs, Failure, Hint, Icon, Loading, Refused, Top, When},
    text::words,
};

/// What is ticked for somebody new: what a person has to do something about, and that it is over.
const USUAL: [News; 6] = [
    News::RunFailed,
    News::RunRecovered,
    News::ApprovalNeeded,
    News::ApprovalExpired,
    News::DeployFailed,
    News::RolledBack,
];

/// The page.
#[component]
pub fn NotificationsPage() -> impl IntoView {
    let all = Resource::new(|| (), |()| api::notifications());
    view! {
        <Title text="Notifications"/>
        <Top><Crumbs steps=vec![("/settings".into(), "Settings".into())] here="Notifications"/></Top>
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match all.await {
                    Ok(all) => view! { <All all/> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn All(all: Dated<Option<Vec<Notifications>>>) -> impl IntoView {
    Clock::provide(all.now);
    let Some(pipelines) = all.value else {
        return view! {
            <div class="well"><h1>"Nobody is told."</h1></div>
            <Hint title="This server sends no notifications.">
                <p class="sub">"With "<code>"SEAMLESS_NOTIFY=sns"</code>" Amazon SNS tells teams by e-mail, in Slack, through PagerDuty or by HTTPS what happens; here one then says who hears of what."</p>
            </Hint>
        }
        .into_any();
    };
    let query = use_query_map();
    let said = |name: &str| query.read_untracked().get(name).is_some();
    let wrong = refusal::<Subscribe>();
    let other = refusal::<ChangeSubscription>().or_else(refusal::<Unsubscribe>);
    let fine = wrong.is_none() && other.is_none();
    let done = match () {
        () if fine && said("asked") => {
            Some("Added. Unless it confirms itself, somebody there has to: a message asks for it now.")
        }
        () if fine && said("saved") => {
            Some("Saved. It may take AWS up to 15 minutes to follow it everywhere.")
        }
        () => None,
    };
    let trouble = pipelines.iter().any(|p| p.trouble.is_some());
    let hear: usize = pipelines.iter().flat_map(|p| &p.subscriptions).filter(|s| s.confirmed()).count();
    let title = match hear {
        _ if trouble => "Who hears cannot be seen just now.".to_owned(),
        0 => "Nobody hears yet.".to_owned(),
        1 => "One subscriber hears what happens.".to_owned(),
        n => format!("{n} subscribers hear what happens."),
    };
    view! {
        <div class="well"><h1>{title}</h1><span class="sub">"Each pipeline has a topic of Amazon SNS, and each message goes to whoever subscribed to it."</span></div>
        <div role="status">{done.map(|text| view! { <p class="done"><Icon name="check"/>{text}</p> })}</div>
        <Refused error=other/>
        <div class="stack">{pipelines.into_iter().map(|one| pipeline(one, &wrong)).collect_view()}</div>
    }
    .into_any()
}

fn pipeline(one: Notifications, wrong: &Option<ApiError>) -> impl IntoView + use<> {
    let Notifications { pipeline, name, services, topic, subscriptions, trouble, waiting, problem } = one;
    let nobody = subscriptions.is_empty() && trouble.is_none();
    let late = problem.map(|(since, why)| {
        let count = words::count(waiting as usize, "message waits", "messages wait");
        view! {
            <div class="boxes">
                <p class="st wait"><Icon name="warn"/><span>{format!("{count} to be sent")}</span></p>
                <p class="sub">"Since "<When at=since/>": "{words::sentence(&why)}". It is tried again for a day."</p>
            </div>
        }
    });
    let trouble = trouble.map(|why| {
        view! {
            <div class="boxes" role="alert">
                <p class="st bad"><Icon name="warn"/><span>"Amazon SNS does not answer as it should"</span></p>
                <p class="sub">{words::sentence(&why)}"."</p>
            </div>
        }
    });
    let known: BTreeMap<ServiceId, String> = services.iter().map(|s| (s.id, s.name.clone())).collect();
    let rows = subscriptions.into_iter().map(|s| row(s, pipeline, &services, &known)).collect_view();
    let add = topic.is_some().then(|| form(pipeline, &services, wrong.clone()));
    view! {
        <section class="card panel" id=pipeline.to_string()>
            <h2>{name}</h2>
            {trouble}
            {late}
            {nobody.then(|| view! { <p class="dim">"Nobody subscribed yet. Add an address below; whoever is there confirms it once."</p> })}
            <ul class="sessions hears">{rows}</ul>
            {add}
            {topic.map(|topic| view! { <p class="dim small">"Its topic: "<code class="whole">{topic}</code></p> })}
        </section>
    }
    .into_any()
}

fn row(
    one: Subscription,
    pipeline: PipelineId,
    services: &[ServiceRef],
    known: &BTreeMap<ServiceId, String>,
) -> impl IntoView + use<> {
    let state = if one.confirmed() {
        view! { <span class="st ok"><Icon name="check"/>"confirmed"</span> }.into_any()
    } else {
        view! { <span class="st wait"><Icon name="clock"/>"waits for confirmation"</span> }.into_any()
    };
    let hears = match (&one.hears, &one.id) {
        (Some(hears), _) => sentence(hears, known),
        (None, Some(_)) => "What its filter policy says, which was made elsewhere.".into(),
        (None, None) => {
            "AWS forgets it by itself when nobody confirms; add it again to have it asked once more.".into()
        }
    };
    let remove = format!("Remove {}", one.endpoint);
    let change = format!("Change what {} hears of", one.endpoint);
    let acts = one.id.map(|id| {
        let (subscription, key) = (id.clone(), id.chars().take(8).collect::<String>());
        let hears = one.hears.unwrap_or_default();
        view! {
            <form method="post" action=Unsubscribe::PATH>
                <input type="hidden" name="id" value=pipeline.to_string()/>
                <input type="hidden" name="subscription" value=id/>
                <button class="btn quiet danger" aria-label=remove>"Remove"</button>
            </form>
            <details class="hearing">
                <summary><span aria-hidden="true">"Change"</span><span class="vh">{change}</span></summary>
                <form method="post" action=ChangeSubscription::PATH class="fields">
                    <input type="hidden" name="id" value=pipeline.to_string()/>
                    <input type="hidden" name="subscription" value=subscription/>
                    {fields(&key, &hears, services, None)}
                    <button class="btn">"Save"</button>
                </form>
            </details>
        }
    });
    view! {
        <li>
            <span>
                <b>{one.reached.title()}</b>" "<code>{one.endpoint}</code>" "{state}
                <div class="dim small">{hears}</div>
            </span>
            {acts}
        </li>
    }
    .into_any()
}

/// What somebody hears of, as a sentence.
fn sentence(hears: &Hears, known: &BTreeMap<ServiceId, String>) -> String {
    let kinds: Vec<_> = hears.news.iter().map(|n| n.title().to_lowercase()).collect();
    let what = if kinds.is_empty() { "everything".to_owned() } else { kinds.join(", ") };
    let names: Vec<_> = hears
        .services
        .iter()
        .map(|id| known.get(id).cloned().unwrap_or_else(|| "a service that was deleted".into()))
        .collect();
    let whose = if names.is_empty() { "every service".to_owned() } else { names.join(", ") };
    let place = hears.environment.map(|e| format!(", {e} only")).unwrap_or_default();
    let also = if hears.pull_requests { ", pull requests too" } else { "" };
    format!("Hears of {what} of {whose}{place}{also}.")
}

/// A form to add somebody.
fn form(pipeline: PipelineId, services: &[ServiceRef], wrong: Option<ApiError>) -> impl IntoView + use<> {
    let of = |field: &str| wrong.as_ref().and_then(|e| e.of(field));
    let told = ["endpoint", "news", "services", "environment"].iter().any(|field| of(field).is_some());
    let other = wrong.clone().filter(|_| !told);
    let key = pipeline.to_string();
    let ways = WAYS.map(|(value, label, hint)| {
        let id = format!("{key}-{value}");
        let note = format!("{id}-note");
        view! {
            <div class="check">
                <input type="radio" id=id.clone() name="reached" value=value checked=value == "email" aria-describedby=note.clone()/>
                <label for=id>{label}</label>
                <span class="note" id=note>{hint}</span>
            </div>
        }
    });
    let endpoint = format!("{key}-endpoint");
    let note = format!("{endpoint}-note");
    let says = of("endpoint");
    let hears = Hears { news: USUAL.into(), ..Hears::default() };
    view! {
        <form method="post" action=Subscribe::PATH class="fields part">
            <h3>"Add somebody"</h3>
            <Refused error=other/>
            <input type="hidden" name="id" value=pipeline.to_string()/>
            <fieldset class="checks"><legend class="label">"How they hear"</legend>{ways.into_iter().collect_view()}</fieldset>
            <div class="field">
                <label for=endpoint.clone()>"Address"</label>
                <input id=endpoint name="endpoint" required autocomplete="off" spellcheck="false" autocapitalize="off" placeholder="team@example.org"
                    aria-invalid=says.as_ref().map(|_| "true") aria-describedby=note.clone()/>
                <span class="note" id=note>{says.map(wrong_with)}</span>
            </div>
            {fields(&key, &hears, services, wrong)}
            <div class="row"><button class="btn primary">"Add"</button></div>
        </form>
    }
    .into_any()
}

/// Value, label and a word of help of each way to hear.
const WAYS: [(&str, &str, &str); 4] = [
    ("email", "E-mail", "To a person or a list."),
    (
        "chat",
        "Slack",
        "The channel's e-mail address, which its settings give under Integrations. Without one, and for Teams: choose the topic below in Amazon Q Developer in chat applications, and the channel shows up here.",
    ),
    (
        "pager_duty",
        "PagerDuty",
        "The address of an Event Orchestration's integration: https://events.pagerduty.com/x-ere/KEY. It confirms itself.",
    ),
    ("https", "HTTPS", "A program of your own, which has to confirm what SNS sends it at first."),
];

fn wrong_with(text: String) -> impl IntoView {
    view! { <span class="wrong"><Icon name="warn"/>{text}</span> }
}

/// What somebody hears of.
fn fields(
    key: &str,
    hears: &Hears,
    services: &[ServiceRef],
    wrong: Option<ApiError>,
) -> impl IntoView + use<> {
    let tick = |name: String, label: String, on: bool| {
        let id = format!("{key}-{name}");
        view! {
            <div class="check">
                <input type="checkbox" id=id.clone() name=format!("hears{name}") checked=on/>
                <label for=id>{label}</label>
            </div>
        }
    };
    let all = hears.news.is_empty();
    let kinds = News::ALL.map(|news| {
        let on = all || hears.news.contains(&news);
        tick(format!("[news][{news}]"), news.title().to_owned(), on)
    });
    let of_each: Vec<_> = services
        .iter()
        .map(|service| {
            let on = hears.services.contains(&service.id);
            tick(format!("[services][{}]", service.id), service.name.clone(), on)
        })
        .collect();
    let requests = tick("[pull_requests]".into(), "Pull requests, too".into(), hears.pull_requests);
    let said = |field: &str| {
        let text = wrong.as_ref().and_then(|e| e.of(field));
        text.map(|text| view! { <span class="note">{wrong_with(text)}</span> })
    };
    let (no_news, no_services) = (said("news"), said("services"));
    let narrowed = !hears.services.is_empty() || no_services.is_some();
    let place = hears.environment.map_or("", EnvironmentName::as_str);
    let places =
        [("", "Staging and production"), ("production", "Production only"), ("staging", "Staging only")];
    let places = places.map(|(of, label)| view! { <option value=of selected=of == place>{label}</option> });
    let select = format!("{key}-environment");
    view! {
        <fieldset><legend class="label">"What they hear of"</legend><div class="ticks">{kinds.into_iter().collect_view()}</div>{no_news}</fieldset>
        <div class="fields two">
            <div class="field">
                <label for=select.clone()>"Environments"</label>
                <select id=select name="hears[environment]">{places.into_iter().collect_view()}</select>
            </div>
            {requests}
        </div>
        {(services.len() > 1).then(|| view! {
            <details open=narrowed>
                <summary>"Only some services"</summary>
                <fieldset><legend class="vh">"Services"</legend><div class="ticks">{of_each}</div></fieldset>
                <span class="note">"None ticked: all of them, also those that are still to come."</span>
                {no_services}
            </details>
        })}
    }
    .into_any()
}
