//! A service's settings, and its end.
//!
//! Refuses to delete by a slip: the name must be typed.

use domain::{
    ServiceId,
    view::{Containers, Service},
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::{
    super::{came_back, connect::Picked, id_in_address, refusal},
    form::{Fields, Why},
};
use crate::{
    api::{self, Answer, Dated, DeleteService, UpdateService},
    components::{Clock, Crumbs, Failure, Icon, Input, Loading, Refused, Top, When},
    form::ServiceForm,
};

/// The settings page of a service.
#[component]
pub fn ServiceSettingsPage() -> impl IntoView {
    let id = id_in_address::<ServiceId>();
    let data = Resource::new(move || id.get(), |id| async move { read(id?).await });
    view! {
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok((service, here)) => view! { <Whole service here/> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

async fn read(id: ServiceId) -> Answer<(Dated<Service>, Containers)> {
    Ok((api::service(id).await?, api::containers().await?))
}

#[component]
fn Whole(service: Dated<Service>, here: Containers) -> impl IntoView {
    Clock::provide(service.now);
    let query = use_query_map();
    let service = service.value;
    let (error, kept) = (refusal::<UpdateService>(), refusal::<DeleteService>());
    let saved = query.read_untracked().get("saved").is_some() && error.is_none() && kept.is_none();
    let back = came_back().filter(|_| error.is_none());
    let typed = error.as_ref().and_then(|e| e.form.clone()).map(|f| *f);
    let typed = typed.or_else(|| back.as_ref().map(|back| back.form.clone()));
    let form = typed.unwrap_or_else(|| ServiceForm::of(&service.settings));
    let name = service.settings.name.clone();
    let id = service.id.to_string();
    let same = id.clone();
    let steps = vec![("/".into(), "Overview".into()), (format!("/services/{id}"), name.clone())];
    let cancel = format!("/services/{id}");
    let hint = format!("Type {name} to confirm");
    view! {
        <Title text=format!("Settings of {name}")/>
        <Top><Crumbs steps here="Settings"/></Top>
        <div class="well"><h1>{format!("Settings of {name}")}</h1><span class="sub">"Runs that have begun keep the settings they began with · changed "<When at=service.updated_at/>" · "<a class="link" href="/settings/notifications">"who hears of it"</a></span></div>
        <div role="status">{saved.then(|| view! { <p class="done"><Icon name="check"/>"Saved."</p> })}</div>
        <Refused error=error.clone()/>
        {back.map(|purpose| view! { <Picked purpose/> })}
        <form method="post" action=UpdateService::PATH>
            // What Enter in a field does, whatever button comes first.
            <button class="vh" tabindex="-1" aria-hidden="true">"Save"</button>
            <input type="hidden" name="id" value=same/>
            <Fields form why=Why::default() wrong=error here/>
            <div class="submit card">
                <span class="row right"><a class="btn quiet" href=cancel>"Cancel"</a><button class="btn primary">"Save"</button></span>
            </div>
        </form>
        <section class="card panel end">
            <h2>"Delete this service"</h2>
            <p class="sub">"Stops what runs of it, and removes its runs, logs, artifacts and settings. The repository stays as it is."</p>
            <form method="post" action=DeleteService::PATH>
                <input type="hidden" name="id" value=id/>
                <div class="row wrap">
                    <Input label="Its name" name="typed_name" path="typed_name" value="" hint code=true required=true wrong=kept/>
                    <button class="btn danger">"Delete"</button>
                </div>
            </form>
        </section>
    }
    .into_any()
}
