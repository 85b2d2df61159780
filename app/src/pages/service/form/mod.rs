//! The fields of a service, the same for connecting and for changing one.
//!
//! Refuses to lose what was typed: errors appear beside their fields, and nothing is redrawn.

mod ask;
mod boxes;

pub use ask::{Ask, Why, pairs, posted, tick};
use domain::view::Containers;
use leptos::prelude::*;

use crate::{
    api::ApiError,
    form::{KEEP, ServiceForm},
};

/// All of them.
#[component]
pub fn Fields(
    /// What they hold at first.
    form: ServiceForm,
    /// Why.
    why: Why,
    /// What is wrong.
    wrong: Option<ApiError>,
    /// What this server has for containers.
    here: Containers,
) -> impl IntoView {
    let (f, ask) = (form, Ask { why, wrong });
    view! {
        {identity(&f, &ask)}
        {commands(&f, &ask)}
        {places(&f, &ask, &here)}
        {boxes::image(&f.containers, &ask, &here)}
        {times(&f, &ask)}
        {github(&f)}
        {variables(&f, &ask)}
    }
    .into_any()
}

fn identity(f: &ServiceForm, ask: &Ask) -> AnyView {
    let fields = [
        ask.line("Name", "name", &f.name).hint("Lower-case letters, digits and hyphens").required(),
        ask.line("Repository", "repository", &f.repository).code().hint("Path or address").required(),
        ask.line("Branch", "branch", &f.branch)
            .code()
            .empty("its default")
            .hint("Pushes to this branch are deployed"),
        ask.line("Folder", "context", &f.context)
            .code()
            .empty("the whole repository")
            .hint("For a repository with several services"),
    ];
    view! { <fieldset class="card panel"><legend>"What it is"</legend>{pairs(fields)}</fieldset> }.into_any()
}

fn commands(f: &ServiceForm, ask: &Ask) -> AnyView {
    let fields = [
        ask.lines("Prepare", "prepare", &f.prepare).at("commands.prepare").hint("Brings in dependencies"),
        ask.lines("Code Quality", "code_quality", &f.code_quality)
            .at("commands.code_quality")
            .hint("Linters, beside the unit tests"),
        ask.lines("Unit Test", "unit_test", &f.unit_test)
            .at("commands.unit_test")
            .hint("The service's own tests"),
        ask.lines("Build", "build", &f.build)
            .at("commands.build")
            .hint("What the folder holds afterwards is the artifact"),
        ask.lines("Integration Test", "integration_test", &f.integration_test)
            .at("commands.integration_test")
            .hint("Runs beside the started candidate and its neighbours; SEAMLESS_URL_<SERVICE> says where each is"),
        ask.lines("Start", "start", &f.start)
            .at("commands.start")
            .hint("Must listen on the port in PORT; without it nothing is deployed"),
    ];
    view! {
        <fieldset class="card panel">
            <legend>"What each stage runs"</legend>
            <p class="sub">"Shell commands; a stage without one is skipped and says so."</p>
            {pairs(fields)}
            {boxes::toolchain(&f.containers, ask)}
        </fieldset>
    }
    .into_any()
}

fn places(f: &ServiceForm, ask: &Ask, here: &Containers) -> AnyView {
    let ports = [
        ask.line("Production's port", "port", &f.port)
            .code()
            .empty("chosen and kept")
            .hint("Stays the same from version to version"),
        ask.line("Staging's port", "staging_port", &f.staging_port)
            .at("environments.staging.port")
            .code()
            .empty("chosen and kept"),
    ];
    let unfit = ask.any_wrong(&["port", "environments.staging.port"]);
    let fields = [
        ask.line("Health path", "health_path", &f.health_path)
            .code()
            .empty("an open port counts")
            .hint("Answers 2xx when a version may take over"),
        ask.line("Time to become healthy", "health_timeout", &f.health_timeout).at("health_timeout_s"),
    ];
    let asks = "Otherwise every run waits for an approval before production";
    view! {
        <fieldset class="card panel">
            <legend>"Where it runs"</legend>
            {boxes::target(&f.containers, ask, here)}
            <div class="dockered" class:told=unfit>{pairs(ports)}</div>
            {pairs(fields)}
            <div class="checks">
                {tick("Deploy to staging first", "staging", &f.staging, "")}
                {tick("Deploy to production without asking", "auto_deploy", &f.auto_deploy, asks)}
            </div>
        </fieldset>
    }
    .into_any()
}

