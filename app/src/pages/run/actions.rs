//! What can be done with a run as a whole: cancel it, repeat it.
//!
//! Refuses to offer what makes no sense now; whether it is allowed the server says.

use domain::Status;
use leptos::{prelude::*, server_fn::ServerFn};

use super::Page;
use crate::{
    api::{ApiError, Cancel, Rerun},
    components::{Icon, Refused},
};

/// The buttons beside the title.
#[component]
pub fn Actions(refused: Option<ApiError>) -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let id = run.with_untracked(|r| r.id.to_string());
    let over = Memo::new(move |_| run.with(|r| r.status.is_terminal()));
    let failed = Memo::new(move |_| {
        run.with(|r| r.failed_stage().filter(|_| r.status == Status::Failure).map(|s| s.kind))
    });
    view! {
        <div class="acts">
            {move || {
                let id = id.clone();
                if over.get() {
                    let again = id.clone();
                    view! {
                        {failed.get().map(|kind| view! {
                            <form method="post" action=Rerun::PATH>
                                <input type="hidden" name="run" value=again.clone()/>
                                <input type="hidden" name="from" value="failed"/>
                                <button class="btn primary"><Icon name="again"/>{format!("Rerun from {}", kind.title())}</button>
                            </form>
                        })}
                        <form method="post" action=Rerun::PATH>
                            <input type="hidden" name="run" value=id/>
                            <input type="hidden" name="from" value="start"/>
                            <button class="btn">"Rerun"</button>
                        </form>
                    }.into_any()
                } else {
                    view! {
                        <form method="post" action=Cancel::PATH>
                            <input type="hidden" name="run" value=id/>
                            <button class="btn danger">"Cancel run"</button>
                        </form>
                    }.into_any()
                }
            }}
            <Refused error=refused/>
        </div>
    }
    .into_any()
}
