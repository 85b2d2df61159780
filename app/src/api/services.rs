//! Connecting, changing, holding and rolling back services.
//!
//! Refuses to read settings out of thin air: what the form does not show is taken from the stored service.

use domain::{
    DeploymentId, EnvironmentName, ServiceId,
    view::{Containers, Deployment, Engine, Forge, Hook, Page, Run, Service, ServicePage},
};
use leptos::prelude::*;

use super::{Answer, Dated};
use crate::form::ServiceForm;

#[cfg(feature = "ssr")]
use super::{
    ApiError,
    server::{actor, control, dated, refuse},
};

/// The service page.
#[server(name = ReadServicePage, prefix = "/fn", endpoint = "service_page")]
pub async fn service_page(id: ServiceId) -> Answer<ServicePage> {
    let control = control()?;
    if control.is_draft(id).await {
        leptos_axum::redirect(&format!("/services/new?draft={id}"));
        // Told without a status of its own, which would take the place of the redirect's.
        return Err(ApiError::new(404, "this service is still being connected"));
    }
    control.service_page(id).await.map_err(refuse)
}

/// A service with its settings.
#[server(name = ReadService, prefix = "/fn", endpoint = "service")]
pub async fn service(id: ServiceId) -> Answer<Dated<Service>> {
    control()?.service(id).await.map(dated).map_err(refuse)
}

/// What this server has for containers.
#[server(name = ReadContainers, prefix = "/fn", endpoint = "containers")]
pub async fn containers() -> Answer<Containers> {
    Ok(control()?.containers().await)
}

/// What drives runs, where the embedded engine does not.
#[server(name = ReadEngine, prefix = "/fn", endpoint = "engine")]
pub async fn engine() -> Answer<Dated<Option<Engine>>> {
    control()?.engine().await.map(dated).map_err(refuse)
}

/// Changes a service's settings.
#[server(prefix = "/fn", endpoint = "update_service")]
pub async fn update_service(id: ServiceId, form: ServiceForm) -> Answer<Service> {
    let typed = form.clone().without_secrets();
    let page = super::form_address(Some(&id.to_string()), None, &typed);
    let fail = |error: ApiError| ApiError { form: Some(Box::new(typed.clone())), ..error }.answer_at(&page);
    let stored = control()?.service_to_change(&actor()?, id).await.map_err(|e| fail(e.into()))?;
    let settings = form.into_settings(stored.settings).map_err(|fields| fail(ApiError::invalid(fields)))?;
    let service = control()?.update_service(&actor()?, id, settings).await.map_err(|e| fail(e.into()))?;
    leptos_axum::redirect(&format!("/services/{id}/settings?saved=1"));
    Ok(service)
}

/// Deletes a service whose name was typed once more.
#[server(prefix = "/fn", endpoint = "delete_service")]
pub async fn delete_service(id: ServiceId, typed_name: String) -> Answer<()> {
    let stored = control()?.service_to_change(&actor()?, id).await.map_err(refuse)?;
    if typed_name.trim() != stored.settings.name {
        let message = format!("type {} to delete it", stored.settings.name);
        return Err(refuse(control::Error::field("typed_name", message)));
    }
    control()?.delete_service(&actor()?, id).await.map_err(refuse)?;
    leptos_axum::redirect("/");
    Ok(())
}

/// Makes the hook of a service's repository on GitHub anew.
#[server(prefix = "/fn", endpoint = "mend_hook")]
pub async fn mend_hook(service: ServiceId) -> Answer<Hook> {
    control()?.mend_hook(&actor()?, service).await.map_err(refuse)
}

/// What Seamless has with GitHub.
#[server(name = ReadForge, prefix = "/fn", endpoint = "forge")]
pub async fn forge() -> Answer<Dated<Forge>> {
    control()?.forge().await.map(dated).map_err(refuse)
}

/// Stops automatic deploys to production.
#[server(prefix = "/fn", endpoint = "hold")]
pub async fn hold(service: ServiceId, reason: String) -> Answer<Service> {
    control()?.hold(&actor()?, service, reason.trim()).await.map_err(refuse)
}

/// Lets them go on.
#[server(prefix = "/fn", endpoint = "resume")]
pub async fn resume(service: ServiceId) -> Answer<Service> {
    control()?.resume(&actor()?, service).await.map_err(refuse)
}

/// A page of what ran in an environment.
#[server(name = ReadDeployments, prefix = "/fn", endpoint = "deployments")]
pub async fn deployments(
    service: ServiceId,
    environment: Option<EnvironmentName>,
    before: Option<DeploymentId>,
) -> Answer<Dated<Page<Deployment>>> {
    control()?.deployments(service, environment, before, 30).await.map(dated).map_err(refuse)
}

/// Goes back to an earlier deployment, and to the run that does it.
#[server(prefix = "/fn", endpoint = "rollback")]
pub async fn rollback(
    service: ServiceId,
    environment: EnvironmentName,
    deployment: DeploymentId,
) -> Answer<Run> {
    let run = control()?.rollback(&actor()?, service, environment, deployment).await.map_err(refuse)?;
    leptos_axum::redirect(&format!("/runs/{}", run.id));
    Ok(run)
}
