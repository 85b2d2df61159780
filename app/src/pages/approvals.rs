//! Everything that waits for a person, and nothing else.
//!
//! Refuses to decide here: a decision needs the run's page, where what would change can be read.

use domain::view::Need;
use leptos::prelude::*;
use leptos_meta::Title;

use super::{overview::NeedCard, strangers::Strangers};
use crate::{
    api::{self, Dated},
    components::{Clock, Failure, Hint, Loading, Top},
    live::{Fresh, REGION},
    text::words,
};

/// The list of approvals.
#[component]
pub fn ApprovalsPage() -> impl IntoView {
    let data = Resource::new(|| (), |()| api::approvals());
    let strangers = Resource::new(|| (), |()| api::strangers());
    view! {
        <Title text="Approvals"/>
        <Top>"Approvals"<Fresh/></Top>
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok(needs) => view! { <div id=REGION><List needs strangers=strangers.await.map_or(0, |s| s.value.len())/><Strangers/></div> }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn List(needs: Dated<Vec<Need>>, strangers: usize) -> impl IntoView {
    Clock::provide(needs.now);
    let needs = needs.value;
    let title = match needs.len() + strangers {
        0 => "Nothing waits for you.".to_owned(),
        n => format!("{} {} for you.", words::count(n, "run", "runs"), if n == 1 { "waits" } else { "wait" }),
    };
    let none = needs.len() + strangers == 0;
    view! {
        <div class="well"><h1>{title}</h1></div>
        {none.then(|| view! {
            <Hint title="Runs that reached the gate before production will be here.">
                <p class="sub">"A service asks before production unless it is set to deploy by itself."</p>
            </Hint>
        })}
        <section class="needs" aria-label="Approvals">
            {needs.into_iter().map(|need| view! { <NeedCard need/> }).collect_view()}
        </section>
    }
    .into_any()
}