fn times(f: &ServiceForm, ask: &Ask) -> AnyView {
    let fields = [
        ask.line("A stage may take", "stage_timeout", &f.stage_timeout)
            .at("stage_timeout_s")
            .hint("Then it is ended and has failed"),
        ask.line("An approval waits", "approval_timeout", &f.approval_timeout)
            .at("approval_timeout_s")
            .hint("Then it expires"),
    ];
    let only = ask
        .lines("Only changes of", "only_paths", &f.only_paths)
        .at("triggers.paths")
        .rows(2)
        .empty("services/orders")
        .hint("Folders or patterns, one on a line, ! before one takes it out again; every change when empty");
    let part = "Prepare, Code Quality and Unit Test only";
    view! {
        <fieldset class="card panel">
            <legend>"When it runs"</legend>
            <div class="checks">
                {tick("A push to the branch", "on_push", &f.on_push, "")}
                {tick("A pull request is opened", "on_opened", &f.on_opened, part)}
                {tick("A pull request gets commits", "on_synchronized", &f.on_synchronized, "")}
                {tick("Pull requests from forks, without asking", "trust_forks", &f.trust_forks, "They get no secrets in any case and keep nothing for other runs, but they run on this machine")}
                {tick("New commits of a pull request end its older runs", "cancel_older", &f.cancel_older, "Saves time; a run that is cancelled says by which commits")}
            </div>
            {only.show()}
            {pairs(fields)}
        </fieldset>
    }
    .into_any()
}

fn github(f: &ServiceForm) -> AnyView {
    let statuses =
        "For the run, and for its checks, build, staging and production, each with its time and a link";
    let merge = "Exactly the commit that was tested, once every service that tests it has succeeded; never from a fork. Needs the right to write contents";
    view! {
        <fieldset class="card panel">
            <legend>"What GitHub is told"</legend>
            <p class="sub">"For repositories on GitHub, where Seamless has a token or an app."</p>
            <div class="checks">
                {tick("A status on each commit", "tell_statuses", &f.tell_statuses, statuses)}
                {tick("A comment on each pull request", "tell_comment", &f.tell_comment, "Where its newest run stands, stage by stage; one comment, kept up to date in place")}
                {tick("Deployments", "tell_deployments", &f.tell_deployments, "What is in staging and in production, and since when")}
                {tick("Merge a pull request whose run succeeded", "auto_merge", &f.auto_merge, merge)}
            </div>
        </fieldset>
    }
    .into_any()
}

