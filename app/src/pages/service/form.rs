//! The fields of a service, the same for connecting and for changing one.
//!
//! Refuses to lose what was typed: errors appear beside their fields, and nothing is redrawn.

use std::collections::BTreeMap;

use domain::view::Proposal;
use leptos::prelude::*;

use crate::{
    api::ApiError,
    components::{Area, Check, Input},
    form::{KEEP, ServiceForm},
};

/// Why each field was proposed, by its path.
#[derive(Clone, Default)]
pub struct Why(BTreeMap<String, String>);

impl Why {
    /// From what detection said.
    pub fn new(proposals: Vec<Proposal>) -> Self {
        Self(proposals.into_iter().map(|p| (p.field, p.why)).collect())
    }

    /// The reason, or else a word of help.
    fn or(&self, field: &str, help: &str) -> String {
        self.0.get(field).map_or_else(|| help.to_owned(), |why| format!("Proposed: {why}"))
    }
}

/// All of them.
#[component]
pub fn Fields(
    /// What they hold at first.
    form: ServiceForm,
    /// Why.
    why: Why,
    /// What is wrong.
    wrong: Option<ApiError>,
) -> impl IntoView {
    let f = form;
    let any = [&f.staging_variables, &f.staging_secrets, &f.production_variables, &f.production_secrets]
        .iter()
        .any(|t| !t.is_empty());
    let secrets = format!(
        "NAME=value lines, encrypted, masked in logs, never shown again. {KEEP} keeps what is stored; without its line it is removed"
    );
    view! {
        <input type="hidden" name="form[image]" value=f.image/>
        <input type="hidden" name="form[dockerfile]" value=f.dockerfile/>
        <fieldset class="card panel">
            <legend>"What it is"</legend>
            <div class="fields two">
                <Input
                    label="Name"
                    name="form[name]"
                    path="name"
                    value=f.name
                    hint=why.or("name", "Lower-case letters, digits and hyphens")
                    required=true
                    wrong=wrong.clone()
                />
                <Input
                    label="Repository"
                    name="form[repository]"
                    path="repository"
                    value=f.repository
                    code=true
                    required=true
                    hint=why.or("repository", "Path or address")
                    wrong=wrong.clone()
                />
                <Input
                    label="Branch"
                    name="form[branch]"
                    path="branch"
                    value=f.branch
                    code=true
                    placeholder="its default"
                    hint=why.or("branch", "Pushes to this branch are deployed")
                    wrong=wrong.clone()
                />
                <Input
                    label="Folder"
                    name="form[context]"
                    path="context"
                    value=f.context
                    code=true
                    placeholder="the whole repository"
                    hint=why.or("context", "For a repository with several services")
                    wrong=wrong.clone()
                />
            </div>
        </fieldset>
        <fieldset class="card panel">
            <legend>"What each stage runs"</legend>
            <p class="sub">"Shell commands; a stage without one is skipped and says so."</p>
            <div class="fields two">
                <Area
                    label="Prepare"
                    name="form[prepare]"
                    path="commands.prepare"
                    value=f.prepare
                    hint=why.or("commands.prepare", "Brings in dependencies")
                    wrong=wrong.clone()
                />
                <Area
                    label="Code Quality"
                    name="form[code_quality]"
                    path="commands.code_quality"
                    value=f.code_quality
                    hint=why.or("commands.code_quality", "Linters, beside the unit tests")
                    wrong=wrong.clone()
                />
                <Area
                    label="Unit Test"
                    name="form[unit_test]"
                    path="commands.unit_test"
                    value=f.unit_test
                    hint=why.or("commands.unit_test", "The service's own tests")
                    wrong=wrong.clone()
                />
                <Area
                    label="Build"
                    name="form[build]"
                    path="commands.build"
                    value=f.build
                    hint=why.or("commands.build", "What the folder holds afterwards is the artifact")
                    wrong=wrong.clone()
                />
                <Area
                    label="Integration Test"
                    name="form[integration_test]"
                    path="commands.integration_test"
                    value=f.integration_test
                    hint=why.or("commands.integration_test", "Runs beside the started candidate and its neighbours; SEAMLESS_URL_<SERVICE> says where each is")
                    wrong=wrong.clone()
                />
                <Area
                    label="Start"
                    name="form[start]"
                    path="commands.start"
                    value=f.start
                    hint=why.or("commands.start", "Must listen on the port in PORT; without it nothing is deployed")
                    wrong=wrong.clone()
                />
            </div>
        </fieldset>
        <fieldset class="card panel">
            <legend>"Where it runs"</legend>
            <div class="fields two">
                <Input
                    label="Production's port"
                    name="form[port]"
                    path="port"
                    value=f.port
                    code=true
                    placeholder="chosen and kept"
                    hint=why.or("port", "Stays the same from version to version")
                    wrong=wrong.clone()
                />
                <Input
                    label="Staging's port"
                    name="form[staging_port]"
                    path="environments.staging.port"
                    value=f.staging_port
                    code=true
                    placeholder="chosen and kept"
                    wrong=wrong.clone()
                />
                <Input
                    label="Health path"
                    name="form[health_path]"
                    path="health_path"
                    value=f.health_path
                    code=true
                    placeholder="an open port counts"
                    hint=why.or("health_path", "Answers 2xx when a version may take over")
                    wrong=wrong.clone()
                />
                <Input
                    label="Time to become healthy"
                    name="form[health_timeout]"
                    path="health_timeout_s"
                    value=f.health_timeout
                    wrong=wrong.clone()
                />
            </div>
            <div class="checks">
                <Check label="Deploy to staging first" name="form[staging]" on=f.staging.is_some()/>
                <Check
                    label="Deploy to production without asking"
                    name="form[auto_deploy]"
                    on=f.auto_deploy.is_some()
                    hint="Otherwise every run waits for an approval before production"
                />
            </div>
        </fieldset>
        <fieldset class="card panel">
            <legend>"When it runs"</legend>
            <div class="checks">
                <Check label="A push to the branch" name="form[on_push]" on=f.on_push.is_some()/>
                <Check
                    label="A pull request is opened"
                    name="form[on_opened]"
                    on=f.on_opened.is_some()
                    hint="Prepare, Code Quality and Unit Test only"
                />
                <Check
                    label="A pull request gets commits"
                    name="form[on_synchronized]"
                    on=f.on_synchronized.is_some()
                />
            </div>
            <div class="fields two">
                <Input
                    label="A stage may take"
                    name="form[stage_timeout]"
                    path="stage_timeout_s"
                    value=f.stage_timeout
                    hint="Then it is ended and has failed"
                    wrong=wrong.clone()
                />
                <Input
                    label="An approval waits"
                    name="form[approval_timeout]"
                    path="approval_timeout_s"
                    value=f.approval_timeout
                    hint="Then it expires"
                    wrong=wrong.clone()
                />
            </div>
        </fieldset>
        <fieldset class="card panel">
            <legend>"Variables"</legend>
            <div class="fields two">
                <Area
                    label="Variables"
                    name="form[variables]"
                    path="variables"
                    value=f.variables
                    rows=3
                    placeholder="GREETING=hello"
                    hint="NAME=value lines, for commands and the running service"
                    wrong=wrong.clone()
                />
                <Area
                    label="Secrets"
                    name="form[secrets]"
                    path="variables"
                    value=f.secrets
                    rows=3
                    placeholder="API_KEY=…"
                    hint=secrets
                    wrong=wrong.clone()
                />
            </div>
            <details open=any>
                <summary>"Different in one environment"</summary>
                <div class="fields two">
                    <Area
                        label="Staging's variables"
                        name="form[staging_variables]"
                        path="environments.staging.variables"
                        value=f.staging_variables
                        rows=2
                        wrong=wrong.clone()
                    />
                    <Area
                        label="Staging's secrets"
                        name="form[staging_secrets]"
                        path="environments.staging.variables"
                        value=f.staging_secrets
                        rows=2
                        wrong=wrong.clone()
                    />
                    <Area
                        label="Production's variables"
                        name="form[production_variables]"
                        path="environments.production.variables"
                        value=f.production_variables
                        rows=2
                        wrong=wrong.clone()
                    />
                    <Area
                        label="Production's secrets"
                        name="form[production_secrets]"
                        path="environments.production.variables"
                        value=f.production_secrets
                        rows=2
                        wrong=wrong.clone()
                    />
                </div>
            </details>
        </fieldset>
    }
    .into_any()
}
