//! What can be done with a run as a whole: cancel it, repeat it.
//!
//! Refuses to offer what makes no sense now; whether it is allowed the server says.

use domain::Status;
use leptos::{form::ActionForm, prelude::*};

use super::{super::refusal, Page};
use crate::{
    api::{Cancel, Rerun},
    components::{Icon, Refused},
};

/// The buttons beside the title.
#[component]
pub fn Actions() -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let (cancel, rerun) = (ServerAction::<Cancel>::new(), ServerAction::<Rerun>::new());
    Effect::new(move |_| {
        if let Some(Ok(fresh)) = cancel.value().get() {
            run.set(fresh);
        }
    });
    let id = run.with_untracked(|r| r.id.to_string());
    let over = Memo::new(move |_| run.with(|r| r.status.is_terminal()));
    let failed = Memo::new(move |_| run.with(|r| r.failed_stage().filter(|_| r.status == Status::Failure).map(|s| s.kind)));
    let error = Signal::derive(move || refusal(cancel).get().or_else(|| refusal(rerun).get()));
    let busy = move || cancel.pending().get() || rerun.pending().get();
    view! {
        <div class="acts">
            {move || {
                let id = id.clone();
                if over.get() {
                    let again = id.clone();
                    view! {
                        {failed.get().map(|kind| view! {
                            <ActionForm action=rerun>
                                <input type="hidden" name="run" value=again.clone()/>
                                <input type="hidden" name="from" value="failed"/>
                                <button class="btn primary" disabled=busy><Icon name="again"/>{format!("Rerun from {}", kind.title())}</button>
                            </ActionForm>
                        })}
                        <ActionForm action=rerun>
                            <input type="hidden" name="run" value=id/>
                            <input type="hidden" name="from" value="start"/>
                            <button class="btn" disabled=busy>"Rerun"</button>
                        </ActionForm>
                    }.into_any()
                } else {
                    view! {
                        <ActionForm action=cancel>
                            <input type="hidden" name="run" value=id/>
                            <button class="btn danger" disabled=busy>"Cancel run"</button>
                        </ActionForm>
                    }.into_any()
                }
            }}
            <Refused error/>
        </div>
    }
    .into_any()
}
