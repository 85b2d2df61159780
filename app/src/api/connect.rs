//! Connecting a service: which repositories there are, what is in one, drafts and their trials, and the end of it.
//!
//! Refuses to keep anything between two steps but the draft; every step is an address.

use domain::{
    ServiceId,
    view::{Candidates, Detected, Draft, Service},
};
use leptos::prelude::*;

use super::{Answer, Dated};
use crate::form::ServiceForm;

#[cfg(feature = "ssr")]
use domain::service::ServiceSettings;

#[cfg(feature = "ssr")]
use super::{
    ApiError,
    server::{actor, control, dated, filled, refuse},
};

/// A page of the repositories that can be connected.
#[server(name = ReadCandidates, prefix = "/fn", endpoint = "candidates")]
pub async fn candidates(find: String, page: usize) -> Answer<Dated<Candidates>> {
    control()?.candidates(&actor()?, &find, page).await.map(dated).map_err(refuse)
}

/// What a repository's content proposes.
#[server(name = ReadDetect, prefix = "/fn", endpoint = "detect")]
pub async fn detect(repository: String, branch: Option<String>, folder: Option<String>) -> Answer<Detected> {
    let (branch, folder) = (filled(branch), filled(folder));
    control()?
        .detect(&actor()?, repository.trim(), branch.as_deref(), folder.as_deref())
        .await
        .map_err(refuse)
}

/// What was left half-way.
#[server(name = ReadDrafts, prefix = "/fn", endpoint = "drafts")]
pub async fn drafts() -> Answer<Dated<Vec<Draft>>> {
    control()?.drafts(&actor()?).await.map(dated).map_err(refuse)
}

/// One of them.
#[server(name = ReadDraft, prefix = "/fn", endpoint = "draft")]
pub async fn draft(id: ServiceId) -> Answer<Dated<Draft>> {
    control()?.draft(&actor()?, id).await.map(dated).map_err(refuse)
}

/// The settings that a form makes of a draft, or of nothing.
#[cfg(feature = "ssr")]
async fn filled_in(form: ServiceForm, draft: Option<ServiceId>) -> Result<ServiceSettings, ApiError> {
    let base = match draft {
        Some(id) => control()?.draft(&actor()?, id).await?.settings,
        None => ServiceSettings::new("", ""),
    };
    form.into_settings(base).map_err(ApiError::invalid)
}

/// Sends a form that is refused back to its page, as it was typed.
#[cfg(feature = "ssr")]
fn refused(form: &ServiceForm, draft: Option<ServiceId>) -> impl Fn(ApiError) -> ApiError + use<> {
    let typed = form.clone().without_secrets();
    let page = super::form_address(None, draft.map(|id| id.to_string()).as_deref(), &typed);
    move |error| ApiError { form: Some(Box::new(typed.clone())), ..error }.answer_at(&page)
}

/// Keeps what was filled in; `and_try` runs its checks as well. Then shows the draft.
#[server(prefix = "/fn", endpoint = "keep_draft")]
pub async fn keep_draft(
    form: ServiceForm,
    draft: Option<ServiceId>,
    and_try: Option<String>,
) -> Answer<ServiceId> {
    let fail = refused(&form, draft);
    let settings = filled_in(form, draft).await.map_err(&fail)?;
    let id = control()?.keep_draft(&actor()?, draft, settings).await.map_err(|e| fail(e.into()))?;
    leptos_axum::redirect(&format!("/services/new?draft={id}"));
    if and_try.is_some() {
        control()?.try_draft(&actor()?, id).await.map_err(|e| fail(e.into()))?;
    }
    Ok(id)
}

/// Throws a draft away.
#[server(prefix = "/fn", endpoint = "drop_draft")]
pub async fn drop_draft(draft: ServiceId) -> Answer<()> {
    control()?.drop_draft(&actor()?, draft).await.map_err(refuse)?;
    leptos_axum::redirect("/services/new");
    Ok(())
}

/// Connects a service, and goes to its first run, its page, or the next service of the same repository.
#[server(prefix = "/fn", endpoint = "create_service")]
pub async fn create_service(
    form: ServiceForm,
    run_now: Option<String>,
    draft: Option<ServiceId>,
    another: Option<String>,
) -> Answer<Service> {
    let fail = refused(&form, draft);
    let settings = filled_in(form, draft).await.map_err(&fail)?;
    let service = control()?.create_from(&actor()?, settings, draft).await.map_err(|e| fail(e.into()))?;
    let run = match run_now {
        Some(_) => control()?.start_run(&actor()?, service.id, None, None).await.ok(),
        None => None,
    };
    let repository = crate::text::words::in_address(&service.settings.repository);
    leptos_axum::redirect(&match (another, run) {
        (Some(_), _) => format!("/services/new?repository={repository}&after={}", service.settings.name),
        (None, Some(run)) => format!("/runs/{}", run.id),
        (None, None) => format!("/services/{}", service.id),
    });
    Ok(service)
}
