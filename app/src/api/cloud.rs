//! Services on ECS that are not there yet: the way from a pipeline form to theirs and back, with what was typed.
//!
//! Refuses to keep anything between the two: all of it is in the address, but for secrets.

use domain::{
    EnvironmentName, ServiceId,
    cloud::{CloudAccount, CloudService},
};
use leptos::prelude::*;

use super::Answer;
use crate::form::{CloudForm, ServiceForm};

#[cfg(feature = "ssr")]
use super::{
    ApiError,
    server::{actor, control, refuse},
};
#[cfg(feature = "ssr")]
use crate::{form::Purpose, text::words};

/// Clusters and services, for whoever may make one more; or why there are none to see.
#[server(name = ReadCloud, prefix = "/fn", endpoint = "cloud")]
pub async fn cloud() -> Answer<Result<CloudAccount, String>> {
    control()?.cloud_to_change(&actor()?).await.map_err(refuse)
}

/// From a pipeline form to the form of a service that is not there yet.
#[server(prefix = "/fn", endpoint = "begin_cloud_service")]
pub async fn begin_cloud_service(
    form: ServiceForm,
    id: Option<ServiceId>,
    draft: Option<ServiceId>,
    environment: EnvironmentName,
) -> Answer<()> {
    actor()?.must(domain::Role::Owner).map_err(refuse)?;
    let purpose = Purpose {
        environment: Some(environment),
        service: id.map(|id| id.to_string()),
        draft: draft.map(|id| id.to_string()),
        form: form.without_secrets(),
        made: None,
    };
    leptos_axum::redirect(&format!("/services/new/ecs?for={}", words::in_address(&purpose.write())));
    Ok(())
}

/// Makes it, and goes back to the pipeline form, where it is picked; with `leave` only the latter.
#[server(prefix = "/fn", endpoint = "create_cloud_service")]
pub async fn create_cloud_service(
    form: CloudForm,
    purpose: Option<String>,
    leave: Option<String>,
) -> Answer<Option<CloudService>> {
    let purpose = purpose.as_deref().and_then(Purpose::read).unwrap_or_default();
    let back = super::form_address(purpose.service.as_deref(), purpose.draft.as_deref(), &purpose.form);
    let back = |purpose: &Purpose| format!("{back}for={}", words::in_address(&purpose.write()));
    if leave.is_some() {
        leptos_axum::redirect(&back(&purpose));
        return Ok(None);
    }
    let typed = serde_json::to_string(&form).unwrap_or_default();
    let here = format!(
        "/services/new/ecs?for={}&typed={}",
        words::in_address(&purpose.write()),
        words::in_address(&typed)
    );
    let fail = |error: ApiError| error.answer_at(&here);
    let wanted = form.into_wanted().map_err(|fields| fail(ApiError::invalid(fields)))?;
    let made = control()?.create_cloud_service(&actor()?, &wanted).await.map_err(|e| fail(e.into()))?;
    let place = domain::containers::EcsService {
        cluster: made.cluster.clone(),
        service: made.service.clone(),
        container: None,
    };
    let purpose = purpose.picking(&place);
    leptos_axum::redirect(&match purpose.environment {
        Some(_) => back(&purpose),
        None => format!(
            "/services/new/ecs?made={}",
            words::in_address(purpose.made.as_deref().unwrap_or_default())
        ),
    });
    Ok(Some(made))
}
