//! How long pipelines keep logs and runs: a form each, on the settings page.

use domain::view::Pipeline;
use leptos::{prelude::*, server_fn::ServerFn};

use super::refusal;
use crate::{
    api::{self, ApiError, SetRetention},
    components::{Failure, Loading, Refused},
    text::words,
};

/// The part of the settings page.
#[component]
pub fn Keeping() -> impl IntoView {
    let pipelines = Resource::new(|| (), |()| api::pipelines());
    let wrong = refusal::<SetRetention>();
    view! {
        <section class="card panel" id="keeping">
            <h2>"What is kept"</h2>
            <p class="sub">"Logs that are removed say so in their place. Logs of what is live stay whatever is said here. An empty field is no limit."</p>
            <Refused error=wrong.clone()/>
            <Suspense fallback=Loading>
                {move || {
                    let wrong = wrong.clone();
                    Suspend::new(async move {
                        match pipelines.await {
                            Ok(all) => all.into_iter().map(|pipeline| kept(pipeline, &wrong)).collect_view().into_any(),
                            Err(error) => view! { <Failure error/> }.into_any(),
                        }
                    })
                }}
            </Suspense>
        </section>
    }
    .into_any()
}

fn kept(pipeline: Pipeline, wrong: &Option<ApiError>) -> impl IntoView {
    let kept = pipeline.retention;
    let services = words::count(pipeline.services as usize, "service", "services");
    let field = |label: &'static str, name: &'static str, value: u64, most: u64| {
        let id = format!("{}-{name}", pipeline.id);
        let says = wrong.as_ref().and_then(|e| e.of(&format!("retention.{name}")));
        view! {
            <div class="field">
                <label for=id.clone()>{label}</label>
                <input
                    id=id.clone() name=name type="number" min="0" max=most step="1" inputmode="numeric" class="num"
                    value=(value > 0).then(|| value.to_string()) placeholder="no limit"
                    aria-invalid=says.as_ref().map(|_| "true") aria-describedby=format!("{id}-note")
                />
                <span class="note" id=format!("{id}-note")>{says.map(|text| view! { <span class="wrong">{text}</span> })}</span>
            </div>
        }
    };
    view! {
        <form method="post" action=SetRetention::PATH class="keeping">
            <h3>{pipeline.name.clone()}" "<span class="dim small">{services}</span></h3>
            <input type="hidden" name="id" value=pipeline.id.to_string()/>
            <div class="fields three">
                {field("Days for logs", "log_days", kept.log_days.into(), 3_650)}
                {field("Megabytes for all logs", "log_megabytes", kept.log_megabytes, 100_000_000)}
                {field("Days for runs", "run_days", kept.run_days.into(), 3_650)}
            </div>
            <button class="btn">"Save"</button>
        </form>
    }
    .into_any()
}
