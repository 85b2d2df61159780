//! Connecting a service: which repository, what Seamless proposes to do with it, a trial of that, and the end of it.
//!
//! Refuses to keep a step in the browser: each is an address, so it survives a reload and needs no JavaScript. What is left half-way
//! is a draft on the server.

mod candidates;
mod on_ecs;
mod proposed;
mod trial;

pub use on_ecs::{NewOnEcsPage, Picked};

use domain::view::{Candidates, Containers, Detected, Draft};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

use self::{candidates::Which, proposed::Proposed, trial::Kept};
use crate::{
    api::{self, Answer, ApiError, Dated},
    components::{Clock, Crumbs, Failure, Loading, Top},
};

/// What the address asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    repository: String,
    branch: String,
    folder: String,
    draft: String,
    find: String,
    page: usize,
    /// The service that was connected before this one.
    after: String,
}

/// The step that it leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Step {
    /// Which repository, and why another one is needed.
    Which(Candidates, Vec<Draft>, Option<ApiError>),
    /// What is proposed for one, and the services that are connected to it.
    Proposed(Box<Detected>, Containers),
    /// What was kept.
    Kept(Box<Draft>, Containers),
}

async fn step(asked: Asked) -> Answer<Dated<Step>> {
    if !asked.draft.is_empty() {
        let id = asked.draft.parse().map_err(|_| ApiError::new(404, "There is no such draft."))?;
        let Dated { value, now } = api::draft(id).await?;
        return Ok(Dated { value: Step::Kept(Box::new(value), api::containers().await?), now });
    }
    let mut error = None;
    if !asked.repository.is_empty() {
        match api::detect(asked.repository, Some(asked.branch), Some(asked.folder)).await {
            Ok(found) => {
                let drafts = api::drafts().await?;
                return Ok(Dated {
                    value: Step::Proposed(Box::new(found), api::containers().await?),
                    now: drafts.now,
                });
            }
            Err(why) => error = Some(why),
        }
    }
    let Dated { value: list, now } = api::candidates(asked.find, asked.page).await?;
    let drafts = api::drafts().await?.value;
    Ok(Dated { value: Step::Which(list, drafts, error), now })
}

/// The connect page.
#[component]
pub fn ConnectPage() -> impl IntoView {
    let query = use_query_map();
    let asked = Memo::new(move |_| {
        let q = query.read();
        let text = |name: &str| q.get(name).unwrap_or_default().trim().to_owned();
        Asked {
            repository: text("repository"),
            branch: text("branch"),
            folder: text("folder"),
            draft: text("draft"),
            find: text("find"),
            page: text("page").parse().unwrap_or(1),
            after: text("after"),
        }
    });
    let data = Resource::new(move || asked.get(), step);
    let steps = vec![("/".into(), "Overview".into())];
    view! {
        <Title text="Connect a service"/>
        <Top><Crumbs steps here="Connect a service"/></Top>
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                let asked = asked.get_untracked();
                match data.await {
                    Ok(Dated { value, now }) => {
                        Clock::provide(now);
                        match value {
                            Step::Which(list, drafts, error) => view! { <Which asked list drafts error/> }.into_any(),
                            Step::Proposed(detected, here) => view! { <Proposed detected=*detected here after=asked.after/> }.into_any(),
                            Step::Kept(draft, here) => view! { <Kept draft=*draft here/> }.into_any(),
                        }
                    }
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}