fn variables(f: &ServiceForm, ask: &Ask) -> AnyView {
    let secrets = format!(
        "NAME=value lines, encrypted, masked in logs, never shown again. {KEEP} keeps what is stored; without its line it is removed"
    );
    let everywhere = [
        ask.lines("Variables", "variables", &f.variables)
            .rows(3)
            .empty("GREETING=hello")
            .hint("NAME=value lines, for commands and the running service"),
        ask.lines("Secrets", "secrets", &f.secrets).at("variables").rows(3).empty("API_KEY=…").hint(secrets),
    ];
    let (staging, production) = ("environments.staging.variables", "environments.production.variables");
    let somewhere = [
        ("Staging's variables", "staging_variables", &f.staging_variables, staging),
        ("Staging's secrets", "staging_secrets", &f.staging_secrets, staging),
        ("Production's variables", "production_variables", &f.production_variables, production),
        ("Production's secrets", "production_secrets", &f.production_secrets, production),
    ];
    let any = somewhere.iter().any(|(_, _, text, _)| !text.is_empty());
    let somewhere = somewhere.map(|(label, name, text, path)| ask.lines(label, name, text).at(path).rows(2));
    view! {
        <fieldset class="card panel">
            <legend>"Variables"</legend>
            {pairs(everywhere)}
            <details open=any>
                <summary>"Different in one environment"</summary>
                {pairs(somewhere)}
            </details>
        </fieldset>
    }
    .into_any()
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use domain::{
        containers::{Resources, TargetKind},
        service::{Integration, SecretVariable, ServiceSettings, Variable},
        stage::EnvironmentName,
        view::Daemon,
    };

    use super::*;

    /// The names under which a page posts its fields.
    fn names(page: &str) -> BTreeSet<String> {
        page.split(" name=\"form").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    }

    /// The same names from the form itself.
    fn leaves(at: &str, value: &serde_json::Value, into: &mut BTreeSet<String>) {
        match value.as_object() {
            Some(fields) => fields.iter().for_each(|(name, v)| leaves(&format!("{at}[{name}]"), v, into)),
            None => _ = into.insert(at.to_owned()),
        }
    }

    fn page(form: ServiceForm, wrong: Option<ApiError>) -> String {
        let here = Containers {
            daemon: Daemon::Away("nobody is there".into()),
            registry: None,
            cloud: Err("no account".into()),
            ecs_alone: false,
        };
        let why = Why::default();
        Owner::new().with(|| Fields(FieldsProps { form, why, wrong, here }).into_view().to_html())
    }

    /// A field that the page forgets would come back empty and take its setting with it.
    #[test]
    fn the_page_asks_for_every_field_of_the_form() {
        let mut asked = BTreeSet::new();
        leaves("", &serde_json::to_value(ServiceForm::default()).unwrap(), &mut asked);
        assert_eq!(names(&page(ServiceForm::default(), None)), asked);
    }

    /// Settings with everything wrong that can be wrong about containers.
    fn all_wrong() -> ServiceSettings {
        let mut s = ServiceSettings::new("orders", "/srv/orders.git");
        s.image = Some("node 22".into());
        s.dockerfile = Some("../Dockerfile".into());
        s.container_port = Some(0);
        let little = Resources { memory_mb: Some(1), cpu_millis: Some(1) };
        s.toolchain.resources = little;
        s.integration =
            Some(Integration { compose_file: Some("/compose.yaml".into()), ..Default::default() });
        for (environment, target) in [
            (EnvironmentName::Staging, TargetKind::Process),
            (EnvironmentName::Production, TargetKind::Docker),
        ] {
            let of = s.environments.of_mut(environment);
            of.target = Some(target);
            of.container.host = Some("10.0.0.5".into());
            of.container.certificates = Some("certificates".into());
            of.container.resources = little;
        }
        let secret = SecretVariable { value: None, secret: true };
        s.variables.insert("TOKEN".into(), Variable::Secret(secret));
        s.build.arguments.insert("TOKEN".into(), "x".into());
        s.build.secrets = vec!["NOBODY".into()];
        s
    }

    #[test]
    fn what_is_wrong_about_containers_stands_beside_its_field() {
        let settings = all_wrong();
        let problems = settings.problems();
        assert_eq!(problems.len(), 17, "{problems:#?}");
        for problem in problems {
            let page = page(ServiceForm::of(&settings), Some(ApiError::invalid(vec![problem.clone()])));
            let told = page.matches("class=\"wrong\"").count();
            assert_eq!(told, 1, "{} is told once", problem.field);
            let marked = page.matches("aria-invalid=\"true\"").count();
            assert_eq!(marked, 1, "one field is marked for {}", problem.field);
            let folded = page.contains("<details>");
            let open = page.split("class=\"wrong\"").next().unwrap().rsplit("<details").next().unwrap();
            assert!(!folded || open.starts_with(" open") || open.contains("</details>"), "{}", problem.field);
        }
    }

    #[test]
    fn what_is_not_used_is_folded() {
        let quiet = page(ServiceForm::of(&ServiceSettings::new("orders", "/srv/orders.git")), None);
        assert!(!quiet.contains("<details open"), "nothing is open");
        assert!(!quiet.contains("contained told"), "containers are out of sight");
        let mut settings = ServiceSettings::new("orders", "/srv/orders.git");
        settings.image = Some("node:22".into());
        assert!(page(ServiceForm::of(&settings), None).contains("<details open"));
    }
}
