//! The hold: automatic deploys to production stand still until somebody lets them go on.
//!
//! Refuses a hold without a reason; whoever finds it tomorrow will ask.

use domain::view::Service;
use leptos::{form::ActionForm, prelude::*};

use super::refusal;
use crate::{
    api::{Hold, Resume},
    components::{Icon, Refused, When},
};

/// Says that there is one and offers to end it, or offers to begin one.
#[component]
pub fn HoldPanel(service: Service, again: Trigger) -> impl IntoView {
    let (hold, resume) = (ServerAction::<Hold>::new(), ServerAction::<Resume>::new());
    Effect::new(move |_| {
        let done = matches!(hold.value().get(), Some(Ok(_))) || matches!(resume.value().get(), Some(Ok(_)));
        if done {
            again.notify();
        }
    });
    let error = Signal::derive(move || refusal(hold).get().or_else(|| refusal(resume).get()));
    let id = service.id.to_string();
    match service.hold {
        Some(held) => view! {
            <section class="card holding" aria-label="Hold">
                <span class="st wait"><Icon name="hold"/>"On hold"</span>
                <span>
                    {held.reason}
                    <span class="dim">" · by "{held.by}", "<When at=held.since/>". Nothing goes to production without approval until it is resumed."</span>
                </span>
                <ActionForm action=resume>
                    <input type="hidden" name="service" value=id/>
                    <button class="btn">"Resume"</button>
                </ActionForm>
                <Refused error/>
            </section>
        }
        .into_any(),
        None => view! {
            <details class="holdfold" open=move || error.get().is_some()>
                <summary>"Hold automatic deploys"</summary>
                <ActionForm action=hold>
                    <input type="hidden" name="service" value=id/>
                    <div class="row wrap">
                        <label for="reason">"Reason"</label>
                        <input id="reason" name="reason" required=true placeholder="Why production should stand still" autocomplete="off"/>
                        <button class="btn">"Hold"</button>
                    </div>
                </ActionForm>
                <Refused error/>
            </details>
        }
        .into_any(),
    }
}
