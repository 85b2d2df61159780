//! The hold: automatic deploys to production stand still until somebody lets them go on.
//!
//! Refuses a hold without a reason; whoever finds it tomorrow will ask.

use domain::view::Service;
use leptos::{prelude::*, server_fn::ServerFn};

use super::refusal;
use crate::{
    api::{Hold, Resume},
    components::{Icon, Refused, When},
};

/// Says that there is one and offers to end it, or offers to begin one.
#[component]
pub fn HoldPanel(service: Service) -> impl IntoView {
    let error = refusal::<Hold>().or_else(refusal::<Resume>);
    let open = error.is_some();
    let id = service.id.to_string();
    match service.hold {
        Some(held) => view! {
            <section class="card holding" aria-label="Hold">
                <span class="st wait"><Icon name="hold"/>"On hold"</span>
                <span>
                    {held.reason}
                    <span class="dim">" · by "{held.by}", "<When at=held.since/>". Nothing goes to production without approval until it is resumed."</span>
                </span>
                <form method="post" action=Resume::PATH>
                    <input type="hidden" name="service" value=id/>
                    <button class="btn">"Resume"</button>
                </form>
                <Refused error/>
            </section>
        }
        .into_any(),
        None => view! {
            <details class="holdfold" open=open>
                <summary>"Hold automatic deploys"</summary>
                <form method="post" action=Hold::PATH>
                    <input type="hidden" name="service" value=id/>
                    <div class="row wrap">
                        <label for="reason">"Reason"</label>
                        <input id="reason" name="reason" required=true placeholder="Why production should stand still" autocomplete="off"/>
                        <button class="btn">"Hold"</button>
                    </div>
                </form>
                <Refused error/>
            </details>
        }
        .into_any(),
    }
}
